"""Answers of the GitHub REST API, as far as they are used.

In: models of payloads in their documented shape (https://docs.github.com/rest). Out: asking for them
(`github.py`). Fields that nobody reads are ignored.
"""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel


class _Sha(BaseModel):
    sha: str


class BranchPayload(BaseModel):
    """An item of `GET /repos/{owner}/{repo}/branches`."""

    name: str
    commit: _Sha


class _Signature(BaseModel):
    date: datetime


class _CommitDetails(BaseModel):
    message: str
    committer: _Signature


class CommitPayload(BaseModel):
    """`GET /repos/{owner}/{repo}/commits/{sha}`; the committer's date says when the commit was made as it is."""

    sha: str
    commit: _CommitDetails
    html_url: str = ""


class TreeEntryPayload(BaseModel):
    """An entry of a tree; `path` is relative to the tree that was asked for; type `commit` is a submodule."""

    path: str
    type: Literal["blob", "tree", "commit"]
    sha: str


class TreePayload(BaseModel):
    """`GET /repos/{owner}/{repo}/git/trees/{sha}`, with or without `recursive`."""

    sha: str
    tree: list[TreeEntryPayload]
    truncated: bool = False
