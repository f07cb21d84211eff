"""What one release changed against another: alleles new, deleted, renamed, re-sequenced; GFEs new and gone.

In: two frames of `gfe_sequences`, before and after. Out: reading them (`csvs.py`), what the graph makes of it
(`graph/sync.py` compares keys of the graph, not alleles of releases), showing it (`notify/`).

An allele is known by its accession number, the accession without its sequence version: `HLA00001` of
`HLA00001.4`. The number stays when an allele is renamed; the version changes when its entry's sequence is
corrected or extended, mostly upwards (3.22.0 takes HLA01893 from 2 back to 1, to a shorter sequence). A name
that moves to another accession number is one allele deleted and one new.
"""

from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import polars as pl

from gfe_assets.errors import BuildError

COLUMNS = ["acc_name", "hla_name", "seq_id", "gfe_name"]
"""What is read of each frame: enough for `read_csv(…, columns=COLUMNS)`, which leaves the sequences on disk."""


class Allele(NamedTuple):
    """An allele that only one of the two releases has; `accession` is with version."""

    accession: str
    name: str
    gfe: str


class Renamed(NamedTuple):
    """An accession number whose allele has another name."""

    accession: str
    before: str
    after: str


class Resequenced(NamedTuple):
    """An allele whose accession version or sequence is another; `name` is the later one, accessions are with version.

    `sequence_changed` is False where only the version is another.
    """

    name: str
    before: str
    after: str
    sequence_changed: bool
    gfe_before: str
    gfe_after: str


class Reannotated(NamedTuple):
    """An allele with the same version and sequence, whose features are cut differently: it has another GFE name."""

    name: str
    accession: str
    gfe_before: str
    gfe_after: str


@dataclass(frozen=True)
class ReleaseChanges:
    """All differences, in the order of the later release (deleted ones and GFEs gone: of the earlier).

    An allele can be both renamed and re-sequenced; it then stands in both lists.
    """

    alleles_before: int
    alleles_after: int
    new: tuple[Allele, ...] = ()
    deleted: tuple[Allele, ...] = ()
    renamed: tuple[Renamed, ...] = ()
    resequenced: tuple[Resequenced, ...] = ()
    reannotated: tuple[Reannotated, ...] = ()
    gfes_new: tuple[str, ...] = ()
    gfes_gone: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """How many of each, for tables and trends."""
        return {
            "alleles_new": len(self.new),
            "alleles_deleted": len(self.deleted),
            "alleles_renamed": len(self.renamed),
            "alleles_resequenced": len(self.resequenced),
            "alleles_reannotated": len(self.reannotated),
            "gfes_new": len(self.gfes_new),
            "gfes_gone": len(self.gfes_gone),
        }

    @property
    def empty(self) -> bool:
        """Whether both releases hold the same alleles."""
        return not any(self.counts.values())


def release_changes(before: pl.DataFrame, after: pl.DataFrame) -> ReleaseChanges:
    """Compare two releases; each frame has at least `COLUMNS`, one row an allele.

    Raises:
        BuildError: an accession number stands twice in one of them, so its alleles cannot be told apart.
    """
    before, after = _numbered(before, "earlier"), _numbered(after, "later")
    both = after.join(before, on="number", how="inner", suffix="_before", maintain_order="left")
    renamed = both.filter(pl.col("hla_name") != pl.col("hla_name_before"))
    other_version = pl.col("acc_name") != pl.col("acc_name_before")
    other_sequence = pl.col("seq_id") != pl.col("seq_id_before")
    other_gfe = pl.col("gfe_name") != pl.col("gfe_name_before")
    resequenced = both.filter(other_version | other_sequence).with_columns(changed=other_sequence)
    reannotated = both.filter(~other_version & ~other_sequence & other_gfe)
    gfes = ["gfe_name_before", "gfe_name"]
    return ReleaseChanges(
        alleles_before=before.height,
        alleles_after=after.height,
        new=_only_in(after, before),
        deleted=_only_in(before, after),
        renamed=_rows(Renamed, renamed.select("number", "hla_name_before", "hla_name")),
        resequenced=_rows(Resequenced, resequenced.select("hla_name", "acc_name_before", "acc_name", "changed", *gfes)),
        reannotated=_rows(Reannotated, reannotated.select("hla_name", "acc_name", *gfes)),
        gfes_new=_gfes_only_in(after, before),
        gfes_gone=_gfes_only_in(before, after),
    )


def _numbered(frame: pl.DataFrame, which: str) -> pl.DataFrame:
    """The columns compared, with the accession number."""
    frame = frame.select(COLUMNS).with_columns(number=pl.col("acc_name").str.replace(r"\.\d+$", ""))
    twice = frame.filter(pl.col("number").is_duplicated())
    if twice.height:
        number = twice["number"][0]
        accessions = ", ".join(twice.filter(pl.col("number") == number)["acc_name"].head(3))
        raise BuildError(
            f"the {which} of two releases has the accession number {number} more than once ({accessions}), so they cannot be "
            "compared; correct the source and build that release again"
        )
    return frame


def _only_in(one: pl.DataFrame, other: pl.DataFrame) -> tuple[Allele, ...]:
    only = one.join(other, on="number", how="anti", maintain_order="left")
    return _rows(Allele, only.select("acc_name", "hla_name", "gfe_name"))


def _gfes_only_in(one: pl.DataFrame, other: pl.DataFrame) -> tuple[str, ...]:
    names = one.select("gfe_name").unique(maintain_order=True)
    return tuple(names.join(other, on="gfe_name", how="anti", maintain_order="left")["gfe_name"])


RowT = TypeVar("RowT", bound=tuple[object, ...])


def _rows(kind: type[RowT], frame: pl.DataFrame) -> tuple[RowT, ...]:
    """Rows of a frame as named tuples; columns in the order of the fields."""
    return tuple(kind(*row) for row in frame.iter_rows())
