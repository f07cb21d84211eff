"""The embedded graph: all or nothing, readers undisturbed, every fault a sentence; `test_graph_contract.py` has the rest."""

import os
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import ladybug
import polars as pl
import pytest

from gfe_assets.errors import GraphError, GraphUnavailable
from gfe_assets.graph.compare import (
    features_make_sequences,
    no_duplicates,
    no_orphans,
    release_complete,
    release_equals_csvs,
    releases_in_order,
    same_graph,
)
from gfe_assets.graph.frames import read_graph
from gfe_assets.graph.ladybug import LadybugStore
from gfe_assets.graph.ladybug_compact import compact, mostly_free
from gfe_assets.graph.model import EDGE_BY_TYPE, GFE, IPD_ALLELE
from gfe_assets.graph.open import open_store
from gfe_assets.graph.store import Changes, NodeChanges
from gfe_assets.progress import silent
from gfe_assets.settings import Settings
from gfe_assets_tests.graph_stores import load, state
from gfe_assets_tests.graph_worlds import Allele, Version, desired, oracle

A1 = Allele("HLA-A*01:01", "HLA00001.1", "HLA-Aw1-1")
A2 = Allele("HLA-A*02:01", "HLA00005.1", "HLA-Aw2-0", {"G": "HLA-A*02:01:01G", "lg": "HLA-A*02:01g"})
A3 = Allele("HLA-A*03:01", "HLA00037.1", "HLA-Aw3-1", {"G": "HLA-A*03:01:01G"})
OLD = Version("390", (A1, A2))
NEW = Version("3100", (A1, A2, A3))
ROOT = Path(__file__).parents[1]


@pytest.fixture
def store(tmp_path: Path) -> LadybugStore:
    return LadybugStore(f"ladybug://{tmp_path / 'graph' / 'gfe.lbdb'}")


def leftovers(store: LadybugStore) -> list[str]:
    return sorted(
        path.name for path in store.path.parent.iterdir() if path.name not in (store.path.name, f"{store.path.name}.lock")
    )


def test_a_graph_that_was_never_written_reads_as_empty_and_is_not_made_by_reading(store: LadybugStore) -> None:
    with store.reader() as reader:
        assert reader.read_nodes(GFE, ["name"]).is_empty()
        assert reader.read_edges(EDGE_BY_TYPE["HAS_FEATURE"]).schema == {"source": pl.String, "target": pl.String}
        assert reader.query("MATCH (g:GFE) RETURN count(*)").rows == [[0]]
    assert not store.path.parent.exists()


def test_the_same_release_again_does_not_touch_the_file(store: LadybugStore) -> None:
    load(store, OLD)
    before = store.path.stat()
    assert load(store, OLD).empty
    after = store.path.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_loading_then_correcting_equals_loading_the_corrected_releases(tmp_path: Path) -> None:
    corrected = Version("390", (A1, Allele("HLA-A*02:01", "HLA00005.2", "HLA-Aw2-4", {"G": "x"})), commit="beef")
    one, two = LadybugStore(f"ladybug://{tmp_path}/one"), LadybugStore(f"ladybug://{tmp_path}/two")
    for version in (OLD, NEW, corrected):
        load(one, version)
    for version in (corrected, NEW):
        load(two, version)
    with one.reader() as a, two.reader() as b:
        assert same_graph(a, b) == []


def test_same_graph_names_what_differs(tmp_path: Path) -> None:
    one, two = LadybugStore(f"ladybug://{tmp_path}/one"), LadybugStore(f"ladybug://{tmp_path}/two")
    load(one, OLD)
    load(two, Version("390", (A1, Allele("HLA-A*02:01", "HLA00005.1", "HLA-Aw2-0", {"G": "other"}), A3)))
    with one.reader() as a, two.reader() as b:
        differences = same_graph(a, b)
    assert "GFE: 1 only in the second graph, such as HLA-Aw3-1" in differences
    assert "IPD_Allele.G: 1 differ, such as HLA-A*02:01: HLA-A*02:01:01G and other" in differences


def test_the_checks_name_what_is_wrong_with_another_release(store: LadybugStore) -> None:
    load(store, OLD)
    load(store, NEW)
    with store.reader() as reader:
        graph = read_graph(reader)
    other = desired(Version("3100", (A1, A3, Allele("HLA-A*68:01", "HLA00115.1", "HLA-Aw9-9")), commit="beef"))
    failed = {result.name: result for result in release_equals_csvs(other, graph) if not result.passed}
    assert failed["IPD_Allele_equal_csv"].numbers == {"in_csv": 3, "in_graph": 3, "missing": 1, "extra": 1, "differing": 0}
    assert failed["IPD_Allele_equal_csv"].examples == ["missing HLA-A*68:01", "extra HLA-A*02:01"]
    assert release_complete(other, graph).examples[0] == "commit_sha is 'c0ffee' instead of 'beef'"


def test_features_that_do_not_make_the_sequence_are_found_unless_declared(store: LadybugStore) -> None:
    load(store, Version("390", (A1, Allele("HLA-A*02:01", "HLA00005.1", "HLA-Aw2-0", bases="ACGT"))))
    with store.reader() as reader:
        result = features_make_sequences(reader)
        assert (result.passed, result.numbers, result.examples) == (
            False,
            {"checked": 2, "wrong": 1, "excepted": 0},
            ["HLA-Aw2-0"],
        )
        assert features_make_sequences(reader, {"HLA-Aw2-0"}).passed


def test_orphans_repeats_and_scrambled_lists_are_found(store: LadybugStore) -> None:
    load(store, OLD)
    database = ladybug.Database(store.path)
    connection = ladybug.Connection(database)
    connection.execute("CREATE (:Feature {fid: 'HLA-A|1|EXON|77'})")
    connection.execute("MATCH (g:GFE {name: 'HLA-Aw1-1'})-[:HAS_SEQUENCE]->(s:Sequence) CREATE (g)-[:HAS_SEQUENCE]->(s)")
    connection.execute("MATCH ()-[r:HAS_IPD_ALLELE]->(:IPD_Allele {name: 'HLA-A*01:01'}) SET r.releases = ['3100', '390']")
    connection.close()
    database.close()
    with store.reader() as reader:
        graph = read_graph(reader)
    assert no_orphans(graph).examples == ["Feature without HAS_FEATURE: HLA-A|1|EXON|77"]
    assert no_duplicates(graph).examples == ["HAS_SEQUENCE HLA-Aw1-1 → HLA-Aw1-1"]
    assert releases_in_order(graph).examples == ["HLA-Aw1-1 → HLA-A*01:01: ['3100', '390']"]


def test_a_reader_keeps_its_graph_while_a_load_replaces_it_and_a_new_one_sees_the_new(store: LadybugStore) -> None:
    load(store, OLD)
    with store.reader() as early:
        load(store, NEW)
        assert early.query("MATCH (g:GFE) RETURN count(*)").rows == [[2]]
        with store.reader() as late:
            assert late.query("MATCH (g:GFE) RETURN count(*)").rows == [[3]]
        assert early.read_nodes(GFE, ["name"])["name"].sort().to_list() == ["HLA-Aw1-1", "HLA-Aw2-0"]


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("COPY (MATCH (g:GFE) RETURN g.name) TO 'stolen.csv'", "only reads"),
        ("EXPORT DATABASE 'stolen'", "only reads"),
        ("/* MATCH */ COPY (MATCH (g:GFE) RETURN g.name) TO 'stolen.csv'", "only reads"),
        ("LOAD FROM '/etc/passwd' RETURN *", "only reads"),
        ("MATCH (g:GFE) LOAD FROM '/etc/passwd' RETURN *", "only reads"),
        ("RETURN 1; COPY (MATCH (g:GFE) RETURN g.name) TO 'stolen.csv'", "more than one statement"),
        ("MATCH (g:Nothing) RETURN g", "cannot answer this query.*Nothing"),
    ],
)
def test_a_query_that_would_touch_files_gets_a_sentence(
    store: LadybugStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statement: str, message: str
) -> None:
    load(store, OLD)
    monkeypatch.chdir(tmp_path)
    with store.reader() as reader, pytest.raises(GraphError, match=message):
        reader.query(statement)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["graph"]


def test_odd_letters_in_the_path_do_no_harm(tmp_path: Path) -> None:
    store = LadybugStore(f"ladybug://{tmp_path}/it's [a] gr*ph #1/gfe graph?.lbdb")
    load(store, OLD)
    load(store, NEW)
    assert state(store) == oracle({"390": OLD, "3100": NEW})
    assert leftovers(store) == []


@pytest.mark.parametrize("uri", ["ladybug://relative/file", "ladybug:///folder/", "file:///folder/x", "ladybug://"])
def test_an_address_without_a_file_is_refused(uri: str) -> None:
    with pytest.raises(GraphError, match="does not name a file"):
        LadybugStore(uri)


def test_settings_choose_the_embedded_graph_in_the_data_folder_by_default(tmp_path: Path) -> None:
    store = open_store(Settings.load(data_uri=str(tmp_path)))
    assert store.location == f"ladybug://{tmp_path}/graph/gfe.lbdb"


def other_database(path: Path) -> None:
    database = ladybug.Database(path)
    ladybug.Connection(database).execute("CREATE NODE TABLE Person(name STRING PRIMARY KEY)")
    database.close()


def other_schema(path: Path) -> None:
    load(LadybugStore(f"ladybug://{path}"), OLD)
    database = ladybug.Database(path)
    ladybug.Connection(database).execute("COMMENT ON TABLE Release IS 'gfe-assets graph, schema of tomorrow'")
    database.close()


def cut(path: Path) -> None:
    load(LadybugStore(f"ladybug://{path}"), OLD)
    os.truncate(path, path.stat().st_size // 2)


def other_storage_version(path: Path) -> None:
    """The number after the magic word LBUG at the begin of a file is the version of its storage format."""
    load(LadybugStore(f"ladybug://{path}"), OLD)
    data = bytearray(path.read_bytes())
    data[4] += 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_text("this is a letter\n" * 500), "is not a graph file"),
        (lambda path: path.write_bytes(bytes(20_000)), "is not a graph file"),
        (lambda path: path.write_bytes(b""), "not a graph of gfe-assets"),
        (lambda path: path.mkdir(), "is not a graph file"),
        (other_database, "not a graph of gfe-assets"),
        (other_schema, "made by another version of gfe-assets"),
        (other_storage_version, "made by another version of the embedded database"),
        (cut, "damaged, restore a backup"),
    ],
)
def test_a_file_that_is_no_graph_of_ours_is_refused_by_name_and_left_alone(tmp_path: Path, make: object, message: str) -> None:
    path = tmp_path / "gfe.lbdb"
    make(path)  # type: ignore[operator]
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(GraphError, match=f"{path}.*{message}"):
        load(LadybugStore(f"ladybug://{path}"), NEW)
    assert (path.read_bytes() if path.is_file() else b"") == before


def test_a_graph_that_another_program_is_writing_is_said_to_be_so(store: LadybugStore) -> None:
    load(store, OLD)
    program = f"import ladybug, sys; d = ladybug.Database({str(store.path)!r}); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == "open\n"
        try:
            with store.reader() as reader:  # either works beside the writer or says why not
                assert reader.query("MATCH (g:GFE) RETURN count(*)").rows == [[2]]
        except GraphUnavailable as error:
            assert "open for writing in another program" in str(error)  # noqa: PT017 - both outcomes are right
        other.communicate("")


def test_changes_that_another_program_left_in_a_log_are_not_lost_silently(store: LadybugStore) -> None:
    load(store, OLD)
    store.path.with_name(f"{store.path.name}.wal").write_bytes(b"not empty")
    with pytest.raises(GraphError, match=r"another program has changes in .*gfe\.lbdb\.wal"):
        load(store, NEW)


def test_changes_that_do_not_fit_the_graph_are_refused_and_nothing_is_written(store: LadybugStore) -> None:
    """Deletes an allele that is not there; the verification of the copy finds out."""
    load(store, OLD)
    before = state(store)
    nothing = pl.DataFrame()
    delete = pl.DataFrame({"name": ["HLA-A*99:99"]})
    changes = Changes("390", {IPD_ALLELE.label: NodeChanges(nothing, nothing, delete)}, {}, {})
    with store.writing("test", 1), pytest.raises(GraphError, match=r"release 390 cannot be written.*IPD_Allele 2 instead of 1"):
        store.apply(changes, silent)
    assert state(store) == before
    assert leftovers(store) == []


def test_a_file_written_anew_holds_the_same_graph_in_less_room(
    store: LadybugStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in (OLD, NEW, OLD, Version("390", (A3,)), NEW, OLD):
        load(store, version)
    monkeypatch.chdir(tmp_path)
    before = state(store), store.path.stat().st_size
    assert not mostly_free(store.path), "small files are left as they are"
    monkeypatch.setattr("gfe_assets.graph.ladybug_compact.SMALL_FILE", 0)
    monkeypatch.setattr("gfe_assets.graph.ladybug_compact.MOST_FREE", 0.05)
    assert mostly_free(store.path)
    compact(store.path)
    assert not mostly_free(store.path)
    assert state(store) == before[0]
    assert store.path.stat().st_size <= before[1]
    assert leftovers(store) == []
    assert load(store, OLD).empty


def test_a_second_writer_goes_on_when_the_first_has_finished(store: LadybugStore) -> None:
    with store.writing("first", 1):
        thread = threading.Thread(target=load, args=(LadybugStore(store.location), OLD))
        thread.start()
        time.sleep(0.3)
        assert not store.path.exists()
    thread.join()
    assert state(store) == oracle({"390": OLD})


LOADER = """
import sys
from gfe_assets.graph.ladybug import LadybugStore
from gfe_assets.graph.sync import plan
from gfe_assets_tests.graph_worlds import Allele, Version, desired

store = LadybugStore(sys.argv[1])
alleles = tuple(Allele(f"HLA-A*{n}:01", f"HLA{n:05}.1", f"HLA-Aw{n}-{n % 7}") for n in range(1, 3000))
print("ready", flush=True)
with store.writing("load to be killed", 5):
    print("locked", flush=True)
    with store.reader() as reader:
        changes = plan(desired(Version("3100", alleles)), reader, lambda name: None)
    store.apply(changes, lambda *words: print(*words, flush=True))
print("done", flush=True)
"""


def start_loader(store: LadybugStore, before: object = None) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(LOADER), store.location],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=before,  # type: ignore[arg-type]  # noqa: PLW1509 - only sets a limit
    )


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds child processes in /proc, which only Linux has")
@pytest.mark.parametrize("delay", [0.5, *(pytest.param(delay, marks=pytest.mark.slow) for delay in (0.0, 0.1, 0.3, 0.8, 1.1))])
def test_killed_at_any_moment_a_load_leaves_the_old_graph_and_the_next_one_works(store: LadybugStore, delay: float) -> None:
    load(store, OLD)
    before = store.path.read_bytes()
    with start_loader(store) as process:
        assert process.stdout
        assert [process.stdout.readline() for _ in range(2)] == ["ready\n", "locked\n"]
        time.sleep(delay)
        process.kill()
        said = process.stdout.read()
    if "done" not in said:
        assert store.path.read_bytes() == before or "edges written" in said  # killed before it could say so
    load(store, NEW)  # waits for an orphaned loading process, which holds the lock until it is gone
    load(store, OLD)
    assert state(store) == oracle({"390": OLD, "3100": NEW})
    assert leftovers(store) == []


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds child processes in /proc, which only Linux has")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_when_only_the_loading_process_dies_the_load_fails_with_a_sentence(store: LadybugStore, number: signal.Signals) -> None:
    load(store, OLD)
    before = store.path.read_bytes()
    with start_loader(store) as process:
        while not children(process.pid):
            time.sleep(0.01)
        os.kill(children(process.pid)[0], number)
        _, errors = process.communicate()
    assert f"the loading process was ended by {number.name}; the graph is as it was before" in errors
    assert store.path.read_bytes() == before
    assert leftovers(store) == []


@pytest.mark.parametrize(
    "spare", [1_000, *(pytest.param(spare, marks=pytest.mark.slow) for spare in (-100_000, 60_000, 400_000))]
)
def test_no_space_left_leaves_the_old_graph_and_says_what_to_do(store: LadybugStore, spare: int) -> None:
    """A limit on the size of any file stands in for the full disk; where it strikes depends on the limit."""
    load(store, OLD)
    before = store.path.read_bytes()
    limit = len(before) + spare

    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    with start_loader(store, small_disk) as process:
        _, errors = process.communicate()
    assert f"release 3100 cannot be written to graph file {store.path}" in errors
    assert "MB free" in errors
    assert store.path.read_bytes() == before
    assert leftovers(store) == []
    load(store, NEW)
    assert state(store) == oracle({"390": OLD, "3100": NEW})


def test_a_folder_that_cannot_be_written_gets_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(GraphError, match=r"the graph's lock file .* cannot be opened"):
        load(LadybugStore(f"ladybug://{tmp_path}/file/gfe.lbdb"), OLD)
