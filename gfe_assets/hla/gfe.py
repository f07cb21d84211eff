"""Names of GFEs and identities of sequences: pure functions, the heart of the notation.

In: what a GFE name is made of and how it is taken apart again. Out: where accessions come from
(`accessions.py`), rows of files (`alleles.py`).

A GFE name is the locus, `w`, and the accession of every feature of the locus in gene order, joined by
`-`; 0 where the feature is not known (Mack 2015, Hum Immunol 76:975): `HLA-Aw2-1-1-…-4`.
"""

import hashlib
import re
from collections.abc import Iterable

from gfe_assets.errors import GfeError, SettingsError
from gfe_assets.hla.features import FeatureKey, structure

# one spelling of every number, in ASCII digits, and no longer than a database can keep
_ACCESSION = re.compile(r"0|[1-9][0-9]{0,17}")


class GfeNameError(GfeError):
    """A text is not a GFE name."""


def seq_id(sequence: str) -> str:
    """The first 32 digits of the decimal MD5 of a sequence: gfe-db's identity of a sequence."""
    return str(int(hashlib.md5(sequence.encode()).hexdigest(), 16))[:32]


def gfe_name(locus: str, accessions: Iterable[tuple[str, int, int]]) -> str:
    """The name of a GFE from its known features, given as (term, rank, accession).

    Raises:
        SettingsError: the locus is not known.
    """
    parts = structure(locus)
    numbers = ["0"] * len(parts.features)
    for term, rank, accession in accessions:
        numbers[parts.positions[term, rank]] = str(accession)
    return f"{locus}w{'-'.join(numbers)}"


def split_gfe_name(name: str) -> list[tuple[FeatureKey, int]]:
    """The known features of a GFE, in gene order, each with its accession.

    Raises:
        GfeNameError: not a GFE name, or not one of a known locus and its number of features.
    """
    locus, separator, numbers = name.partition("w")
    accessions = numbers.split("-")
    if not separator or not all(_ACCESSION.fullmatch(number) for number in accessions):
        raise GfeNameError(f"{name[:200]!r} is not a GFE name such as HLA-Aw2-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1-4")
    try:
        features = structure(locus).features
    except SettingsError as error:
        raise GfeNameError(f"{name[:200]!r} is not the name of a known GFE: {error}") from None
    if len(accessions) != len(features):
        raise GfeNameError(f"{name[:200]!r} has {len(accessions)} features where {locus} has {len(features)}")
    return [(key, int(number)) for key, number in zip(features, accessions, strict=True) if number != "0"]
