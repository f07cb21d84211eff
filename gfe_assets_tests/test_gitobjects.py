"""Git object ids, compared with what git itself and GitHub say."""

import io
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gfe_assets.source.gitobjects import EXECUTABLE_MODE, FILE_MODE, TreeEntry, blob_id, file_blob_id, folder_ids, tree_id


def git(*arguments: str, cwd: Path) -> str:
    return subprocess.run(["git", *arguments], cwd=cwd, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path):
    if not shutil.which("git"):
        pytest.skip("needs git")
    (tmp_path / "home").mkdir()
    git("init", "--quiet", str(tmp_path / "repository"), cwd=tmp_path)
    return tmp_path / "repository"


def test_the_empty_blob_has_the_id_that_every_git_user_knows():
    assert blob_id(io.BytesIO(b""), 0) == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"


def test_the_empty_tree_has_the_id_that_every_git_user_knows():
    assert tree_id([]) == "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


def test_ids_of_files_and_folders_are_those_of_git(repository):
    files = {
        "hla.dat": b"ID   HLA00001\n",
        "empty": b"",
        "binary": bytes(range(256)) * 5000,
        "msf/A_gen.msf": b"a",
        "msf.txt": b"sorts before the folder msf, though 'msf' < 'msf.txt'",
        "msf0": b"sorts after it",
        "wmda/deep/er/x y ü.txt": b"x",
    }
    for name, content in files.items():
        path = repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (repository / "tool.sh").write_bytes(b"#!/bin/sh\n")
    (repository / "tool.sh").chmod(0o755)
    (repository / "no files in here" / "nor here").mkdir(parents=True)
    git("add", "--all", cwd=repository)
    found = folder_ids(repository)
    assert found is not None
    assert found.tree == git("write-tree", cwd=repository)
    listed = git("-c", "core.quotepath=off", "ls-files", "--stage", cwd=repository).splitlines()
    assert found.blobs == {line.split("\t")[1]: line.split()[1] for line in listed}


def test_a_folder_without_files_has_no_id_as_git_knows_none(tmp_path):
    (tmp_path / "empty").mkdir()
    assert folder_ids(tmp_path) is None


@given(st.binary(max_size=300))
def test_a_stream_that_is_shorter_or_longer_than_it_says_never_has_the_id_of_the_file(content):
    whole = blob_id(io.BytesIO(content), len(content))
    assert blob_id(io.BytesIO(content + b"x"), len(content)) != whole
    if content:
        assert blob_id(io.BytesIO(content[:-1]), len(content)) != whole


@pytest.mark.shared
@pytest.mark.parametrize("release", ["3200", "3210", "3220"])
def test_ids_are_those_that_github_reports_for_real_releases(shared, release):
    """`wmda/rel_ser_ser.txt` is executable in the real repository, which the copy on disk has lost."""
    folder = shared / "imgthla" / release
    trees = json.loads((shared / "github_api" / "root_trees.json").read_text())
    root = next(tree for tree in trees.values() if tree["branch"] == release)
    reported = {entry["path"]: entry["sha"] for entry in root["tree"]}
    assert file_blob_id(folder / "hla.dat.zip") == reported["hla.dat.zip"]
    wmda = folder_ids(folder / "wmda")
    assert wmda is not None
    modes = {name: EXECUTABLE_MODE if name == "rel_ser_ser.txt" else FILE_MODE for name in wmda.blobs}
    assert tree_id(TreeEntry(modes[name], name, blob) for name, blob in wmda.blobs.items()) == reported["wmda"]
