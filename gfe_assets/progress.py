"""How long steps say how far they are, without knowing who listens.

In: the type of a progress callback and one that says nothing. Out: the listeners: the command line
draws bars (`cli.py`), Dagster runs write log lines (`stages/`).
"""

from collections.abc import Callable

Progress = Callable[[str, int, int | None], None]
"""`progress(what, done, total)`: `what` names the step and its unit ("entries read", "edges written"), `done` and
`total` count in that unit; `total` is None where it is not known. Cheap enough to be called every
thousand items; never called for each one."""


def silent(what: str, done: int, total: int | None) -> None:
    """A listener that ignores everything."""
