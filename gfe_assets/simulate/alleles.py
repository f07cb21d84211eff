"""One simulated allele: its name, what is sequenced of it, and what its features must be.

In: `Allele` and the values that files are written from. Out: how alleles come to be (`growth.py`) and how files
look (`flatfile.py`, `wmda.py`, `msf.py`).
"""

from dataclasses import dataclass
from typing import NamedTuple

from gfe_assets.simulate.genes import Gene
from gfe_assets.simulate.mutate import GAP, Parts, bases, translate

LABEL = "SIMULATED DATA made by gfe-assets, not from IPD-IMGT/HLA"
"""Stands in every file of a simulated release."""


class SimulatedFeature(NamedTuple):
    """A feature that a reader must find: `term` and `rank` as in `hla.features`, `sequence` in capitals."""

    term: str
    rank: int
    sequence: str


@dataclass(frozen=True, slots=True)
class Allele:
    """An allele of which `parts` is the truth, and `known` says what of it is sequenced and published.

    `number` and `version` make the accession. `trim` is how many bases the first published exon lacks at its start.
    `translated` is whether the entry has a `/translation`. `created` and `updated` count generations of the database.
    """

    number: int
    version: int
    gene: Gene
    fields: tuple[int, ...]
    suffix: str
    parts: Parts
    known: tuple[bool, ...]
    trim: int = 0
    translated: bool = True
    deleted: bool = False
    created: int = 0
    updated: int = 0

    @property
    def accession(self) -> str:
        """Accession such as `HLA00001`."""
        return f"HLA{self.number:05d}"

    @property
    def versioned_accession(self) -> str:
        """Accession with sequence version, such as `HLA00001.4`; the SV line of the entry."""
        return f"{self.accession}.{self.version}"

    @property
    def short_name(self) -> str:
        """Fields and suffix, such as `01:01:01:02N`."""
        digits = self.gene.first_field_digits
        return ":".join([f"{self.fields[0]:0{digits}d}", *(f"{field:02d}" for field in self.fields[1:])]) + self.suffix

    @property
    def name(self) -> str:
        """Full name, such as `HLA-A*01:01:01:02N`."""
        return f"{self.gene.locus}*{self.short_name}"

    @property
    def full_length(self) -> bool:
        """Whether the whole gene is sequenced, untranslated regions and introns included."""
        return all(self.known)

    @property
    def whole_coding(self) -> bool:
        """Whether every exon that the allele has is sequenced completely; otherwise its entry is `(partial)`."""
        return not self.trim and all(self.known[position] or not bases(self.parts[position]) for position in self.gene.exons)

    def published(self, position: int) -> str:
        """The part at `position` in alignment columns, all gaps where it is not sequenced."""
        part = self.parts[position]
        if self.deleted or not self.known[position]:
            return GAP * len(part)
        return self._trimmed(part) if self.trim and position == self.known.index(True) else part

    def _trimmed(self, part: str) -> str:
        column = self.trim
        while column - part.count(GAP, 0, column) < self.trim:
            column += 1
        return GAP * column + part[column:]

    def features(self) -> list[SimulatedFeature]:
        """The published features in gene order; none of a deleted allele."""
        found = []
        for position, known in enumerate(self.known):
            if known and not self.deleted and (sequence := bases(self.published(position))):
                found.append(SimulatedFeature(*self.gene.part(position), sequence))
        return found

    @property
    def sequence(self) -> str:
        """The published sequence: its features one after the other."""
        return "".join(feature.sequence for feature in self.features())

    @property
    def codon_start(self) -> int:
        """Base of the published coding sequence (from 1) that begins its first whole codon."""
        first = next(position for position in self.gene.exons if self.known[position] and bases(self.parts[position]))
        before = sum(len(bases(self.parts[position])) for position in self.gene.exons if position < first) + self.trim
        return 1 + -before % 3

    def protein(self) -> str:
        """The published translation, as in `hla.dat`: without the final stop; a premature stop ends it with X."""
        coding = "".join(bases(self.published(position)) for position in self.gene.exons)
        protein = translate(coding[self.codon_start - 1 :])
        stop = protein.find("*")
        if stop < 0:
            return protein
        last = max(position for position in self.gene.exons if bases(self.parts[position]))
        return protein[:-1] if self.known[last] and stop == len(protein) - 1 else protein[:stop] + "X"
