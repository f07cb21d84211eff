"""Alignments of a simulated release in GCG's MSF layout, as IPD-IMGT/HLA writes it.

In: alleles whose parts are aligned already. Out: aligning (nobody has to, see `mutate.py`), folders (`repository.py`).

    !!NA_MULTIPLE_ALIGNMENT
                                                                      free text may stand here: the label
       MSF: 3663  Type: N  Oct 06, 2015  15:39  Check: 0 ..

     Name: A*01:01:01:01    Len:  3663  Check: 8037  Weight:  1.00    one line a row
    //

      A*01:01:01:01  CAGGAGCAGA GGGGTCAGGG CGAAGTCCCA ...             blocks of 50 columns, `.` where there is none

Rows of proteins that end early (null alleles) are shorter than the others, and have empty lines after their end.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from gfe_assets.simulate.alleles import LABEL, Allele
from gfe_assets.simulate.mutate import GAP, Parts

_BLOCK = 50


class AlignedRow(NamedTuple):
    """A row of an alignment: name without `HLA-`, and columns."""

    name: str
    columns: str


def genomic(alleles: Iterable[Allele]) -> list[AlignedRow]:
    """Rows of a `_gen` file: alleles sequenced in full length."""
    return [AlignedRow(_name(allele), "".join(allele.parts)) for allele in alleles if allele.full_length and not allele.deleted]


def nucleotide(alleles: Iterable[Allele]) -> list[AlignedRow]:
    """Rows of a `_nuc` file: exons of every allele, gaps where they are not sequenced."""
    return [
        AlignedRow(_name(allele), "".join(allele.published(position) for position in allele.gene.exons))
        for allele in alleles
        if not allele.deleted
    ]


def protein(alleles: Iterable[Allele], ancestor: Parts) -> list[AlignedRow]:
    """Rows of a `_prot` file: one column for each codon of the ancestor, its stop excepted; untranslated alleles left out."""
    reference = "".join(ancestor[1::2])
    columns = (len(reference) - reference.count(GAP)) // 3 - 1
    codon_of = []
    seen = 0
    for letter in reference:
        codon_of.append(seen // 3)
        seen += letter != GAP
    return [
        AlignedRow(_name(allele), _protein_row(allele, codon_of, columns))
        for allele in alleles
        if allele.translated and not allele.deleted
    ]


def _protein_row(allele: Allele, codon_of: Sequence[int], columns: int) -> str:
    acids = allele.protein()
    coding = "".join(allele.published(position) for position in allele.gene.exons)
    places = [codon_of[column] for column, letter in enumerate(coding) if letter != GAP][allele.codon_start - 1 :: 3]
    if "X" in acids:
        return GAP * places[0] + acids
    row = [GAP] * columns
    for place, acid in zip(places, acids, strict=False):
        row[place] = acid
    return "".join(row)


def _name(allele: Allele) -> str:
    return f"{allele.gene.name}*{allele.short_name}"


def lines(rows: Sequence[AlignedRow], kind: str, date: datetime) -> Iterator[str]:
    """Lines of an MSF file; `kind` is `N` (nucleotides) or `P` (protein). `rows` is not empty, its first row not cut short."""
    width = max(len(row.columns) for row in rows)
    yield f"!!{'A' if kind == 'P' else 'N'}A_MULTIPLE_ALIGNMENT\n\n{LABEL}\n\n"
    yield f"   MSF: {width}  Type: {kind}  {date:%b %d, %Y  %H:%M}  Check: 0 ..\n\n"
    for name, columns in rows:
        yield f" Name: {name:<16} Len:{len(columns):>6}  Check:{checksum(columns):>5}  Weight:  1.00\n"
    yield "//\n\n"
    margin = max(15, *(len(row.name) for row in rows))
    for start in range(0, width, _BLOCK):
        block = []
        for name, columns in rows:
            part = columns[start : start + _BLOCK]
            groups = f"{part[:10]} {part[10:20]} {part[20:30]} {part[30:40]} {part[40:]}".rstrip()
            block.append(f"{name:>{margin}}  {groups}\n" if part else "\n")
        yield "".join(block) + "\n"


def checksum(columns: str) -> int:
    """GCG's checksum: letters weighted by 1 to 57 in turn, modulo 10,000."""
    letters = columns.encode()
    return sum((weight + 1) * sum(letters[weight::57]) for weight in range(57)) % 10_000
