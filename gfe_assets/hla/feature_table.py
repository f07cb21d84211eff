"""The FT lines of an entry: which parts of the gene it has, and its coding sequence.

In: the text of an entry, its length and locus; `Feature`s in gene order, or a `Problem`. Out: the other lines
(`entries.py`), what an entry looks like (drawn in `flatfile.py`).

What is read as it stands, although it is odd: `<` and `>` at partial ends; `join` around one span; `order` for `join`;
`5'UTR` and `3'UTR` as keys; keys in capitals; a fused intron `3/4` (the first number counts, as in the reference);
features out of order, with gaps or overlaps. What contradicts itself is a `Problem`: a feature outside the sequence, one that
stands there twice, a UTR between exons, an exon without number.

A part that the locus does not have, behind those that it has, is left out and said so. It is real: HLA-B*51:197 is a
recombinant of HLA-B, which has seven exons, and HLA-C, whose exon 8 it kept (ANHIG/IMGTHLA issue 386). The notation has
no place for it, and the reference implementation leaves it out of the name too. Anywhere else its number is wrong.
"""

import re
from typing import NamedTuple

from gfe_assets.hla.features import EXON, FIVE_PRIME_UTR, INTRON, THREE_PRIME_UTR, structure

_TERMS = {b"exon": EXON, b"intron": INTRON, b"utr": "", b"5'utr": FIVE_PRIME_UTR, b"3'utr": THREE_PRIME_UTR}
"""Key in small letters → term; a plain UTR shows by its place which one it is."""
_FEATURE_START = re.compile(rb"\nFT   (?=\S)")
_LOCATION_END = re.compile(rb"\n(?:FT +/|(?!FT))")
_NUMBER = re.compile(rb'/number="?([0-9]{1,6})')
_TRANSLATION = re.compile(rb'/translation="([^"]*)"')
_BLANKS = b" \t\r"
_CONTINUATION = re.compile(rb"\s*\nFT *|\s+")
_OPERATOR = re.compile(rb"(?:join|order)\((.*)\)")
_SPAN = re.compile(rb"[<>]?([0-9]{1,9})[<>]?(?:\.\.[<>]?([0-9]{1,9})[<>]?)?")

Span = tuple[int, int]


class Problem(Exception):
    """Something in an entry makes it unusable; becomes the message of a `BadEntry`."""


class Feature(NamedTuple):
    """A part of an entry: `term` of the Feature Service, `rank` from 1, first and last base."""

    term: str
    rank: int
    start: int
    end: int


class _Part(NamedTuple):
    """A feature as it stands in the table; `term` is empty for a plain UTR."""

    kind: str
    term: str
    number: int
    start: int
    end: int

    def __str__(self) -> str:
        number = f" {self.number}" if self.term in (EXON, INTRON) else ""
        return f"{self.kind}{number} at {self.start}..{self.end}"


class FeatureTable(NamedTuple):
    """What the FT lines say. `left_out` names parts that the locus does not have (`exon 8`)."""

    features: tuple[Feature, ...]
    left_out: tuple[str, ...]
    cds: tuple[Span, ...]
    translation: str


def read_feature_table(record: bytes, locus: str, length: int) -> FeatureTable:
    """Read the FT lines of an entry of `locus` with `length` bases.

    Raises:
        Problem: they contradict themselves, the sequence or the locus, or cannot be read.
    """
    parts: list[_Part] = []
    cds: tuple[Span, ...] = ()
    translation = ""
    for text in _FEATURE_START.split(record[: record.find(b"\nSQ ")])[1:]:
        kind = text[:16].split(None, 1)[0]
        lower = kind.lower()
        if lower in _TERMS:
            parts.append(_part(text, kind, _TERMS[lower], length))
        elif lower == b"cds" and not cds:  # real entries have one; of several, the first is the entry's own
            cds = _spans(text[len(kind) :], kind, length)
            protein = _TRANSLATION.search(text)
            translation = _CONTINUATION.sub(b"", protein[1]).decode("ascii", "replace") if protein else ""
    return FeatureTable(*_in_gene_order(locus, parts), cds, translation)


def _part(text: bytes, kind: bytes, term: str, length: int) -> _Part:
    spans = _spans(text[len(kind) :], kind, length)
    name = kind.decode("ascii", "replace")
    if len(spans) != 1:
        raise Problem(f"its {name} at {spans[0][0]}..{spans[-1][1]} has {len(spans)} spans where one is expected")
    number = _NUMBER.search(text) if term in (EXON, INTRON) else None
    if number is None and term in (EXON, INTRON):
        raise Problem(f"its {name} at {spans[0][0]}..{spans[0][1]} has no /number")
    return _Part(name, term, int(number[1]) if number else 1, *spans[0])


def _spans(text: bytes, kind: bytes, length: int) -> tuple[Span, ...]:
    """The spans of a location, e.g. `join(1..73,204..473)`, each inside the sequence."""
    end = _LOCATION_END.search(text)
    location = text[: end.start()] if end else text
    location = _CONTINUATION.sub(b"", location) if b"\n" in location else location.translate(None, _BLANKS)
    operator = _OPERATOR.fullmatch(location)
    spans = []
    for part in (operator[1] if operator else location).split(b","):
        match = _SPAN.fullmatch(part)
        if not match:
            raise Problem(
                f"its {kind.decode('ascii', 'replace')} has a location that cannot be read: "
                f"{location[:60].decode('ascii', 'replace')!r}"
            )
        first, last = int(match[1]), int(match[2] or match[1])
        if not 1 <= first <= last <= length:
            what = "ends before it begins" if last < first else f"is outside its sequence of {length} bases"
            raise Problem(f"its {kind.decode('ascii', 'replace')} at {first}..{last} {what}")
        spans.append((first, last))
    return tuple(spans)


def _in_gene_order(locus: str, parts: list[_Part]) -> tuple[tuple[Feature, ...], tuple[str, ...]]:
    """Name the parts and put them in the order of the gene's structure, each at most once; and name those left out."""
    exons = [part.start for part in parts if part.term == EXON]
    if not exons:
        raise Problem("it has no exon, so it has no GFE")
    first, last = min(exons), max(exons)
    positions = structure(locus).positions
    placed: dict[int, Feature] = {}
    beyond: list[_Part] = []
    for part in parts:
        term = part.term if part.term in (EXON, INTRON) else _which_utr(part, first, last)
        position = positions.get((term, part.number))
        if position is None:
            beyond.append(part)
        elif position in placed:
            raise Problem(f"its {part} stands there twice: also at {placed[position].start}..{placed[position].end}")
        else:
            placed[position] = Feature(term, part.number, part.start, part.end)
    if beyond:
        _check_beyond(locus, beyond, list(placed.values()))
    return (
        tuple(placed[position] for position in sorted(placed)),
        tuple(f"{part.kind} {part.number}" for part in beyond),
    )


def _which_utr(part: _Part, first_exon: int, last_exon: int) -> str:
    """5'UTR before the first exon, 3'UTR after the last one; both given by where they start."""
    term = FIVE_PRIME_UTR if part.start < first_exon else THREE_PRIME_UTR if part.start > last_exon else ""
    if not term or part.term not in ("", term):
        raise Problem(
            f"its {part} stands between its exons"
            if not term
            else f"its {part} stands {'before' if term == FIVE_PRIME_UTR else 'after'} its exons"
        )
    return term


def _check_beyond(locus: str, beyond: list[_Part], placed: list[Feature]) -> None:
    """Parts that the locus does not have must stand, once each, behind those that it has."""
    ends = max((feature.start for feature in placed if feature.term in (EXON, INTRON)), default=None)
    for index, part in enumerate(beyond):
        if ends is None or part.start <= ends or part.number < 1:
            raise Problem(f"its {part} is not a part of {locus}")
        if (part.term, part.number) in {(other.term, other.number) for other in beyond[:index]}:
            raise Problem(f"its {part} stands there twice")
