"""The graph on a real Neo4j server: constraints, the writer's lock, faults. What both stores do is in test_graph_contract."""

import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import neo4j
import polars as pl
import pytest
from neo4j import exceptions

from gfe_assets.errors import GraphBusy, GraphError, GraphUnavailable
from gfe_assets.graph.model import EDGE_BY_TYPE, NODES
from gfe_assets.graph.neo4j import Neo4jStore
from gfe_assets.graph.store import Changes, EdgeChanges
from gfe_assets.progress import silent
from gfe_assets_tests.graph_stores import load, state
from gfe_assets_tests.graph_worlds import Allele, Version, desired, oracle
from gfe_assets_tests.neo4j_server import Neo4jServer, RunningServer, empty

pytestmark = pytest.mark.slow

Server = Neo4jServer | RunningServer
ROOT = Path(__file__).parents[1]
A1 = Allele("HLA-A*01:01", "HLA00001.1", "HLA-Aw1-1")
A2 = Allele("HLA-A*02:01", "HLA00005.1", "HLA-Aw2-0", {"G": "HLA-A*02:01:01G", "lg": "HLA-A*02:01g"})
A3 = Allele("HLA-A*03:01", "HLA00037.1", "HLA-Aw3-1", {"G": "HLA-A*03:01:01G"})
OLD = Version("390", (A1, A2))
NEW = Version("3100", (A1, A2, A3))


@pytest.fixture
def server(neo4j_server: Server) -> Server:
    """The server, with nothing in its database but constraints."""
    empty(neo4j_server)
    return neo4j_server


@pytest.fixture
def own_server(server: Server) -> Iterator[Neo4jServer]:
    """The server when it is ours to kill; started again as it was."""
    if isinstance(server, RunningServer):
        pytest.skip("needs a server that it may kill, not the one at NEO4J_URI")
    yield server
    if server.settings or not server.runs:
        server.restart()


@pytest.fixture
def store(server: Server) -> Neo4jStore:
    return new_store(server)


def new_store(server: Server, **more: float) -> Neo4jStore:
    return Neo4jStore(server.uri, server.user, server.password, server.database, **more)


def run(server: Server, statement: str, **parameters: object) -> list[list[object]]:
    """Ask or do something beside the store under test."""
    with server.driver() as driver:
        records = driver.execute_query(statement, parameters, database_=server.database).records  # type: ignore[arg-type]
        return [list(record) for record in records]


# constraints and indexes


def test_the_first_load_makes_every_key_unique_and_the_next_ones_add_nothing(server: Server, store: Neo4jStore) -> None:
    empty(server, schema=True)
    listed = (
        "SHOW CONSTRAINTS YIELD name, type, labelsOrTypes, properties RETURN labelsOrTypes[0], properties[0], type ORDER BY 1"
    )
    indexed = "SHOW INDEXES YIELD labelsOrTypes, properties, owningConstraint, state WHERE owningConstraint IS NULL RETURN *"
    load(store, OLD)
    constraints, indexes = run(server, listed), run(server, indexed)
    assert {(label, key) for label, key, _ in constraints if label != "_GfeWriter"} == {
        ("GFE", "name"),
        ("Sequence", "name"),
        ("Feature", "fid"),
        ("IPD_Allele", "name"),
        ("IPD_Accession", "name"),
        ("Submitter", "name"),
        ("Release", "name"),
    }
    load(store, NEW)
    assert (run(server, listed), run(server, indexed)) == (constraints, indexes)
    for node in NODES:
        with pytest.raises(exceptions.ConstraintError):
            run(server, f"MATCH (n:{node.label}) WITH n LIMIT 1 CREATE (:{node.label} {{{node.key}: n.{node.key}}})")


def test_keys_and_what_users_look_up_are_found_by_an_index_and_sequences_have_none(server: Server, store: Neo4jStore) -> None:
    load(store, OLD)
    found = run(
        server,
        "SHOW INDEXES YIELD labelsOrTypes, properties WHERE labelsOrTypes IS NOT NULL RETURN labelsOrTypes[0], properties",
    )
    assert ["Sequence", ["seq_id"]] in found
    assert ["Feature", ["locus", "term", "rank"]] in found
    assert not [properties for _, properties in found if "sequence" in properties]  # type: ignore[operator]


def test_constraints_that_have_other_names_are_enough(server: Server, store: Neo4jStore) -> None:
    empty(server, schema=True)
    run(server, "CREATE CONSTRAINT somebody_elses FOR (n:GFE) REQUIRE n.name IS UNIQUE")
    load(store, OLD)
    assert state(store) == oracle({"390": OLD})


def test_an_index_in_the_place_of_a_constraint_is_named(server: Server, store: Neo4jStore) -> None:
    empty(server, schema=True)
    run(server, "CREATE INDEX in_the_way FOR (n:GFE) ON (n.name)")
    with pytest.raises(GraphError, match=r"already exists an index.*GFE.*name"):
        load(store, OLD)
    empty(server, schema=True)


def test_nodes_twice_where_they_must_be_unique_are_a_sentence(server: Server, store: Neo4jStore) -> None:
    empty(server, schema=True)
    run(server, "CREATE (:GFE {name: 'x'}), (:GFE {name: 'x'}), (:Release {name: '390'})")
    with pytest.raises(GraphError, match="nodes twice that must be unique"):
        load(store, OLD)
    empty(server, schema=True)


def test_a_constraint_that_has_taken_our_name_is_a_sentence(server: Server, store: Neo4jStore) -> None:
    empty(server, schema=True)
    run(server, "CREATE CONSTRAINT gfe_assets_GFE_name FOR (n:Other) REQUIRE n.name IS UNIQUE")
    with pytest.raises(GraphError, match=r"GFE\.name cannot be made unique"):
        load(store, OLD)
    empty(server, schema=True)


def test_a_database_that_the_reference_pipeline_filled_is_recognised_and_left_alone(server: Server, store: Neo4jStore) -> None:
    empty(server, schema=True)
    run(server, "CREATE CONSTRAINT gfe_constraint FOR (gfe:GFE) REQUIRE gfe.gfe_name IS UNIQUE")
    run(
        server,
        "CREATE (g:GFE {name: 'HLA-Aw1-1', locus: 'HLA-A'}) "
        "MERGE (g)-[:HAS_IPD_ACCESSION {release: '3.51.0'}]->(:IPD_Accession {name: 'HLA00001'})",
    )
    message = r"has 1 GFE nodes that this program did not load.*GFE\.gfe_name is unique as in gfe-db.*`gfe-assets adopt`"
    with pytest.raises(GraphError, match=message), store.reader():
        pytest.fail("opened")
    with pytest.raises(GraphError, match=message):
        load(store, OLD)
    assert run(server, "MATCH (n) RETURN count(n)") == [[2]]
    empty(server, schema=True)


# reading


def test_an_unchanged_release_costs_reads_only(server: Server, store: Neo4jStore) -> None:
    """The number of the last committed transaction stays what it was."""
    load(store, OLD)
    asked = "SHOW DATABASE $name YIELD lastCommittedTxn RETURN lastCommittedTxn"
    before = run(server, asked, name=server.database)
    assert load(store, OLD).empty
    assert run(server, asked, name=server.database) == before


def test_values_that_our_loads_never_write_are_named(server: Server, store: Neo4jStore) -> None:
    load(store, OLD)
    run(server, "MATCH (f:Feature) SET f.rank = 'first'")
    with store.reader() as reader, pytest.raises(GraphError, match="some Feature have values of other types"):
        reader.read_nodes(NODES[2], ["fid", "rank"])


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("MATCH (g:GFE {name: $name}) RETURN g", "cannot answer this query.*name"),
        ("CREATE USER eve SET PASSWORD 'abcdefgh1'", "would change the graph"),
        ("CREATE INDEX FOR (n:X) ON (n.y)", "would change the graph"),
        ("MATCH (n) CALL (n) { DETACH DELETE n } IN TRANSACTIONS", "would change the graph"),
        ("TERMINATE TRANSACTIONS 'neo4j-transaction-1'", "would end the work of others"),
        ("SHOW TRANSACTIONS YIELD transactionId AS t TERMINATE TRANSACTIONS t", "would end the work of others"),
        ("CALL dbms.killConnection('bolt-1')", "would end the work of others"),
        ("MATCH (n) RETURN nothing", "cannot answer this query.*nothing"),
        ("RETURN 1/0", "/ by zero"),
    ],
)
def test_queries_only_read(store: Neo4jStore, statement: str, message: str) -> None:
    with store.reader() as reader, pytest.raises(GraphError, match=message):
        reader.query(statement)


def test_dates_and_maps_of_an_answer_are_plain(store: Neo4jStore) -> None:
    with store.reader() as reader:
        answer = reader.query(
            "RETURN date('2015-10-01') AS day, {a: [1, 2.5, null]} AS map, datetime('2015-10-01T10:00Z') AS time"
        )
    assert answer.rows == [["2015-10-01", {"a": [1, 2.5, None]}, "2015-10-01T10:00:00.000000000+00:00"]]


# the writer's lock


HOLDER = """
import sys
from gfe_assets.graph.neo4j import Neo4jStore

with Neo4jStore(*sys.argv[1:5]).writing("load of release 3580", 5):
    print("locked", flush=True)
    sys.stdin.read()
"""


def start(server: Server, program: str, *more: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", program, server.uri, server.user, server.password, server.database, *more],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def test_the_lock_holds_between_processes_and_the_waiting_one_learns_for_whom(
    server: Server, store: Neo4jStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="gfe_assets")
    with start(server, HOLDER) as other:
        assert line(other) == "locked"
        message = rf"load of release 3590: .*{server.uri} is being written by process {other.pid} on .*\(load of release 3580\)"
        with pytest.raises(GraphBusy, match=message), store.writing("load of release 3590", 0.5):
            pytest.fail("two writers at once")
        waiting = [record.getMessage() for record in caplog.records if "waits up to 0.5 seconds" in record.getMessage()]
        assert len(waiting) == 1
        assert "load of release 3580" in waiting[0]
        other.communicate("")
    load(store, OLD)


def test_the_lock_dies_with_its_holder(server: Server, store: Neo4jStore) -> None:
    with start(server, HOLDER) as other:
        assert line(other) == "locked"
        other.send_signal(signal.SIGKILL)
    with store.writing("load of release 3590", 3):
        pass


def test_a_waiting_writer_goes_on_as_soon_as_the_lock_is_free(server: Server, store: Neo4jStore) -> None:
    with start(server, HOLDER) as other:
        assert line(other) == "locked"
        threading.Timer(2, lambda: other.stdin and other.stdin.close()).start()
        load(store, OLD, wait=60)
    assert state(store) == oracle({"390": OLD})


def test_of_many_writers_that_come_at_once_one_at_a_time_holds_the_lock(server: Server) -> None:
    inside: list[int] = []
    most: list[int] = []

    def write(number: int) -> None:
        with new_store(server).writing(f"writer {number}", 120):
            inside.append(number)
            most.append(len(inside))
            time.sleep(0.1)
            inside.remove(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 5


def test_the_lock_leaves_no_node(server: Server, store: Neo4jStore) -> None:
    with store.writing("test", 1):
        assert run(server, "MATCH (n) RETURN count(n)") == [[0]]
    assert run(server, "MATCH (n) RETURN count(n)") == [[0]]


def test_a_load_whose_lock_was_ended_by_an_administrator_writes_nothing_more(server: Server, store: Neo4jStore) -> None:
    def end_lock(*_: object) -> None:
        held = "SHOW TRANSACTIONS YIELD transactionId AS id, metaData AS m WHERE m.gfe_assets_writes IS NOT NULL RETURN id"
        for (name,) in run(server, held):
            run(server, f"TERMINATE TRANSACTIONS '{name}'")

    with pytest.raises(GraphUnavailable, match=r"release 390 is not loaded: the lock on graph .* was lost"):
        load(store, OLD, progress=end_lock)
    found = state(store)
    assert found[0]["Release"]["390"]["complete"] is False
    assert found[0]["GFE"] == {}
    load(store, OLD)
    assert state(store) == oracle({"390": OLD})


def test_the_lock_outlives_the_longest_transaction_that_the_server_allows(own_server: Neo4jServer) -> None:
    own_server.restart(db__transaction__timeout="2s")
    store = new_store(own_server)
    with store.writing("a long load", 5):
        time.sleep(6)
        with pytest.raises(GraphBusy), new_store(own_server).writing("another", 0.5):
            pytest.fail("two writers at once")
        with store.reader() as reader:
            changes = Changes("390", {}, {}, desired(OLD).nodes["Release"].row(0, named=True))
            assert reader.query("RETURN 1").rows == [[1]]
        store.apply(changes, silent)


# faults


def test_a_wrong_password_is_said_to_be_so_without_showing_it(server: Server) -> None:
    if not server.password:
        pytest.skip("the server at NEO4J_URI asks for no password")
    store = Neo4jStore(server.uri, server.user, "a wrong secret", server.database)
    with pytest.raises(GraphError, match="GFE_GRAPH_USER and GFE_GRAPH_PASSWORD") as caught, store.reader():
        pytest.fail("opened")
    assert not caught.value.transient
    assert server.uri in str(caught.value)
    assert "a wrong secret" not in str(caught.value)


def test_a_database_that_does_not_exist_is_named(server: Server) -> None:
    store = Neo4jStore(server.uri, server.user, server.password, "nowhere")
    for opened in (store.reader, lambda: store.writing("test", 1)):
        with pytest.raises(GraphError, match="there is no database 'nowhere'; check GFE_GRAPH_DATABASE"), opened():
            pytest.fail("opened")


def test_a_read_only_database_is_read_and_a_load_into_it_refused(own_server: Neo4jServer) -> None:
    load(new_store(own_server), OLD)
    own_server.restart(server__databases__default_to_read_only="true")
    assert state(new_store(own_server)) == oracle({"390": OLD})
    with pytest.raises(GraphError, match="database 'neo4j' is read-only"):
        load(new_store(own_server), NEW)


def test_a_node_that_other_programs_use_is_not_deleted_and_the_sentence_says_how_to_find_them(
    server: Server, store: Neo4jStore
) -> None:
    load(store, Version("390", (A1, A2)))
    run(server, "MATCH (n:IPD_Allele {name: $name}) CREATE (:Note {text: 'mine'})-[:ABOUT]->(n)", name=A2.name)
    with pytest.raises(
        GraphError, match=r"release 390 is not loaded: IPD_Allele nodes .* other programs.*MATCH \(n:IPD_Allele\)"
    ):
        load(store, Version("390", (A1,), commit="beef"))
    run(server, "MATCH (n:Note) DETACH DELETE n")
    load(store, Version("390", (A1,), commit="beef"))
    assert state(store) == oracle({"390": Version("390", (A1,), commit="beef")})


def test_another_client_that_holds_nodes_for_too_long_is_a_sentence_and_the_load_can_be_repeated(server: Server) -> None:
    store = new_store(server, batch_seconds=1, retry_seconds=1)
    load(store, OLD)
    corrected = Version("390", (A1, A2), commit="beef")
    with (
        server.driver() as driver,
        driver.session(database=server.database) as session,
        session.begin_transaction() as other,
    ):
        other.run("MATCH (n:Release) SET n.mine = true").consume()
        with pytest.raises(GraphUnavailable, match="another client held nodes that are needed here"):
            load(store, corrected)
    load(store, corrected)
    assert state(store) == oracle({"390": corrected})


def test_edges_whose_nodes_are_gone_are_never_left_out_silently(store: Neo4jStore) -> None:
    load(store, OLD)
    edge = EDGE_BY_TYPE["HAS_FEATURE"]
    insert = pl.DataFrame({"source": [A1.gfe], "target": ["HLA-A|9|EXON|9"]})
    changes = Changes("390", {}, {edge.type: EdgeChanges(insert, insert.clear(), insert.clear())}, dict(release_of(OLD)))
    with store.writing("test", 1), pytest.raises(GraphError, match="1 of 1 HAS_FEATURE edges could not be written"):
        store.apply(changes, silent)
    assert state(store)[0]["Release"]["390"]["complete"] is False


def release_of(version: Version) -> dict[str, object]:
    return desired(version).nodes["Release"].row(0, named=True)


# killed in the middle

MANY = tuple(Allele(f"HLA-A*{n}:01", f"HLA{n:05}.1", f"HLA-Aw{n}-{n % 7}", {"G": f"{n % 50}G"}) for n in range(1, 700))
CORRECTED = tuple(
    Allele(f"HLA-A*{n}:0{1 + n % 2}", f"HLA{n:05}.{1 + n % 2}", f"HLA-Aw{n + 3 * (n % 2)}-{n % 7}") for n in range(100, 800)
)
LOADER = """
import os, signal, sys
from gfe_assets.graph.neo4j import Neo4jStore
from gfe_assets_tests.graph_stores import load
from gfe_assets_tests.test_neo4j import CORRECTED, Version

said = 0
def progress(*words):
    global said
    said += 1
    print(*words, flush=True)
    if said == int(sys.argv[5]):
        os.kill(os.getpid(), signal.SIGKILL)

load(Neo4jStore(*sys.argv[1:5]), Version("3100", CORRECTED, commit="beef"), progress=progress)
"""
BEFORE = {"390": OLD, "3100": Version("3100", MANY)}
AFTER = {"390": OLD, "3100": Version("3100", CORRECTED, commit="beef")}


def prepare(store: Neo4jStore) -> None:
    for version in BEFORE.values():
        load(store, version)


def repair_and_compare(store: Neo4jStore) -> None:
    load(store, AFTER["3100"], dict(BEFORE), wait=30)
    assert state(store) == oracle(AFTER)


@pytest.mark.parametrize("steps", [1, 2, 5, 9, 14, 17])
def test_a_load_killed_between_two_writes_is_marked_incomplete_and_repaired_by_the_next(server: Server, steps: int) -> None:
    store = new_store(server)
    prepare(store)
    with start(server, LOADER, str(steps)) as client:
        client.communicate()
    assert client.returncode == -signal.SIGKILL
    releases = state(store)[0]["Release"]
    assert (releases["3100"]["complete"], releases["390"]["complete"]) == (False, True)
    repair_and_compare(store)


@pytest.mark.parametrize("moment", range(4))
def test_a_load_killed_at_any_moment_is_repaired_by_the_next(server: Server, moment: int) -> None:
    store = new_store(server)
    prepare(store)
    with start(server, LOADER, "0") as client:
        for _ in range(random.Random(moment).randint(1, 16)):  # lines of progress
            line(client)
        time.sleep(random.Random(moment).random() / 20)
        client.kill()
        client.communicate()
    repair_and_compare(store)


@pytest.mark.parametrize("steps", [1, 6, 15])
def test_a_server_killed_in_the_middle_of_a_load_is_repaired_after_it_has_started_again(
    own_server: Neo4jServer, steps: int
) -> None:
    store = new_store(own_server, retry_seconds=1)
    prepare(store)
    said = itertools.count(1)

    def progress(*_: object) -> None:
        if next(said) == steps:
            own_server.kill()

    with pytest.raises(
        GraphUnavailable, match=r"release 3100 is not loaded: .*incomplete; loading the release again repairs it"
    ):
        load(store, AFTER["3100"], dict(BEFORE), progress)
    own_server.start()
    assert state(store)[0]["Release"]["3100"]["complete"] is False
    repair_and_compare(store)


def test_a_server_killed_while_it_writes_is_repaired_after_it_has_started_again(own_server: Neo4jServer) -> None:
    store = new_store(own_server, retry_seconds=1)
    prepare(store)
    killer = threading.Timer(0.15, own_server.kill)
    said = itertools.count(1)
    with pytest.raises(GraphUnavailable):
        load(store, AFTER["3100"], dict(BEFORE), lambda *_: killer.start() if next(said) == 3 else None)
    killer.join()
    own_server.start()
    repair_and_compare(store)


def test_a_load_does_not_go_on_after_a_restart_because_its_lock_is_gone(own_server: Neo4jServer) -> None:
    store = new_store(own_server, retry_seconds=60)
    prepare(store)
    said = itertools.count(1)
    with pytest.raises(GraphUnavailable, match=r"the lock on graph .* was lost"):
        load(store, AFTER["3100"], dict(BEFORE), lambda *_: own_server.restart() if next(said) == 4 else None)
    repair_and_compare(store)


def test_a_full_disk_of_the_server_is_a_sentence_and_the_load_can_be_repeated_when_there_is_room(
    own_server: Neo4jServer,
) -> None:
    """Loads go to and fro until the server's transaction log does not fit any more."""
    store = new_store(own_server, retry_seconds=1)
    prepare(store)
    own_server.stop()
    stored = [path.stat().st_size for path in (own_server.folder / "data" / "databases").rglob("*") if path.is_file()]
    own_server.start(largest_file=max(stored) + 500_000)

    def load_until_it_fails() -> None:
        for version in itertools.islice(itertools.cycle([AFTER["3100"], BEFORE["3100"]]), 30):
            load(store, version, dict(BEFORE))

    with pytest.raises(GraphUnavailable, match=r"release 3100 is not loaded: .*look at its log and disk space"):
        load_until_it_fails()
    own_server.kill()
    own_server.start()
    repair_and_compare(store)


def test_drivers_are_closed_so_that_nothing_stays_connected(server: Server, store: Neo4jStore) -> None:
    load(store, OLD)
    state(store)
    driver: neo4j.Driver
    with server.driver() as driver:
        mine = driver.execute_query("CALL dbms.listConnections() YIELD userAgent RETURN userAgent", database_=server.database)
    assert "gfe-assets" not in [record[0] for record in mine.records]
