"""The pictures of a release: alleles per locus, known features per GFE position, growth over the releases.

In: frames of `gfe_sequences` and sizes of releases → the numbers of a picture → a figure → PNG bytes. Out:
where pictures are shown (`release_report.py`, `stages/`).

The numbers are functions of their own, so that a table beside a picture says the same. Figures are drawn
with Agg on objects of their own: no display, no state shared between threads, nothing to close.
"""

import io
from collections.abc import Iterable

import polars as pl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gfe_assets.hla.features import FIVE_PRIME_UTR, INTRON, KNOWN_LOCI, THREE_PRIME_UTR, structure
from gfe_assets.hla.release import parse_release
from gfe_assets.hla.spelling import split_names
from gfe_assets.notify.models import ReleaseSize

DPI = 110
_INK, _MUTED, _BAR, _ABSENT = "#1f2328", "#59636e", "#2f6db5", "#f0f1f3"
_SHORT = {FIVE_PRIME_UTR: "5′UTR", THREE_PRIME_UTR: "3′UTR"}
_MOST_LABELS = 16


def alleles_per_locus(sequences: pl.DataFrame) -> pl.DataFrame:
    """`locus`, `alleles`, `gfes` of a release, in the order of `KNOWN_LOCI`; needs `locus` and `gfe_name`."""
    counted = sequences.group_by("locus").agg(alleles=pl.len(), gfes=pl.col("gfe_name").n_unique())
    order = pl.DataFrame({"locus": KNOWN_LOCI}, schema={"locus": pl.String})
    return order.join(counted, on="locus", how="inner", maintain_order="left")


def features_known(sequences: pl.DataFrame) -> pl.DataFrame:
    """How many alleles know each feature of their locus: `locus`, `term`, `rank`, `alleles`, `known`, in gene order.

    A feature is known where the GFE name has an accession other than 0; needs `locus` and `gfe_name`.
    """
    gfes = sequences.group_by("locus", "gfe_name").agg(carriers=pl.len())
    known = (
        split_names(gfes.select("locus", "gfe_name"))
        .join(gfes, on=["locus", "gfe_name"])
        .group_by("locus", "term", "rank")
        .agg(known=pl.col("carriers").sum())
    )
    totals = alleles_per_locus(sequences)
    places = pl.DataFrame(
        [(locus, key.term, key.rank) for locus in totals["locus"] for key in structure(locus).features],
        schema={"locus": pl.String, "term": pl.String, "rank": pl.Int64},
        orient="row",
    )
    return (
        places.join(totals.select("locus", "alleles"), on="locus", maintain_order="left")
        .join(known, on=["locus", "term", "rank"], how="left", maintain_order="left")
        .with_columns(pl.col("known").fill_null(0))
    )


def in_release_order(sizes: Iterable[ReleaseSize]) -> list[ReleaseSize]:
    """Sizes in release order, one a release (the last that was given)."""
    return sorted({size.release: size for size in sizes}.values(), key=lambda size: parse_release(size.release))


def alleles_figure(sequences: pl.DataFrame, version: str) -> Figure:
    """Bars of alleles per locus, each with its number."""
    numbers = alleles_per_locus(sequences)
    figure, axes = _figure(8, 1.1 + 0.32 * max(1, numbers.height))
    if numbers.is_empty():
        _nothing(axes, "no allele")
    bars = axes.barh(numbers["locus"].to_list(), numbers["alleles"].to_list(), color=_BAR, height=0.7)
    axes.bar_label(bars, fmt="{:,.0f}", padding=4, color=_INK, fontsize=9)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_title(f"Alleles per locus, release {version} ({numbers['alleles'].sum():,} alleles)", loc="left", color=_INK)
    axes.xaxis.set_visible(False)
    _plain(axes, keep=("left",))
    return figure


def features_figure(sequences: pl.DataFrame, version: str) -> Figure:
    """Heat map: a row a locus, a column a position of the GFE, the cell says how many percent of the alleles know it.

    The 3'UTR of all loci stands in the last column; positions that a locus does not have are grey.
    """
    numbers = features_known(sequences)
    loci = numbers["locus"].unique(maintain_order=True).to_list()
    columns = _columns(numbers)
    share = [[float("nan")] * len(columns) for _ in loci]
    for locus, term, rank, alleles, known in numbers.iter_rows():
        share[loci.index(locus)][columns.index((term, rank))] = 100 * known / alleles
    figure, axes = _figure(max(6, 1.8 + 0.52 * len(columns)), 1.5 + 0.34 * max(1, len(loci)))
    axes.set_title(f"Known features by position: percent of the alleles, release {version}", loc="left", color=_INK)
    _plain(axes)
    if not loci:
        _nothing(axes, "no allele")
        return figure
    axes.set_facecolor(_ABSENT)
    axes.pcolormesh(share, cmap="Blues", vmin=0, vmax=100, edgecolors="white", linewidth=1.5)
    for row, values in enumerate(share):
        for column, value in enumerate(values):
            if value == value:  # noqa: PLR0124 - not a number where the locus has no such feature
                colour = "white" if value > 60 else _INK
                axes.text(column + 0.5, row + 0.5, percent(value), ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks([column + 0.5 for column in range(len(columns))], [_label(*column) for column in columns])
    axes.set_yticks([row + 0.5 for row in range(len(loci))], loci)
    axes.invert_yaxis()
    axes.tick_params(length=0, labelsize=9)
    axes.set_xlabel("E exon, I intron; grey where a locus has no such feature", fontsize=8, color=_MUTED, loc="left")
    return figure


def growth_figure(sizes: Iterable[ReleaseSize]) -> Figure:
    """Alleles, GFEs and features of every release, one panel each, every release at its place in the order."""
    ordered = in_release_order(sizes)
    figure = Figure(figsize=(9, 6.4), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle("Growth over the releases loaded", x=0.01, ha="left", color=_INK)
    panels = figure.subplots(3, 1, sharex=True)
    _panel(panels[0], "Alleles", [size.alleles for size in ordered])
    _panel(panels[1], "GFEs", [size.gfes for size in ordered])
    _panel(panels[2], "Features", [size.features for size in ordered])
    step = -(-len(ordered) // _MOST_LABELS) or 1
    shown = list(range(len(ordered) - 1, -1, -step))  # the newest always has its label
    versions = [parse_release(ordered[place].release).version for place in shown]
    panels[-1].set_xticks(shown, versions, rotation=45, ha="right")
    return figure


def _panel(axes: Axes, name: str, values: list[int]) -> None:
    """One line over the releases, from zero, its last value written out."""
    axes.set_title(name, loc="left", fontsize=10, color=_INK)
    _plain(axes, keep=("left", "bottom"))
    if not values:
        return _nothing(axes, "no release is loaded")
    last = len(values) - 1
    axes.plot(range(len(values)), values, color=_BAR, linewidth=2, marker="o", markersize=4)
    axes.annotate(f"{values[last]:,}", (last, values[last]), (0, 7), textcoords="offset points", ha="center", color=_INK)
    axes.set_ylim(0, max(1, *values) * 1.3)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    axes.grid(axis="y", color="#e4e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    return None


def png(figure: Figure) -> bytes:
    """The figure as a PNG; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()


def _plain(axes: Axes, keep: tuple[str, ...] = ()) -> None:
    """Take away the frame but for the sides to keep."""
    for side in ("left", "right", "top", "bottom"):
        axes.spines[side].set_visible(side in keep)
        axes.spines[side].set_color("#c8cdd3")
    axes.tick_params(colors=_MUTED)


def _nothing(axes: Axes, why: str) -> None:
    """Say in an empty picture why it is empty."""
    axes.text(0.5, 0.5, why, ha="center", va="center", color=_MUTED, transform=axes.transAxes)
    axes.set_xticks([])
    axes.set_yticks([])


def _columns(numbers: pl.DataFrame) -> list[tuple[str, int]]:
    """The positions of all loci side by side: 5'UTR, exon 1, intron 1, …, 3'UTR."""

    def place(key: tuple[str, int]) -> tuple[int, int, int]:
        term, rank = key
        return (term != FIVE_PRIME_UTR) + (term == THREE_PRIME_UTR), rank, term == INTRON

    return sorted(numbers.select("term", "rank").unique().rows(), key=place)


def _label(term: str, rank: int) -> str:
    """The heading of a column: `5′UTR`, `E1`, `I1`."""
    return _SHORT.get(term) or f"{term[0]}{rank}"


def percent(value: float) -> str:
    """Whole percent; 0 and 100 only where it is none and all."""
    if 0 < value < 1:
        return "<1"
    return ">99" if 99 < value < 100 else f"{value:.0f}"
