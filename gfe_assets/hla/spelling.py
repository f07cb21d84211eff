"""Spelling alleles by their GFE names: taking all names of a build apart and putting sequences together again.

In: frames of a build and the registry; what each name says. Out: the verdict (`checks.py`), one name alone (`gfe.py`).

A name that cannot be taken apart, and an accession that the registry does not have, end as nulls, which equal nothing: they can
never pass for a right answer.
"""

from collections.abc import Callable, Iterator, Sequence

import polars as pl

from gfe_assets.hla.features import KNOWN_LOCI, FeatureKey, structure
from gfe_assets.hla.manifest import PartlyAnnotated

SequenceLookup = Callable[[Iterator[tuple[FeatureKey, int]]], dict[tuple[FeatureKey, int], str]]
_KEY = ["locus", "term", "rank", "accession"]


def split_names(names: pl.DataFrame) -> pl.DataFrame:
    """Take GFE names (`gfe_name`, `locus`) apart: one row a known feature with `position`, `term`, `rank`, `accession`.

    A name that does not begin with its locus, or whose numbers are none or too many, has rows with nulls.
    """
    layout = pl.DataFrame(
        [(locus, index, key.term, key.rank) for locus in KNOWN_LOCI for index, key in enumerate(structure(locus).features)],
        schema={"locus": pl.String, "position": pl.Int64, "term": pl.String, "rank": pl.Int64},
        orient="row",
    )
    return (
        names.with_columns(accession=pl.col("gfe_name").str.strip_prefix(pl.col("locus") + "w").str.split("-"))
        .with_columns(position=pl.int_ranges(pl.col("accession").list.len()))
        .explode("accession", "position")
        .with_columns(pl.col("accession").cast(pl.Int64, strict=False))
        .filter((pl.col("accession") > 0) | pl.col("accession").is_null())
        .join(layout, on=["locus", "position"], how="left")
    )


def look_up(parts: pl.DataFrame, registry: SequenceLookup) -> pl.DataFrame:
    """The distinct features in `parts` (locus, term, rank, accession), each with the sequence that the registry has for it."""
    distinct = parts.select(_KEY).unique().drop_nulls()
    keys = [(FeatureKey(locus, term, rank), accession) for locus, term, rank, accession in distinct.iter_rows()]
    found = registry(iter(keys))
    return distinct.with_columns(feature=pl.Series([found.get(key) for key in keys], dtype=pl.String))


def spell(parts: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """`gfe_name` and `rebuilt`, its features one after the other; null where one of them is not in `known`."""
    return (
        parts.join(known, on=_KEY, how="left")
        .sort("gfe_name", "position")
        .group_by("gfe_name", maintain_order=True)
        .agg(rebuilt=pl.col("feature").str.join("", ignore_nulls=False))
    )


def annotated(sequences: pl.DataFrame, partly: Sequence[PartlyAnnotated]) -> pl.DataFrame:
    """The same rows, `sequence` cut down to what the entry annotates, where that is not all of it."""
    spans = {allele.hla_name: allele.spans for allele in partly}
    cut = pl.DataFrame(
        [
            (name, "".join(sequence[start - 1 : end] for start, end in spans[name]))
            for name, sequence in sequences.filter(pl.col("hla_name").is_in(list(spans)))
            .select("hla_name", "sequence")
            .iter_rows()
        ],
        schema={"hla_name": pl.String, "cut": pl.String},
        orient="row",
    )
    return sequences.join(cut, on="hla_name", how="left").with_columns(sequence=pl.coalesce("cut", "sequence")).drop("cut")
