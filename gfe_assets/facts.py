"""What a run came to, read from its events: seconds and numbers of each stage, checks, the error.

In: one reading of the events of a run that matter. Out: what is made of them: the JSON of the command line
(`runs.py`), alerts (`alerts.py`), the release report (`stages/report.py`).
"""

from dataclasses import dataclass, field

import dagster as dg

from gfe_assets.notify.models import CheckLine
from gfe_assets.statuses import CHANGE_KINDS, Stage

STAGE_OF_ASSET = {
    "raw_sequences": Stage.RAW.value,
    "gfe_csvs": Stage.BUILD.value,
    "gfe_graph": Stage.LOAD.value,
    "graph_validation": Stage.VALIDATE.value,
}
_TYPES = {
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.RUN_FAILURE,
}
CHANGES = "changes"
"""Metadata of a load: a table of `what`, and how many of it were inserted, updated and deleted."""
_COUNTED = (Stage.BUILD.value, Stage.LOAD.value)
_NO_COUNTS = ("seconds", "peak_memory_mb", "dagster/row_count", *CHANGE_KINDS)


@dataclass
class RunFacts:
    """`metadata` is asset → its plain values; `counts` are the numbers of build and load; `error` has the traceback."""

    metadata: dict[str, dict[str, object]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    checks: list[CheckLine] = field(default_factory=list)
    cause: str = ""
    error: str = ""


def read_facts(instance: dg.DagsterInstance, run_id: str) -> RunFacts:
    """The facts of a run so far, in the order in which they happened."""
    facts = RunFacts()
    for entry in instance.all_logs(run_id, of_type=_TYPES):
        event = entry.dagster_event
        if event and event.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION and event.asset_key:
            _add_materialization(facts, event)
        elif event and event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data
            facts.checks.append(
                CheckLine(
                    name=check.check_name,
                    passed=check.passed,
                    severity="WARN" if check.severity is dg.AssetCheckSeverity.WARN else "ERROR",
                    summary=check.description or "",
                )
            )
        elif event and event.event_type is dg.DagsterEventType.STEP_FAILURE:
            failure = event.step_failure_data
            facts.cause = (failure.user_failure_data.description if failure.user_failure_data else "") or facts.cause
            facts.error = failure.error.to_string() if failure.error else event.message or ""
        elif event and not facts.error:
            facts.error = event.message or ""
    return facts


def _add_materialization(facts: RunFacts, event: dg.DagsterEvent) -> None:
    asset = event.asset_key.to_user_string() if event.asset_key else ""
    metadata = event.step_materialization_data.materialization.metadata
    facts.metadata[asset] = {name: value.value for name, value in metadata.items()}
    stage = STAGE_OF_ASSET.get(asset)
    if stage:
        facts.seconds[stage] = float(str(metadata["seconds"].value))
    if stage in _COUNTED:
        facts.counts.update(
            (name, value.value)
            for name, value in metadata.items()
            if name not in _NO_COUNTS and isinstance(value, dg.IntMetadataValue) and value.value is not None
        )
        facts.counts.update(_changes(metadata.get(CHANGES)))


def _changes(table: object) -> dict[str, int]:
    """`GFE_inserted` and so on from the table of a load."""
    rows = [record.data for record in table.records] if isinstance(table, dg.TableMetadataValue) else []
    return {f"{row['what']}_{kind}": int(str(row[kind])) for row in rows for kind in CHANGE_KINDS}
