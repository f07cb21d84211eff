"""One release, and several, from source to graph: what a run leaves in Dagster, in the data folder and in the graph."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from gfe_assets.errors import ReleaseNotFound
from gfe_assets.graph.compare import same_graph
from gfe_assets.graph.open import open_store
from gfe_assets.hla.checks import CHECK_DESCRIPTIONS
from gfe_assets.progress import silent
from gfe_assets.simulate import SimulatedDatabase
from gfe_assets.stages import raw, validate
from gfe_assets.stages.load import load_release, loadable
from gfe_assets_tests.sites import Site, entries, flat_file

PROJECT = Path(__file__).parents[1]
KIR_EXONS = range(1, 10)


def differences(one: Site, other: Site) -> list[str]:
    with open_store(one.settings).reader() as first, open_store(other.settings).reader() as second:
        return same_graph(first, second)


def changes(outcome) -> dict[str, int]:
    """What the load of a run changed in the graph."""
    kinds = ("_inserted", "_updated", "_deleted")
    return {name: number for name, number in outcome.counts.items() if name.endswith(kinds) and number}


def kir_entry(number: int, allele: str, seed: int) -> str:
    """A short entry in the layout of the official KIR.dat; exon 3 of KIR2DL1 is a pseudoexon, so it is not in the CDS."""
    database = SimulatedDatabase.create(1, seed=seed, loci=("HLA-A",), scale=0.1, outside=0, deleted=0)
    bases = "".join(feature.sequence for feature in database.alleles[0].features())
    parts, start = [("UTR", 1, 20, 0)], 21
    for exon in KIR_EXONS:
        for key, length in (("exon", 30), ("intron", 12)) if exon < 9 else (("exon", 30),):
            parts.append((key, start, start + length - 1, exon))
            start += length
    parts.append(("UTR", start, start + 24, 0))
    end = start + 24
    sequence = (bases * 2)[:end].lower()
    coding = [f"{begin}..{stop}" for key, begin, stop, rank in parts if key == "exon" and rank != 3]
    table = []
    for key, begin, stop, rank in parts:
        table.append(f"FT   {key:<16}{begin}..{stop}")
        table += [f'FT                   /number="{rank}"'] if rank else []
        table += ["FT                   /pseudo"] if (key, rank) == ("exon", 3) else []
    rows = []
    for at in range(0, end, 60):
        blocks = " ".join(sequence[block : block + 10] for block in range(at, min(at + 60, end), 10))
        rows.append(f"     {blocks:<65}{min(at + 60, end):>10}")
    return "\n".join(
        [
            f"ID   KIR{number:05}; SV 1; standard; DNA; HUM; {end} BP.",
            "XX",
            f"AC   KIR{number:05};",
            "XX",
            f"SV   KIR{number:05}.1",
            "XX",
            f"DE   {allele}, Human Killer-cell Immunoglobulin-like Receptor",
            "XX",
            "CC   IPD-KIR Release Version 2.10.0",
            "XX",
            "FH   Key             Location/Qualifiers",
            "FH",
            f"FT   source          1..{end}",
            f"FT   CDS             join({','.join(coding[:4])},",
            f"FT                   {','.join(coding[4:])})",
            "FT                   /codon_start=1",
            f'FT                   /allele="{allele}"',
            'FT                   /translation="MSLLVV"',
            *table,
            f"SQ   Sequence {end} BP;",
            *rows,
            "//",
            "",
        ]
    )


def test_a_run_ends_in_load_success_and_says_so_in_its_tags(loaded):
    [state] = loaded.states()
    with loaded.instance() as instance:
        run = instance.get_run_by_id(state.run_id)
    assert run.status is dg.DagsterRunStatus.SUCCESS
    commit = (loaded.source / "3580" / "commit.json").read_text().split('"sha": "')[1][:40]
    expected = {"gfe/release": "3580", "gfe/commit_sha": commit, "gfe/status": "LOAD_SUCCESS", "dagster/partition": "3580"}
    assert expected.items() <= run.tags.items()
    assert (state.release, state.commit_sha, state.status.value) == ("3580", commit, "LOAD_SUCCESS")


def test_every_declared_check_is_evaluated_and_passes(loaded):
    [outcome] = loaded.run("3590", align=True)
    declared = {*raw.CHECKS, *CHECK_DESCRIPTIONS, *validate.CHECKS}
    assert outcome.checks == dict.fromkeys(declared, True)
    assert outcome.seconds.keys() == {"raw", "build", "load", "validate"}


def test_the_graph_holds_every_allele_of_the_flat_file_with_its_groups(loaded):
    alleles = {
        allele.name for allele in Site.database.alleles if not allele.deleted and allele.gene.locus in Site.database.loci
    }
    rows = loaded.ask("MATCH (a:IPD_Allele)<-[e:HAS_IPD_ALLELE]-(:GFE) RETURN a.name, e.releases, a.lgx")
    assert {name for name, _, _ in rows} == alleles
    assert all(releases == ["3580"] and lgx for _, releases, lgx in rows)


def test_the_same_release_again_changes_nothing_in_the_graph(loaded):
    before = loaded.graph_digest()
    [outcome] = loaded.run("3580")
    assert outcome.status.value == "LOAD_SUCCESS"
    assert changes(outcome) == {}
    assert loaded.graph_digest() == before


def test_releases_run_oldest_first_each_once_whatever_the_order_and_spelling(site):
    for release in ("390", "3100", "31000"):
        site.publish(release)
    outcomes = site.run("31000", "3.9.0", "3100", "390", job="build_job")
    assert [outcome.release for outcome in outcomes] == ["390", "3100", "31000"]
    assert [state.release for state in site.states()] == ["390", "3100", "31000"]


def test_nothing_is_run_when_one_of_the_releases_is_not_there(loaded):
    with pytest.raises(ReleaseNotFound, match="3600"):
        loaded.run("3590", "3600")
    assert [state.release for state in loaded.states()] == ["3580"]


def test_a_release_that_fails_does_not_stop_the_next(loaded):
    loaded.publish("3600")
    loaded.edit("3590", lambda _: "")
    outcomes = loaded.run("3590", "3600", job="build_job")
    assert [outcome.status.value for outcome in outcomes] == ["EXECUTION_FAILED", "LOAD_SKIPPED"]


def test_skip_load_builds_and_leaves_the_graph_alone(loaded):
    before = loaded.graph_digest()
    [outcome] = loaded.run("3590", job="build_job")
    assert outcome.status.value == "LOAD_SKIPPED"
    assert loaded.csv("3590").is_file()
    assert loaded.graph_digest() == before


def test_a_limited_build_has_the_first_alleles_of_the_file(loaded):
    [outcome] = loaded.run("3590", job="build_job", limit=7)
    names = [line[5:].split(",")[0] for line in flat_file(loaded.source / "3590").splitlines() if line.startswith("DE   ")]
    wanted = [name for name in names if name.split("*")[0] in Site.database.loci]
    built = pl.read_csv(loaded.csv("3590"))["hla_name"].to_list()
    assert built == wanted[:7]
    assert outcome.counts["alleles"] == 7


def test_a_limited_build_is_not_loaded_over_a_whole_one(loaded):
    before = loaded.graph_digest()
    [outcome] = loaded.run("3580", limit=5)
    assert outcome.status.value == "LOAD_FAILED"
    assert "3580" in outcome.reason
    assert "limit" in outcome.reason
    assert loaded.graph_digest() == before


def test_alignments_are_written_only_when_asked_for(loaded):
    loaded.publish("3590", align=True)
    loaded.run("3590", job="build_job")
    assert not loaded.csv("3590", "all_alignments").exists()
    [outcome] = loaded.run("3590", job="build_job", align=True)
    labels = pl.read_csv(loaded.csv("3590", "all_alignments"))["label"].unique().to_list()
    assert sorted(labels) == ["GEN_ALIGN", "NUC_ALIGN", "PROT_ALIGN"]
    assert outcome.counts["all_alignments"] > 0


def test_kir_entries_are_built_when_asked_for(loaded):
    kir = [kir_entry(1, "KIR2DL1*0010101", 3), kir_entry(2, "KIR3DP1*001", 4)]
    (loaded.source / "3590" / "KIR.dat").write_text("".join(kir))
    [outcome] = loaded.run("3590", kir=True)
    assert outcome.status.value == "LOAD_SUCCESS", outcome.reason
    built = pl.read_csv(loaded.csv("3590")).filter(pl.col("locus").str.starts_with("KIR"))
    assert built["hla_name"].to_list() == ["KIR2DL1*0010101", "KIR3DP1*001"]
    # 5'UTR, exons and introns 1 to 9, 3'UTR: 20 positions, the first allele of each gene has 1 where it has a feature
    name = "w" + "-".join([*["1"] * 18, "0", "1"])
    assert built["gfe_name"].to_list() == [f"KIR2DL1{name}", f"KIR3DP1{name}"]
    assert loaded.ask("MATCH (a:IPD_Allele) WHERE a.gene STARTS WITH 'KIR' RETURN a.name ORDER BY a.name") == [
        ["KIR2DL1*0010101"],
        ["KIR3DP1*001"],
    ]


def test_kir_without_a_kir_file_fails_with_what_to_do_even_if_the_release_is_pinned(loaded):
    loaded.run("3590", job="build_job")
    [outcome] = loaded.run("3590", job="build_job", kir=True)
    assert outcome.status.value == "EXECUTION_FAILED"
    assert "has no KIR.dat" in outcome.reason


def test_alignments_asked_for_later_of_a_release_without_any_are_none(loaded):
    loaded.run("3590", job="build_job")
    [outcome] = loaded.run("3590", job="build_job", align=True)
    assert outcome.status.value == "LOAD_SKIPPED", outcome.reason
    assert outcome.counts["all_alignments"] == 0


def reused(site: Site, run_id: str) -> bool:
    with site.instance() as instance:
        [record] = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION).records[1:2]
    return record.asset_materialization.metadata["reused"].value


def test_an_existing_build_is_used_when_content_and_parameters_are_the_same(loaded):
    before = loaded.csv("3580").stat().st_mtime_ns
    [outcome] = loaded.run("3580", job="build_job", use_existing_build=True)
    assert reused(loaded, outcome.run_id)
    assert loaded.csv("3580").stat().st_mtime_ns == before


@pytest.mark.parametrize("change", ["parameters", "loci", "content"])
def test_an_existing_build_of_something_else_is_built_again(loaded, change):
    before = loaded.csv("3580").stat().st_mtime_ns
    if change == "loci":
        loaded.changed["loci"] = "HLA-A,HLA-B"
    if change == "content":
        loaded.publish("3580", Site.database.evolve(seed=3, new=1, renamed=0, resequenced=0, deleted=0))
    limit = {"limit": 9} if change == "parameters" else {}
    [outcome] = loaded.run("3580", job="build_job", use_existing_build=True, **limit)
    assert not reused(loaded, outcome.run_id)
    assert loaded.csv("3580").stat().st_mtime_ns != before


def test_a_build_that_fails_a_blocking_check_is_never_loaded(loaded):
    first = entries(flat_file(loaded.source / "3590"))[0]
    loaded.edit("3590", lambda text: text + first)
    before = loaded.graph_digest()
    [outcome] = loaded.run("3590")
    assert (outcome.status.value, outcome.checks["error_tolerance"]) == ("BUILD_FAILED", False)
    [outcome] = loaded.run("3590", job="load_job")
    assert outcome.status.value == "LOAD_FAILED"
    assert "error_tolerance" in outcome.reason
    assert loaded.graph_digest() == before


def test_load_job_loads_what_build_job_has_built(loaded):
    loaded.run("3590", job="build_job")
    [outcome] = loaded.run("3590", job="load_job")
    assert outcome.status.value == "LOAD_SUCCESS"
    assert loaded.status("3590") == "LOAD_SUCCESS"
    assert loaded.ask("MATCH (r:Release) RETURN r.name ORDER BY r.name") == [["3580"], ["3590"]]


def test_load_job_without_a_build_says_what_to_do(loaded):
    [outcome] = loaded.run("3590", job="load_job")
    assert outcome.status.value == "LOAD_FAILED"
    assert "3590" in outcome.reason
    assert "build" in outcome.reason


def test_an_outdated_md5_list_is_a_warning_that_stops_nothing(loaded):
    loaded.edit("3590", lambda text: text)
    listed = loaded.source / "3590" / "md5checksum.txt"
    listed.write_text(f"MD5 (hla.dat) = {'0' * 32}\n")
    [outcome] = loaded.run("3590", job="build_job")
    assert (outcome.status.value, outcome.checks["md5_list"]) == ("LOAD_SKIPPED", False)


def test_an_entry_without_its_end_stops_the_run_whatever_is_tolerated(loaded):
    loaded.changed["error_tolerance"] = 5
    loaded.edit("3590", lambda text: text.replace("\n//\n", "\n", 1))
    before = loaded.graph_digest()
    [outcome] = loaded.run("3590")
    assert (outcome.status.value, outcome.checks["record_count"]) == ("EXECUTION_FAILED", False)
    assert "entries begin but" in outcome.reason
    assert loaded.graph_digest() == before


def test_a_commit_with_far_fewer_entries_than_the_one_before_is_loaded_with_a_warning(loaded):
    loaded.run("3590")
    loaded.edit("3590", lambda text: "".join(entries(text)[: len(entries(text)) // 2]))
    [outcome] = loaded.run("3590")
    assert (outcome.status.value, outcome.checks["record_count"]) == ("LOAD_SUCCESS", False)
    assert all(passed for name, passed in outcome.checks.items() if name != "record_count")


def test_bad_entries_within_the_tolerance_are_left_out_and_reported(loaded):
    loaded.changed["error_tolerance"] = 1
    first = entries(flat_file(loaded.source / "3590"))[0]
    loaded.edit("3590", lambda text: text + first)
    [outcome] = loaded.run("3590", job="build_job")
    assert (outcome.status.value, outcome.counts["errors"]) == ("LOAD_SKIPPED", 1)
    [error] = (loaded.csv("3590").parent / "errors.3590.ndjson").read_text().splitlines()
    assert '"file": "hla.dat"' in error


def build_and_load(site: Site, *releases: str) -> None:
    """What a run does up to the load, without what Dagster and the report add."""
    site.run(*releases, job="build_job")
    for release in releases:
        load_release(site.settings, loadable(site.settings, release), open_store(site.settings), silent)


def test_a_release_and_its_correction_give_the_graph_of_the_correction_alone(site):
    """Loading 3580, 3590, then a corrected 3580 is loading the corrected 3580, then 3590, with one registry for both."""
    first = Site.database
    second = first.evolve(seed=2, new=4, renamed=1, resequenced=2, deleted=1)
    corrected = first.evolve(seed=3, new=1, renamed=2, resequenced=2, deleted=1, removed=1)
    site.publish("3580", first)
    site.publish("3590", second)
    build_and_load(site, "3580", "3590")
    site.publish("3580", corrected)
    [outcome] = site.run("3580")
    assert changes(outcome)
    clean = Site(site.folder / "clean")
    clean.source = site.source
    clean.changed["registry_uri"] = f"sqlite:///{site.data / 'registry' / 'accessions.sqlite'}"
    build_and_load(clean, "3580", "3590")
    assert differences(site, clean) == []


@pytest.mark.slow
@pytest.mark.shared
def test_the_same_with_official_releases_of_which_one_is_corrected_by_hand(site, shared, tmp_path):
    """3210, 3220, then 3210 with an allele renamed, one changed and one deleted, is that 3210 and 3220 into an empty graph."""
    for release in ("3210", "3220"):
        (site.source / release).parent.mkdir(parents=True, exist_ok=True)
        (site.source / release).symlink_to(shared / "imgthla" / release)
    assert [outcome.status.value for outcome in site.run("3210", "3220")] == ["LOAD_SUCCESS"] * 2
    (site.source / "3210").unlink()
    folder = site.source / "3210"
    (folder / "wmda").mkdir(parents=True)
    text = flat_file(shared / "imgthla" / "3210")
    found = entries(text)
    renamed, changed, deleted = (next(n for n, e in enumerate(found) if f"DE   {name}," in e) for name in CORRECTED)
    found[renamed] = found[renamed].replace("A*01:01:02", "A*01:01:99")
    found[changed] = with_another_base(found[changed])
    del found[deleted]
    (folder / "hla.dat").write_text("".join(found), newline="\n")
    groups = (shared / "imgthla" / "3210" / "wmda" / "hla_nom_g.txt").read_text()
    (folder / "wmda" / "hla_nom_g.txt").write_text(groups.replace("01:01:02/", "01:01:99/"))
    [outcome] = site.run("3210")
    assert outcome.status.value == "LOAD_SUCCESS", outcome.reason
    clean = Site(tmp_path)
    clean.source = site.source
    clean.changed["registry_uri"] = f"sqlite:///{site.data / 'registry' / 'accessions.sqlite'}"
    assert [outcome.status.value for outcome in clean.run("3210", "3220")] == ["LOAD_SUCCESS"] * 2
    assert differences(site, clean) == []


CORRECTED = ("HLA-A*01:01:02", "HLA-B*07:02:01", "HLA-C*01:02:01")


def with_another_base(entry: str) -> str:
    """The entry with the first base of its sequence changed to another."""
    head, _, rows = entry.partition("\nSQ ")
    line, _, bases = rows.partition("\n")
    at = len(bases) - len(bases.lstrip())
    other = "a" if bases[at] != "a" else "c"
    return f"{head}\nSQ {line}\n{bases[:at]}{other}{bases[at + 1 :]}"


@pytest.mark.slow
def test_a_run_started_by_dagsters_own_command_ends_in_the_same_state(loaded):
    """`dagster job execute` with the workspace of the project, a process that knows nothing of our command line."""
    with loaded.instance() as instance:
        instance.add_dynamic_partitions("imgt_hla_release", ["3590"])
    command = [str(Path(sys.executable).with_name("dagster")), "job", "execute", "-m", "gfe_assets.definitions"]
    done = subprocess.run(
        [*command, "-j", "release_job", "--tags", '{"dagster/partition": "3590"}'],
        env=loaded.environment,
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert loaded.status("3590") == "LOAD_SUCCESS"
    own = loaded.copy_to(loaded.folder / "own")
    [outcome] = own.run("3590")
    assert changes(outcome) == {}
    with loaded.instance() as instance:
        assert instance.event_log_storage.get_concurrency_info("graph_writer").active_slot_count == 0
