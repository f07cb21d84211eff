"""`gfe-assets demo`: three simulated releases and a correction, from nothing to answers.

In: what the demo does and shows, and the settings of its own deployment (a folder `demo` in the data folder). Out: the
simulated data (`simulate/`), running (`runs.py`), printing (`console.py`).
"""

import os
import shutil
from pathlib import Path

import polars as pl

from gfe_assets import console
from gfe_assets.graph.open import open_store
from gfe_assets.graph.queries import EXAMPLES, filled_in
from gfe_assets.hla.changes import release_changes
from gfe_assets.hla.csvs import read_csv
from gfe_assets.runs import RunOutcome, run_releases
from gfe_assets.settings import Settings
from gfe_assets.simulate import LABEL, correct_demo, demo_releases
from gfe_assets.stages.build import csv_folder
from gfe_assets.state import Status

_PARAMETERS = {"align": True}


def demo_settings(settings: Settings) -> Settings:
    """A deployment of its own, without the user's settings: no graph, registry or data is touched, and nobody is alerted."""
    folder = settings.data_folder / "demo"
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    return Settings.load(**{**defaults, "source_uri": (folder / "source").as_uri(), "data_uri": str(folder)})


def prepare_source(settings: Settings) -> None:
    """Write the simulated repository of the demo, unless it is there."""
    source = settings.data_folder / "source"
    if not source.is_dir():
        demo_releases(source)


def run(user_settings: Settings) -> bool:
    """Run the demo from scratch; whether every release ended in LOAD_SUCCESS."""
    settings = demo_settings(user_settings)
    shutil.rmtree(settings.data_folder, ignore_errors=True)
    os.environ["DAGSTER_HOME"] = str(settings.data_folder / "dagster")
    say = console.out.print
    say(f"[bold]1. Three releases[/bold] ({LABEL}) in {_shown(settings.data_folder / 'source')}")
    prepare_source(settings)
    first = _run(settings, ["3580", "3590", "3600"])
    if not _all_loaded(first):
        return False
    before = _sequences(settings, "3590")
    say("\n[bold]2. A commit corrects 3.59.0[/bold] after 3.60.0 is out; the graph takes back what was wrong")
    correct_demo(settings.data_folder / "source")
    second = _run(settings, ["3590"])
    if not _all_loaded(second):
        return False
    outcomes = {outcome.release: outcome for outcome in (*first, *second)}
    say("\n[bold]3. Where every release stands[/bold]")
    _print_outcomes(outcomes)
    say("\n[bold]4. What changed[/bold]")
    _print_changes(before, *(_sequences(settings, name) for name in ("3580", "3590", "3600")))
    say("\n[bold]5. Three questions to the graph[/bold]")
    _print_answers(settings)
    _print_next(settings)
    return True


def _all_loaded(outcomes: list[RunOutcome]) -> bool:
    return all(outcome.status is Status.LOAD_SUCCESS for outcome in outcomes)


def _run(settings: Settings, releases: list[str]) -> list[RunOutcome]:
    with console.progress() as listener:
        return run_releases(
            settings, releases, listener, job="release_job", parameters=_PARAMETERS, ended=console.print_outcome
        )


def _print_outcomes(outcomes: dict[str, RunOutcome]) -> None:
    columns = ["release", "commit", "alleles", "GFEs", "features", "checks passed", "status"]
    rows = [
        (
            outcome.release,
            outcome.commit_sha[:10],
            outcome.counts.get("alleles", 0),
            outcome.counts.get("gfes", 0),
            outcome.counts.get("features", 0),
            f"{sum(outcome.checks.values())} of {len(outcome.checks)}",
            console.coloured(outcome.status.value),
        )
        for outcome in sorted(outcomes.values(), key=lambda outcome: outcome.release)
    ]
    console.print_rows(columns, rows)


def _sequences(settings: Settings, release: str) -> pl.DataFrame:
    return read_csv(csv_folder(settings, release), "gfe_sequences", release)


def _print_changes(uncorrected: pl.DataFrame, first: pl.DataFrame, second: pl.DataFrame, third: pl.DataFrame) -> None:
    compared = {
        "3580 → 3590": release_changes(first, second),
        "3590 → 3600": release_changes(second, third),
        "3590 → its correction": release_changes(uncorrected, second),
    }
    counts = {name: changes.counts for name, changes in compared.items()}
    columns = list(next(iter(counts.values())))
    console.print_rows(["", *(column.replace("_", " ") for column in columns)], [(n, *c.values()) for n, c in counts.items()])


def _print_answers(settings: Settings) -> None:
    """Ask about a renamed or new allele of 3600, so that the answers show time passing."""
    with open_store(settings).reader() as reader:
        new = reader.query(EXAMPLES["new_alleles"].statement, {"release": "3600", "earlier": "3590"}).rows[0]
        asked = [
            ("new_alleles", {"release": "3600", "earlier": "3590"}),
            ("gfe_of_allele", {"allele": new[0]}),
            ("features_of_gfe", {"gfe": new[1]}),
        ]
        for name, values in asked:
            example = EXAMPLES[name]
            result = reader.query(example.statement, values)
            console.out.print(f"\n{example.question}", markup=False)
            console.out.print(f'  gfe-assets query "{filled_in(example, **values)}"', markup=False, style="dim")
            rows = [[_short(cell) for cell in row] for row in result.rows]
            console.print_rows(result.columns, rows[:5])
            if len(rows) > 5:
                console.out.print(f"  … and {len(rows) - 5} more")


def _print_next(settings: Settings) -> None:
    console.out.print(
        "\n[bold]Where to go next[/bold]\n"
        f"  CSV files   {_shown(settings.data_folder / 'data')}/RELEASE/csv\n"
        "  the UI      make ui   (or: gfe-assets ui)\n"
        "  real data   GFE_SOURCE_URI=github://ANHIG/IMGTHLA gfe-assets run 3580\n"
        "  the queries above want the demo's graph: "
        f"GFE_DATA_URI={_shown(settings.data_folder)} gfe-assets query '…'"
    )


def _short(cell: object) -> object:
    return f"{cell[:24]}… ({len(cell):,} bases)" if isinstance(cell, str) and len(cell) > 60 else cell


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
