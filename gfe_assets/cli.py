"""The command line `gfe-assets`: the same runs as in the UI, in the foreground, with progress and `--json`.

In: commands, options, printing. Out: everything they do. Heavy imports (dagster, polars) stand inside the commands
that need them, so that `--help` answers at once.
"""

import json
import sys
from typing import Annotated

import typer

from gfe_assets import __version__
from gfe_assets.errors import GfeError, ReleaseNameError, SettingsError
from gfe_assets.hla.release import parse_release

app = typer.Typer(
    help="Turn every release of IPD-IMGT/HLA into a graph of gene features (GFE).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
accessions_app = typer.Typer(help="The registry that numbers feature sequences.", no_args_is_help=True)
app.add_typer(accessions_app, name="accessions")

_INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it; typer's own choice too."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text for people.")]
Releases = Annotated[list[str], typer.Argument(help="Releases such as 3580 or 3.58.0; run oldest first.", metavar="RELEASE...")]


@app.callback(invoke_without_command=True)
def _main(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        typer.echo(f"gfe-assets {__version__}")
        raise typer.Exit


def main() -> None:
    """Entry point: an expected failure is one clear line and a non-zero exit, never a traceback.

    Exit codes: 0 done, 1 failed, 2 asked for something that cannot be, 130 interrupted.
    """
    try:
        code = app(standalone_mode=False) or 0
    except GfeError as error:
        code = _fail(str(error), 2 if isinstance(error, SettingsError | ReleaseNameError) else 1)
    except typer.TyperException as error:  # how the command line is written
        command, message = getattr(getattr(error, "ctx", None), "command_path", "gfe-assets"), error.format_message()
        code = _fail(f"{message.rstrip('.')} (see {command} --help)", error.exit_code) if message else error.exit_code
    except OSError as error:
        code = _fail(
            f"{error.filename or 'a file'} cannot be used ({error.strerror or error}); make it so and run this again", 1
        )
    if code == _INTERRUPTED:
        _fail("interrupted; nothing half-done counts, so the same command can be run again", code)
    sys.exit(code)


def _fail(message: str, code: int) -> int:
    from gfe_assets import console

    console.complain(message)
    return code


@app.command()
def run(
    releases: Releases,
    limit: Annotated[int, typer.Option(min=0, help="Build only the first N alleles (0: all).")] = 0,
    align: Annotated[bool, typer.Option("--align", help="Also write the aligned sequences.")] = False,
    kir: Annotated[bool, typer.Option("--kir", help="Also build KIR genes from the KIR.dat beside the release.")] = False,
    skip_load: Annotated[bool, typer.Option("--skip-load", help="Stop after the CSV files; leave the graph alone.")] = False,
    use_existing_build: Annotated[
        bool, typer.Option("--use-existing-build", help="Keep CSV files that were built from the same content and options.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring releases into the graph: raw → build → load → validate."""
    from gfe_assets import console

    names = [parse_release(text).name for text in releases]
    settings = console.load_settings()
    from gfe_assets.runs import run_releases  # takes seconds, which mistakes need not wait for

    with console.progress(quiet=as_json) as listener:
        outcomes = run_releases(
            settings,
            names,
            listener,
            job="build_job" if skip_load else "release_job",
            parameters={"limit": limit, "align": align, "kir": kir, "use_existing_build": use_existing_build},
            ended=console.print_outcome_json if as_json else console.print_outcome,
        )
    if not all(outcome.status.good for outcome in outcomes):
        raise typer.Exit(1)


@app.command()
def demo() -> None:
    """Make simulated releases and run everything once: the quickest way to see what this is."""
    from gfe_assets import console, demonstration

    if not demonstration.run(console.load_settings()):
        raise typer.Exit(1)


@app.command()
def ui(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 3000,
) -> None:
    """Open the Dagster UI here; with no GFE_SOURCE_URI set, on the demo's simulated releases."""
    from gfe_assets import console, webserver

    webserver.serve(console.load_settings(), port)


@app.command()
def status(as_json: Json = False) -> None:
    """Show where every release stands."""
    from gfe_assets import console

    settings = console.load_settings()
    from gfe_assets.home import open_instance
    from gfe_assets.state import read_states

    with open_instance(settings) as instance:
        states = read_states(instance)
    if as_json:
        typer.echo(json.dumps([state.model_dump(mode="json") for state in states], indent=1))
    else:
        console.print_states(states)


@app.command()
def sync(
    process: Annotated[
        str | None, typer.Option(help="What the first look of a new deployment runs: none, latest or all.", metavar="WHAT")
    ] = None,
    no_run: Annotated[bool, typer.Option("--no-run", help="Only record what is new; run nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Look for new commits once, then run what is new, oldest release first (for cron)."""
    from gfe_assets import console
    from gfe_assets.synchronise import checked_process, synchronise

    settings = console.load_settings()
    with console.progress(quiet=as_json) as listener:
        found, outcomes = synchronise(
            settings,
            listener,
            process=checked_process(process),
            run=not no_run,
            decided=None if as_json else console.print_tick,
            ended=None if as_json else console.print_outcome,
        )
    if as_json:
        decisions = [decision.model_dump(mode="json") for decision in found.decisions] if found else []
        typer.echo(json.dumps({"decisions": decisions, "runs": [outcome.model_dump(mode="json") for outcome in outcomes]}))
    if not all(outcome.status.good for outcome in outcomes):
        raise typer.Exit(1)


@app.command()
def query(
    statement: Annotated[str, typer.Argument(help="A Cypher statement that reads, e.g. 'MATCH (g:GFE) RETURN count(g)'.")],
    as_json: Json = False,
) -> None:
    """Ask the graph."""
    from gfe_assets import console
    from gfe_assets.graph.open import open_store

    with open_store(console.load_settings()).reader() as reader:
        result = reader.query(statement)
    if as_json:
        rows = [dict(zip(result.columns, row, strict=True)) for row in result.rows]
        typer.echo(json.dumps(rows, default=str, ensure_ascii=False))
    else:
        console.print_rows(result.columns, result.rows)


@app.command()
def backup(
    reason: Annotated[str, typer.Option(help="Why it is made; becomes part of its name.", metavar="TEXT")] = "manual",
) -> None:
    """Back up the graph and the accession registry; the newest backups are kept."""
    from gfe_assets import console
    from gfe_assets.backups import make_backup

    settings = console.load_settings()
    with console.progress() as listener:
        console.print_backup(make_backup(settings, listener, reason))


@app.command()
def backups(as_json: Json = False) -> None:
    """List the backups, oldest first, each checked byte by byte."""
    from gfe_assets import console
    from gfe_assets.graph.backup_folder import list_backups

    records = [state.record() for state in list_backups(console.load_settings().backups_folder)]
    if as_json:
        typer.echo(json.dumps(records, indent=1))
    else:
        console.print_backups(records)


@app.command()
def restore(
    name: Annotated[str, typer.Argument(help="A backup of `gfe-assets backups`, or the path of a backup's folder.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a graph that is not empty; it is backed up before.")
    ] = False,
) -> None:
    """Make the graph and the accession registry what they were when a backup was made."""
    from gfe_assets import console
    from gfe_assets.backups import restore_backup

    settings = console.load_settings()
    with console.progress() as listener:
        console.print_restored(restore_backup(settings, listener, name, replace=replace))


@app.command()
def adopt(
    apply: Annotated[bool, typer.Option("--apply", help="Change the database; without it, only say what differs.")] = False,
    as_json: Json = False,
) -> None:
    """Take over a Neo4j database that gfe-db filled: say what differs from this schema, and bring it there."""
    from gfe_assets import adoption, console

    settings = console.load_settings()
    with console.progress(quiet=as_json) as listener:
        report = adoption.take_over(settings, listener) if apply else adoption.look(settings)
    if as_json:
        typer.echo(report.model_dump_json(indent=1))
    else:
        console.print_adoption(report)
    if report.refusal:
        raise typer.Exit(1)


@accessions_app.command("import")
def import_accessions(
    origin: Annotated[str, typer.Argument(help="A CSV or Parquet file, or the URL of a Feature Service.", metavar="FILE|URL")],
) -> None:
    """Take over accessions: all of them, or none where one contradicts the registry."""
    from gfe_assets import console
    from gfe_assets.hla.accessions import open_registry, read_accessions

    settings = console.load_settings()
    with open_registry(settings) as registry, console.progress() as listener:
        if origin.startswith(("http://", "https://")):
            result = registry.import_service(origin, settings.loci, listener)
        else:
            result = registry.import_rows(read_accessions(origin))
    typer.echo(f"{result.new:,} accessions imported, {result.known:,} were known")


@accessions_app.command("export")
def export_accessions(file: Annotated[str, typer.Argument(help="Where to write: .csv or .parquet.")]) -> None:
    """Write every accession to a file, from which a registry can be made again."""
    from gfe_assets import console
    from gfe_assets.hla.accessions import open_registry

    with open_registry(console.load_settings()) as registry:
        count = registry.export(file)
    typer.echo(f"{count:,} accessions written to {file}")
