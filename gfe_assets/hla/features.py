"""The parts of a gene: which features a locus has, in which order, and how one is named.

In: loci, their structure (DESIGN.md 3; exon counts as in the reference implementation's GFE structures)
and `FeatureKey`. Out: finding features in an entry (`flatfile.py`), numbering them (`accessions.py`).
"""

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from gfe_assets.errors import SettingsError

FIVE_PRIME_UTR = "FIVE_PRIME_UTR"
EXON = "EXON"
INTRON = "INTRON"
THREE_PRIME_UTR = "THREE_PRIME_UTR"
TERMS = (FIVE_PRIME_UTR, EXON, INTRON, THREE_PRIME_UTR)
"""Terms of the Feature Service, which are those of the Sequence Ontology in capitals."""

_HLA_EXONS = {
    "HLA-A": 8,
    "HLA-B": 7,
    "HLA-C": 8,
    "HLA-DRB1": 6,
    "HLA-DRB3": 6,
    "HLA-DRB4": 6,
    "HLA-DRB5": 6,
    "HLA-DQB1": 6,
    "HLA-DPB1": 5,
    "HLA-DQA1": 4,
    "HLA-DPA1": 4,
    "HLA-DRA": 4,
}
DEFAULT_LOCI = tuple(locus for locus in _HLA_EXONS if locus != "HLA-DRA")
KIR_LOCI = tuple(
    f"KIR{gene}"
    for gene in [
        "2DL1",
        "2DL2",
        "2DL3",
        "2DL4",
        "2DL5A",
        "2DL5B",
        "2DP1",
        "2DS1",
        "2DS2",
        "2DS3",
        "2DS4",
        "2DS5",
        "3DL1",
        "3DL2",
        "3DL3",
        "3DP1",
        "3DS1",
    ]
)
KNOWN_LOCI = (*_HLA_EXONS, *KIR_LOCI)


class FeatureKey(NamedTuple):
    """Which part of which gene: accessions are unique inside one key. `term` is one of `TERMS`, `rank` counts from 1."""

    locus: str
    term: str
    rank: int


@dataclass(frozen=True)
class Structure:
    """The features of a locus in gene order; `positions` gives the index of (term, rank) in a GFE name."""

    locus: str
    features: tuple[FeatureKey, ...]
    positions: dict[tuple[str, int], int]


@cache
def structure(locus: str) -> Structure:
    """Features of `locus` in gene order: 5'UTR, exon 1, intron 1, …, last exon, 3'UTR.

    HLA loci have one intron fewer than exons; KIR loci have 9 exons and 9 introns, so 20 features
    (DESIGN.md 3, as the reference names them).

    Raises:
        SettingsError: the locus is not known.
    """
    if locus in _HLA_EXONS:
        exons, introns = _HLA_EXONS[locus], _HLA_EXONS[locus] - 1
    elif locus in KIR_LOCI:
        exons, introns = 9, 9
    else:
        raise SettingsError(f"locus {locus!r} is not known; the known loci are {', '.join(KNOWN_LOCI)}")
    parts = [(FIVE_PRIME_UTR, 1)]
    for number in range(1, exons + 1):
        parts.append((EXON, number))
        if number <= introns:
            parts.append((INTRON, number))
    parts.append((THREE_PRIME_UTR, 1))
    return Structure(
        locus=locus,
        features=tuple(FeatureKey(locus, term, rank) for term, rank in parts),
        positions={part: index for index, part in enumerate(parts)},
    )
