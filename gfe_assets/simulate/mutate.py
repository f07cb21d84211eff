"""Sequences from a random generator, and the ways in which one changes into the next.

In: ancestral sequences of a gene; substitutions, insertions, deletions, premature stops. Out: who descends from
whom (`growth.py`).

A *part* is one feature in the columns of its gene's alignment: bases in capitals, and `.` where this sequence has
none. Every part of one position has the same number of columns: an ancestor comes with empty columns (slots) that an
insertion fills, and a deletion empties columns. So any alleles of a gene are aligned at any time, without aligning.
"""

from collections.abc import Sequence
from itertools import product
from random import Random
from typing import Literal

from gfe_assets.simulate.genes import Gene

GAP = "."
_BASES = "ACGT"
_AMINO_ACIDS = "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"
CODONS = {"".join(codon): acid for codon, acid in zip(product("TCAG", repeat=3), _AMINO_ACIDS, strict=True)}
"""The standard genetic code; `*` is a stop."""
_SENSE = tuple(codon for codon, acid in CODONS.items() if acid != "*")
_TRIES = 20_000
_DIVERGING_EXON = 70
"""Shorter exons may have no place for a substitution of a wanted effect, so lineages share them."""

Parts = tuple[str, ...]
Effect = Literal["synonymous", "protein", "stop"]


def bases(part: str) -> str:
    """The sequence of a part, without gaps."""
    return part.replace(GAP, "") if GAP in part else part


def translate(coding: str) -> str:
    """Amino acids of `coding` from its first base, stops as `*`; one or two bases left over at the end say nothing."""
    return "".join([CODONS[coding[start : start + 3]] for start in range(0, len(coding) - 2, 3)])


def ancestor(rng: Random, seed: int, gene: Gene, scale: float) -> Parts:
    """The common ancestor of all alleles of a gene; genes of one family have the same exons for the same seed."""
    lengths = gene.scaled_lengths(scale)
    coding = _coding(Random(f"{seed} {gene.coding_family}"), gene)  # noqa: S311 - no secret depends on it
    parts = []
    for position, length in enumerate(lengths):
        if position % 2:
            exon, coding = coding[:length], coding[length:]
            parts.append(exon if length < 100 else exon[: length // 2] + GAP + exon[length // 2 :])
        else:
            parts.append(_noncoding(rng, length) if length else "")
    return tuple(parts)


def _coding(rng: Random, gene: Gene) -> str:
    total = sum(gene.lengths[position] for position in gene.exons)
    if not gene.functional:
        return _spell(rng, total)
    coding = ["ATG", *rng.choices(_SENSE, k=total // 3 - 2), "TGA"]
    if gene.optional_exon is None:
        return "".join(coding)
    # With and without the optional exon the codon across its border must be sense, and no stop begins with C.
    letters = list("".join(coding))
    for exon in (gene.optional_exon - 1, gene.optional_exon):
        letters[sum(gene.lengths[position] for position in gene.exons[:exon]) - 1] = "C"
    return "".join(letters)


def _noncoding(rng: Random, length: int) -> str:
    sequence = "GT" + _spell(rng, length - 4) + "AG"
    for _ in range(1 + length // 150):
        place = rng.randrange(3, len(sequence) - 3)
        sequence = sequence[:place] + GAP * rng.randint(1, 4) + sequence[place:]
    return sequence


def _spell(rng: Random, length: int) -> str:
    return "".join(rng.choices(_BASES, k=length))


def drop_exon(gene: Gene, parts: Parts, rng: Random) -> Parts:
    """A lineage without the optional exon and its intron; one in four keeps them and has a shorter intron before."""
    position = 2 * (gene.optional_exon or 0) - 1
    changed = list(parts)
    if rng.random() < 0.25:
        before = changed[position - 1]
        cut = len(before) * 4 // 9
        changed[position - 1] = before[:cut] + GAP * (len(before) - cut)
    else:
        changed[position] = GAP * len(changed[position])
        changed[position + 1] = GAP * len(changed[position + 1])
    return tuple(changed)


def diverge(rng: Random, gene: Gene, parts: Parts) -> Parts:
    """An old lineage: many substitutions in the exons that bind peptides, fewer elsewhere, some indels outside exons."""
    changed = parts
    for position, part in enumerate(parts):
        size = len(bases(part))
        rate = 0.04 if position in (3, 5) else 0.01
        if position % 2 and size < _DIVERGING_EXON:
            continue
        for _ in range(int(size * rate + rng.random())):
            if position % 2 and gene.functional:
                effect: Effect = "protein" if rng.random() < 0.6 else "synonymous"
                changed = substitute_coding(rng, gene, changed, [position], effect)
            else:
                changed = _with(changed, position, substitute(rng, changed[position]))
        for _ in range(0 if position % 2 else int(size / 400 + rng.random())):
            changed = _with(changed, position, insert_or_delete(rng, changed[position]))
    return changed


def change_noncoding(rng: Random, gene: Gene, parts: Parts) -> Parts:
    """One substitution, insertion or deletion in an untranslated region or intron."""
    present = [position for position in gene.noncoding if bases(parts[position])]
    position = rng.choices(present, [len(parts[position]) + 100 for position in present])[0]
    change = insert_or_delete if rng.random() < 0.15 else substitute
    return _with(parts, position, change(rng, parts[position]))


def substitute(rng: Random, part: str) -> str:
    """`part` with one base replaced by another."""
    column = _base_column(rng, part)
    return part[:column] + rng.choice(_BASES.replace(part[column], "")) + part[column + 1 :]


def insert_or_delete(rng: Random, part: str) -> str:
    """`part` with a slot filled, or with up to three bases gone; never shorter than 6 bases."""
    slot = part.find(GAP, rng.randrange(len(part)))
    if slot >= 0 and rng.random() < 0.5:
        return part[:slot] + rng.choice(_BASES) + part[slot + 1 :]
    column = _base_column(rng, part)
    gone = part[:column] + GAP * len(part[column : column + 3]) + part[column + 3 :]
    return gone if len(bases(gone)) >= 6 else substitute(rng, part)


def _base_column(rng: Random, part: str) -> int:
    while True:
        column = rng.randrange(len(part))
        if part[column] != GAP:
            return column


def substitute_coding(rng: Random, gene: Gene, parts: Parts, targets: Sequence[int], effect: Effect) -> Parts:
    """One substitution in one of the exons at positions `targets`, with the wanted effect on the protein.

    Start and stop codon stay. Exons 2 and 3, where real alleles differ most, are hit three times as often as others.

    Raises:
        RuntimeError: no such substitution was found (exons of real length always have one).
    """
    sequences = {position: bases(parts[position]) for position in gene.exons}
    coding = "".join(sequences.values())
    weights = [len(sequences[position]) * (3 if position in (3, 5) else 1) for position in targets]
    for _ in range(_TRIES):
        position = rng.choices(targets, weights)[0]
        index = rng.randrange(len(sequences[position]))
        offset = sum(len(sequences[before]) for before in gene.exons if before < position) + index
        start = offset - offset % 3
        if start == 0 or start + 3 >= len(coding):
            continue
        old = coding[start : start + 3]
        base = rng.choice(_BASES)
        new = old[: offset % 3] + base + old[offset % 3 + 1 :]
        if new != old and _effect(old, new) == effect:
            column = _column_of(parts[position], index)
            return _with(parts, position, parts[position][:column] + base + parts[position][column + 1 :])
    raise RuntimeError(f"no {effect} substitution found in {gene.locus}")


def _effect(old: str, new: str) -> Effect:
    if CODONS[new] == "*":
        return "stop"
    return "synonymous" if CODONS[old] == CODONS[new] else "protein"


def shift_frame(rng: Random, parts: Parts, targets: Sequence[int]) -> Parts:
    """One base inserted into or deleted from the middle half of one of the exons at positions `targets`."""
    position = max(targets, key=lambda target: (len(parts[target]) >= 100, rng.random()))
    part = parts[position]
    slot = part.find(GAP)
    if slot >= 0 and rng.random() < 0.5:
        return _with(parts, position, part[:slot] + rng.choice(_BASES) + part[slot + 1 :])
    size = len(bases(part))
    column = _column_of(part, rng.randrange(size // 4, 3 * size // 4))
    return _with(parts, position, part[:column] + GAP + part[column + 1 :])


def delete_codon(rng: Random, gene: Gene, parts: Parts, targets: Sequence[int]) -> Parts:
    """A whole codon gone from one of the exons at positions `targets`; the frame stays."""
    position = max(targets, key=lambda target: (len(parts[target]) >= 100, rng.random()))
    size = len(bases(parts[position]))
    before = sum(len(bases(parts[exon])) for exon in gene.exons if exon < position)
    codon = rng.randrange((before + 2) // 3 + 1, (before + size) // 3 - 1)
    part = parts[position]
    for index in range(codon * 3 - before + 2, codon * 3 - before - 1, -1):
        column = _column_of(part, index)
        part = part[:column] + GAP + part[column + 1 :]
    return _with(parts, position, part)


def _column_of(part: str, index: int) -> int:
    """Column of the base number `index` (from 0)."""
    column = index
    while (seen := column - part.count(GAP, 0, column)) < index or part[column] == GAP:
        column += max(1, index - seen)
    return column


def _with(parts: Parts, position: int, part: str) -> Parts:
    return (*parts[:position], part, *parts[position + 1 :])
