"""Answers about commits, kept on disk: what a sha names never changes.

In: texts by kind and sha. Out: what they mean (`github.py`). Without a token GitHub gives 60 answers an hour, and the first
look at the repository needs two for each of 59 releases: with what is kept, an interrupted look
goes on at the next tick instead of beginning anew.
"""

import os
import re
import tempfile
from pathlib import Path

_SHA = re.compile(r"[0-9a-f]{40}")


class Memory:
    """A folder of small files, `<kind>/<sha>.json`; None as folder keeps nothing. Safe between threads and processes."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def get(self, kind: str, sha: str) -> str | None:
        """What was kept, or None."""
        path = self._path(kind, sha)
        try:
            return path.read_text(encoding="utf-8") if path else None
        except FileNotFoundError:
            return None

    def put(self, kind: str, sha: str, text: str) -> None:
        """Keep a text; only for whole shas, as a name or a short sha may mean something else tomorrow."""
        path = self._path(kind, sha)
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=".", delete=False) as out:
            out.write(text)
        os.replace(out.name, path)  # noqa: PTH105 (out.name is a str)

    def _path(self, kind: str, sha: str) -> Path | None:
        return self._folder / kind / f"{sha}.json" if self._folder and _SHA.fullmatch(sha) else None
