"""Pinning the files of a release: all of them, checked, or nothing."""

import hashlib
import io
import multiprocessing
import os
import signal
import struct
import subprocess
import time
import zipfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gfe_assets.errors import ReleaseRefused, SourceError, SourceUnavailable
from gfe_assets.source import unpack
from gfe_assets.source.fetch import fetch
from gfe_assets.source.flatfacts import FlatFileInspector, check_version, inspect_flat_file
from gfe_assets.source.folder import FolderSource
from gfe_assets.source.pinned import check_md5
from gfe_assets_tests.releases import GROUPS, flat_file, release_files, write_release, zipped


@pytest.fixture
def root(tmp_path):
    return tmp_path / "imgthla"


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


def pinned_names(data: Path) -> list[str]:
    """What a stranger would take for a pinned release."""
    return [path.name for path in (data / "raw").glob("*/*") if not path.name.startswith(".")]


class Counting(FolderSource):
    """A folder source that counts reads and can hand out other content than it lists."""

    def __init__(self, root: Path, instead: list[bytes] | None = None) -> None:
        super().__init__(root)
        self.reads: list[str] = []
        self.instead = instead or []

    @contextmanager
    def open(self, release, sha, path):
        self.reads.append(path)
        if self.instead:
            yield io.BytesIO(self.instead.pop(0))
            return
        with super().open(release, sha, path) as stream:
            yield stream


def test_a_release_is_pinned_with_its_files_unpacked_and_described(root, data):
    write_release(root, "390", release_files("390", {"md5checksum.txt": b"MD5 (x) = 00\n"}))
    source = FolderSource(root)
    raw = fetch(source, "390", data)
    text = flat_file("3.9.0")
    assert raw.folder == data / "raw" / "390" / raw.fingerprint
    assert raw.flat_file.read_bytes() == text
    assert raw.files[0].kept_sha256 == hashlib.sha256(text).hexdigest()
    assert raw.groups_file.read_bytes() == GROUPS
    assert (raw.version, raw.records, raw.commit) == ("3.9.0", 3, source.tip("390"))
    assert (raw.alignment_files, raw.kir_file, raw.superseded_by, raw.reused) == ((), None, None, False)
    left = sorted(str(path.relative_to(raw.folder)) for path in raw.folder.rglob("*") if path.is_file())
    assert left == ["hla.dat", "manifest.json", "md5checksum.txt", "wmda/hla_nom_g.txt"]


def test_the_plain_flat_file_of_old_branches_gives_the_same_content_as_a_zip_of_it(root, data):
    write_release(root / "zip", "3180")
    write_release(root / "plain", "3180", release_files("3180", {"hla.dat.zip": None, "hla.dat": flat_file("3.18.0")}))
    from_zip, plain = (fetch(FolderSource(root / name), "3180", data) for name in ("zip", "plain"))
    assert plain.flat_file.read_bytes() == from_zip.flat_file.read_bytes()
    assert plain.content_digest == from_zip.content_digest
    assert plain.fingerprint != from_zip.fingerprint


def test_packing_the_same_file_again_changes_the_fingerprint_but_not_the_content_digest(root, data):
    write_release(root, "390")
    first = fetch(FolderSource(root), "390", data)
    (root / "390" / "hla.dat.zip").write_bytes(zipped(flat_file("3.9.0"), level=1))
    second = fetch(FolderSource(root), "390", data)
    assert (first.fingerprint == second.fingerprint, first.content_digest == second.content_digest) == (False, True)
    assert set(pinned_names(data)) == {first.fingerprint, second.fingerprint}


@pytest.mark.parametrize("change", [{"hla.dat.zip": zipped(flat_file("3.9.0", 4))}, {"wmda/hla_nom_g.txt": b"other"}])
def test_other_content_has_another_content_digest(root, data, change):
    write_release(root, "390")
    first = fetch(FolderSource(root), "390", data)
    write_release(root, "390", change)
    assert fetch(FolderSource(root), "390", data).content_digest != first.content_digest


def test_alignments_are_fetched_only_when_asked_for(root, data):
    write_release(root, "390")
    assert fetch(FolderSource(root), "390", data).alignment_files == ()
    raw = fetch(FolderSource(root), "390", data, align=True)
    assert [path.name for path in raw.alignment_files] == ["A_gen.msf", "A_prot.msf"]
    assert raw.alignment_files[0].read_bytes() == b"A_gen of 390"


def test_a_release_without_alignments_is_fetched_without_them(root, data):
    write_release(root, "390", release_files("390", {"msf/A_gen.msf": None, "msf/A_prot.msf": None}))
    assert fetch(FolderSource(root), "390", data, align=True).alignment_files == ()


def test_the_kir_file_keeps_its_own_release_number(root, data):
    kir = b"ID   KIR00001; SV 1; standard; DNA; HUM; 4 BP.\nCC   IPD-KIR Release Version 2.10.0\n//\n"
    write_release(root, "390", release_files("390", {"KIR.dat": kir}))
    assert fetch(FolderSource(root), "390", data).kir_file is None
    raw = fetch(FolderSource(root), "390", data, kir=True)
    assert raw.kir_file.read_bytes() == kir
    assert raw.kir_version == "2.10.0"


def test_a_missing_kir_file_is_an_error_that_says_what_to_put_where(root, data):
    write_release(root, "390")
    with pytest.raises(SourceError, match=r"release 390 .* has no KIR\.dat or kir\.dat: put the IPD-KIR flat file"):
        fetch(FolderSource(root), "390", data, kir=True)


def test_a_pinned_release_is_used_again_without_reading_the_source(root, data):
    write_release(root, "390")
    source = Counting(root)
    first = fetch(source, "390", data)
    reads = len(source.reads)
    second = fetch(source, "390", data)
    assert len(source.reads) == reads == 2
    assert second.reused
    assert second == first.model_copy(update={"reused": True})


def test_a_newer_commit_with_the_same_content_reuses_the_files_under_its_own_name(root, data):
    write_release(root, "390", None, {"sha": "1" * 40, "date": "2024-01-01", "message": "first"})
    fetch(FolderSource(root), "390", data)
    write_release(root, "390", {"README.md": b"new"}, {"sha": "2" * 40, "date": "2024-02-01", "message": "second"})
    raw = fetch(FolderSource(root), "390", data)
    assert (raw.reused, raw.commit.sha, raw.commit.message) == (True, "2" * 40, "second")


@pytest.mark.parametrize("damage", ["hla.dat", "wmda/hla_nom_g.txt", "manifest.json"])
@pytest.mark.parametrize("how", ["gone", "cut"])
def test_a_pinned_release_that_lost_something_is_fetched_again(root, data, damage, how):
    write_release(root, "390")
    first = fetch(FolderSource(root), "390", data)
    path = first.folder / damage
    path.unlink() if how == "gone" else path.write_bytes(path.read_bytes()[:-1])
    if damage == "manifest.json" and how == "cut":
        path.write_bytes(path.read_bytes()[:-9])
    second = fetch(FolderSource(root), "390", data)
    assert not second.reused
    assert second.flat_file.read_bytes() == flat_file("3.9.0")
    assert pinned_names(data) == [second.fingerprint]


def test_a_download_that_arrives_cut_is_fetched_again(root, data):
    write_release(root, "390")
    whole = release_files("390")["hla.dat.zip"]
    source = Counting(root, [whole[:-1], whole[:-20]])
    assert fetch(source, "390", data).records == 3
    assert source.reads.count("hla.dat.zip") == 3


@pytest.mark.parametrize(
    ("arrives", "message"),
    [
        (b"PK", "as a cut or corrupt file: its 2 bytes"),
        (b"", "as a cut or corrupt file: its 0 bytes"),
        (b"\n<!DOCTYPE html><p>Whoa there!", "as an HTML page instead of the file"),
    ],
)
def test_a_download_that_never_arrives_whole_is_refused_and_leaves_nothing(root, data, arrives, message):
    write_release(root, "390")
    with pytest.raises(SourceUnavailable, match=f"hla.dat.zip of release 390 .* {message}") as caught:
        fetch(Counting(root, [arrives] * 3), "390", data)
    assert caught.value.transient
    assert pinned_names(data) == []
    assert list((data / "raw" / "390").glob(".*partial")) == []


def test_a_file_that_changes_while_it_is_fetched_is_never_pinned_as_what_was_listed(root, data):
    write_release(root, "390")
    source = FolderSource(root)
    commit = source.tip("390")
    listed = source.objects("390", commit.sha)
    write_release(root, "390", {"wmda/hla_nom_g.txt": b"changed after the listing"})

    class Stale(FolderSource):
        def commit(self, *_):
            return commit

        def objects(self, *_):
            return listed

    with pytest.raises(SourceUnavailable, match=r"wmda/hla_nom_g\.txt of release 390 .* cut or corrupt"):
        fetch(Stale(root), "390", data, commit=commit)
    assert pinned_names(data) == []


def test_a_tip_that_holds_other_content_by_now_is_reported(root, data):
    write_release(root, "390", None, {"sha": "1" * 40, "date": "2024-01-01"})

    class Moving(FolderSource):
        def open(self, release, _, path):
            if path == "wmda/hla_nom_g.txt":
                write_release(root, "390", {"hla.dat.zip": b"new"}, {"sha": "2" * 40, "date": "2024-02-01"})
            return FolderSource(root).open(release, self.tip(release).sha, path)

    assert fetch(Moving(root), "390", data).superseded_by == "2" * 40


def test_a_tip_that_moved_without_touching_the_content_is_not_reported(root, data):
    write_release(root, "390", None, {"sha": "1" * 40, "date": "2024-01-01"})

    class Moving(FolderSource):
        def open(self, release, _, path):
            write_release(root, "390", {"README.md": b"new"}, {"sha": "2" * 40, "date": "2024-02-01"})
            return FolderSource(root).open(release, self.tip(release).sha, path)

    assert fetch(Moving(root), "390", data).superseded_by is None


def test_the_two_contents_fetched_last_stay_pinned(root, data):
    fetched = []
    for number in range(4):
        write_release(root, "390", release_files("390", {"wmda/hla_nom_g.txt": GROUPS + b"#%d\n" % number}))
        fetched.append(fetch(FolderSource(root), "390", data).fingerprint)
        os.utime(data / "raw" / "390" / fetched[-1], (number, number))
    assert sorted(pinned_names(data)) == sorted(fetched[-2:])
    assert [path.name for path in (data / "raw" / "390").iterdir() if path.name.startswith(".")] == [".lock"]


def refusal(root, data, changes):
    write_release(root, "390", release_files("390", changes))
    with pytest.raises(ReleaseRefused) as caught:
        fetch(FolderSource(root), "390", data)
    assert pinned_names(data) == []
    assert "390" in str(caught.value)
    return str(caught.value)


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.mark.parametrize("path", ["hla.dat.zip", "wmda/hla_nom_g.txt"])
def test_a_git_lfs_pointer_is_refused_by_name(root, data, path):
    assert f"{path} at commit" in (message := refusal(root, data, {path: POINTER}))
    assert "Git LFS pointer" in message


def test_a_file_kept_in_git_lfs_is_taken_when_the_source_gives_it_in_place_of_its_pointer(root, data):
    """Git lists the id of the pointer, which is written as the manual of git-lfs says and hashed by git itself here."""

    class Resolving(FolderSource):
        def objects(self, release: str, sha: str):
            return {**super().objects(release, sha), "wmda/hla_nom_g.txt": pointer_id}

    content = release_files("390")["wmda/hla_nom_g.txt"]
    pointer = (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{hashlib.sha256(content).hexdigest()}\nsize {len(content)}\n"
    )
    hashed = subprocess.run(["git", "hash-object", "--stdin"], input=pointer.encode(), stdout=subprocess.PIPE, check=True)
    pointer_id = hashed.stdout.decode().strip()
    write_release(root, "390", release_files("390"))
    raw = fetch(Resolving(root), "390", data)
    assert raw.groups_file.read_bytes() == content
    pointer_id = "0" * 40
    write_release(root, "400", release_files("400"))
    with pytest.raises(SourceUnavailable, match="cut or corrupt"):
        fetch(Resolving(root), "400", data)


def archive(*members: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as pack:
        for name, content in members:
            info = zipfile.ZipInfo("x")
            info.filename = name  # set late, so that nothing tidies it
            pack.writestr(info, content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


GOOD = ("hla.dat", flat_file("3.9.0"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (archive(GOOD, ("../hla.dat", b"x")), r"path that leads outside: '../hla.dat'"),
        (archive(("../../hla.dat", b"x")), r"path that leads outside"),
        (archive(GOOD, ("/etc/passwd", b"x")), r"path that leads outside: '/etc/passwd'"),
        (archive(GOOD, ("a\\..\\..\\b", b"x")), r"path that leads outside"),
        (archive(GOOD, ("C:\\b", b"x")), r"path that leads outside"),
        (archive(("hla.dat\0.exe", b"x")), r"path that leads outside"),
        (archive(("readme.txt", b"x")), r"holds no hla.dat (it holds 'readme.txt')"),
        (archive(("folder/hla.dat", b"x")), r"holds no hla.dat (it holds 'folder/hla.dat')"),
        (archive(), r"holds no hla.dat (it holds nothing)"),
        (zipped(b""), "hla.dat.zip is empty"),
        (b"", "its zip is empty"),
        (b"<html>Not found</html>", "is no zip file or was cut short (it begins with b'<html>"),
        (zipped(flat_file("3.9.0"))[:-30], "is no zip file or was cut short"),
        (zipped(b"no entries in here\n"), "holds no entry"),
        (zipped(flat_file(None)), "says which release it is of"),
        (zipped(flat_file("3.8.0")), "is of release 3.8.0, not of 3.9.0"),
        (zipped(flat_file("3.90.0")), "is of release 3.90.0, not of 3.9.0"),
        (zipped(flat_file("39")), "says which release it is of"),
        (zipped(flat_file("3.9")), "is of release 3.9, not of 3.9.0"),
    ],
)
def test_a_zip_that_is_not_what_it_should_be_is_refused_with_the_reason(root, data, content, message):
    assert message in refusal(root, data, {"hla.dat.zip": content})


def test_an_empty_plain_flat_file_is_refused(root, data):
    assert "hla.dat is empty" in refusal(root, data, {"hla.dat.zip": None, "hla.dat": b""})


def test_a_zip_with_two_flat_files_is_refused(root, data):
    with pytest.warns(UserWarning, match="Duplicate"):
        content = archive(GOOD, GOOD)
    assert "2 members named hla.dat" in refusal(root, data, {"hla.dat.zip": content})


def test_other_members_of_a_zip_are_left_alone(root, data):
    content = archive(("__MACOSX/._hla.dat", b"x"), GOOD, ("licence.txt", b"x"))
    write_release(root, "390", release_files("390", {"hla.dat.zip": content}))
    raw = fetch(FolderSource(root), "390", data)
    assert not list(raw.folder.rglob("*licence*"))


def patched(content: bytes, offset_in_local: int, offset_in_directory: int, value: bytes) -> bytes:
    """A zip with one field changed in both of its headers."""
    changed = bytearray(content)
    directory = content.index(b"PK\1\2")
    for start in (offset_in_local, directory + offset_in_directory):
        changed[start : start + len(value)] = value
    return bytes(changed)


def test_a_zip_whose_checksum_fails_is_refused(root, data):
    content = patched(zipped(flat_file("3.9.0")), 14, 16, b"\0\0\0\0")
    assert "its zip is damaged: Bad CRC-32" in refusal(root, data, {"hla.dat.zip": content})


def test_a_zip_whose_packed_data_is_broken_is_refused(root, data):
    content = bytearray(zipped(flat_file("3.9.0", 500)))
    content[60:70] = b"\xff" * 10
    assert "its zip" in refusal(root, data, {"hla.dat.zip": bytes(content)})


def test_an_encrypted_zip_is_refused(root, data):
    content = patched(zipped(flat_file("3.9.0")), 6, 8, b"\1")
    assert "hla.dat in its zip is encrypted" in refusal(root, data, {"hla.dat.zip": content})


def test_a_zip_packed_in_a_way_that_python_cannot_read_is_refused(root, data):
    content = patched(zipped(flat_file("3.9.0")), 8, 10, struct.pack("<H", 9))
    assert "cannot be unpacked" in refusal(root, data, {"hla.dat.zip": content})


@pytest.mark.parametrize("difference", [-40, 40])
def test_a_zip_that_holds_more_or_less_than_its_header_says_is_refused(root, data, difference):
    text = flat_file("3.9.0")
    content = patched(zipped(text), 22, 24, struct.pack("<I", len(text) + difference))
    assert "its zip is damaged" in refusal(root, data, {"hla.dat.zip": content})


def test_a_zip_bomb_is_refused_before_it_is_unpacked(root, data):
    message = refusal(root, data, {"hla.dat.zip": zipped(b"\0" * (70 << 20), level=9)})
    assert "hla.dat would unpack from" in message
    assert "200 times its packed size" in message


def test_a_flat_file_beyond_the_size_bound_is_refused_by_what_its_header_says(root, data, monkeypatch):
    monkeypatch.setattr(unpack, "MAX_UNPACKED", 100)
    assert "more than 100 bytes" in refusal(root, data, {"hla.dat.zip": zipped(flat_file("3.9.0"))})


def test_a_patch_release_is_accepted_in_the_branch_of_its_minor(root, data):
    write_release(root, "3130", release_files("3130", {"hla.dat.zip": zipped(flat_file("3.13.1"))}))
    assert fetch(FolderSource(root), "3130", data).version == "3.13.1"


MD5_CASES = [
    # list, ok, mismatching files, note
    (None, True, [], "has no md5checksum.txt"),
    (b"MD5 (hla.dat.zip) = {right}\n", True, [], "1 of 3 files are listed"),
    (b"MD5 (hla.dat.zip) = {right}\r\nMD5 (other) = 0123\r\n", True, [], "1 of 3 files are listed"),
    (b"MD5 (hla.dat.zip) = {RIGHT}\n", True, [], "1 of 3 files are listed"),
    (b"MD5 (hla.dat) = {right}\n", True, [], "does not list the flat file"),
    (b"\xff\xfe nonsense", True, [], "does not list the flat file"),
    (b"MD5 (hla.dat.zip) = 00000000000000000000000000000000\n", False, ["hla.dat.zip"], "another MD5 for hla.dat.zip"),
]


@pytest.mark.parametrize(("listing", "ok", "files", "note"), MD5_CASES)
def test_the_md5_list_is_compared_with_what_was_fetched(tmp_path, listing, ok, files, note):
    root = tmp_path / "imgthla"
    right = hashlib.md5(release_files("390")["hla.dat.zip"]).hexdigest().encode()
    if listing is not None:
        listing = listing.replace(b"{right}", right).replace(b"{RIGHT}", right.upper())
    write_release(root, "390", release_files("390", {"md5checksum.txt": listing}))
    found = check_md5(fetch(FolderSource(root), "390", tmp_path / "data"))
    assert found.ok is ok
    assert [mismatch.file for mismatch in found.mismatches] == files
    assert all(mismatch.found == right.decode() for mismatch in found.mismatches)
    assert note in found.note


@given(st.data())
def test_the_facts_of_a_flat_file_do_not_depend_on_where_it_is_cut_into_pieces(data):
    text = flat_file("3.9.0", 4) + b"CC   ID   Release Version 1.2.3\nDE   Release Version 9.9.9\n" + flat_file("3.9.1", 2)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    inspector = FlatFileInspector()
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        inspector.feed(text[start:end])
    facts = inspector.facts()
    assert (facts.size, facts.records, facts.versions) == (len(text), 6, ("3.9.0", "1.2.3", "3.9.1"))


def test_the_version_is_found_when_the_first_entries_lack_it():
    facts = inspect_flat_file(io.BytesIO(flat_file(None, 5000) + flat_file("3.9.0")))
    assert (facts.records, check_version(facts, "390")) == (5003, "3.9.0")


def test_a_file_without_line_ends_is_looked_at_without_keeping_it_in_memory():
    inspector = FlatFileInspector()
    for _ in range(20):
        inspector.feed(b"x" * (1 << 20))
        assert len(inspector._rest) <= 4 << 20
    assert inspector.facts().records == 0


def _fetch_slowly(root: Path, data: Path, started: str) -> None:
    class Slow(FolderSource):
        def files_below(self, *_):
            Path(started).touch()
            time.sleep(60)
            return {}

    fetch(Slow(root), "390", data, align=True)


def test_a_fetch_that_is_killed_leaves_nothing_that_looks_whole_and_the_next_one_works(root, data, tmp_path):
    write_release(root, "390")
    started = tmp_path / "started"
    process = multiprocessing.get_context("spawn").Process(target=_fetch_slowly, args=(root, data, str(started)))
    process.start()
    while not started.exists():
        assert process.is_alive()
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert pinned_names(data) == []
    assert len(list((data / "raw" / "390").glob(".*.partial"))) == 1
    raw = fetch(FolderSource(root), "390", data, align=True)
    assert raw.records == 3
    assert list((data / "raw" / "390").glob(".*.partial")) == []
    assert pinned_names(data) == [raw.fingerprint]


def _fetch_once(root: Path, data: Path) -> bool:
    return fetch(FolderSource(root), "390", data, align=True).reused


def test_two_processes_that_fetch_the_same_release_fetch_it_once(root, data):
    write_release(root, "390")
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert sorted(pool.starmap(_fetch_once, [(root, data)] * 4)) == [False, True, True, True]


def test_a_full_disk_is_one_clear_sentence(root):
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    write_release(root, "390")

    def full(*_):
        with open("/dev/full", "w") as device:  # noqa: PTH123
            device.write("x")

    with pytest.raises(SourceError, match=r"no space is left in .* for the files of release 390: free some"):
        fetch(FolderSource(root), "390", root / "data", progress=full)
    assert pinned_names(root / "data") == []


@pytest.mark.shared
@pytest.mark.parametrize(
    ("release", "records", "md5"),
    [("3190", 12705, "dbbbb8ffea82295d92abf160334888bc"), ("3220", 14010, "b49d04e187c051f6ac70562423e9ebfe")],
)
def test_real_releases_are_pinned(shared, tmp_path, release, records, md5):
    """Records and MD5 as `unzip -p … | grep -c '^ID   '` and `md5sum` give them."""
    raw = fetch(FolderSource(shared / "imgthla"), release, tmp_path, align=True)
    assert raw.records == records
    assert raw.files[0].kept == "hla.dat"
    assert hashlib.md5(raw.flat_file.read_bytes()).hexdigest() == md5
    assert len(raw.alignment_files) == 24
    assert check_md5(raw).ok


@pytest.mark.shared
def test_the_branch_that_holds_the_file_of_another_release_is_refused_naming_both(shared, tmp_path):
    with pytest.raises(
        ReleaseRefused, match=r"release 3200 is refused: its hla\.dat\.zip is of release 3\.21\.0, not of 3\.20\.0"
    ):
        fetch(FolderSource(shared / "imgthla"), "3200", tmp_path)
    assert pinned_names(tmp_path) == []


@pytest.mark.shared
def test_modern_flat_files_and_kir_say_their_version(shared):
    hla = inspect_flat_file(shared / "modern" / "hla.3640.subset.dat")
    assert (hla.records, hla.versions) == (13, ("3.64.0",))
    assert inspect_flat_file(shared / "modern" / "kir.subset.dat").versions == ("2.10.0",)
