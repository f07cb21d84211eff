"""How the command line looks: tables, progress bars, one line for each run.

In: printing with rich. Out: what is printed. Results go to standard output, progress and notices to standard error.
"""

import logging
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table

from gfe_assets.progress import Progress, silent
from gfe_assets.settings import Settings

if TYPE_CHECKING:  # these import dagster, which takes a second
    from gfe_assets.graph.adopt_report import AdoptionReport
    from gfe_assets.graph.backup_format import BackupManifest
    from gfe_assets.graph.restore import Restored
    from gfe_assets.runs import RunOutcome
    from gfe_assets.source.cursor import Tick
    from gfe_assets.state import ReleaseState

out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)
err = Console(stderr=True, highlight=False)
_ADOPTION = {"change": "[green]changed[/green]", "keep": "kept", "refuse": "[red]REFUSED[/red]"}
_COLOURS = {"LOAD_SUCCESS": "green", "LOAD_SKIPPED": "green", "SKIPPED": "yellow"}


def load_settings() -> Settings:
    """The settings of the environment; notices of our own modules go to standard error from now on."""
    logger = logging.getLogger("gfe_assets")
    if not logger.handlers:
        logger.addHandler(_Notices())
        logger.setLevel(logging.INFO)
    return Settings.load()


class _Notices(logging.Handler):
    """Notices as lines on standard error, above the progress bars if there are any."""

    def emit(self, record: logging.LogRecord) -> None:
        complain(record.getMessage())


def complain(message: str) -> None:
    """One line on standard error, whatever `message` looks like (a database's own words may come with lines that point)."""
    lines = (line.strip() for line in message.splitlines() if line.strip(" ^"))
    err.print(f"gfe-assets: {' '.join(lines)}", markup=False, soft_wrap=True)


@contextmanager
def progress(*, quiet: bool = False) -> Iterator[Progress]:
    """Bars on standard error, one for each thing that is counted; nothing when `quiet` or not a terminal."""
    if quiet or not err.is_terminal:
        yield silent
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=err, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def listener(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)
            if total is not None and done >= total:
                bars.remove_task(tasks.pop(what))

        yield listener


def print_outcome(outcome: "RunOutcome") -> None:
    """One line for a run that ended; why it did not go well is said on standard error."""
    stages = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in outcome.seconds.items())
    alleles = f"{outcome.counts['alleles']:,} alleles" if "alleles" in outcome.counts else ""
    out.print(f"{outcome.release}  {coloured(outcome.status.value)}  {'; '.join(part for part in (alleles, stages) if part)}")
    if outcome.reason and outcome.status.good:
        out.print(f"      {outcome.reason}", markup=False)
    _complain_of(outcome)


def print_outcome_json(outcome: "RunOutcome") -> None:
    """One JSON object on one line for a run that ended; why it did not go well is said on standard error, too."""
    sys.stdout.write(f"{outcome.model_dump_json()}\n")
    sys.stdout.flush()
    _complain_of(outcome)


def _complain_of(outcome: "RunOutcome") -> None:
    if outcome.status.bad:  # whoever interrupted a run knows why it has ended
        complain(outcome.reason)


def print_tick(found: "Tick | None") -> None:
    """The decisions of a tick that anything follows from; unmoved branches are only counted."""
    if found is None:
        out.print("The repository is unchanged since the last look.")
        return
    quiet = ("UNCHANGED", "NOT_A_RELEASE")
    rows = [(d.branch, d.outcome.value, d.reason) for d in found.decisions if d.outcome.value not in quiet]
    if rows:
        print_rows(["release", "decision", "why"], rows)
    out.print(f"{len(found.decisions)} branches, {len(rows)} with something new, {len(found.runs)} to run")


def print_states(states: Iterable["ReleaseState"]) -> None:
    """The execution state as a table."""
    rows = [
        (
            state.release,
            state.commit_sha[:10],
            coloured(state.status.value),
            state.ended_at.strftime("%Y-%m-%d %H:%M") if state.ended_at else "",
            state.reason,
        )
        for state in states
    ]
    if not rows:
        out.print("No release has been run yet. Start with: gfe-assets run RELEASE, or gfe-assets demo")
        return
    print_rows(["release", "commit", "status", "ended (UTC)", "reason"], rows)


def print_backup(manifest: "BackupManifest") -> None:
    """What a new backup holds."""
    out.print(f"{manifest.name}: {_held(manifest)}, {manifest.size / 1e6:,.1f} MB", markup=False)


def print_backups(records: Sequence[Mapping[str, Any]]) -> None:
    """The backups as a table; what is wrong with a damaged one stands below."""
    if not records:
        out.print("There is no backup yet. Make one with: gfe-assets backup")
        return
    rows = [
        (
            record["name"],
            (record["created_at"] or "")[:16].replace("T", " "),
            _span(record["releases"]),
            record["nodes"],
            record["edges"],
            record["accessions"],
            f"{record['bytes'] / 1e6:,.1f} MB",
            "[green]yes[/green]" if record["intact"] else "[red]NO[/red]",
        )
        for record in records
    ]
    print_rows(["backup", "made (UTC)", "releases", "nodes", "edges", "accessions", "size", "intact"], rows)
    for record in records:
        if record["problem"]:
            out.print(record["problem"], markup=False)


def print_restored(restored: "Restored") -> None:
    """What the graph is now, and what to do about releases that it had before."""
    if restored.before:
        out.print(f"the graph that was here is backup {restored.before}", markup=False)
    out.print(
        f"{restored.backup} is restored: {len(restored.releases)} releases, {restored.nodes:,} nodes, {restored.edges:,} edges"
        f"; {restored.accessions_added:,} accessions added to the registry",
        markup=False,
    )
    if restored.gone:
        out.print(f"not in this backup: {', '.join(restored.gone)}; to load again: gfe-assets run {' '.join(restored.gone)}")


def print_adoption(report: "AdoptionReport") -> None:
    """How a database differs from our schema, what becomes of it, and what to do next."""
    where = f"database {report.database!r} on {report.graph}" if report.database else f"the embedded graph {report.graph}"
    if report.differences:
        rows = [
            (each.what, each.where, each.count, "\n".join(map(escape, each.examples[:3])), _ADOPTION[each.action], each.remedy)
            for each in report.differences
        ]
        print_rows(["difference", "where", "count", "examples", "with --apply", "what becomes of it"], rows)
    if not report.needed:
        out.print(f"There is nothing to adopt in {where}.", markup=False)
    elif report.applied:
        out.print(f"{where[0].upper()}{where[1:]} has this schema now; next: gfe-assets run {' '.join(report.releases)}")
    elif report.refusal:
        complain(f"{where} cannot be adopted while it has: {', '.join(each.what for each in report.of('refuse'))}")
    else:
        out.print("Nothing was changed. To adopt it: gfe-assets adopt --apply")


def _held(manifest: "BackupManifest") -> str:
    nodes, edges = sum(manifest.nodes.values()), sum(manifest.edges.values())
    return f"{len(manifest.releases)} releases, {nodes:,} nodes, {edges:,} edges, {manifest.accessions:,} accessions"


def _span(releases: Sequence[str]) -> str:
    """`3190 – 3220 (3)` for many, the names themselves for a few."""
    return ", ".join(releases) if len(releases) <= 3 else f"{releases[0]} – {releases[-1]} ({len(releases)})"


def print_rows(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "") -> None:
    """A table."""
    table = Table(*columns, title=title or None, title_justify="left")
    for row in rows:
        table.add_row(*(_cell(cell) for cell in row))
    out.print(table)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:,}" if type(value) is int else str(value)


def coloured(status: str) -> str:
    """A status in its colour, as rich markup."""
    colour = _COLOURS.get(status, "red" if status.endswith(("FAILED", "INVALID")) or status == "ABORTED" else "cyan")
    return f"[{colour}]{status}[/{colour}]"
