"""What all four stages share: marking a run, turning expected failures into Dagster's, metadata, check results.

In: helpers that know both Dagster and our records. Out: anything about one stage.
"""

import logging
import resource
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg

from gfe_assets.errors import Busy, GfeError
from gfe_assets.failures import cause_of
from gfe_assets.hla.manifest import CheckResult
from gfe_assets.home import hold_while_alive
from gfe_assets.partitions import ONE_RUN_EACH, RELEASES
from gfe_assets.settings import Settings
from gfe_assets.source.models import Commit
from gfe_assets.statuses import Stage, Status, forget_inherited, mark

OWNERS = ["team:transplant-bioinformatics"]
RETRIES = 2
"""How often a stage is tried again when the network or a database was the cause; bad data never is."""
_log = logging.getLogger(__name__)


class Clock:
    """Seconds since the stage began, and its peak memory, as metadata.

    The peak is that of this process since the stage began where the system can tell (Linux), else since the process began; or
    that of the largest child process, if one ended during the stage (the embedded graph is written in one).
    """

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # begin the peak anew, see proc(5)

    def metadata(self) -> dict[str, dg.MetadataValue[Any]]:
        """`seconds` and `peak_memory_mb`."""
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        peak = max(_peak_kb(), children.ru_maxrss if children.ru_utime > self._children else 0)
        return {
            "seconds": dg.MetadataValue.float(round(time.monotonic() - self._start, 3)),
            "peak_memory_mb": dg.MetadataValue.int(peak // 1024),
        }


def _peak_kb() -> int:
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def asset_tags(name: Stage) -> dict[str, str]:
    """What the assets of a stage can be found by in the UI."""
    return {"domain": "immunogenetics", "stage": name.value}


def release_asset(name: Stage, **options: Any) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """The decorator of an asset that has a partition for each release; `options` are those of `dagster.asset`."""
    decorator: Callable[[Callable[..., Any]], dg.AssetsDefinition] = dg.asset(
        partitions_def=RELEASES,
        backfill_policy=ONE_RUN_EACH,
        group_name=name.value,
        owners=OWNERS,
        tags=asset_tags(name),
        **options,
    )
    return decorator


@contextmanager
def stage(
    context: dg.AssetExecutionContext, settings: Settings, name: Stage, under_way: Status, failed: Status
) -> Iterator[Clock]:
    """Mark the run as being in a stage; an expected failure marks it failed and is shown as one clear sentence.

    One that may pass by itself is tried again after a while. From here on the process holds the lock by which others see that
    it lives.
    """
    instance, run_id = context.instance, context.run.run_id
    if hold_while_alive(instance, run_id):
        forget_inherited(instance, context.run)
    mark(instance, run_id, under_way, name)
    try:
        yield Clock()
    except GfeError as error:
        try_again(context, settings, error)
        mark(instance, run_id, failed, name, str(error), cause_of(error))
        raise dg.Failure(description=str(error), allow_retries=False) from error
    except Exception as error:
        mark(instance, run_id, failed, name, f"release {context.partition_key}: {error}", cause_of(error))
        raise


@contextmanager
def clear_failures(context: dg.OpExecutionContext | dg.AssetExecutionContext, settings: Settings) -> Iterator[Clock]:
    """As `stage`, for what is no stage of a release: nothing is marked."""
    try:
        yield Clock()
    except GfeError as error:
        try_again(context, settings, error)
        raise dg.Failure(description=str(error), allow_retries=False) from error


def try_again(context: dg.OpExecutionContext | dg.AssetExecutionContext, settings: Settings, error: GfeError) -> None:
    """Ask Dagster for another try where that may help; else come back.

    Raises:
        RetryRequested: it may.
    """
    if seconds := retry_after(error, context.retry_number, settings.retry_seconds):
        context.log.warning(f"{error}; trying again in {seconds:g} s ({context.retry_number + 1} of {RETRIES})")
        _log.warning("%s; trying again in %g s", error, seconds)
        raise dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=seconds) from error


def retry_after(error: GfeError, tried: int, seconds: float) -> float:
    """How long to wait before a stage is tried again, twice as long each time; 0 for not at all.

    Only what may pass by itself is retried. Who gave up waiting for another process has waited long enough.
    """
    again = error.transient and not isinstance(error, Busy) and tried < RETRIES
    return seconds * 2**tried if again else 0


class Newest(NamedTuple):
    """The newest materialization of an asset for a release, and the run that made it."""

    run_id: str
    materialization: dg.AssetMaterialization


def newest(instance: dg.DagsterInstance, asset: dg.AssetsDefinition, release: str) -> Newest | None:
    """Look it up; None where the asset was never materialized for the release."""
    wanted = dg.AssetRecordsFilter(asset_key=asset.key, asset_partitions=[release])
    found = instance.fetch_materializations(wanted, limit=1).records
    materialization = found[0].asset_materialization if found else None
    return Newest(found[0].run_id, materialization) if materialization else None


def check_specs(asset: str, descriptions: Mapping[str, str], warnings: tuple[str, ...] = ()) -> list[dg.AssetCheckSpec]:
    """The checks of an asset, blocking unless named in `warnings`."""
    return [
        dg.AssetCheckSpec(name, asset=asset, description=description, blocking=name not in warnings, partitions_def=RELEASES)
        for name, description in descriptions.items()
    ]


def check_result(check: CheckResult) -> dg.AssetCheckResult:
    """One verdict as Dagster shows it: the sentence, the numbers (for trends), the examples."""
    metadata: dict[str, Any] = dict(check.numbers)
    if check.examples:
        metadata["examples"] = dg.MetadataValue.md("\n".join(f"- `{example}`" for example in check.examples))
    return dg.AssetCheckResult(
        check_name=check.name,
        passed=check.passed,
        severity=dg.AssetCheckSeverity.ERROR if check.blocking else dg.AssetCheckSeverity.WARN,
        description=check.summary,
        metadata=metadata,
    )


def first_failure(checks: list[CheckResult]) -> str:
    """The sentence of the blocking check that failed first, empty when all passed."""
    return next((f"{check.name}: {check.summary}" for check in checks if check.blocking and not check.passed), "")


def commit_link(commit: Commit) -> dg.MetadataValue[Any]:
    """The commit's page, or its sha where it has none."""
    return dg.MetadataValue.url(commit.url) if commit.url else dg.MetadataValue.text(commit.sha)


def table(headers: tuple[str, ...], rows: Iterator[tuple[Any, ...]] | list[tuple[Any, ...]]) -> dg.MetadataValue[Any]:
    """A Markdown table."""
    lines = ["| " + " | ".join(headers) + " |", "|" + " --- |" * len(headers)]
    lines += ["| " + " | ".join(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row) + " |" for row in rows]
    return dg.MetadataValue.md("\n".join(lines))
