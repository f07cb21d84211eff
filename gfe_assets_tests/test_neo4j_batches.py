"""Batches: every row once, in order, within the limits of rows and bytes."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from gfe_assets.graph.neo4j_batches import batches


def sizes(frame: pl.DataFrame, **limits: int) -> list[int]:
    return [len(batch) for batch in batches(frame, **limits)]


def test_small_rows_are_cut_by_their_number() -> None:
    assert sizes(pl.DataFrame({"name": ["x"] * 25}), max_rows=10) == [10, 10, 5]


def test_long_texts_are_cut_by_bytes_though_letters_have_several() -> None:
    frame = pl.DataFrame({"sequence": ["Ω" * 500] * 10})  # 1,000 bytes each in UTF-8
    assert sizes(frame, max_bytes=3_200) == [3, 3, 3, 1]


def test_lists_count_what_is_in_them() -> None:
    frame = pl.DataFrame({"releases": [["3100"] * 100] * 4})
    assert sizes(frame, max_bytes=2_700) == [2, 2]


def test_a_row_that_is_too_large_goes_alone() -> None:
    assert sizes(pl.DataFrame({"sequence": ["A", "A" * 1000, "A"]}), max_bytes=100) == [1, 1, 1]


def test_an_empty_frame_has_no_batches_with_or_without_columns() -> None:
    assert sizes(pl.DataFrame({"name": []}, schema={"name": pl.String})) == []
    assert sizes(pl.DataFrame()) == []


@given(st.lists(st.none() | st.text(max_size=30), max_size=40), st.integers(1, 10), st.integers(1, 200))
def test_every_row_comes_once_in_order(texts: list[str | None], max_rows: int, max_bytes: int) -> None:
    frame = pl.DataFrame({"name": texts, "number": range(len(texts))}, schema={"name": pl.String, "number": pl.Int64})
    found = list(batches(frame, max_rows, max_bytes))
    assert [row for batch in found for row in batch.rows()] == frame.rows()
    assert all(len(batch) <= max_rows for batch in found)
    assert all(len(batch) == 1 or sum(len((text or "").encode()) for text, _ in batch.rows()) <= max_bytes for batch in found)
