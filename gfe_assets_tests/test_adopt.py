"""Taking over a database of gfe-db: the report counts every shape, nothing is lost, loads end in the graph of a clean load."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import neo4j
import pytest

from gfe_assets.adoption import look
from gfe_assets.errors import GraphError
from gfe_assets.graph.adopt import adopt, examine
from gfe_assets.graph.adopt_releases import Said, accession_lists, allele_lists
from gfe_assets.graph.adopt_report import AdoptionReport
from gfe_assets.graph.adopt_steps import united
from gfe_assets.graph.compare import same_graph
from gfe_assets.graph.frames import GraphFrames, read_graph
from gfe_assets.graph.model import NODES
from gfe_assets.graph.neo4j import Neo4jStore
from gfe_assets.graph.neo4j_errors import Address
from gfe_assets.graph.open import open_store
from gfe_assets.hla.features import EXON, FeatureKey
from gfe_assets.hla.registry import Registry
from gfe_assets.progress import Progress, silent
from gfe_assets_tests import reference_graph
from gfe_assets_tests.graph_stores import load
from gfe_assets_tests.graph_worlds import Allele, Version
from gfe_assets_tests.neo4j_server import Neo4jServer, RunningServer, empty
from gfe_assets_tests.sites import Site, json_lines, kill_group, wait_until

Server = Neo4jServer | RunningServer
GFE = "HLA-Aw1-1"

# the rule for lists of releases, by hand


@pytest.mark.parametrize(
    ("releases", "expected"),
    [
        (["3420"], ["3420"]),
        (["390", "3420", "3100", "390"], ["390", "3100", "3420"]),
        (["3.42.0", "3420"], ["3420"]),
        ("3420", ["3420"]),
    ],
)
def test_lists_of_alleles_come_into_release_order_without_repeats(releases: object, expected: list[str]) -> None:
    assert allele_lists([Said(GFE, "HLA-A*01:01", releases, None)]).wanted == {(GFE, "HLA-A*01:01"): expected}


def test_edges_between_duplicate_nodes_are_one_edge_with_the_releases_of_all() -> None:
    twice = [Said(GFE, "HLA-A*01:01", ["3420"], None), Said(GFE, "HLA-A*01:01", ["3410"], None)]
    assert allele_lists(twice).wanted == {(GFE, "HLA-A*01:01"): ["3410", "3420"]}


def test_what_is_no_release_is_named_and_an_edge_without_any_too() -> None:
    lists = allele_lists([Said(GFE, "HLA-A*01:01", ["Latest"], None), Said(GFE, "HLA-A*01:02", None, None)])
    assert lists.unreadable == [f"{GFE} → HLA-A*01:01: Latest"]
    assert lists.unknown == [(GFE, "HLA-A*01:01"), (GFE, "HLA-A*01:02")]


ACCESSIONS = {
    "the only accession of a GFE has all releases of its alleles": (
        {"A1": ["3400", "3410", "3420"]},
        {"HLA00001.1": "3.41.0"},
        {"HLA00001.1": ["3400", "3410", "3420"]},
    ),
    "also when the allele was renamed": (
        {"A1": ["3400"], "A2": ["3410", "3420"]},
        {"HLA00001.1": "3.40.0"},
        {"HLA00001.1": ["3400", "3410", "3420"]},
    ),
    "versions of one accession follow each other": (
        {"A1": ["3390", "3400", "3410", "3420"]},
        {"HLA00001.1": "3.40.0", "HLA00001.2": "3.42.0"},
        {"HLA00001.1": ["3390", "3400", "3410"], "HLA00001.2": ["3420"]},
    ),
    "where all alleles that share a GFE were there, so were all accessions; elsewhere only what is said is sure": (
        {"A1": ["3400", "3410", "3420"], "A2": ["3410", "3420"]},
        {"HLA00001.1": "3.40.0", "HLA00002.1": "3.41.0"},
        {"HLA00001.1": ["3400", "3410", "3420"], "HLA00002.1": ["3410", "3420"]},
    ),
    "an accession that came alone in a release keeps to the one it was made in": (
        {"A1": ["3400", "3410"], "A2": ["3420"]},
        {"HLA00001.1": "3.40.0", "HLA00002.1": "3.42.0"},
        {"HLA00001.1": ["3400"], "HLA00002.1": ["3420"]},
    ),
}


@pytest.mark.parametrize("case", ACCESSIONS)
def test_releases_of_accessions(case: str) -> None:
    alleles, accessions, expected = ACCESSIONS[case]
    said = [Said(GFE, name, None, release) for name, release in accessions.items()]
    lists = accession_lists(said, {(GFE, name): releases for name, releases in alleles.items()})
    assert {target: releases for (_, target), releases in lists.wanted.items()} == expected


def test_lists_that_are_ours_already_stay_whatever_the_alleles_say() -> None:
    said = [Said(GFE, "HLA00001.1", ["3400"], None), Said(GFE, "HLA00001.2", None, "3.42.0")]
    lists = accession_lists(said, {(GFE, "A1"): ["3400", "3410", "3420"]})
    assert lists.wanted == {(GFE, "HLA00001.1"): ["3400"], (GFE, "HLA00001.2"): ["3420"]}
    assert lists.changed == [(GFE, "HLA00001.2")]


def test_of_parallel_edges_the_releases_of_all_and_the_earliest_date_count() -> None:
    many = [
        {"releases": ["3420"], "note": "a", "submit_date": "2024-02-01"},
        {"releases": ["3410"], "submit_date": "2024-01-31"},
    ]
    assert united(many) == {"releases": ["3420", "3410"], "note": "a", "submit_date": "2024-01-31"}
    assert united([{"release": "3.41.0"}, {"release": "3.42.0"}]) == {"release": "3.41.0", "releases": ["3.42.0"]}


def test_of_the_embedded_graph_there_is_nothing_to_adopt(site: Site) -> None:
    report = look(site.settings)
    assert (report.needed, report.differences) == (False, ())
    done = site.cli("adopt", "--apply")
    assert (done.code, done.err) == (0, "")
    assert "nothing to adopt in the embedded graph" in done.out.lower()


# a database of gfe-db on a real server


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Two releases, built and loaded into an embedded graph as everybody does."""
    site = Site(tmp_path_factory.mktemp("clean"))
    publish(site)
    assert [outcome.status.value for outcome in site.run("3580", "3590")] == ["LOAD_SUCCESS"] * 2
    return site


def publish(site: Site) -> None:
    site.publish("3580")
    site.publish("3590", site.database.evolve(seed=2, new=4, renamed=2, resequenced=2, deleted=1))


@pytest.fixture
def server(neo4j_server: Server) -> Server:
    empty(neo4j_server, schema=True)
    return neo4j_server


@pytest.fixture
def address(server: Server) -> Address:
    return Address(server.uri, server.user, server.password, server.database)


@pytest.fixture
def session(server: Server) -> Iterator[neo4j.Session]:
    with server.driver() as driver, driver.session(database=server.database) as session:
        yield session


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with Registry(f"sqlite:///{tmp_path / 'accessions.sqlite'}") as registry:
        yield registry


@pytest.fixture
def filled(session: neo4j.Session, clean: Site) -> neo4j.Session:
    """The two releases as gfe-db leaves them: some nodes twice, the first release loaded again after the second."""
    rows = list(reference_graph.csv_rows(clean.csv("3580").parent, "gfe_sequences", "3580"))
    doubled = {row[column] for row in rows[:6] for column in ("gfe_name", "hla_name", "acc_name")}
    for release in ("3580", "3590", "3580"):
        reference_graph.fill(session, clean.csv(release).parent, release, doubled=doubled)
    return session


STRANGERS = (
    "CREATE (w:WHO {name: 'HLA-A*01:01'}) WITH w MATCH (g:GFE) "
    "WHERE EXISTS { (g)-[:HAS_IPD_ALLELE]->(a WHERE a.name = $name) } "
    "WITH w, g LIMIT 1 CREATE (g)-[:HAS_WHO {since: 2020}]->(w), (w)-[:KNOWS]->(g) SET g.note = 'mine', g:Favourite"
)


def whole(session: neo4j.Session) -> dict[str, list[str]]:
    """Everything in the database, to be compared with itself later; the lock's constraint aside."""
    asked = {
        "nodes": "MATCH (n) RETURN elementId(n), labels(n), properties(n)",
        "edges": "MATCH (a)-[r]->(b) RETURN elementId(a), elementId(b), type(r), properties(r)",
        "schema": "SHOW INDEXES YIELD name, properties, labelsOrTypes WHERE labelsOrTypes <> ['_GfeWriter'] RETURN *",
    }
    return {what: sorted(repr(record.values()) for record in session.run(statement)) for what, statement in asked.items()}


def found(report: AdoptionReport) -> dict[tuple[str, str], int]:
    return {(each.what, each.where): each.count for each in report.differences if each.action != "keep"}


def adopted(address: Address, registry: Registry) -> AdoptionReport:
    return adopt(address, registry, wait_seconds=5, progress=silent)


def unlike(here: GraphFrames, there: GraphFrames, besides: tuple[str, ...]) -> list[str]:
    """Rows that only one of two graphs has, in other labels and types than those that can only be right after loads."""
    differing = []
    for name, frame in {**here.nodes, **here.edges}.items():
        other = {**there.nodes, **there.edges}[name]
        if name not in besides:
            differing += [f"{name} {row}" for row in sorted(map(str, {*map(str, frame.rows())} ^ {*map(str, other.rows())}))]
    return differing


@pytest.mark.slow
def test_the_report_counts_every_shape_and_changes_nothing(
    filled: neo4j.Session, address: Address, registry: Registry, clean: Site
) -> None:
    before = whole(filled)
    report = examine(address, registry)
    assert whole(filled) == before
    with open_store(clean.settings).reader() as reader:
        graph = read_graph(reader)
    alleles = graph.edges["HAS_IPD_ALLELE"]
    accessions = graph.edges["HAS_IPD_ACCESSION"]
    gfes, features = len(graph.nodes["GFE"]), len(graph.nodes["Feature"])
    assert report.releases == ("3580", "3590")
    assert report.nodes["GFE"] == gfes + 6
    again = {target for target, releases in alleles.select("target", "releases").iter_rows() if "3580" in releases}
    doubled = found(report)
    assert found(report) == {
        ("duplicate_nodes", "GFE"): 6,
        ("duplicate_nodes", "IPD_Allele"): 6,
        ("duplicate_nodes", "IPD_Accession"): 6,
        ("wrong_type", "Sequence.length"): gfes,
        ("wrong_type", "Feature.rank"): features,
        ("wrong_type", "Feature.accession"): features,
        ("missing_value", "Feature.fid"): features,
        ("missing_value", "Sequence.seq_id"): gfes,
        ("wrong_type", "SUBMITTED.submit_date"): gfes + 6,
        ("submitter", "Submitter"): 1,
        ("wrong_constraint", "constraints"): 2,
        ("missing_constraint", "constraints"): len(NODES),
        ("missing_index", "indexes"): 3,
        ("release_lists", "HAS_IPD_ALLELE.releases"): len(again),
        ("release_lists", "HAS_IPD_ACCESSION.releases"): len(accessions),
        ("missing_release", "Release"): 2,
        ("missing_accession", "registry"): features,
        **{key: doubled[key] for key in doubled if key[0] == "sequence_of_another_gfe"},
    }
    assert registry.authority() == ""


@pytest.mark.slow
def test_after_adoption_the_graph_is_ours_and_loads_end_in_the_graph_of_a_clean_load(
    filled: neo4j.Session, server: Server, site: Site, clean: Site
) -> None:
    name = next(reference_graph.csv_rows(clean.csv("3580").parent, "gfe_sequences", "3580"))["hla_name"]
    filled.run(STRANGERS, name=name).consume()
    publish(site)
    site.changed = {"graph_uri": server.uri, "graph_user": server.user, "graph_password": server.password}
    assert site.run("3580")[0].reason.endswith("or name an empty database in GFE_GRAPH_DATABASE")
    shutil.rmtree(site.data)  # a registry that has numbered already, which an adopting deployment's has not
    done = site.cli("adopt", "--apply", "--json")
    assert done.code == 0, done.err
    [report] = json_lines(done.out.replace("\n", ""))
    assert (report["applied"], report["releases"]) == (True, ["3580", "3590"])

    with open_store(site.settings).reader() as ours, open_store(clean.settings).reader() as theirs:
        adopted_graph, clean_graph = read_graph(ours, bulky=True), read_graph(theirs, bulky=True)
    assert unlike(adopted_graph, clean_graph, ("IPD_Allele", "Release", "SUBMITTED")) == []
    assert filled.run("MATCH (r:Release) RETURN r.name, r.version, r.complete ORDER BY r.name").values() == [
        ["3580", "3.58.0", False],
        ["3590", "3.59.0", False],
    ]
    assert filled.run("MATCH (g:Favourite)-[r:HAS_WHO]->(w:WHO)-[:KNOWS]->(g) RETURN g.note, r.since").values() == [
        ["mine", 2020]
    ]
    assert filled.run("SHOW CONSTRAINTS YIELD name WHERE name = 'who_constraint' RETURN count(*)").single(strict=True)[0] == 1

    assert "nothing to adopt" in site.cli("adopt").out.lower()
    assert [outcome.status.value for outcome in site.run("3590", "3580")] == ["LOAD_SUCCESS"] * 2
    with open_store(site.settings).reader() as ours, open_store(clean.settings).reader() as theirs:
        assert same_graph(ours, theirs) == []
    assert "nothing to adopt" in site.cli("adopt").out.lower()


class Killed(Exception):
    """The process is no more."""


def dying_after(batches: int) -> Progress:
    """A listener that ends the work when it hears of so many batches."""
    left = iter(range(batches - 1))

    def listener(*_: object) -> None:
        if next(left, None) is None:
            raise Killed

    return listener


@pytest.mark.slow
@pytest.mark.usefixtures("filled")
def test_an_adoption_that_dies_after_any_batch_is_finished_by_the_next(
    server: Server, address: Address, registry: Registry, clean: Site
) -> None:
    for batches in (1, 4, 6, 9, 3):
        with pytest.raises(Killed):
            adopt(address, registry, wait_seconds=5, progress=dying_after(batches))
        with pytest.raises(GraphError, match="gfe-assets adopt"), new_store(server).reader():
            pass
    adopted(address, registry)
    with new_store(server).reader() as ours, open_store(clean.settings).reader() as theirs:
        here, there = read_graph(ours, bulky=True), read_graph(theirs, bulky=True)
    assert unlike(here, there, ("IPD_Allele", "Release", "SUBMITTED")) == []
    assert not examine(address, registry).needed


@pytest.mark.slow
def test_sigkill_in_the_middle_and_the_same_command_again(
    filled: neo4j.Session, server: Server, site: Site, address: Address
) -> None:
    site.changed = {"graph_uri": server.uri, "graph_user": server.user, "graph_password": server.password}
    with site.started("adopt", "--apply") as process:
        gone = "SHOW CONSTRAINTS YIELD name WHERE name = 'gfe_constraint' RETURN count(*)"
        wait_until(lambda: filled.run(gone).single(strict=True)[0] == 0, process)
        kill_group(process)
    assert filled.run("MATCH (r:Release) RETURN count(r)").single(strict=True)[0] == 0
    assert site.cli("adopt", "--apply").code == 0
    assert not examine(address, None).needed


def new_store(server: Server) -> Neo4jStore:
    return Neo4jStore(server.uri, server.user, server.password, server.database)


REFUSED = {
    "CREATE (:X:GFE {gfe_name: 'HLA-Aw1'})": "unkeyed_nodes (GFE: 1",
    "CREATE (:X:Feature {locus: 'HLA-A', term: 'EXON', rank: 'two', accession: '1'})": "unkeyed_nodes (Feature: 1",
    "MATCH ()-[r:HAS_IPD_ALLELE]->() WITH r LIMIT 1 SET r.releases = ['Latest']": "Latest): a release is written 3580",
    "MATCH ()-[r:HAS_IPD_ALLELE]->() WITH r SKIP 1 LIMIT 1 REMOVE r.releases": "no release is named",
    "MATCH (g:GFE) WITH g LIMIT 1 CREATE (:Submitter {name: 'Lab 7'})-[:SUBMITTED]->(g)": "Lab 7 with 1 GFEs",
    "MATCH (f:Feature {rank: '1'}) WITH f LIMIT 1 CREATE (g:Feature) SET g = f SET g.sequence = 'ACGT'": "two sequences",
    "MATCH (g:GFE) WITH g LIMIT 1 SET g.locus = ['HLA-A']": "cannot become STRING",
    "MATCH (g:GFE) WHERE g.name <> '' WITH g LIMIT 1 CREATE (h:GFE) SET h = g SET g.note = 1, h.note = 2": "note): merging",
}
"""Damage → what is said of it."""


@pytest.mark.slow
def test_what_a_load_would_lose_or_nobody_can_decide_is_refused_all_at_once_before_anything_is_changed(
    session: neo4j.Session, server: Server, address: Address, registry: Registry, clean: Site, site: Site
) -> None:
    reference_graph.fill(session, clean.csv("3580").parent, "3580")
    for damage in REFUSED:
        session.run(damage).consume()  # type: ignore[arg-type]
    before = whole(session)
    with pytest.raises(GraphError, match="is not adopted, and not changed") as refused:
        adopted(address, registry)
    assert [said for said in REFUSED.values() if said not in str(refused.value)] == []
    site.changed = {"graph_uri": server.uri, "graph_user": server.user, "graph_password": server.password}
    shown, tried = site.cli("adopt"), site.cli("adopt", "--apply")
    assert (shown.code, tried.code) == (1, 1)
    assert "cannot be adopted while it has: unkeyed_nodes" in shown.err
    assert tried.err.startswith("gfe-assets: database 'neo4j' on bolt://")
    assert whole(session) == before


@pytest.mark.slow
def test_numbers_that_contradict_each_other_or_the_registry_are_refused_and_nothing_is_taken_over(
    session: neo4j.Session, address: Address, registry: Registry, clean: Site
) -> None:
    registry.allocate([(FeatureKey("HLA-A", EXON, 1), "ACGTACGT")])
    reference_graph.fill(session, clean.csv("3580").parent, "3580")
    with pytest.raises(GraphError, match="HLA-A EXON 1: accession 1 has another sequence in the registry"):
        adopted(address, registry)
    twice = "MATCH (f:Feature {locus: 'HLA-A', term: 'EXON', rank: '2'}) WITH f LIMIT 1 "
    session.run(f"{twice} CREATE (g:Feature) SET g = f SET g.accession = '999999'").consume()  # type: ignore[arg-type]
    [clash] = [each for each in examine(address, registry).of("refuse") if each.what == "accession_contradicts"]
    assert any("HLA-A EXON 2" in example and "999999" in example for example in clash.examples)
    assert registry.compare([]).extra == 1


@pytest.mark.slow
def test_duplicates_are_merged_with_all_they_have(session: neo4j.Session, address: Address, registry: Registry) -> None:
    session.run(
        "CREATE (a:GFE {name: 'HLA-Aw1', locus: 'HLA-A', extra: 1}), (b:GFE:Mine {name: 'HLA-Aw1', other: 2}), "
        "(x:IPD_Allele {name: 'HLA-A*01:01', gene: 'HLA-A', G: 'old'}), "
        "(y:IPD_Allele {name: 'HLA-A*01:01', G: 'new', lg: 'g'}), "
        "(q:Sequence {name: 'HLA-Aw1', locus: 'HLA-A', sequence: 'ACGT', length: '4'}), (s:Submitter {name: 'IPD-IMGT'}), "
        "(t:Submitter {name: 'IPD-IMGT/HLA', email: 'old@example.org'}), (o:Other), "
        "(a)-[:HAS_IPD_ALLELE {releases: ['3420']}]->(x), (b)-[:HAS_IPD_ALLELE {releases: ['3100', '390']}]->(x), "
        "(a)-[:HAS_IPD_ALLELE {releases: ['3420', '3410']}]->(y), (a)-[:HAS_SEQUENCE]->(q), (b)-[:HAS_SEQUENCE]->(q), "
        "(s)-[:SUBMITTED {submit_date: date('2020-02-02')}]->(a), (t)-[:SUBMITTED {submit_date: '2019-01-01'}]->(b), "
        "(b)-[:TOLD {times: 3}]->(o), (o)-[:HEARD]->(b), (b)-[:SELF]->(b)"
    ).consume()
    report = examine(address, registry)
    assert [each.examples for each in report.of("change") if each.what == "conflicting_values"] == [("HLA-A*01:01",)]
    adopted(address, registry)

    def one(statement: str) -> Any:
        [record] = session.run(statement).values()  # type: ignore[arg-type]
        return record

    assert one("MATCH (g:GFE) RETURN g.name, g.locus, g.extra, g.other, labels(g)") == [
        "HLA-Aw1",
        "HLA-A",
        1,
        2,
        ["GFE", "Mine"],
    ]
    assert one("MATCH (a:IPD_Allele) RETURN a.gene, a.G, a.lg") == ["HLA-A", "old", "g"]
    assert one("MATCH (:GFE)-[r:HAS_IPD_ALLELE]->() RETURN r.releases") == [["390", "3100", "3410", "3420"]]
    assert one("MATCH (s:Submitter)-[r:SUBMITTED]->() RETURN s.name, s.email, r.submit_date") == [
        "IPD-IMGT/HLA",
        "hla@alleles.org",
        "2019-01-01",
    ]
    assert one("MATCH (g:GFE)-[r:TOLD]->(o:Other)-[:HEARD]->(g) MATCH (g)-[:SELF]->(g) RETURN r.times") == [3]
    assert one("MATCH (q:Sequence) RETURN q.length, size(q.seq_id)") == [4, 32]
    assert set(one("MATCH (r:Release) RETURN collect(r.name)")[0]) == {"390", "3100", "3410", "3420"}


@pytest.mark.slow
def test_an_empty_database_and_one_of_ours_have_nothing_to_adopt(server: Server, address: Address, registry: Registry) -> None:
    assert not examine(address, registry).needed
    load(new_store(server), Version("3100", (Allele("HLA-A*01:01", "HLA00001.1", "HLA-Aw1-1"),)))
    report = examine(address, None)
    assert (report.needed, report.differences, report.releases) == (False, (), ("3100",))
    assert not adopt(address, None, wait_seconds=5, progress=silent).applied
