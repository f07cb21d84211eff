"""What every graph store does in the same way: one suite, run on each of them."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from gfe_assets.errors import GraphBusy, GraphError
from gfe_assets.graph.compare import (
    features_make_sequences,
    no_duplicates,
    no_orphans,
    release_complete,
    release_equals_csvs,
    releases_in_order,
    same_graph,
)
from gfe_assets.graph.frames import edge_schema, node_schema, read_graph
from gfe_assets.graph.ladybug import LadybugStore
from gfe_assets.graph.model import EDGES, GFE, IPD_ALLELE, NODES, Property
from gfe_assets.graph.neo4j import Neo4jStore
from gfe_assets.graph.store import Changes, EdgeChanges, GraphStore, NodeChanges
from gfe_assets.graph.sync import plan
from gfe_assets.progress import silent
from gfe_assets_tests.graph_stores import load, state
from gfe_assets_tests.graph_worlds import Allele, Version, desired, oracle
from gfe_assets_tests.neo4j_server import empty

A1 = Allele("HLA-A*01:01", "HLA00001.1", "HLA-Aw1-1")
A2 = Allele("HLA-A*02:01", "HLA00005.1", "HLA-Aw2-0", {"G": "HLA-A*02:01:01G", "lg": "HLA-A*02:01g"})
A3 = Allele("HLA-A*03:01", "HLA00037.1", "HLA-Aw3-1", {"G": "HLA-A*03:01:01G"})
OLD = Version("390", (A1, A2))
NEW = Version("3100", (A1, A2, A3))

MakeStore = Callable[[], GraphStore]


@pytest.fixture(params=["ladybug", pytest.param("neo4j", marks=pytest.mark.slow)])
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> MakeStore:
    """Makes the store under test, empty; called again, another object that names the same graph."""
    if request.param == "ladybug":
        return lambda: LadybugStore(f"ladybug://{tmp_path / 'gfe.lbdb'}")
    server = request.getfixturevalue("neo4j_server")
    empty(server)
    return lambda: Neo4jStore(server.uri, server.user, server.password, server.database)


@pytest.fixture
def store(new_store: MakeStore) -> GraphStore:
    return new_store()


def test_a_graph_that_was_never_written_reads_as_empty_with_the_right_types(store: GraphStore) -> None:
    with store.reader() as reader:
        for node in NODES:
            frame = reader.read_nodes(node, list(node_schema(node)))
            assert frame.is_empty()
            assert dict(frame.schema) == node_schema(node)
        for edge in EDGES:
            frame = reader.read_edges(edge)
            assert frame.is_empty()
            assert dict(frame.schema) == edge_schema(edge)
        assert reader.query("MATCH (g:GFE) RETURN count(*)").rows == [[0]]


def test_loads_corrections_and_removals_end_in_the_graph_that_the_rules_say(store: GraphStore) -> None:
    known: dict[str, Version] = {}
    corrected = Version("3100", (A2, Allele("HLA-A*03:99", "HLA00037.2", "HLA-Aw3-2")), commit="beef")
    for version in (NEW, OLD, corrected):
        load(store, version, known)
        assert state(store) == oracle(known)


def test_the_same_release_again_changes_nothing(store: GraphStore) -> None:
    load(store, OLD)
    assert load(store, OLD).empty
    assert state(store) == oracle({"390": OLD})


def test_a_list_of_sixty_releases_is_kept_exactly(store: GraphStore) -> None:
    load(store, OLD)
    names = [f"3{minor}0" for minor in range(60)]
    edges = pl.DataFrame({"source": [A1.gfe], "target": [A1.name], "releases": [names]}, schema=edge_schema(EDGES[0]))
    nothing = edges.clear()
    release = desired(OLD).nodes["Release"].row(0, named=True)
    with store.writing("test", 5):
        store.apply(Changes("390", {}, {EDGES[0].type: EdgeChanges(nothing, edges, nothing)}, release), silent)
    assert state(store)[1][EDGES[0].type][A1.gfe, A1.name] == {"releases": names}


@pytest.mark.parametrize("text", ['it\'s "quoted" `so` \\ $row {x}', "Ω→𝄞 é", "HLA-A|1|EXON|1; DROP", " ", "NULL"])
def test_values_come_back_as_they_were_written(store: GraphStore, text: str) -> None:
    """Every label and type, with odd texts, missing values, a large number and the longest sequences there are."""
    nodes = {node.label: pl.DataFrame(odd_rows(node.properties, {}, text), schema=node_schema(node)) for node in NODES}
    ends = {"source": text, "target": text}
    edges = {edge.type: pl.DataFrame(odd_rows(edge.properties, ends, text), schema=edge_schema(edge)) for edge in EDGES}
    nodes["Release"] = nodes["Release"].head(1)
    changes = Changes(
        text,
        {label: NodeChanges(frame, frame.clear(), frame.clear()) for label, frame in nodes.items()},
        {type_: EdgeChanges(frame, frame.clear(), frame.clear()) for type_, frame in edges.items()},
        nodes["Release"].row(0, named=True),
    )
    with store.writing("test", 5):
        store.apply(changes, silent)
    with store.reader() as reader:
        graph = read_graph(reader, bulky=True)
    found = {**graph.nodes, **graph.edges}
    for name, frame in {**nodes, **edges}.items():
        assert found[name].sort(frame.columns[0]).equals(frame.sort(frame.columns[0])), name


def odd_rows(properties: tuple[Property, ...], ends: dict[str, str], text: str) -> list[dict[str, object]]:
    """Two rows: one with values, one that has nothing but its key or ends."""
    values: dict[str, object] = {"STRING": text, "INT64": 2**53 + 1, "BOOL": True, "STRING[]": [text, "3100", "390"]}
    row = {each.name: values[each.type] + "A" * 17_000 if each.bulky else values[each.type] for each in properties}  # type: ignore[operator]
    other = {name: f"other {end}" for name, end in ends.items()} or {properties[0].name: f"other {text}"}
    return [{**row, **ends}, other]


def test_an_update_without_the_sequence_keeps_it(store: GraphStore) -> None:
    load(store, OLD)
    frame = desired(OLD).nodes["Sequence"].filter(pl.col("name") == A1.gfe)
    update = frame.drop("sequence").with_columns(seq_id=pl.lit("other"))
    release = desired(OLD).nodes["Release"]
    nodes = {
        "Sequence": NodeChanges(frame.clear(), update, frame.clear().select("name")),
        "Release": NodeChanges(release.clear(), release, release.clear().select("name")),
    }
    with store.writing("test", 5):
        store.apply(Changes("390", nodes, {}, release.row(0, named=True)), silent)
    found = state(store)[0]["Sequence"][A1.gfe]
    assert (found["seq_id"], found["sequence"]) == ("other", frame.item(0, "sequence"))


def test_the_checks_pass_on_a_loaded_graph(store: GraphStore) -> None:
    load(store, OLD)
    load(store, NEW)
    with store.reader() as reader:
        graph = read_graph(reader)
        whole = [no_orphans(graph), no_duplicates(graph), releases_in_order(graph), features_make_sequences(reader)]
        for version in (OLD, NEW):
            results = [*release_equals_csvs(desired(version), graph), release_complete(desired(version), graph), *whole]
            assert [result.name for result in results if not result.passed] == []


def test_the_graph_equals_the_one_that_the_embedded_store_makes(store: GraphStore, tmp_path: Path) -> None:
    embedded = LadybugStore(f"ladybug://{tmp_path}/embedded")
    for each in (store, embedded):
        known: dict[str, Version] = {}
        for version in (NEW, OLD, Version("390", (A1, Allele("HLA-A*02:01", "HLA00005.2", "HLA-Aw2-4")), commit="beef")):
            load(each, version, known)
    with store.reader() as a, embedded.reader() as b:
        assert same_graph(a, b) == []


def test_answers_are_plain_python(store: GraphStore) -> None:
    load(store, OLD)
    with store.reader() as reader:
        result = reader.query(
            "MATCH (g:GFE)-[r:HAS_IPD_ALLELE]->(a:IPD_Allele {name: $name}) RETURN g, r, a, sum(2) AS two", {"name": A2.name}
        )
        path = reader.query("MATCH p = (:GFE {name: 'HLA-Aw1-1'})-[:HAS_SEQUENCE]->(:Sequence) RETURN p").rows[0][0]
    assert result.columns == ["g", "r", "a", "two"]
    allele = {"_label": "IPD_Allele", "name": "HLA-A*02:01", "gene": "HLA-A", "G": "HLA-A*02:01:01G", "lg": "HLA-A*02:01g"}
    gfe = {"_label": "GFE", "name": "HLA-Aw2-0", "locus": "HLA-A"}
    assert result.rows == [[gfe, {"_type": "HAS_IPD_ALLELE", "releases": ["390"]}, allele, 2]]
    assert [each["_label"] for each in path["nodes"]] == ["GFE", "Sequence"]
    assert path["relationships"] == [{"_type": "HAS_SEQUENCE"}]


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("MATCH (g:GFE) SET g.locus = 'x'", "would change the graph"),
        ("MATCH (g:GFE) DETACH DELETE g", "would change the graph"),
        ("CREATE (:GFE {name: 'x'})", "only read"),
        ("MATCH (g:GFE RETURN g", "cannot answer this query"),
        ("RETURN 1; MATCH (g:GFE) RETURN g", "more than one statement|cannot answer this query"),
        ("  ", "is empty"),
    ],
)
def test_a_query_that_writes_or_is_wrong_gets_a_sentence(store: GraphStore, statement: str, message: str) -> None:
    load(store, OLD)
    with store.reader() as reader, pytest.raises(GraphError, match=message):
        reader.query(statement)
    assert state(store) == oracle({"390": OLD})


def test_a_semicolon_inside_a_text_is_no_second_statement(store: GraphStore) -> None:
    with store.reader() as reader:
        assert reader.query("RETURN 'a;b' AS x;").rows == [["a;b"]]


def test_changes_that_do_not_fit_the_graph_are_refused(store: GraphStore) -> None:
    """Updates an allele that is not there."""
    load(store, OLD)
    update = desired(NEW).nodes[IPD_ALLELE.label].filter(pl.col("name") == A3.name)
    nodes = {IPD_ALLELE.label: NodeChanges(update.clear(), update, update.clear().select("name"))}
    release = desired(OLD).nodes["Release"].row(0, named=True)
    with store.writing("test", 1), pytest.raises(GraphError, match=r"release 390.*IPD_Allele"):
        store.apply(Changes("390", nodes, {}, release), silent)
    assert A3.name not in state(store)[0]["IPD_Allele"]


def test_writing_without_the_lock_is_refused(store: GraphStore) -> None:
    with store.reader() as reader:
        changes = plan(desired(OLD), reader, lambda _: None)
    with pytest.raises(GraphError, match="without holding its lock"):
        store.apply(changes, silent)
    assert state(store)[0]["GFE"] == {}


def test_progress_counts_nodes_and_edges(store: GraphStore) -> None:
    said: list[tuple[str, int, int | None]] = []
    load(store, OLD, progress=lambda *words: said.append(words))
    assert [words for words in said if words[1] == words[2]] == [("nodes written", 13, 13), ("edges written", 11, 11)]


def test_a_second_writer_waits_says_for_whom_and_gives_up(new_store: MakeStore, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="gfe_assets")
    other = new_store()
    with (
        new_store().writing("load of release 3580", 1),
        pytest.raises(GraphBusy, match="load of release 3580"),
        other.writing("load of release 3590", 0.5),
    ):
        pytest.fail("two writers at once")
    assert sum("load of release 3580" in record.getMessage() for record in caplog.records) == 1
    with other.writing("load of release 3590", 0.5), other.reader() as reader:
        assert reader.read_nodes(GFE, ["name"]).is_empty()
