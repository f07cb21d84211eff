"""The order of releases inside frames, so that lists of releases can be merged, cut and compared without Python loops.

In: the names of all releases at hand; lists of names ↔ lists of positions in release order. Out: what the order is
(`hla/release.py`) and what the lists are for (`sync.py`).
"""

from collections.abc import Iterable

import polars as pl

from gfe_assets.errors import GraphError, ReleaseNameError
from gfe_assets.hla.release import sort_names

POSITIONS = pl.List(pl.UInt32())


class Timeline:
    """Branch names in release order; a release's position in it stands for it while frames are compared."""

    def __init__(self, names: Iterable[str]) -> None:
        """Sort `names`; repeats are allowed.

        Raises:
            GraphError: one of them is not a release.
        """
        try:
            self.names = sort_names(set(names))
        except ReleaseNameError as error:
            raise GraphError(f"the graph lists something that is not a release: {error}") from None
        self._positions = {name: position for position, name in enumerate(self.names)}

    def position(self, name: str) -> int:
        """Where the release stands in the order, from 0."""
        return self._positions[name]

    def encode(self, lists: pl.Expr) -> pl.Expr:
        """Lists of names → lists of positions; null becomes the empty list."""
        one = pl.element().replace_strict(self._positions, return_dtype=pl.UInt32())
        return lists.list.eval(one).fill_null(_positions([]))

    def decode(self, lists: pl.Expr) -> pl.Expr:
        """Lists of positions → lists of names, as they stand."""
        return lists.list.eval(pl.element().replace_strict(dict(enumerate(self.names)), return_dtype=pl.String(), default=None))


def with_position(lists: pl.Expr, position: int) -> pl.Expr:
    """The lists with one more position, in order, without repeats."""
    return lists.list.set_union(_positions([position])).list.sort()


def without_position(lists: pl.Expr, position: int) -> pl.Expr:
    """The lists without one position, in order, without repeats."""
    return lists.list.set_difference(_positions([position])).list.sort()


def only_positions(lists: pl.Expr, positions: Iterable[int]) -> pl.Expr:
    """What of the lists is among `positions`."""
    return lists.list.set_intersection(_positions(positions))


def _positions(values: Iterable[int]) -> pl.Expr:
    return pl.lit(pl.Series([list(values)], dtype=POSITIONS)).first()
