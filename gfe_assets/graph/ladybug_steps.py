"""What the loading process is given: rows as Parquet files in its working folder, and the steps that use them.

In: changes, or a whole graph. Out: running the steps (`ladybug_load.py`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import polars as pl

from gfe_assets.graph.ladybug_load import Step
from gfe_assets.graph.ladybug_schema import Action
from gfe_assets.graph.store import Changes, Contents, EdgeChanges, NodeChanges

ROW_GROUP = 10_000
"""Rows that are in memory at once when a whole graph is written: 35 MB of sequences."""


def change_steps(changes: Changes, folder: Path) -> list[Step]:
    """Write the rows; edges are deleted before the nodes they hang on, and inserted after them."""
    steps: list[Step] = []

    def add(kind: Any, action: Action, each: Mapping[str, NodeChanges | EdgeChanges]) -> None:
        for name, change in each.items():
            frame: pl.DataFrame = getattr(change, action)
            if len(frame):
                step = Step(kind, name, action, frame.columns, len(frame))
                frame.write_parquet(folder / step.file, compression="uncompressed")
                steps.append(step)

    add("edges", "delete", changes.edges)
    add("nodes", "delete", changes.nodes)
    add("nodes", "insert", changes.nodes)
    add("nodes", "update", changes.nodes)
    add("edges", "insert", changes.edges)
    add("edges", "update", changes.edges)
    return steps


def whole_steps(contents: Contents, folder: Path) -> list[Step]:
    """Write all rows of a graph, a part at a time; nodes before the edges that hang on them."""
    steps: list[Step] = []
    parts: tuple[tuple[Literal["nodes", "edges"], Mapping[str, pl.LazyFrame]], ...] = (
        ("nodes", contents.nodes),
        ("edges", contents.edges),
    )
    for kind, frames in parts:
        for name, frame in frames.items():
            step = Step(kind, name, "insert", frame.collect_schema().names(), frame.select(pl.len()).collect().item())
            if step.rows:
                frame.sink_parquet(folder / step.file, compression="uncompressed", row_group_size=ROW_GROUP)
                steps.append(step)
    return steps
