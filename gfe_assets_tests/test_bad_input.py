"""Input that is wrong: the run says what is wrong, where, and what to do; nothing changes, and the next run works."""

import os
import re
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from gfe_assets_tests.sites import Site, entries, flat_file, json_lines


def first_entry(text: str) -> str:
    """The first entry of a locus that is built."""
    return next(entry for entry in entries(text) if "DE   HLA-A*" in entry)


def accession(entry: str) -> str:
    return entry[5:].split(";", maxsplit=1)[0]


def with_first_entry(change: Callable[[str], str]) -> Callable[[Site], None]:
    """Damage that changes the first entry of HLA-A in the flat file."""

    def damage(site: Site) -> None:
        def edited(text: str) -> str:
            entry = first_entry(text)
            return text.replace(entry, change(entry))

        site.edit("3590", edited)

    return damage


def feature_outside(entry: str) -> str:
    *_, last = re.finditer(r"FT   (?:exon|intron|UTR) +(\d+)\.\.(\d+)", entry)
    return entry[: last.start(2)] + "99999" + entry[last.end(2) :]


def same_accession_again(site: Site) -> None:
    site.edit("3590", lambda text: text + first_entry(text).replace("HLA-A*", "HLA-A*99:"))


def same_name_again(site: Site) -> None:
    site.edit("3590", lambda text: text + first_entry(text).replace(accession(first_entry(text)), "HLA99999"))


def pack_without(site: Site) -> None:
    site.pack("3590", **{"readme.txt": "hello"})


def pack_with_two(site: Site) -> None:
    text = flat_file(site.source / "3590")
    site.pack("3590", **{"hla.dat": text})
    with (
        zipfile.ZipFile(site.source / "3590" / "hla.dat.zip", "a") as pack,
        pytest.warns(UserWarning, match="Duplicate name"),
    ):
        pack.writestr("hla.dat", text)


def pack_leading_out(site: Site) -> None:
    site.pack("3590", **{"hla.dat": flat_file(site.source / "3590"), "../../evil.txt": "out"})


def pack_larger_than_it_says(site: Site) -> None:
    """The header of the member, in both places, says 100 bytes."""
    text = flat_file(site.source / "3590")
    site.pack("3590", **{"hla.dat": text})
    path = site.source / "3590" / "hla.dat.zip"
    content = path.read_bytes()
    true, false = struct.pack("<L", len(text)), struct.pack("<L", 100)
    assert content.count(true) == 2
    path.write_bytes(content.replace(true, false))


def pack_cut(site: Site) -> None:
    site.pack("3590", **{"hla.dat": flat_file(site.source / "3590")})
    path = site.source / "3590" / "hla.dat.zip"
    path.write_bytes(path.read_bytes()[:-500])


class Bad(NamedTuple):
    """A way to damage 3590, the status it ends in, and words that the message must hold ({accession}: of the entry)."""

    damage: Callable[[Site], None]
    status: str
    words: tuple[str, ...]


BAD = {
    "an empty flat file": Bad(
        lambda site: site.edit("3590", lambda _: ""), "EXECUTION_FAILED", ("hla.dat is empty", "wait for a complete file")
    ),
    "an empty flat file in a zip": Bad(
        lambda site: site.pack("3590", **{"hla.dat": ""}), "EXECUTION_FAILED", ("hla.dat.zip is empty", "correct the source")
    ),
    "a flat file that ends inside an entry": Bad(
        lambda site: site.edit("3590", lambda text: text[:-3000]),
        "EXECUTION_FAILED",
        ("hla.dat, line ", "ends inside the entry HLA", "fetch it again"),
    ),
    "a flat file of another release": Bad(
        lambda site: site.edit("3590", lambda text: text.replace("Version 3.59.0", "Version 3.60.0")),
        "EXECUTION_FAILED",
        ("hla.dat is of release 3.60.0, not of 3.59.0", "until the source holds the right file"),
    ),
    "no groups file": Bad(
        lambda site: (site.source / "3590" / "wmda" / "hla_nom_g.txt").unlink(),
        "EXECUTION_FAILED",
        ("wmda/hla_nom_g.txt", "try again later"),
    ),
    "a feature outside its sequence": Bad(
        with_first_entry(feature_outside),
        "BUILD_FAILED",
        ("hla.dat, line ", "entry {accession} HLA-A*", "99999", "correct the source or raise GFE_ERROR_TOLERANCE"),
    ),
    "another length in the ID line than the sequence has": Bad(
        with_first_entry(lambda entry: re.sub(r"(\d+) BP\.", "12345 BP.", entry, count=1)),
        "EXECUTION_FAILED",
        ("hla.dat, line ", "entry {accession}", "12345 bases but its sequence has", "fetch the file again"),
    ),
    "control characters": Bad(
        with_first_entry(lambda entry: entry.replace("Homo Sapiens", "Homo\x00\x07Sapiens", 1)),
        "EXECUTION_FAILED",
        ("hla.dat, line ", "entry {accession}", "control characters", "fetch the file again"),
    ),
    "an accession that stands twice": Bad(
        same_accession_again,
        "BUILD_FAILED",
        ("hla.dat, line ", "entry {accession}", "its accession is that of the entry at line"),
    ),
    "an allele name that stands twice": Bad(
        same_name_again, "BUILD_FAILED", ("hla.dat, line ", "entry HLA99999", "its allele name is that of the entry at line")
    ),
    "a zip without hla.dat": Bad(pack_without, "EXECUTION_FAILED", ("no hla.dat", "readme.txt", "get the file again")),
    "a zip with two hla.dat": Bad(pack_with_two, "EXECUTION_FAILED", ("2 members named hla.dat", "get the file again")),
    "a zip with a path outside": Bad(
        pack_leading_out, "EXECUTION_FAILED", ("leads outside", "../../evil.txt", "get the file again")
    ),
    "a zip far larger than it says": Bad(
        pack_larger_than_it_says, "EXECUTION_FAILED", ("hla.dat", "its zip is damaged", "get the file again")
    ),
    "a zip that was cut": Bad(pack_cut, "EXECUTION_FAILED", ("is no zip file or was cut short", "get the file again")),
}


SLOW = {
    "an empty flat file in a zip",
    "no groups file",
    "control characters",
    "an allele name that stands twice",
    "a zip with two hla.dat",
    "a zip far larger than it says",
    "a zip that was cut",
}
"""Cases whose like is tried by the fast tests, too."""


@pytest.mark.parametrize(
    "bad", [pytest.param(bad, id=name, marks=[pytest.mark.slow] * (name in SLOW)) for name, bad in BAD.items()]
)
def test_it_is_refused_with_a_clear_message_and_the_next_run_works(loaded, bad):
    graph, entry = loaded.graph_digest(), accession(first_entry(flat_file(loaded.source / "3590")))
    bad.damage(loaded)
    [outcome] = loaded.run("3590")
    assert outcome.status.value == bad.status, outcome.reason
    assert "\n" not in outcome.reason
    for words in ("release 3590", *bad.words):
        assert words.format(accession=entry) in outcome.reason
    assert loaded.graph_digest() == graph
    assert loaded.leftovers() == []
    assert not list(loaded.folder.parent.glob("evil.txt"))
    loaded.publish("3590")
    [outcome] = loaded.run("3590", job="build_job")
    assert outcome.status.value == "LOAD_SKIPPED"


def complaint(ran, code: int = 1) -> str:
    """The one line on standard error of a command that failed."""
    assert ran.code == code, (ran.code, ran.out, ran.err)
    assert "Traceback" not in ran.err
    [line] = ran.err.splitlines()
    assert line.startswith("gfe-assets: ")
    return line


def test_the_command_line_shows_it_on_one_line_and_exits_with_1(loaded):
    loaded.edit("3590", lambda text: text[:-3000])
    ran = loaded.cli("run", "3590")
    assert "ends inside the entry" in complaint(ran)
    assert ran.out.split() == ["3590", "EXECUTION_FAILED"]


def test_a_graph_file_that_is_none_is_neither_read_nor_replaced(loaded):
    loaded.graph_file.write_bytes(b"this is somebody's letter, not a graph" * 300)
    before = loaded.graph_digest()
    [outcome] = loaded.run("3590")
    assert outcome.status.value == "LOAD_FAILED"
    assert "is not a graph file; set GFE_GRAPH_URI to one, or move it away" in outcome.reason
    assert str(loaded.graph_file) in outcome.reason
    assert loaded.graph_digest() == before
    loaded.graph_file.rename(loaded.folder / "letter")
    assert loaded.run("3590", job="load_job")[0].status.value == "LOAD_SUCCESS"


def test_a_graph_file_of_another_version_is_refused_with_what_to_do(loaded):
    """The version of the storage stands right after the magic word at the beginning of the file."""
    content = bytearray(loaded.graph_file.read_bytes())
    content[4] += 50
    loaded.graph_file.write_bytes(content)
    before = loaded.graph_digest()
    [outcome] = loaded.run("3590")
    assert outcome.status.value == "LOAD_FAILED"
    assert str(loaded.graph_file) in outcome.reason
    assert "another version" in outcome.reason
    assert "restore a backup" in outcome.reason
    assert loaded.graph_digest() == before


def test_csv_files_that_somebody_changed_are_not_loaded(loaded):
    loaded.run("3590", job="build_job")
    with loaded.csv("3590").open("a") as file:
        file.write("HLA-Aw1,HLA00001.1,HLA-A,HLA-A*01,1,ACGT,4,3.59.0\n")
    before = loaded.graph_digest()
    [outcome] = loaded.run("3590", job="load_job")
    assert outcome.status.value == "LOAD_FAILED"
    assert "gfe_sequences.3590.csv" in outcome.reason
    assert loaded.graph_digest() == before


@pytest.fixture
def small_disk(tmp_path: Path):
    """A file system of 40 MB, which only root can mount."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(tmp_path)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a small file system")
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def fill(folder: Path, room: int) -> Path:
    """Fill the file system of a folder but for `room` bytes; gives the file that takes the rest."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"x" * 4096):
            pass
    os.truncate(filler, filler.stat().st_size - room)
    return filler


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "status", "room", "done_before"),
    [
        ("raw", "EXECUTION_FAILED", 8_192, None),
        ("build", "BUILD_FAILED", 131_072, {"limit": 1}),
        ("load", "LOAD_FAILED", 2_097_152, {}),
    ],
)
def test_no_space_left_changes_nothing_and_the_next_run_works(loaded, small_disk, stage, status, room, done_before):
    """The data folder, but not Dagster's, lies on a disk that is as good as full when the stage begins."""
    on_disk = loaded.copy_to(small_disk)
    on_disk.source, on_disk.home = loaded.source, loaded.home
    before = on_disk.graph_digest()
    if done_before is not None:  # pins the files, or builds
        on_disk.run("3590", job="build_job", **done_before)
    filler = fill(small_disk, room)
    [outcome] = on_disk.run("3590", job="load_job" if stage == "load" else "release_job")
    assert outcome.status.value == status, outcome.reason
    assert "3590" in outcome.reason
    assert re.search("[Nn]o space|disk is full", outcome.reason)
    assert re.search("make room|free some|MB free", outcome.reason)
    assert on_disk.graph_digest() == before
    assert on_disk.leftovers() == []
    filler.unlink()
    assert on_disk.run("3590")[0].status.value == "LOAD_SUCCESS"


@pytest.mark.slow
@pytest.mark.parametrize("room", [0, 65_536], ids=["at the start", "in the middle"])
def test_no_space_left_for_dagsters_own_storage_is_one_line_too(loaded, small_disk, room):
    on_disk = loaded.copy_to(small_disk)
    on_disk.data = loaded.data
    filler = fill(small_disk, room)
    assert "see that there is room" in complaint(on_disk.cli("run", "3590"), code=2)
    filler.unlink()
    assert on_disk.cli("run", "3590").code == 0
    assert on_disk.status("3590") == "LOAD_SUCCESS"


@pytest.mark.slow
def test_two_runs_of_one_release_at_once_both_end_well(loaded):
    """Whoever comes second waits, says for whom, and ends well."""
    with loaded.started("run", "3590", "--json") as one, loaded.started("run", "3590", "--json") as other:
        results = [process.communicate(timeout=300) for process in (one, other)]
    assert [json_lines(out)[0]["status"] for out, _ in results] == ["LOAD_SUCCESS"] * 2
    said = [err for _, err in results if err]
    waiting = re.compile(r"gfe-assets: waiting for the \w+ of release 3590, process \d+")
    assert all(waiting.fullmatch(line) for lines in said for line in lines.splitlines())
    assert loaded.ask("MATCH (r:Release) RETURN r.name, r.complete ORDER BY r.name") == [["3580", True], ["3590", True]]


@pytest.mark.slow
def test_a_run_waits_for_the_writer_of_the_graph_and_gives_up_after_the_time_set(loaded):
    """The writer is a process that holds the store's lock and does nothing."""
    holder = (
        "import sys, time; from gfe_assets.graph.open import open_store; from gfe_assets.settings import Settings\n"
        "with open_store(Settings.load()).writing('load of release 9990', 0):\n"
        "    print('held', flush=True); time.sleep(300)\n"
    )
    loaded.run("3590", job="build_job")
    with subprocess.Popen(
        [sys.executable, "-c", holder], env=loaded.environment, stdout=subprocess.PIPE, text=True, cwd=loaded.folder
    ) as process:
        assert process.stdout.readline() == "held\n"
        ran = loaded.cli("run", "3590", GFE_GRAPH_WAIT_SECONDS="0.5")
        process.kill()
    assert ran.code == 1
    assert ran.out.split()[:2] == ["3590", "LOAD_FAILED"]
    waiting, gave_up = ran.err.splitlines()
    assert waiting == f"gfe-assets: waiting for the load of release 9990, process {process.pid}"
    assert "still held by the load of release 9990" in gave_up
    assert "after 0.5 s; try again when that has ended" in gave_up
    assert loaded.cli("run", "3590").code == 0
