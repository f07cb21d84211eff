"""A GitHub in a thread: serves a simulated repository over real HTTP, with faults on demand.

    with GitHubServer() as server:
        sha = server.commit("390", release_files("390"))
        server.fail("/raw/", cut_after=100, times=2)
        GitHubSource("ANHIG", "IMGTHLA", api_url=server.url, raw_url=server.url)
        server.requests                                       # what was asked for, with what status

Branches carry an ETag and are paged by `Link`; trees come with and without `recursive`; content by commit sha, with
ranges. Ids of trees and blobs are git's. `load_payloads` serves the recorded answers of the real repository instead.
"""

import hashlib
import json
import re
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from gfe_assets.source.gitobjects import FILE_MODE, TREE_MODE, TreeEntry, tree_id

REPOSITORY = "ANHIG/IMGTHLA"


@dataclass(frozen=True)
class Request:
    """A request that was answered."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    status: int


@dataclass
class Fault:
    """What happens instead of, or to, the next `times` answers whose path (with query) matches."""

    pattern: str
    times: int
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    cut_after: int | None = None
    short_length: bool = False
    delay: float = 0.0


@dataclass
class Answer:
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


class GitHubServer:
    """The repository, and the server that answers for it; a context manager."""

    def __init__(self, *, ranges: bool = True, etags: bool = True, link_host: str = "") -> None:
        self.branches: dict[str, str] = {}
        self.commits: dict[str, dict[str, Any]] = {}
        self.trees: dict[str, list[dict[str, str]]] = {}
        self.root_of: dict[str, str] = {}
        self.files: dict[str, dict[str, bytes]] = {}
        self.truncated = False
        self.ranges = ranges
        self.etags = etags
        self.link_host = link_host
        self.limit: tuple[int, float] | None = None
        self.requests: list[Request] = []
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "GitHubServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # the repository

    def commit(self, branch: str, files: dict[str, bytes], message: str = "Release files", date: datetime | None = None) -> str:
        """Put a commit with exactly these files at the tip of a branch; returns its sha."""
        date = date or datetime(2024, 1, 1, 12, len(self.commits) % 60, tzinfo=timezone.utc)
        root = self._add_tree(files)
        identity = f"{root} {self.branches.get(branch)} {date.isoformat()} {message}"
        sha = hashlib.sha1(identity.encode()).hexdigest()
        signature = {"name": "IPD", "date": date.isoformat()}
        self.commits[sha] = {
            "sha": sha,
            "html_url": f"https://github.com/{REPOSITORY}/commit/{sha}",
            "commit": {"author": signature, "committer": signature, "message": message},
        }
        self.root_of[sha] = root
        self.files[sha] = dict(files)
        self.branches[branch] = sha
        return sha

    def change(self, branch: str, files: dict[str, bytes | None], **commit: Any) -> str:
        """Commit a change of some files (None removes one) on top of a branch."""
        merged = {**self.files[self.branches[branch]], **files}
        return self.commit(branch, {path: content for path, content in merged.items() if content is not None}, **commit)

    def load_folder(self, root: Path) -> None:
        """Serve a folder of releases as branches; those with a `commit.json` under its sha."""
        for folder in sorted(path for path in root.iterdir() if path.is_dir()):
            paths = [path for path in folder.rglob("*") if path.is_file() and path.name != "commit.json"]
            sha = self.commit(folder.name, {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths})
            if (folder / "commit.json").is_file():
                described = json.loads((folder / "commit.json").read_text())
                self._rename(folder.name, sha, described)

    def load_payloads(self, folder: Path) -> None:
        """Serve the recorded answers of the real repository. Tips without a recorded tree get a made-up one."""
        for branch in json.loads((folder / "branches.json").read_text()):
            self.branches[branch["name"]] = branch["commit"]["sha"]
        for commits in json.loads((folder / "commits_by_branch.json").read_text()).values():
            self.commits.update({commit["sha"]: commit for commit in commits})
        for sha, tree in json.loads((folder / "root_trees.json").read_text()).items():
            self.root_of[sha] = tree["sha"]
            self.trees[tree["sha"]] = tree["tree"]
        for sha in self.branches.values():
            if sha not in self.root_of:
                self.root_of[sha] = self._add_tree({"hla.dat.zip": sha.encode(), "wmda/hla_nom_g.txt": sha.encode()})

    def _rename(self, branch: str, sha: str, described: dict[str, str]) -> None:
        commit = self.commits.pop(sha)
        signature = {"name": "IPD", "date": described["date"]}
        details = {"author": signature, "committer": signature, "message": described["message"]}
        new = described["sha"]
        self.commits[new] = {**commit, "sha": new, "commit": details}
        self.root_of[new], self.files[new] = self.root_of.pop(sha), self.files.pop(sha)
        self.branches[branch] = new

    def _add_tree(self, files: dict[str, bytes]) -> str:
        entries: list[TreeEntry] = []
        below: dict[str, dict[str, bytes]] = {}
        for path, content in files.items():
            first, _, rest = path.partition("/")
            if rest:
                below.setdefault(first, {})[rest] = content
            else:
                blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
                entries.append(TreeEntry(FILE_MODE, path, blob))
        entries += [TreeEntry(TREE_MODE, name, self._add_tree(inside)) for name, inside in below.items()]
        sha = tree_id(entries)
        types = {FILE_MODE: ("100644", "blob"), TREE_MODE: ("040000", "tree")}
        self.trees[sha] = [
            {"path": entry.name, "mode": types[entry.mode][0], "type": types[entry.mode][1], "sha": entry.object_id}
            for entry in sorted(entries, key=lambda entry: entry.name)
        ]
        return sha

    # faults and what was asked

    def fail(self, pattern: str, times: int = 1, **what: Any) -> None:
        """Let the next `times` answers to requests that match `pattern` go wrong (see `Fault`)."""
        self._faults.append(Fault(pattern, times, **what))

    def heal(self) -> None:
        """Let nothing go wrong any more."""
        self._faults.clear()

    def asked(self, pattern: str = "") -> list[Request]:
        """The requests so far whose path matches."""
        with self._lock:
            return [request for request in self.requests if re.search(pattern, request.path)]

    def forget(self) -> None:
        """Forget what was asked."""
        with self._lock:
            self.requests.clear()

    # answering

    def answer(self, handler: BaseHTTPRequestHandler) -> tuple[Answer, Fault | None]:
        parts = urlsplit(handler.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        with self._lock:
            fault = next((each for each in self._faults if each.times and re.search(each.pattern, handler.path)), None)
            if fault:
                fault.times -= 1
            answer = self._answer(unquote(parts.path), query, handler.headers)
            if fault and fault.status is not None:
                answer = Answer(fault.status, fault.body or b"", {})
            if fault:
                answer.body = answer.body if fault.body is None else fault.body
                answer.headers.update(fault.headers)
            self.requests.append(Request(parts.path, query, dict(handler.headers), answer.status))
        if fault and fault.delay:
            self._stop.wait(fault.delay)
        return answer, fault

    def _answer(self, path: str, query: dict[str, str], headers: Any) -> Answer:
        if match := re.fullmatch(rf"/{REPOSITORY}/raw/([0-9a-f]+)/(.+)", path):
            return self._raw(match[1], match[2], headers)
        if match := re.fullmatch(rf"/repos/{REPOSITORY}/(.+)", path):
            return self._limited(self._api(match[1], query, headers))
        return _json(404, {"message": "Not Found"})

    def _api(self, path: str, query: dict[str, str], headers: Any) -> Answer:
        if path == "branches":
            return self._branches(query, headers)
        kind, _, sha = path.rpartition("/")
        if kind == "commits" and sha in self.commits:
            return _json(200, self.commits[sha])
        if kind == "git/trees" and (root := self.root_of.get(sha, sha)) in self.trees:
            return _json(200, {"sha": root, "truncated": self.truncated, "tree": self._tree(root, "recursive" in query)})
        return _json(404, {"message": "Not Found"})

    def _tree(self, sha: str, recursive: bool) -> list[dict[str, str]]:
        entries = self.trees[sha]
        if not recursive or self.truncated:
            return entries
        found = []
        for entry in entries:
            found.append(entry)
            if entry["type"] == "tree" and entry["sha"] in self.trees:
                below = self._tree(entry["sha"], recursive)
                found += [{**each, "path": f"{entry['path']}/{each['path']}"} for each in below]
        return found

    def _branches(self, query: dict[str, str], headers: Any) -> Answer:
        size, page = int(query.get("per_page", "30")), int(query.get("page", "1"))
        names = sorted(self.branches)
        answer = _json(
            200,
            [
                {"name": name, "commit": {"sha": self.branches[name], "url": ""}, "protected": False}
                for name in names[size * (page - 1) : size * page]
            ],
        )
        if size * page < len(names):
            url = f"{self.link_host or self.url}/repos/{REPOSITORY}/branches?per_page={size}&page={page + 1}"
            answer.headers["Link"] = f'<{url}>; rel="next", <{url}>; rel="last"'
        if self.etags:
            etag = f'W/"{hashlib.sha1(answer.body).hexdigest()}"'
            if headers.get("If-None-Match") == etag:
                answer = Answer(304, b"")
            answer.headers["ETag"] = etag
        return answer

    def _limited(self, answer: Answer) -> Answer:
        if self.limit is None:
            return answer
        remaining, reset = self.limit
        if time.time() >= reset:
            self.limit = None
            return answer
        if remaining == 0:
            answer = _json(403, {"message": "API rate limit exceeded for 127.0.0.1."})
        else:
            remaining -= 1
            self.limit = (remaining, reset)
        answer.headers.update({"X-RateLimit-Remaining": str(remaining), "X-RateLimit-Reset": str(int(reset))})
        return answer

    def _raw(self, sha: str, path: str, headers: Any) -> Answer:
        content = self.files.get(sha, {}).get(path)
        if content is None:
            return Answer(404, b"404: Not Found")
        if self.ranges and (match := re.fullmatch(r"bytes=(\d+)-", headers.get("Range", ""))):
            start = int(match[1])
            length = len(content)
            return Answer(206, content[start:], {"Content-Range": f"bytes {start}-{length - 1}/{length}"})
        return Answer(200, content)


def _json(status: int, content: Any) -> Answer:
    return Answer(status, json.dumps(content).encode(), {"Content-Type": "application/json; charset=utf-8"})


def _handler(server: GitHubServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one packet an answer
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            answer, fault = server.answer(self)
            body = answer.body
            cut = fault.cut_after if fault else None
            said = cut if cut is not None and fault and fault.short_length else len(body)
            try:
                self.send_response_only(answer.status)
                self.send_header("Date", format_datetime(datetime.now(timezone.utc), usegmt=True))
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                if answer.status != 304:
                    self.send_header("Content-Length", str(said))
                self.end_headers()
                self.wfile.write(body if cut is None else body[:cut])
                self.wfile.flush()
            except OSError:  # the client gave up waiting
                self.close_connection = True
            if cut is not None:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    return Handler
