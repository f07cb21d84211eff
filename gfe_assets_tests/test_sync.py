"""The difference between a graph and a release: worked examples, and any history of loads against an oracle."""

from collections.abc import Callable, Mapping

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gfe_assets.errors import GraphError
from gfe_assets.graph.desired import ReleaseGraph
from gfe_assets.graph.sync import KEPT_WITHOUT_SOURCE, plan
from gfe_assets_tests.graph_worlds import Allele, DictGraph, Version, desired, oracle

OLD, NEW = "390", "3100"


def older(known: Mapping[str, Version]) -> Callable[[str], ReleaseGraph | None]:
    return lambda release: desired(known[release]) if release in known else None


def load(graph: DictGraph, version: Version, known: dict[str, Version] | None = None) -> dict[str, int]:
    known = {} if known is None else known
    known[version.release] = version
    changes = plan(desired(version), graph, older(known))
    graph.apply(changes)
    return {name: count for name, count in changes.counts.items() if count}


def a1(gfe: str = "HLA-Aw1-1", accession: str = "HLA00001.1", **more: object) -> Allele:
    return Allele("HLA-A*01:01", accession, gfe, **more)  # type: ignore[arg-type]


A2 = Allele("HLA-A*02:01", "HLA00005.1", "HLA-Aw2-0", {"G": "HLA-A*02:01:01G", "lg": "HLA-A*02:01g", "lgx": "HLA-A*02:01"})


def test_first_load_into_an_empty_graph_inserts_everything_the_release_has() -> None:
    graph = DictGraph()
    counts = load(graph, Version(OLD, (a1(), A2)))
    assert counts == {
        "GFE.inserted": 2,
        "Sequence.inserted": 2,
        "Feature.inserted": 3,
        "IPD_Allele.inserted": 2,
        "IPD_Accession.inserted": 2,
        "Submitter.inserted": 1,
        "Release.inserted": 1,
        "HAS_IPD_ALLELE.inserted": 2,
        "HAS_IPD_ACCESSION.inserted": 2,
        "HAS_SEQUENCE.inserted": 2,
        "HAS_FEATURE.inserted": 3,
        "SUBMITTED.inserted": 2,
    }
    assert graph.nodes["IPD_Allele"]["HLA-A*01:01"] == {
        "name": "HLA-A*01:01",
        "gene": "HLA-A",
        "G": None,
        "lg": None,
        "lgx": None,
    }
    assert graph.edges["HAS_FEATURE"].keys() == {
        ("HLA-Aw1-1", "HLA-A|1|EXON|1"),
        ("HLA-Aw1-1", "HLA-A|2|EXON|1"),
        ("HLA-Aw2-0", "HLA-A|1|EXON|2"),
    }


def test_alleles_that_share_a_gfe_share_its_sequence_and_features() -> None:
    """As HLA-DRB1*15:01:01:01 to :04 do in 3.22.0."""
    graph = DictGraph()
    names = [f"HLA-DRB1*15:01:01:0{number}" for number in range(1, 5)]
    alleles = [Allele(name, f"HLA0086{number}.1", "HLA-DRB1w1-1") for number, name in enumerate(names)]
    load(graph, Version("3220", tuple(alleles)))
    assert list(graph.nodes["Sequence"]) == ["HLA-DRB1w1-1"]
    assert graph.edges["HAS_IPD_ALLELE"].keys() == {("HLA-DRB1w1-1", name) for name in names}


def test_the_same_release_again_changes_nothing_though_the_clock_went_on() -> None:
    graph = DictGraph()
    version = Version(OLD, (a1(), A2))
    load(graph, version)
    changes = plan(desired(version, loaded_at="2027-01-01T00:00:00+00:00"), graph, older({}))
    assert changes.empty
    assert set(changes.counts.values()) == {0}


def test_a_new_commit_with_the_same_content_changes_the_release_node_only() -> None:
    graph = DictGraph()
    load(graph, Version(OLD, (a1(),)))
    assert load(graph, Version(OLD, (a1(),), commit="beef")) == {"Release.updated": 1}


def test_releases_are_listed_in_release_order_not_as_strings() -> None:
    graph = DictGraph()
    for release in ("3100", "31000", "390", "400"):
        load(graph, Version(release, (a1(),)))
    assert graph.edges["HAS_IPD_ALLELE"]["HLA-Aw1-1", "HLA-A*01:01"] == {"releases": ["390", "3100", "31000", "400"]}


def test_a_renamed_allele_keeps_its_gfe_and_accession_and_the_old_name_goes() -> None:
    graph = DictGraph()
    load(graph, Version(OLD, (a1(),)))
    renamed = Allele("HLA-A*01:99", "HLA00001.1", "HLA-Aw1-1")
    assert load(graph, Version(OLD, (renamed,))) == {
        "IPD_Allele.inserted": 1,
        "IPD_Allele.deleted": 1,
        "HAS_IPD_ALLELE.inserted": 1,
        "HAS_IPD_ALLELE.deleted": 1,
        "Release.updated": 1,
    }


def test_a_resequenced_allele_leaves_no_orphans_behind() -> None:
    graph = DictGraph()
    load(graph, Version(OLD, (a1(), A2)))
    load(graph, Version(OLD, (a1("HLA-Aw1-3", "HLA00001.2"), A2)))
    assert graph.state() == oracle({OLD: Version(OLD, (a1("HLA-Aw1-3", "HLA00001.2"), A2))})
    assert "HLA-A|2|EXON|1" not in graph.nodes["Feature"]


def test_an_allele_deleted_by_a_correction_stays_in_the_other_release() -> None:
    graph = DictGraph()
    known: dict[str, Version] = {}
    for version in (Version(OLD, (a1(), A2)), Version(NEW, (a1(), A2)), Version(NEW, (A2,))):
        load(graph, version, known)
    assert graph.edges["HAS_IPD_ALLELE"]["HLA-Aw1-1", "HLA-A*01:01"] == {"releases": [OLD]}
    assert graph.state() == oracle(known)


def test_groups_come_from_the_newest_release_even_when_an_older_one_is_loaded_later() -> None:
    graph = DictGraph()
    load(graph, Version(NEW, (a1(groups={"G": "new"}),)))
    load(graph, Version(OLD, (a1(groups={"G": "old", "lg": "x"}),)))
    assert graph.nodes["IPD_Allele"]["HLA-A*01:01"]["G"] == "new"
    assert graph.nodes["IPD_Allele"]["HLA-A*01:01"]["lg"] is None


def test_a_correction_that_takes_an_allele_out_of_its_newest_release_gives_it_the_older_values_back() -> None:
    graph = DictGraph()
    known: dict[str, Version] = {}
    load(graph, Version(OLD, (a1(groups={"G": "old"}, bases="A"),)), known)
    load(graph, Version(NEW, (a1(groups={"G": "new"}, bases="CC"),)), known)
    load(graph, Version(NEW, (A2,)), known)
    assert graph.nodes["IPD_Allele"]["HLA-A*01:01"]["G"] == "old"
    assert graph.nodes["Sequence"]["HLA-Aw1-1"]["sequence"].endswith("A")


def test_values_stay_and_are_counted_when_the_older_files_are_gone() -> None:
    graph = DictGraph()
    load(graph, Version(OLD, (a1(groups={"G": "old"}),)))
    load(graph, Version(NEW, (a1(groups={"G": "new"}),)))
    counts = load(graph, Version(NEW, (A2,)))
    assert graph.nodes["IPD_Allele"]["HLA-A*01:01"]["G"] == "new"
    assert counts[KEPT_WITHOUT_SOURCE] == 2, "the allele's groups and the sequence of its GFE"


def test_values_that_a_killed_load_wrote_too_early_are_set_right_even_if_its_correction_lacks_the_allele() -> None:
    graph = DictGraph()
    known: dict[str, Version] = {}
    load(graph, Version(OLD, (a1(groups={"G": "old"}),)), known)
    load(graph, Version(NEW, (A2,)), known)
    graph.nodes["Release"][NEW]["complete"] = False
    graph.nodes["IPD_Allele"]["HLA-A*01:01"]["G"] = "of the killed load"
    load(graph, Version(NEW, (A2,)), known)
    assert graph.nodes["IPD_Allele"]["HLA-A*01:01"]["G"] == "old"


def test_submit_date_is_that_of_the_oldest_release_whatever_the_order() -> None:
    for order in ((OLD, NEW), (NEW, OLD)):
        graph = DictGraph()
        for release in order:
            load(graph, Version(release, (a1(),), commit_date=f"20{'12' if release == OLD else '13'}-07-01T00:00:00+00:00"))
        assert graph.edges["SUBMITTED"]["IPD-IMGT/HLA", "HLA-Aw1-1"] == {"submit_date": "2012-07-01"}


def test_a_limited_build_never_replaces_a_whole_release() -> None:
    graph = DictGraph()
    load(graph, Version(OLD, (a1(), A2)))
    with pytest.raises(GraphError, match=r"release 390 is in the graph whole.*without --limit, or with --skip-load"):
        plan(desired(Version(OLD, (a1(),), limit=1)), graph, older({}))


def test_a_whole_release_replaces_a_limited_one() -> None:
    graph = DictGraph()
    load(graph, Version(OLD, (a1(),), limit=1))
    load(graph, Version(OLD, (a1(), A2)))
    assert graph.state() == oracle({OLD: Version(OLD, (a1(), A2))})


def test_a_gfe_with_two_sequences_in_one_release_is_refused() -> None:
    with pytest.raises(GraphError, match=r"release 390: 1 values of gfe_name have more than one of their sequences.*HLA-Aw1-1"):
        desired(Version(OLD, (a1(bases="A"), Allele("HLA-A*01:02", "HLA00002.1", "HLA-Aw1-1", bases="C"))))


def test_a_graph_that_lists_nonsense_as_a_release_is_refused() -> None:
    graph = DictGraph()
    load(graph, Version(OLD, (a1(),)))
    graph.edges["HAS_IPD_ALLELE"]["HLA-Aw1-1", "HLA-A*01:01"]["releases"].append("Latest")
    with pytest.raises(GraphError, match="lists something that is not a release: 'Latest'"):
        plan(desired(Version(NEW, (a1(),))), graph, older({}))


def test_an_update_carries_every_property_so_that_no_old_value_is_left() -> None:
    graph = DictGraph()
    load(graph, Version(OLD, (a1(bases="A"),)))
    changes = plan(desired(Version(OLD, (a1(bases="G"),))), graph, older({}))
    update = changes.nodes["Sequence"].update
    assert update.columns == ["name", "locus", "sequence", "length", "seq_id"]
    assert update.schema["length"] == pl.Int64


GFES = ("HLA-Aw1-1", "HLA-Aw1-2", "HLA-Aw2-0")
RELEASES = ("390", "3100", "3220", "31000")


@st.composite
def versions(draw: st.DrawFn) -> Version:
    """A release of up to four alleles over three GFEs; sequences differ between releases, not inside one."""
    bases = {gfe: draw(st.sampled_from(["", "A", "C"])) for gfe in GFES}
    alleles = []
    for number in draw(st.sets(st.integers(1, 4))):
        gfe = draw(st.sampled_from(GFES))
        groups = draw(st.dictionaries(st.sampled_from(["G", "lg", "lgx"]), st.sampled_from(["x", "y"])))
        accession = f"HLA0000{number}.{draw(st.integers(1, 2))}"
        alleles.append(Allele(f"HLA-A*0{number}:01", accession, gfe, groups, bases[gfe]))
    year, commit = draw(st.integers(2010, 2012)), draw(st.sampled_from("abc"))
    return Version(draw(st.sampled_from(RELEASES)), tuple(alleles), f"{year}-01-01T00:00:00+00:00", commit)


HISTORIES = st.lists(versions(), min_size=1, max_size=7)
BROKEN_HISTORIES = st.lists(st.tuples(versions(), st.none() | st.integers(0, 40), st.integers(0, 99)), min_size=1, max_size=6)


def check_history(history: list[Version]) -> None:
    graph, known = DictGraph(), {}
    for version in history:
        load(graph, version, known)
    assert graph.state() == oracle(known)
    again = plan(desired(history[-1], loaded_at="later"), graph, older(known))
    assert again.empty


def check_broken_history(history: list[tuple[Version, int | None, int]]) -> None:
    """Each load may be killed after some of its writes, in any order that a database allows."""
    graph, known = DictGraph(), {}
    for version, crash_after, seed in history:
        known[version.release] = version
        graph.apply(plan(desired(version), graph, older(known)), crash_after, seed)
    for version in [known[name] for name, row in graph.nodes["Release"].items() if not row["complete"]]:
        load(graph, version, known)
    assert graph.state() == oracle(known)


@given(HISTORIES)
@settings(max_examples=20, deadline=None)
def test_any_history_of_loads_ends_in_the_graph_of_the_last_versions(history: list[Version]) -> None:
    check_history(history)


@given(BROKEN_HISTORIES)
@settings(max_examples=20, deadline=None)
def test_loads_killed_anywhere_are_repaired_by_the_next_load(history: list[tuple[Version, int | None, int]]) -> None:
    check_broken_history(history)


@pytest.mark.slow
@given(HISTORIES)
@settings(max_examples=100, deadline=None)
def test_many_more_histories(history: list[Version]) -> None:
    check_history(history)


@pytest.mark.slow
@given(BROKEN_HISTORIES)
@settings(max_examples=100, deadline=None)
def test_many_more_broken_histories(history: list[tuple[Version, int | None, int]]) -> None:
    check_broken_history(history)
