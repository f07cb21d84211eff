"""Stage raw: the official files of a release, pinned in the data folder and checked.

In: the asset `raw_sequences` and its checks. Out: fetching and pinning (`source/`), what is in an entry (`hla/`).
"""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from gfe_assets.commits import release_commits
from gfe_assets.errors import BuildError, ReleaseRefused
from gfe_assets.hla.flatfile import length_problem, read_records
from gfe_assets.hla.manifest import CheckResult
from gfe_assets.progress import Progress
from gfe_assets.resources import LaunchParameters, ProgressFactory
from gfe_assets.settings import Settings
from gfe_assets.source.fetch import fetch
from gfe_assets.source.models import Source
from gfe_assets.source.pinned import RawRelease, check_md5, raw_folder, read_pinned
from gfe_assets.stages.common import (
    check_result,
    check_specs,
    commit_link,
    first_failure,
    newest,
    release_asset,
    stage,
    table,
)
from gfe_assets.stages.needless import CONTENT_TAG, content_key, needless
from gfe_assets.statuses import COMMIT_TAG, RELEASE_TAG, Stage, Status, mark

_EVERY = 1000
FEWEST = 0.9
"""Fewer entries than this share of those before look like a file that was published half; corrections take away a few."""
CHECKS = {
    "release_header": "The flat file says that it is the release of this partition (major and minor number).",
    "record_count": "As many entries end as begin; warns when there are many fewer than at the commit before.",
    "entry_lengths": "Every entry has as many bases as its ID line says, and none is damaged.",
    "md5_list": "The files are those of md5checksum.txt; only warns, since official commits often forget to update it.",
}


@release_asset(
    Stage.RAW,
    deps=[release_commits],
    output_required=False,
    kinds={"file"},
    check_specs=check_specs("raw_sequences", CHECKS, warnings=("md5_list",)),
    description="Flat file, G groups and (with alignments) MSF files of a release at one commit, pinned by their fingerprint.",
)
def raw_sequences(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    source: dg.ResourceParam[Source],
    parameters: LaunchParameters,
    progress: dg.ResourceParam[ProgressFactory],
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
    """Fetch, check and pin the files of the partition's release."""
    release = context.partition_key
    with stage(context, settings, Stage.RAW, Status.BUILD_IN_PROGRESS, Status.EXECUTION_FAILED) as clock:
        listener = progress(context.log)
        sha = context.run.tags.get(COMMIT_TAG)
        commit = source.commit(release, sha) if sha else source.tip(release)
        context.instance.add_run_tags(context.run.run_id, {RELEASE_TAG: release, COMMIT_TAG: commit.sha})
        try:
            raw = fetch(
                source,
                release,
                settings.data_folder,
                align=parameters.align,
                kir=parameters.kir,
                commit=commit,
                progress=listener,
            )
        except ReleaseRefused as refused:
            yield check_result(CheckResult(name="release_header", passed=False, summary=str(refused)))
            raise
        content = content_key(raw, settings, parameters)
        if reason := needless(context.instance, context.run, raw, settings, content):
            mark(context.instance, context.run.run_id, Status.SKIPPED, reason=reason)
            context.log.info(reason)
            yield from map(check_result, [header_check(raw), *known_entries(reason), md5_check(raw)])
            return
        context.instance.add_run_tags(context.run.run_id, {CONTENT_TAG: content})
        lengths = lengths_check(raw, settings.error_tolerance, listener)
        counted = count_check(raw, int(lengths.numbers["entries"]), entries_before(context.instance, release))
        checks = [header_check(raw), counted, lengths, md5_check(raw)]
        if failure := first_failure(checks):
            mark(context.instance, context.run.run_id, Status.EXECUTION_FAILED, reason=f"release {release}, {failure}")
        yield dg.MaterializeResult(
            metadata={
                "dagster/row_count": raw.records,
                "version": raw.version,
                "commit": commit_link(raw.commit),
                "commit_message": raw.commit.message,
                "commit_date": raw.commit.date.isoformat(),
                "fingerprint": raw.fingerprint,
                "folder": dg.MetadataValue.path(raw.folder),
                "files": table(("file", "bytes", "git object"), [(f.path, f.size, f.object_id[:12]) for f in raw.files]),
                "size_mb": round(sum(file.kept_size for file in raw.files) / 1e6, 1),
                **clock.metadata(),
            },
            check_results=[check_result(check) for check in checks],
            data_version=dg.DataVersion(raw.fingerprint),
        )


def header_check(raw: RawRelease) -> CheckResult:
    """What `fetch` has made sure of, for people to see."""
    return CheckResult(name="release_header", passed=True, summary=f"the file of release {raw.release} says {raw.version}")


def known_entries(reason: str) -> list[CheckResult]:
    """The checks of entries where a run stops before them; Dagster wants a verdict of every check of a step."""
    return [
        CheckResult(name=name, passed=True, summary=f"not read again: {reason}") for name in ("record_count", "entry_lengths")
    ]


def entries_before(instance: dg.DagsterInstance, release: str) -> int:
    """How many entries the release had when it was fetched last; 0 when it never was."""
    last = newest(instance, raw_sequences, release)
    return int(str(last.materialization.metadata["dagster/row_count"].value)) if last else 0


def count_check(raw: RawRelease, ended: int, before: int) -> CheckResult:
    """Compare the entries that begin (`ID`) with those that `ended` (`//`), and with how many there were `before`."""
    begun = raw.records + raw.kir_records
    numbers = {"entries": begun, "ended": ended, "before": before}
    if begun != ended:
        summary = f"{begun:,} entries begin but {ended:,} end: the file is damaged; fetch it again or wait for its correction"
        return CheckResult(name="record_count", passed=False, summary=summary, numbers=numbers)
    if raw.records < FEWEST * before:
        summary = f"{raw.records:,} entries, but {before:,} at the commit before: is the file published completely?"
        return CheckResult(name="record_count", passed=False, blocking=False, summary=summary, numbers=numbers)
    return CheckResult(name="record_count", passed=True, summary=f"{begun:,} entries begin and end", numbers=numbers)


def lengths_check(raw: RawRelease, tolerance: int, progress: Progress) -> CheckResult:
    """Read every entry of the flat files and compare its length with its ID line; no more may differ than are tolerated.

    Raises:
        FlatFileError: the file ends inside an entry.
    """
    problems = []
    done = 0
    for path in flat_files(raw):
        with path.open("rb") as stream:
            for line, record in read_records(stream, f"release {raw.release}, {path.name}"):
                done += 1
                if problem := length_problem(record):
                    name = record[:40].split(b";", 1)[0].decode("ascii", "replace").removeprefix("ID").strip()
                    problems.append(f"{path.name}, line {line}, entry {name}: {problem}")
                if done % _EVERY == 0:
                    progress("entries checked", done, None)
    progress("entries checked", done, done)
    return CheckResult(
        name="entry_lengths",
        passed=len(problems) <= tolerance,
        summary=f"{done:,} entries are as long as they say"
        if not problems
        else f"{len(problems)} damaged entries, such as {problems[0]}; fetch the file again or wait for its correction",
        numbers={"entries": done, "damaged": len(problems)},
        examples=tuple(problems[:10]),
    )


def md5_check(raw: RawRelease) -> CheckResult:
    """Compare what was fetched with the release's own md5 list."""
    checked = check_md5(raw)
    return CheckResult(
        name="md5_list",
        passed=checked.ok,
        blocking=False,
        summary=checked.note,
        numbers={"differing": len(checked.mismatches)},
        examples=tuple(f"{each.file}: listed {each.expected}, found {each.found}" for each in checked.mismatches),
    )


def pinned_release(instance: dg.DagsterInstance, settings: Settings, release: str, *, align: bool, kir: bool) -> RawRelease:
    """The pinned files of the newest materialization of `raw_sequences` for a release.

    Raises:
        BuildError: there is none, its files are gone, or they were fetched without what is asked for now.
    """
    again = f"materialize raw_sequences first (gfe-assets run {release} does)"
    fetched = newest(instance, raw_sequences, release)
    if fetched is None:
        raise BuildError(f"release {release} has no pinned files: {again}")
    fingerprint = str(fetched.materialization.metadata["fingerprint"].value)
    raw = read_pinned(raw_folder(settings.data_folder, release) / fingerprint)
    if raw is None:
        raise BuildError(f"release {release}: its pinned files in {settings.data_folder} are gone or changed: {again}")
    if (align and not raw.align) or (kir and not raw.kir):
        lacking = "alignments" if align else "KIR"
        raise BuildError(f"release {release}: its files were fetched without {lacking}: {again} with it")
    return raw


def flat_files(raw: RawRelease) -> tuple[Path, ...]:
    """The flat files a build reads: `hla.dat`, and the KIR file when it was asked for."""
    return (raw.flat_file, *([raw.kir_file] if raw.kir_file else []))
