"""Frames cut into batches that one transaction of a graph server takes well: by rows and by bytes.

In: a frame of nodes or edges. Out: what is written with a batch (`neo4j_write.py`).

Ten thousand accessions are half a megabyte, ten thousand sequences up to 170: rows alone are no measure of what the
server has to hold in memory until it commits.
"""

from collections.abc import Iterator

import polars as pl

MAX_ROWS = 10_000
MAX_BYTES = 4_000_000
_OVERHEAD = 9
"""Bytes of a number, or of the marker and length of a text, in Bolt's PackStream at their largest."""


def batches(frame: pl.DataFrame, max_rows: int = MAX_ROWS, max_bytes: int = MAX_BYTES) -> Iterator[pl.DataFrame]:
    """Consecutive slices of `frame`, each with at most `max_rows` rows and about `max_bytes` bytes, but at least one row."""
    ends = frame.select(bytes=_row_bytes(frame).cum_sum()).get_column("bytes")
    start, written = 0, 0
    while start < len(frame):
        within = int(ends.search_sorted(written + max_bytes, side="right"))
        end = max(start + 1, min(within, start + max_rows))
        yield frame[start:end]
        start, written = end, int(ends[end - 1])


def _row_bytes(frame: pl.DataFrame) -> pl.Expr:
    sizes = [pl.lit(0, dtype=pl.Int64)]
    for name, kind in frame.schema.items():
        size = pl.lit(0)
        if kind == pl.String:
            size = pl.col(name).str.len_bytes()
        elif kind == pl.List(pl.String):
            texts = pl.col(name).list
            size = texts.eval(pl.element().str.len_bytes()).list.sum() + texts.len() * _OVERHEAD
        sizes.append(size.fill_null(0).cast(pl.Int64) + _OVERHEAD)
    return pl.sum_horizontal(sizes)
