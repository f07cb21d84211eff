"""Pictures of releases: the numbers behind them, what is drawn, and that they are real PNGs."""

import io
import random

import polars as pl
import pytest
from matplotlib.figure import Figure
from PIL import Image

from gfe_assets.hla.features import KNOWN_LOCI, structure
from gfe_assets.notify.plots import (
    DPI,
    ReleaseSize,
    alleles_figure,
    alleles_per_locus,
    features_figure,
    features_known,
    growth_figure,
    in_release_order,
    percent,
    png,
)

DRA = "HLA-DRA"  # 4 exons, 9 positions: 5'UTR E1 I1 E2 I2 E3 I3 E4 3'UTR
DRB1 = "HLA-DRB1"  # 6 exons, 13 positions


def alleles(*names: str) -> pl.DataFrame:
    """Frame of alleles by GFE name."""
    return pl.DataFrame(
        [(name.partition("w")[0], name) for name in names], schema={"locus": pl.String, "gfe_name": pl.String}, orient="row"
    )


SMALL = alleles(
    "HLA-DRB1w1-1-1-1-1-1-1-1-1-1-1-1-1",
    "HLA-DRAw0-0-0-2-0-3-0-0-0",
    "HLA-DRAw0-0-0-2-0-3-0-0-0",
    "HLA-DRAw1-1-1-1-1-1-1-1-1",
    "HLA-DRAw0-0-0-12-0-0-0-0-7",
)


def picture(figure: Figure) -> Image.Image:
    """The PNG, decoded completely."""
    image = Image.open(io.BytesIO(png(figure)))
    image.load()
    assert image.format == "PNG"
    return image


def colours(image: Image.Image) -> int:
    return len(image.convert("RGB").getcolors(1 << 24) or [])


def test_alleles_and_their_distinct_gfes_are_counted_by_locus_in_the_order_of_loci():
    assert alleles_per_locus(SMALL).rows() == [(DRB1, 1, 1), (DRA, 4, 3)]


def test_a_feature_is_known_to_every_allele_whose_gfe_has_an_accession_for_it():
    known = {(term, rank): (n, of) for _, term, rank, of, n in features_known(SMALL).filter(locus=DRA).iter_rows()}
    assert known == {
        ("FIVE_PRIME_UTR", 1): (1, 4),
        ("EXON", 1): (1, 4),
        ("INTRON", 1): (1, 4),
        ("EXON", 2): (4, 4),
        ("INTRON", 2): (1, 4),
        ("EXON", 3): (3, 4),
        ("INTRON", 3): (1, 4),
        ("EXON", 4): (1, 4),
        ("THREE_PRIME_UTR", 1): (2, 4),
    }


def test_known_features_agree_with_counting_by_hand_on_random_alleles():
    chance = random.Random(7)
    rows = []
    for locus in (DRA, DRB1, "HLA-A", "KIR2DL1"):
        size = len(structure(locus).features)
        rows += [(locus, [chance.choice([0, 0, 1, 12]) for _ in range(size)]) for _ in range(200)]
    frame = alleles(*(f"{locus}w{'-'.join(map(str, numbers))}" for locus, numbers in rows))
    for locus, term, rank, of, known in features_known(frame).iter_rows():
        place = structure(locus).positions[term, rank]
        assert of == 200
        assert known == sum(numbers[place] > 0 for name, numbers in rows if name == locus)


def test_sizes_are_put_in_release_order_and_not_in_that_of_strings():
    sizes = [ReleaseSize(name, 1, 1, 1) for name in ("3100", "390", "31000", "400")] + [ReleaseSize("390", 2, 2, 2)]
    assert [(size.release, size.alleles) for size in in_release_order(sizes)] == [
        ("390", 2),
        ("3100", 1),
        ("31000", 1),
        ("400", 1),
    ]


def test_the_bars_have_the_numbers_of_the_loci():
    figure = alleles_figure(SMALL, "3.58.0")
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [1, 4]
    assert [label.get_text() for label in axes.get_yticklabels()] == [DRB1, DRA]
    assert "3.58.0 (5 alleles)" in axes.get_title("left")


def test_the_heat_map_has_a_row_a_locus_and_all_three_prime_utrs_in_its_last_column():
    figure = features_figure(SMALL, "3.58.0")
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        *("5′UTR", "E1", "I1", "E2", "I2", "E3", "I3", "E4", "I4", "E5", "I5", "E6", "3′UTR")
    ]
    assert [label.get_text() for label in axes.get_yticklabels()] == [DRB1, DRA]
    shares = axes.collections[0].get_array().reshape(2, 13)
    assert shares[0].tolist() == [100] * 13
    assert shares[1].filled(-1).tolist() == [25, 25, 25, 100, 25, 75, 25, 25, -1, -1, -1, -1, 50]


def test_growth_draws_each_size_over_the_releases_in_order():
    sizes = [ReleaseSize("3100", 30, 25, 12), ReleaseSize("390", 20, 18, 11), ReleaseSize("3110", 44, 33, 13)]
    figure = growth_figure(sizes)
    drawn = [list(axes.lines[0].get_ydata()) for axes in figure.axes]
    assert drawn == [[20, 30, 44], [18, 25, 33], [11, 12, 13]]
    labels = {round(label.get_position()[0]): label.get_text() for label in figure.axes[-1].get_xticklabels()}
    assert labels == {0: "3.9.0", 1: "3.10.0", 2: "3.11.0"}
    assert all(axes.get_ylim()[0] == 0 for axes in figure.axes)


def test_growth_over_many_releases_labels_some_of_them_and_always_the_newest():
    figure = growth_figure(ReleaseSize(f"3{minor}0", minor, minor, minor) for minor in range(60))
    labels = [label.get_text() for label in figure.axes[-1].get_xticklabels()]
    assert len(labels) <= 16
    assert "3.59.0" in labels
    assert len(figure.axes[0].lines[0].get_ydata()) == 60


@pytest.mark.parametrize("rows", [SMALL, alleles(*(f"{x}w{'-'.join('1' for _ in structure(x).features)}" for x in KNOWN_LOCI))])
def test_pictures_are_pngs_of_the_size_they_were_laid_out_for(rows: pl.DataFrame):
    for figure in (alleles_figure(rows, "3.58.0"), features_figure(rows, "3.58.0")):
        image = picture(figure)
        width, height = figure.get_size_inches()
        assert image.size == (int(width * DPI), int(height * DPI))
        assert colours(image) > 10


def test_other_numbers_give_another_picture_and_the_same_numbers_the_same_bytes():
    first = png(features_figure(SMALL, "3.58.0"))
    assert first == png(features_figure(SMALL, "3.58.0"))
    assert first != png(features_figure(SMALL.head(4), "3.58.0"))


def test_a_full_cell_is_dark_and_an_empty_one_light():
    image = picture(features_figure(alleles("HLA-DRAw0-1-0-0-0-0-0-0-0"), "3.58.0")).convert("RGB")
    found = {colour for _, colour in image.getcolors(1 << 24)}
    assert (8, 48, 107) in found  # the ends of ColorBrewer's Blues
    assert (247, 251, 255) in found


def test_without_data_the_pictures_say_so():
    nothing = SMALL.clear()
    for figure in (alleles_figure(nothing, "3.58.0"), features_figure(nothing, "3.58.0"), growth_figure([])):
        picture(figure)
    assert [text.get_text() for text in features_figure(nothing, "3.58.0").axes[0].texts] == ["no allele"]
    assert [text.get_text() for text in growth_figure([]).axes[0].texts] == ["no release is loaded"]
    assert [text.get_text() for text in alleles_figure(nothing, "3.58.0").axes[0].texts] == ["no allele"]


def test_all_and_none_are_said_only_where_it_is_all_and_none():
    assert [percent(value) for value in (0, 0.01, 49.6, 99.99, 100)] == ["0", "<1", "50", ">99", "100"]
