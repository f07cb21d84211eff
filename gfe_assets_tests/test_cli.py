"""The command line as people and programs meet it: real processes, their exit codes, what they print and where."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gfe_assets import __version__
from gfe_assets.state import Status
from gfe_assets_tests.sites import PROGRAM, Ran, json_lines

COMMANDS = ("run", "demo", "ui", "status", "sync", "query", "accessions")


def complaint(ran: Ran, code: int) -> str:
    """The one line that a command which failed has on standard error, without the name of the program."""
    assert ran.code == code, (ran.code, ran.out, ran.err)
    [line] = ran.err.splitlines()
    assert line.startswith("gfe-assets: ")
    return line.removeprefix("gfe-assets: ")


def alone(*arguments: str, cwd: Path, **environment: str) -> Ran:
    """Run the program without any setting."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GFE_", "DAGSTER_"))}
    done = subprocess.run(
        [str(PROGRAM), *arguments],
        env={**kept, "NO_COLOR": "1", **environment},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def _named(value: object) -> str:
    """How a parameter is called in the name of a test: what is typed, or the setting."""
    return "" if isinstance(value, str) else " ".join(value)


# help and version


def test_help_lists_every_command_and_leaves_nothing_behind(tmp_path):
    ran = alone("--help", cwd=tmp_path)
    assert ran.code == 0
    assert all(f" {command} " in ran.out for command in COMMANDS)
    assert list(tmp_path.iterdir()) == []


def test_help_does_not_import_what_takes_long():
    code = (
        "import sys\nfrom gfe_assets.cli import app\n"
        "assert app(['run', '--help'], standalone_mode=False) == 0\n"
        "heavy = {'dagster', 'polars', 'ladybug', 'Bio', 'matplotlib', 'sqlalchemy', 'neo4j', 'pyarrow', 'requests'}\n"
        "print('imported:', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "imported: []"


def test_version_is_that_of_the_package(tmp_path):
    assert alone("--version", cwd=tmp_path) == Ran(0, f"gfe-assets {__version__}\n", "")


def test_the_program_alone_shows_its_help(tmp_path):
    ran = alone(cwd=tmp_path)
    assert "Usage: gfe-assets" in ran.out
    assert ran.err == ""


# mistakes


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["runn"], "No such command 'runn'. Did you mean 'run'? (see gfe-assets --help)"),
        (["run"], "Missing argument 'RELEASE...' (see gfe-assets run --help)"),
        (["run", "3580", "--limt", "3"], "No such option: --limt"),
        (["run", "3580", "--limit", "-1"], "Invalid value for '--limit'"),
        (["run", "358x"], "'358x' is not an IPD-IMGT/HLA release: write it as a branch name such as 3580 or a version such as"),
    ],
    ids=_named,
)
def test_a_mistyped_command_is_answered_in_one_line(tmp_path, arguments, said):
    ran = alone(*arguments, cwd=tmp_path, GFE_SOURCE_URI=tmp_path.as_uri())
    assert complaint(ran, 2).startswith(said)
    assert ran.out == ""


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"GFE_LOCI": "HLA-A,HLA-X"}, "settings cannot be used: GFE_LOCI: locus 'HLA-X' is not known; the known loci are "),
        ({"GFE_SOURCE_URI": "ftp://x"}, "settings cannot be used: GFE_SOURCE_URI: 'ftp://x' is neither github://OWNER"),
        ({"GFE_DATA_URI": "/proc/nowhere"}, "the folder /proc/nowhere/dagster for Dagster's runs cannot be used ("),
    ],
    ids=_named,
)
def test_a_wrong_setting_is_named_in_one_line(tmp_path, environment, said):
    assert complaint(alone("status", cwd=tmp_path, **environment), 2).startswith(said)


def test_a_dagster_yaml_that_dagster_does_not_understand_is_named_in_one_line(site):
    site.home.mkdir(parents=True)
    (site.home / "dagster.yaml").write_text("run_monitoring: perhaps\n")
    assert str(site.home) in complaint(site.cli("status"), 2)


def test_a_release_that_is_not_there_is_named_with_those_that_are(loaded):
    said = complaint(loaded.cli("run", "3590", "3700"), 1)
    assert said.startswith("release 3700 is not in ")
    assert said.endswith("releases there: 3580, 3590")


@pytest.mark.slow
def test_a_folder_of_releases_that_is_not_there_is_named(tmp_path):
    ran = alone("run", "3580", cwd=tmp_path, GFE_SOURCE_URI="file:///nowhere/imgthla")
    assert complaint(ran, 1) == "the folder of releases /nowhere/imgthla is not there: check GFE_SOURCE_URI"


@pytest.mark.slow
def test_a_graph_that_cannot_be_named_fails_the_run_with_the_reason(loaded):
    ran = loaded.cli("run", "3590", GFE_GRAPH_URI="ladybug://relative")
    assert "graph 'ladybug://relative' does not name a file: write it as ladybug:///folder/file" in complaint(ran, 1)


# run and status


def test_run_json_is_one_object_a_release_with_the_keys_that_programs_rely_on(loaded):
    ran = loaded.cli("run", "3590", "3580", "--skip-load", "--limit", "20", "--json")
    assert (ran.code, ran.err) == (0, "")
    outcomes = json_lines(ran.out)
    assert [outcome["release"] for outcome in outcomes] == ["3580", "3590"]
    for outcome in outcomes:
        promised = {"release", "commit_sha", "status", "counts", "checks", "seconds"}
        assert outcome.keys() == promised | {"reason", "run_id"}
        assert (outcome["status"], outcome["reason"]) == ("LOAD_SKIPPED", "")
        assert len(outcome["commit_sha"]) == 40
        assert outcome["counts"]["alleles"] == 20
        assert set(outcome["checks"].values()) == {True}
        assert outcome["seconds"].keys() == {"raw", "build"}


def test_run_prints_a_line_a_release_and_why_one_failed_on_standard_error(loaded):
    loaded.edit("3590", lambda _: "")
    ran = loaded.cli("run", "3590", "3580", "--skip-load")
    assert complaint(ran, 1).startswith("release 3590 is refused: its hla.dat is empty")
    first, second = ran.out.splitlines()
    assert first.split()[:2] == ["3580", "LOAD_SKIPPED"]
    assert "60 alleles" in first
    assert second.split() == ["3590", "EXECUTION_FAILED"]


def test_status_shows_every_release_in_release_order_for_people_and_for_programs(loaded):
    loaded.publish("31000")
    loaded.edit("3590", lambda _: "")
    loaded.run("31000", "3590", job="build_job")
    states = json_lines(" ".join(loaded.cli("status", "--json").out.split()))[0]
    assert [(state["release"], state["status"]) for state in states] == [
        ("3580", "LOAD_SUCCESS"),
        ("3590", "EXECUTION_FAILED"),
        ("31000", "LOAD_SKIPPED"),
    ]
    assert {"commit_sha", "reason", "run_id", "created_at", "started_at", "ended_at"} <= states[0].keys()
    shown = loaded.cli("status").out
    assert shown.index("3580") < shown.index("3590") < shown.index("31000")
    assert "its hla.dat is empty" in shown
    assert {state["status"] for state in states} <= {status.value for status in Status}


def test_status_of_a_new_deployment_says_how_to_start(site):
    ran = site.cli("status")
    assert (ran.code, ran.err) == (0, "")
    assert "No release has been run yet" in ran.out
    assert "gfe-assets run RELEASE" in ran.out


# query


def test_query_answers_as_a_table_or_as_json(loaded):
    statement = "MATCH (r:Release) RETURN r.name AS release, r.complete AS complete"
    assert json_lines(loaded.cli("query", statement, "--json").out) == [[{"release": "3580", "complete": True}]]
    shown = loaded.cli("query", statement).out
    assert "release" in shown
    assert "3580" in shown


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("MATCH (n:GFE RETURN n", "the graph cannot answer this query: "),
        ("CREATE (n:GFE {name: 'x'})", "a query only reads the graph"),
        ("MATCH (n:GFE) SET n.locus = 'x'", "this query would change the graph"),
        ("", "the query is empty"),
    ],
)
def test_query_refuses_what_is_wrong_or_would_write_in_one_line(loaded, statement, said):
    before = loaded.graph_digest()
    ran = loaded.cli("query", statement)
    assert complaint(ran, 1).startswith(said)
    assert ran.out == ""
    assert loaded.graph_digest() == before


def test_query_of_a_graph_that_is_not_there_yet_finds_nothing(site):
    ran = site.cli("query", "MATCH (n:GFE) RETURN count(n) AS gfes", "--json")
    assert (ran.code, json_lines(ran.out)) == (0, [[{"gfes": 0}]])
    assert not site.data.exists()


def test_a_reader_that_wants_no_more_is_no_error(loaded):
    """`gfe-assets query … | head -1`"""
    command = f"'{PROGRAM}' query 'MATCH (f:Feature) RETURN f.fid, f.sequence' | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], env=loaded.environment, cwd=loaded.folder, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr


# accessions


def test_accessions_exported_by_one_deployment_give_another_the_same_gfe_names(loaded, tmp_path):
    file = tmp_path / "accessions.csv"
    exported = loaded.cli("accessions", "export", str(file))
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert exported.out == f"{len(rows):,} accessions written to {file}\n"
    other = loaded.copy_to(tmp_path / "other")
    (other.data / "registry" / "accessions.sqlite").unlink()
    assert other.cli("accessions", "import", str(file)).out == f"{len(rows):,} accessions imported, 0 were known\n"
    assert other.cli("accessions", "import", str(file)).out == f"0 accessions imported, {len(rows):,} were known\n"
    before = other.csv("3580").read_text()
    other.run("3580", job="build_job")
    assert other.csv("3580").read_text() == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["import", "nowhere.csv"], "accessions file nowhere.csv cannot be read: No such file or directory"),
        (["import", "wrong.csv"], "wrong.csv line 1: no column locus, term, rank, accession, sequence; "),
        (["export", "/nowhere/accessions.csv"], "accessions file /nowhere/accessions.csv cannot be written"),
    ],
    ids=_named,
)
def test_accessions_that_cannot_be_read_or_written_are_named_in_one_line(loaded, arguments, said):
    (loaded.folder / "wrong.csv").write_text("name,age\nx,3\n")
    assert complaint(loaded.cli("accessions", *arguments), 1).startswith(said)


def test_accessions_that_contradict_the_registry_are_refused_as_a_whole(loaded, tmp_path):
    file = tmp_path / "accessions.csv"
    loaded.cli("accessions", "export", str(file))
    before = file.read_text()
    rows = list(csv.DictReader(before.splitlines()))
    rows[0]["sequence"] = "ACGTACGTACGT"
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    said = complaint(loaded.cli("accessions", "import", str(file)), 1)
    assert rows[0]["locus"] in said
    loaded.cli("accessions", "export", str(file))
    assert file.read_text() == before
