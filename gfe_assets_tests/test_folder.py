"""A folder of releases as a source."""

import json
import os
import shutil
from datetime import datetime, timezone

import pytest

from gfe_assets.errors import ReleaseNotFound, ReleaseRefused, SourceError
from gfe_assets.source.folder import FolderSource
from gfe_assets.source.models import fingerprint, tick_fingerprint
from gfe_assets_tests.releases import release_files, write_release

COMMIT = {"sha": "1dfe565a453e894152c3fa4887a323dd1e1ca235", "date": "2024-04-10T10:01:53+01:00", "message": "Updating"}


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "imgthla"
    for release in ("3100", "390", "31000"):
        write_release(folder, release)
    (folder / "Latest").mkdir()
    (folder / ".git").mkdir()
    return folder


def test_releases_are_listed_in_numeric_order_without_other_folders(root):
    assert FolderSource(root).releases() == ["390", "3100", "31000"]


def test_tips_name_what_is_no_release_and_say_nothing_when_nothing_changed(root):
    source = FolderSource(root)
    tips = source.tips()
    assert [tip.release for tip in tips.tips] == ["390", "3100", "31000"]
    assert tips.others == ("Latest",)
    assert FolderSource(root).tips(tips.etag) is None


def test_tips_change_when_a_tracked_file_changes(root):
    source = FolderSource(root)
    before = source.tips()
    (root / "390" / "wmda" / "hla_nom_g.txt").write_bytes(b"other")
    after = source.tips(before.etag)
    assert [a.sha == b.sha for a, b in zip(before.tips, after.tips, strict=True)] == [False, True, True]


def test_commit_json_gives_the_commit(root):
    write_release(root, "3100", {}, COMMIT)
    commit = FolderSource(root).tip("3100")
    assert commit.sha == COMMIT["sha"]
    assert commit.date == datetime(2024, 4, 10, 9, 1, 53, tzinfo=timezone.utc)
    assert commit.message == "Updating"


def test_without_commit_json_the_commit_comes_from_the_content_and_not_from_time_or_place(root, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    for path in copy.rglob("*"):
        os.utime(path, (1e9, 1e9))
    commit, copied = FolderSource(root).tip("390"), FolderSource(copy).tip("390")
    assert len(commit.sha) == 40
    assert commit.sha == copied.sha
    assert copied.date == datetime.fromtimestamp(1e9, timezone.utc)
    assert "no commit.json" in commit.message
    assert commit.sha != FolderSource(root).tip("3100").sha


def test_a_file_that_no_build_reads_does_not_change_a_derived_commit(root):
    before = FolderSource(root).tip("390").sha
    (root / "390" / "README.md").write_bytes(b"changed")
    assert FolderSource(root).tip("390").sha == before


@pytest.mark.parametrize("text", ["", "{}", '{"sha": "abc", "date": "yesterday"}', "[1]"])
def test_a_commit_json_that_describes_no_commit_is_an_error_that_names_it(root, text):
    (root / "390" / "commit.json").write_text(text)
    with pytest.raises(SourceError, match=r"390.commit\.json does not describe a commit"):
        FolderSource(root).tip("390")


def test_a_release_that_is_not_there_is_named_with_those_that_are(root):
    with pytest.raises(ReleaseNotFound, match=r"release 3200 is not in .*releases there: 390, 3100, 31000"):
        FolderSource(root).tip("3200")


def test_a_name_that_leads_out_of_the_folder_is_no_release(root):
    with pytest.raises(ReleaseNotFound):
        FolderSource(root / "390").tip("../3100")


def test_a_folder_that_is_not_there_is_an_error_that_names_the_setting(tmp_path):
    with pytest.raises(SourceError, match=r"nowhere is not there: check GFE_SOURCE_URI"):
        FolderSource(tmp_path / "nowhere").releases()


def test_a_commit_that_the_folder_does_not_hold_is_refused(root):
    with pytest.raises(SourceError, match="does not hold commit 0000"):
        FolderSource(root).objects("390", "0000")


def test_objects_are_those_at_the_root_and_the_groups_file(root):
    source = FolderSource(root)
    sha = source.tip("390").sha
    assert set(source.root_objects("390", sha)) == {"hla.dat.zip", "wmda", "msf"}
    assert set(source.objects("390", sha)) == {"hla.dat.zip", "wmda", "msf", "wmda/hla_nom_g.txt"}
    assert set(source.files_below("390", sha, "msf")) == {"msf/A_gen.msf", "msf/A_prot.msf"}
    assert source.files_below("390", sha, "pir") == {}


def test_a_file_is_read_by_its_path_and_no_path_leads_outside(root):
    source = FolderSource(root)
    sha = source.tip("390").sha
    with source.open("390", sha, "msf/A_prot.msf") as stream:
        assert stream.read() == b"A_prot"
    with pytest.raises(SourceError, match="cannot be read"), source.open("390", sha, "msf/none"):
        pass
    with pytest.raises(SourceError, match="not a path inside"), source.open("390", sha, "../3100/README.md"):
        pass


def test_a_changed_file_of_the_same_size_is_noticed_even_at_once(root):
    source = FolderSource(root)
    path = root / "390" / "wmda" / "hla_nom_g.txt"
    seen = set()
    for letter in b"abcdefgh":
        path.write_bytes(bytes([letter]) * 50)
        seen.add(source.tip("390").sha)
    assert len(seen) == 8


FINGERPRINT_CASES = [
    # what changes, options, exact fingerprint changes, fingerprint of the tick changes
    ({"hla.dat.zip": b"other"}, {}, True, True),
    ({"wmda/hla_nom_g.txt": b"other"}, {}, True, True),
    ({"wmda/hla_nom_p.txt": b"other"}, {}, False, True),
    ({"msf/A_gen.msf": b"other"}, {}, False, False),
    ({"msf/A_gen.msf": b"other"}, {"align": True}, True, True),
    ({"KIR.dat": b"new"}, {}, False, False),
    ({"KIR.dat": b"new"}, {"kir": True}, True, True),
    ({"md5checksum.txt": b"new"}, {"align": True, "kir": True}, False, False),
    ({"README.md": b"new"}, {"align": True, "kir": True}, False, False),
]


@pytest.mark.parametrize(("changes", "options", "exact", "tick"), FINGERPRINT_CASES)
def test_the_fingerprint_changes_with_what_a_build_reads_and_with_nothing_else(tmp_path, changes, options, exact, tick):
    found = []
    for name, files in (("before", release_files("390")), ("after", release_files("390", changes))):
        write_release(tmp_path / name, "390", files)
        source = FolderSource(tmp_path / name)
        objects = source.objects("390", source.tip("390").sha)
        found.append((fingerprint(objects, "390", **options), tick_fingerprint(objects, "390", **options)))
    before, after = found
    assert (before[0] != after[0], before[1] != after[1]) == (exact, tick)


@pytest.mark.parametrize(
    ("missing", "message"),
    [("hla.dat.zip", "neither hla.dat.zip nor hla.dat"), ("wmda/hla_nom_g.txt", "no wmda/hla_nom_g.txt")],
)
def test_a_release_without_a_file_that_every_build_needs_is_refused_as_incomplete(tmp_path, missing, message):
    write_release(tmp_path, "390", release_files("390", {missing: None}))
    source = FolderSource(tmp_path)
    with pytest.raises(ReleaseRefused, match=message):
        fingerprint(source.objects("390", source.tip("390").sha), "390")


@pytest.mark.shared
def test_the_real_releases_are_found_with_the_ids_that_github_reports(shared):
    source = FolderSource(shared / "imgthla")
    assert source.releases() == ["3190", "3200", "3210", "3220", "3580"]
    trees = json.loads((shared / "github_api" / "root_trees.json").read_text())
    for release in ("3200", "3210", "3220"):
        commit = source.tip(release)
        reported = {entry["path"]: entry["sha"] for entry in trees[commit.sha]["tree"]}
        objects = source.objects(release, commit.sha)
        assert objects["hla.dat.zip"] == reported["hla.dat.zip"]
        assert objects["md5checksum.txt"] == reported["md5checksum.txt"]
