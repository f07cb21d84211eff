"""What all four stages share: marking a run, turning expected failures into Dagster's, metadata, check results.

In: helpers that know both Dagster and our records. Out: anything about one stage.
"""

import resource
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dagster as dg

from gfe_assets.errors import GfeError
from gfe_assets.hla.manifest import CheckResult
from gfe_assets.state import Stage, Status, mark

OWNERS = ["team:transplant-bioinformatics"]


class Clock:
    """Seconds since the stage began, and the process's peak memory, as metadata."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def metadata(self) -> dict[str, dg.MetadataValue[Any]]:
        """`seconds` and `peak_memory_mb`."""
        return {
            "seconds": dg.MetadataValue.float(round(time.monotonic() - self._start, 3)),
            "peak_memory_mb": dg.MetadataValue.int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024),
        }


@contextmanager
def stage(context: dg.AssetExecutionContext, name: Stage, under_way: Status, failed: Status) -> Iterator[Clock]:
    """Mark the run as being in a stage; an expected failure marks it failed and is shown as one clear sentence."""
    instance, run_id = context.instance, context.run.run_id
    mark(instance, run_id, under_way, name)
    try:
        yield Clock()
    except GfeError as error:
        mark(instance, run_id, failed, name, str(error))
        raise dg.Failure(description=str(error), allow_retries=error.transient) from error


def check_specs(asset: str, descriptions: Mapping[str, str], warnings: tuple[str, ...] = ()) -> list[dg.AssetCheckSpec]:
    """The checks of an asset, blocking unless named in `warnings`."""
    return [
        dg.AssetCheckSpec(name, asset=asset, description=description, blocking=name not in warnings)
        for name, description in descriptions.items()
    ]


def check_result(check: CheckResult) -> dg.AssetCheckResult:
    """One verdict as Dagster shows it: the sentence, the numbers (for trends), the examples."""
    metadata: dict[str, Any] = {"summary": check.summary, **check.numbers}
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


def table(headers: tuple[str, ...], rows: Iterator[tuple[Any, ...]] | list[tuple[Any, ...]]) -> dg.MetadataValue[Any]:
    """A Markdown table."""
    lines = ["| " + " | ".join(headers) + " |", "|" + " --- |" * len(headers)]
    lines += ["| " + " | ".join(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row) + " |" for row in rows]
    return dg.MetadataValue.md("\n".join(lines))
