"""The execution state as an asset, so that the UI shows it as a table.

In: the asset `execution_state`, and its table as an event for those who know that it has changed (`sensors.py`). Out: what the
states are (`state.py`).
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import dagster as dg

from gfe_assets.stages.common import OWNERS, asset_tags, table
from gfe_assets.state import ReleaseState, read_states, standing
from gfe_assets.statuses import Stage

_COLUMNS = ("release", "commit", "status", "since (UTC)", "alleles", "run", "reason")


@dg.asset(
    group_name="validate",
    kinds={"dagster"},
    owners=OWNERS,
    tags=asset_tags(Stage.VALIDATE),
    description="Where every release and commit stands: the 14 statuses, read from Dagster's own storage. The sensors keep it "
    "up to date; materialize it to see it at once.",
)
def execution_state(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    """Read all states and show them, and how many releases there are of each status."""
    return dg.MaterializeResult(metadata=overview(read_states(context.instance)))


def overview_event(instance: dg.DagsterInstance, just_seen: Sequence[dg.AssetObservation] = ()) -> dg.AssetMaterialization:
    """The asset's table as of now; `just_seen` are commits' events that are not stored yet."""
    return dg.AssetMaterialization(execution_state.key, metadata=overview(read_states(instance, just_seen)))


def overview(states: list[ReleaseState]) -> dict[str, Any]:
    """The states as metadata: a table with the newest release first, and a count of each status, one for each release."""
    releases = standing(states)
    counts = Counter(state.status.value for state in releases)
    return {
        "dagster/row_count": len(releases),
        "commits": len(states),
        "states": table(_COLUMNS, [_row(state) for state in reversed(states)]),
        **dict(sorted(counts.items())),
    }


def _row(state: ReleaseState) -> tuple[Any, ...]:
    return (
        state.release,
        f"`{state.commit_sha[:10]}`" if state.commit_sha else "",
        state.status.value,
        _minute(state.ended_at or state.started_at or state.created_at),
        state.counts.get("alleles", ""),
        f"[{state.run_id[:8]}](/runs/{state.run_id})" if state.run_id else "",
        state.reason.replace("|", "\\|").replace("\n", " "),
    )


def _minute(time: datetime | None) -> str:
    return f"{time:%Y-%m-%d %H:%M}" if time else ""
