"""The execution state as an asset, so that the UI shows it as a table.

In: the asset `execution_state`. Out: what the states are (`state.py`).
"""

from typing import Any

import dagster as dg

from gfe_assets.stages.common import OWNERS, table
from gfe_assets.state import ReleaseState, latest_by_release, read_states

_COLUMNS = ("release", "commit", "status", "ended (UTC)", "reason")


@dg.asset(
    group_name="validate",
    kinds={"dagster"},
    owners=OWNERS,
    description="Where every release and commit stands: the 14 statuses, read from Dagster's own storage when materialized.",
)
def execution_state(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    """Read all states and show the newest of each release, and how many there are of each status."""
    states = read_states(context.instance)
    return dg.MaterializeResult(metadata=overview(states))


def overview(states: list[ReleaseState]) -> dict[str, Any]:
    """The states as metadata: a table and a count of each status."""
    newest = latest_by_release(states).values()
    counts: dict[str, Any] = {}
    for state in newest:
        counts[state.status.value] = counts.get(state.status.value, 0) + 1
    return {
        "dagster/row_count": len(newest),
        "commits": len(states),
        "states": table(
            _COLUMNS,
            [
                (s.release, s.commit_sha[:10], s.status.value, f"{s.ended_at:%Y-%m-%d %H:%M}" if s.ended_at else "", s.reason)
                for s in newest
            ],
        ),
        **counts,
    }
