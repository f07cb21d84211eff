"""A GitHub repository of releases, one branch each, as a source.

In: owner, name, base URLs, a token. Out: retries and limits (`http.py`), keeping files (`fetch.py`), what is new
(`changes.py`). Only these are asked for, content always by commit sha and never by branch name, since the
name of a branch may equal an abbreviated sha:

    {api}/repos/{owner}/{repo}/branches             all tips; an ETag makes an unchanged listing free
    {api}/repos/{owner}/{repo}/commits/{sha}        date and message of a commit
    {api}/repos/{owner}/{repo}/git/trees/{sha}      ids of files and folders, at the root or of everything below
    {raw}/{owner}/{repo}/raw/{sha}/{path}           content
"""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar
from urllib.parse import parse_qs, quote, urlsplit

from pydantic import SecretStr, TypeAdapter, ValidationError

from gfe_assets.errors import ReleaseNotFound, SourceError
from gfe_assets.hla.release import is_release, parse_release
from gfe_assets.source.github_payloads import BranchPayload, CommitPayload, TreePayload
from gfe_assets.source.http import Answer, HttpClient, NotFound
from gfe_assets.source.memory import Memory
from gfe_assets.source.models import ALIGNMENTS_FOLDER, GROUPS_FILE, GROUPS_FOLDER, ROOT_PATHS, Commit, Tip, Tips
from gfe_assets.source.patience import Patience
from gfe_assets.source.resume import resuming

PER_PAGE = 100
_MOST_PAGES = 1000
_BRANCHES = TypeAdapter(list[BranchPayload])
_COMMIT = TypeAdapter(CommitPayload)
_TREE = TypeAdapter(TreePayload)
_IDS = TypeAdapter(dict[str, str])
_Payload = TypeVar("_Payload")


class GitHubSource:
    """Releases in a GitHub repository. May be used by several threads; `close` gives back its connections."""

    def __init__(
        self,
        owner: str,
        repo: str,
        *,
        api_url: str = "https://api.github.com",
        raw_url: str = "https://github.com",
        token: SecretStr | None = None,
        memory_folder: Path | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._owner, self._repo = owner, repo
        self._api = f"{api_url.rstrip('/')}/repos/{quote(owner)}/{quote(repo)}"
        self._raw = f"{raw_url.rstrip('/')}/{quote(owner)}/{quote(repo)}/raw"
        self._client = HttpClient(api_url, token or SecretStr(""), patience or Patience())
        place = hashlib.sha1(self._api.encode()).hexdigest()[:12]
        self._memory = Memory(memory_folder / place if memory_folder else None)
        self._last: Tips | None = None
        self._lock = threading.Lock()

    def close(self) -> None:
        """Give back the connections; the source can still be used and opens new ones."""
        self._client.close()

    @property
    def location(self) -> str:
        """The repository as `github://OWNER/REPO`."""
        return f"github://{self._owner}/{self._repo}"

    def tips(self, etag: str = "") -> Tips | None:
        """All branches, or None when the listing is as it was at `etag` (see `Source.tips`); one request for every 100."""
        known = _page_etags(etag)
        first = self._branch_page(1, known[0] if known else "")
        if first.not_modified:
            if all(self._branch_page(number, each).not_modified for number, each in enumerate(known[1:], start=2)):
                return None
            first = self._branch_page(1)
        branches, etags = self._branches(first)
        tips = [Tip(release=branch.name, sha=branch.commit.sha) for branch in branches if is_release(branch.name)]
        self._last = Tips(
            tips=tuple(sorted(tips, key=lambda tip: parse_release(tip.release))),
            others=tuple(sorted(branch.name for branch in branches if not is_release(branch.name))),
            etag=json.dumps(etags),
        )
        return self._last

    def tip(self, release: str) -> Commit:
        """The newest commit of a release (see `Source.tip`)."""
        with self._lock:
            last = self._last
            listing = self.tips(last.etag if last else "") or last
        tips = {tip.release: tip.sha for tip in listing.tips} if listing else {}
        if release not in tips:
            newest = ", ".join(list(tips)[-5:]) or "none"
            raise ReleaseNotFound(
                f"release {release} is not in {self.location}: it has {len(tips)} releases, the newest of them: {newest}"
            )
        return self.commit(release, tips[release])

    def commit(self, release: str, sha: str) -> Commit:
        """Date and message of a commit (see `Source.commit`); asked for once, then remembered."""
        if kept := self._memory.get("commit", sha):
            return Commit.model_validate_json(kept)
        # a commit lists the files it changed, page by page; nobody reads them, so the shortest page will do
        payload = self._ask(_COMMIT, f"commits/{quote(sha)}", release, sha, {"per_page": "1"})
        commit = Commit(
            sha=payload.sha, date=payload.commit.committer.date, message=payload.commit.message, url=payload.html_url
        )
        self._memory.put("commit", sha, commit.model_dump_json())
        return commit

    def root_objects(self, release: str, sha: str) -> Mapping[str, str]:
        """Ids at the root of a commit (see `Source.root_objects`): one request, once, then remembered."""
        if kept := self._memory.get("root", sha):
            return _IDS.validate_json(kept)
        tree = self._ask(_TREE, f"git/trees/{quote(sha)}", release, sha, {})
        objects = {entry.path: entry.sha for entry in tree.tree if entry.path in ROOT_PATHS and entry.type != "commit"}
        self._memory.put("root", sha, json.dumps(objects))
        return objects

    def objects(self, release: str, sha: str) -> Mapping[str, str]:
        """Ids of all that a build may read (see `Source.objects`)."""
        listing = self._listing(release, sha)
        return {path: object_id for path, object_id in listing.items() if path in (*ROOT_PATHS, GROUPS_FILE)}

    def files_below(self, release: str, sha: str, folder: str) -> Mapping[str, str]:
        """Ids of the files in `wmda` or `msf` at a commit (see `Source.files_below`)."""
        listing = self._listing(release, sha)
        return {path: object_id for path, object_id in sorted(listing.items()) if path.startswith(f"{folder}/")}

    @contextmanager
    def open(self, release: str, sha: str, path: str) -> Iterator[BinaryIO]:
        """The content of a file at a commit as a stream (see `Source.open`); a cut connection is taken up again."""
        try:
            with resuming(self._client, f"{self._raw}/{quote(sha)}/{quote(path)}") as stream:
                yield stream
        except NotFound as error:
            raise SourceError(f"{path} of release {release} is not in {self.location} at commit {sha}: {error}") from None

    def _listing(self, release: str, sha: str) -> dict[str, str]:
        """Ids at the root, and of all files in `wmda` and `msf`: one request, and one a folder where that was cut short."""
        if kept := self._memory.get("listing", sha):
            return _IDS.validate_json(kept)
        tree = self._ask(_TREE, f"git/trees/{quote(sha)}", release, sha, {"recursive": "1"})
        listing = {entry.path: entry.sha for entry in tree.tree if entry.path in ROOT_PATHS}
        for folder in (GROUPS_FOLDER, ALIGNMENTS_FOLDER):
            files = {e.path: e.sha for e in tree.tree if e.type == "blob" and e.path.startswith(f"{folder}/")}
            if folder in listing and (tree.truncated or not files):
                below = self._ask(_TREE, f"git/trees/{quote(listing[folder])}", release, sha, {"recursive": "1"})
                files = {f"{folder}/{entry.path}": entry.sha for entry in below.tree if entry.type == "blob"}
            listing.update(files)
        self._memory.put("listing", sha, json.dumps(listing))
        return listing

    def _ask(self, model: TypeAdapter[_Payload], what: str, release: str, sha: str, params: Mapping[str, str]) -> _Payload:
        """Ask for something that belongs to one commit."""
        try:
            content = self._client.get_json(f"{self._api}/{what}", params).content
        except NotFound as error:
            raise SourceError(f"commit {sha} of release {release} is not in {self.location}: {error}") from None
        return self._parsed(model, content, what)

    def _branches(self, page: Answer) -> tuple[list[BranchPayload], list[str]]:
        """All branches from their first page on, and the ETag of each page.

        That of a last page that is full is left out, since another page may follow unnoticed.
        """
        branches: list[BranchPayload] = []
        etags: list[str] = []
        while True:
            found = self._parsed(_BRANCHES, page.content, "branches")
            branches += found
            if not page.next_url or len(etags) >= _MOST_PAGES:
                etags.append(page.etag if len(found) < PER_PAGE else "")
                return branches, etags
            etags.append(page.etag)
            page = self._branch_page(_page_number(page.next_url))

    def _branch_page(self, number: int, etag: str = "") -> Answer:
        params = {"per_page": str(PER_PAGE)} | ({"page": str(number)} if number > 1 else {})
        try:
            return self._client.get_json(f"{self._api}/branches", params, etag)
        except NotFound as error:
            raise SourceError(
                f"there is no repository {self.location}, or the token may not see it: check GFE_SOURCE_URI ({error})"
            ) from None

    def _parsed(self, model: TypeAdapter[_Payload], content: object, what: str) -> _Payload:
        try:
            return model.validate_python(content)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in problem["loc"]) or "the answer"
            raise SourceError(
                f"{self._api}/{what} answered something else than the GitHub API does: {where}: {problem['msg']}; "
                "check GFE_GITHUB_API_URL"
            ) from None


def _page_number(url: str) -> int:
    """The page that a `Link` names; only that is followed, since behind a mirror its host is another one.

    Raises:
        SourceError: it names none.
    """
    number = parse_qs(urlsplit(url).query).get("page", [""])[0]
    if not number.isdecimal():
        raise SourceError(f"the link to the next page of branches, {url}, names no page; check GFE_GITHUB_API_URL")
    return int(number)


def _page_etags(etag: str) -> list[str]:
    """The ETags of all pages, out of one `Tips.etag`; none if one is missing or it is of another kind of source."""
    try:
        etags = json.loads(etag or "[]")
    except ValueError:
        return []
    return [str(each) for each in etags] if isinstance(etags, list) and all(etags) else []
