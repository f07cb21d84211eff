"""How alleles come to be: founders of lineages, and children that differ from a parent by a change or two.

In: new alleles with names that follow from the change (WHO nomenclature: family, protein, synonymous, noncoding).
Out: which changes there are (`mutate.py`), how many alleles (`database.py`).

Most features of a child are its parent's, the same strings; so features are shared by many alleles, as in reality.
"""

from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import Literal

from gfe_assets.simulate import mutate
from gfe_assets.simulate.alleles import Allele
from gfe_assets.simulate.genes import Coverage, Gene
from gfe_assets.simulate.mutate import Parts, bases

Kind = Literal["protein", "synonymous", "noncoding", "null", "untranslated", "trimmed"]
_FULL_KINDS: tuple[tuple[Kind, int], ...] = (("protein", 44), ("synonymous", 20), ("noncoding", 32), ("null", 4))
_EXON_KINDS: tuple[tuple[Kind, int], ...] = (("protein", 72), ("synonymous", 22), ("null", 5), ("trimmed", 1))


class Nursery:
    """Grows alleles of any gene; remembers who may be a parent, which names are taken and which sequences were seen."""

    def __init__(self, rng: Random, ancestors: Mapping[str, Parts], *, next_number: int, generation: int) -> None:
        self._rng = rng
        self._ancestors = ancestors
        self.next_number = next_number
        self._generation = generation
        self._parents: dict[str, list[Allele]] = {}
        self._last_field: dict[tuple[str, tuple[int, ...]], int] = {}
        self._seen: dict[str, set[object]] = {}

    def adopt(self, allele: Allele) -> Allele:
        """Take note of an allele: its name is taken, its features are seen, and it may have children."""
        locus = allele.gene.locus
        for depth, field in enumerate(allele.fields):
            key = (locus, allele.fields[:depth])
            self._last_field[key] = max(field, self._last_field.get(key, 0))
        self._seen.setdefault(locus, set()).add(_fingerprint(allele))
        if not allele.suffix and not allele.deleted and not allele.trim:
            self._parents.setdefault(locus, []).append(allele)
        return allele

    def next_fields(self, gene: Gene, prefix: tuple[int, ...]) -> tuple[int, ...]:
        """`prefix` with the next free number after it."""
        return (*prefix, self._last_field.get((gene.locus, prefix), 0) + 1)

    def founder(self, gene: Gene) -> Allele:
        """The first allele of a new lineage, `NN:01:01:01`, of full length wherever its gene ever is."""
        parts = self._ancestors[gene.locus]
        if gene.optional_exon is not None:
            parts = mutate.drop_exon(gene, parts, self._rng)
        parts = mutate.diverge(self._rng, gene, parts)
        fields = (*self.next_fields(gene, ()), 1, 1, 1)
        return self._accept(self._born(gene, fields, "", parts, gene.known(gene.coverages[0][0])))

    def child(self, gene: Gene, kind: Kind | None = None) -> Allele:
        """One new allele, whose published features no other allele of its gene has; a null allele shows its early stop.

        Raises:
            RuntimeError: no new one is found, because there are no parents or the gene is too short for so many.
        """
        for _ in range(1000):
            allele = self._attempt(gene, kind)
            says_why = allele.suffix != "N" or "X" in allele.protein()
            if says_why and not self._seen_before(allele):
                return self._accept(allele)
        raise RuntimeError(f"no further allele of {gene.locus} found")

    def twins(self, gene: Gene) -> list[Allele]:
        """Two alleles that differ in an intron which is not sequenced, so that they have one and the same GFE."""
        exons_only = min((coverage for coverage, _ in gene.coverages if coverage), key=len)
        first = self._bear(gene, "protein", exons_only, named_fully=True)
        while self._seen_before(first):
            first = self._bear(gene, "protein", exons_only, named_fully=True)
        self._accept(first)
        parts = mutate.change_noncoding(self._rng, gene, first.parts)
        fields = self.next_fields(gene, first.fields[:3])
        return [first, self._accept(self._born(gene, fields, first.suffix, parts, first.known))]

    def _seen_before(self, allele: Allele) -> bool:
        return _fingerprint(allele) in self._seen[allele.gene.locus]

    def _accept(self, allele: Allele) -> Allele:
        self.next_number += 1
        return self.adopt(allele)

    def _attempt(self, gene: Gene, kind: Kind | None) -> Allele:
        choices = [coverage for coverage in gene.coverages if kind != "trimmed" or coverage[0] is not None]
        coverage = self._rng.choices([coverage for coverage, _ in choices], [weight for _, weight in choices])[0]
        if kind is None:
            kinds = _FULL_KINDS if coverage is None else _EXON_KINDS
            kind = self._rng.choices([kind for kind, _ in kinds], [weight for _, weight in kinds])[0]
        if not gene.functional:
            kind = "noncoding" if coverage is None else "protein"
        return self._bear(gene, kind, coverage)

    def _bear(self, gene: Gene, kind: Kind, coverage: Coverage, *, named_fully: bool = False) -> Allele:
        rng = self._rng
        parent = rng.choice(self._parents[gene.locus])
        if len(parent.fields) < {"synonymous": 3, "noncoding": 4}.get(kind, 1):
            kind = "protein"
        known = gene.known(coverage)
        parts = self._changed(gene, kind, parent.parts, known)
        if coverage is None and rng.random() < 0.3:
            parts = mutate.change_noncoding(rng, gene, parts)
        fields = self._named(parent, kind, 4 if coverage is None or named_fully else rng.choice((2, 2, 3)))
        allele = self._born(gene, fields, self._suffix(kind), parts, known)
        if kind == "trimmed":
            return replace(allele, trim=rng.randint(5, 40))
        return replace(allele, translated=False) if kind == "untranslated" else allele

    def _changed(self, gene: Gene, kind: Kind, parts: Parts, known: tuple[bool, ...]) -> Parts:
        rng = self._rng
        if kind == "noncoding":
            return mutate.change_noncoding(rng, gene, parts)
        exons = [position for position in gene.exons if known[position] and bases(parts[position])]
        if not gene.functional:
            position = rng.choice(exons)
            return (*parts[:position], mutate.substitute(rng, parts[position]), *parts[position + 1 :])
        if kind in ("null", "untranslated"):
            if rng.random() < 0.5:
                return mutate.substitute_coding(rng, gene, parts, exons, "stop")
            return mutate.shift_frame(rng, parts, exons)
        if kind == "protein" and rng.random() < 0.03:
            return mutate.delete_codon(rng, gene, parts, exons)
        return mutate.substitute_coding(rng, gene, parts, exons, "synonymous" if kind == "synonymous" else "protein")

    def _named(self, parent: Allele, kind: Kind, length: int) -> tuple[int, ...]:
        gene, fields = parent.gene, parent.fields
        if kind == "noncoding":
            return self.next_fields(gene, fields[:3])
        if kind == "synonymous":
            return self._padded(self.next_fields(gene, fields[:2]), max(3, length))
        if gene.own_families:
            return self._padded((*self.next_fields(gene, ()), 1), length)
        return self._padded(self.next_fields(gene, fields[:1]), length)

    @staticmethod
    def _padded(fields: tuple[int, ...], length: int) -> tuple[int, ...]:
        return (*fields, *(1 for _ in range(length - len(fields))))

    def _suffix(self, kind: Kind) -> str:
        if kind in ("null", "untranslated"):
            return "N"
        return self._rng.choice("LQ") if kind == "protein" and self._rng.random() < 0.005 else ""

    def _born(self, gene: Gene, fields: tuple[int, ...], suffix: str, parts: Parts, known: tuple[bool, ...]) -> Allele:
        return Allele(
            number=self.next_number,
            version=self._rng.choices((1, 2, 3, 4), (75, 18, 5, 2))[0],
            gene=gene,
            fields=fields,
            suffix=suffix,
            parts=parts,
            known=known,
            translated=gene.functional,
            created=self._generation,
            updated=self._generation,
        )


def _fingerprint(allele: Allele) -> object:
    return allele.known, allele.trim, tuple(part for part, known in zip(allele.parts, allele.known, strict=True) if known)
