"""A whole simulated database, and the next one.

In: `SimulatedDatabase.create` (any number of alleles, by seed) and `evolve` (new, renamed, re-sequenced, deleted,
removed alleles, with a record of exactly what changed). Out: files (`repository.py`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import NamedTuple

from gfe_assets.errors import SettingsError
from gfe_assets.hla.features import DEFAULT_LOCI
from gfe_assets.simulate import mutate
from gfe_assets.simulate.alleles import Allele
from gfe_assets.simulate.genes import OUTSIDE_GENES, Gene, gene_of
from gfe_assets.simulate.growth import Kind, Nursery
from gfe_assets.simulate.mutate import Parts

_SPECIAL_KINDS: tuple[Kind, ...] = ("null", "untranslated", "trimmed")


class Renaming(NamedTuple):
    """The names of one allele before and after."""

    old: str
    new: str


@dataclass(frozen=True)
class Evolution:
    """What `evolve` changed, by accession (`HLA00001`); every other entry stays exactly as it was."""

    new: tuple[str, ...] = ()
    renamed: Mapping[str, Renaming] = field(default_factory=dict)
    resequenced: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


@dataclass(frozen=True)
class SimulatedDatabase:
    """Alleles in the order of the flat file (locus, then name); `changes` says how it differs from the one it came from."""

    alleles: tuple[Allele, ...]
    ancestors: Mapping[str, Parts]
    loci: tuple[str, ...]
    next_number: int
    generation: int = 1
    changes: Evolution = Evolution()

    @classmethod
    def create(
        cls,
        alleles: int = 200,
        *,
        seed: int = 1,
        loci: Iterable[str] = DEFAULT_LOCI,
        scale: float = 1.0,
        outside: int | None = None,
        deleted: int | None = None,
    ) -> "SimulatedDatabase":
        """A database with `alleles` alleles of `loci` in realistic proportions, the same for the same arguments.

        `scale` shortens untranslated regions and introns (0.1: a tenth). `outside` entries of other genes (default: one for
        forty alleles, at least three) and `deleted`, empty entries (default: one for five hundred, at least one) come on top.

        Raises:
            SettingsError: a locus cannot be simulated, there are fewer alleles than loci, or a number is negative.
        """
        genes = [gene_of(locus) for locus in loci]
        outside = max(3, alleles // 40) if outside is None else outside
        deleted = max(1, alleles // 500) if deleted is None else deleted
        if not genes or alleles < len(genes) or min(outside, deleted) < 0 or not 0 < scale <= 10:
            raise SettingsError(
                f"cannot simulate {alleles} alleles of {len(genes)} loci with {outside} outside, {deleted} deleted and scale "
                f"{scale}: give at least one allele for each locus, no negative number, and a scale above 0 and up to 10"
            )
        rng = Random(seed)  # noqa: S311 - no secret depends on it
        ancestors = {gene.locus: mutate.ancestor(rng, seed, gene, scale) for gene in (*genes, *OUTSIDE_GENES)}
        nursery = Nursery(rng, ancestors, next_number=1, generation=1)
        grown = _grow(rng, nursery, _spread(genes, alleles), specials=alleles >= 6 * len(genes))
        grown += _grow(rng, nursery, _spread(list(OUTSIDE_GENES), outside), specials=False)
        gone = [nursery.child(rng.choice(genes)) for _ in range(deleted)]
        grown += [replace(allele, deleted=True) for allele in gone]
        return cls(_in_file_order(grown), ancestors, tuple(gene.locus for gene in genes), nursery.next_number)

    def evolve(
        self, *, seed: int, new: int = 20, renamed: int = 2, resequenced: int = 3, deleted: int = 1, removed: int = 0
    ) -> "SimulatedDatabase":
        """The next release, or a correction of this one.

        `new` alleles appear; others are `renamed` (same sequence), `resequenced` (an exon-only entry becomes full length, or a
        noncoding base is corrected; version + 1), `deleted` (an empty entry stays) or `removed` (no entry stays). No
        allele gets two of these, and founders of lineages none.

        Raises:
            SettingsError: there are too few alleles for it, or a number is negative.
        """
        wanted = (renamed, resequenced, deleted, removed)
        choices = [allele for allele in self.alleles if self._may_change(allele)]
        if min(new, *wanted) < 0 or sum(wanted) > len(choices):
            raise SettingsError(
                f"cannot change {sum(wanted)} alleles of a simulated database in which {len(choices)} may change: ask for fewer"
            )
        generation = self.generation + 1
        rng = Random(f"{seed} {generation}")  # noqa: S311
        nursery = Nursery(rng, self.ancestors, next_number=self.next_number, generation=generation)
        for allele in self.alleles:
            nursery.adopt(allele)
        picked = iter(rng.sample(choices, sum(wanted)))
        to_rename, to_resequence, to_delete, to_remove = ([next(picked) for _ in range(count)] for count in wanted)
        changed = [_renamed(nursery, allele, generation) for allele in to_rename]
        renamings = {old.accession: Renaming(old.name, new.name) for old, new in zip(to_rename, changed, strict=True)}
        changed += [_resequenced(rng, allele, generation) for allele in to_resequence]
        changed += [_deleted(allele, generation) for allele in to_delete]
        genes = [allele.gene for allele in self.alleles if allele.gene.locus in self.loci]
        born = [nursery.child(gene) for gene in rng.choices(genes, k=new)]
        return replace(
            self,
            alleles=_in_file_order(_merged(self.alleles, changed, to_remove) + born),
            next_number=nursery.next_number,
            generation=generation,
            changes=Evolution(
                _accessions(born), renamings, *(_accessions(kind) for kind in (to_resequence, to_delete, to_remove))
            ),
        )

    def _may_change(self, allele: Allele) -> bool:
        return not allele.deleted and allele.gene.locus in self.loci and allele.fields[1:] != (1, 1, 1)


def _spread(genes: list[Gene], count: int) -> dict[Gene, int]:
    """How many alleles each gene gets: at least one (where `count` allows), the rest by share."""
    total = sum(gene.share for gene in genes)
    spread = {gene: 1 if index < count else 0 for index, gene in enumerate(genes)}
    left = count - sum(spread.values())
    for gene in genes:
        spread[gene] += left * gene.share // total
    spread[max(genes, key=lambda gene: gene.share)] += count - sum(spread.values())
    return spread


def _grow(rng: Random, nursery: Nursery, spread: dict[Gene, int], *, specials: bool) -> list[Allele]:
    """Founders first, then the special cases that every database of some size should have, then children at random."""
    grown = []
    left = dict(spread)
    for gene, count in spread.items():
        for _ in range(min(count, gene.lineages, 1 + count // 6)):
            grown.append(nursery.founder(gene))
            left[gene] -= 1
    by_size = sorted(left, key=lambda gene: -left[gene])
    for index, kind in enumerate(_SPECIAL_KINDS if specials else ()):
        gene = by_size[index % len(by_size)]
        if left[gene] >= 1:
            grown.append(nursery.child(gene, kind))
            left[gene] -= 1
    for gene in by_size:
        for _ in range(min(left[gene] // 2, 1 + spread[gene] // 200) if specials and left[gene] > 6 else 0):
            grown += nursery.twins(gene)
            left[gene] -= 2
    order = [gene for gene, count in left.items() for _ in range(count)]
    rng.shuffle(order)
    return grown + [nursery.child(gene) for gene in order]


def _renamed(nursery: Nursery, allele: Allele, generation: int) -> Allele:
    """A name gets one more field, as when the first sibling appears; a complete one gets the next free number."""
    fields = (*allele.fields, 1) if len(allele.fields) < 4 else nursery.next_fields(allele.gene, allele.fields[:3])
    return nursery.adopt(replace(allele, fields=fields, updated=generation))


def _resequenced(rng: Random, allele: Allele, generation: int) -> Allele:
    known = allele.gene.known(None)
    parts = allele.parts
    if allele.full_length:
        parts = mutate.change_noncoding(rng, allele.gene, parts)
    return replace(allele, parts=parts, known=known, trim=0, version=allele.version + 1, updated=generation)


def _deleted(allele: Allele, generation: int) -> Allele:
    return replace(allele, deleted=True, version=allele.version + 1, updated=generation)


def _merged(alleles: Iterable[Allele], changed: Iterable[Allele], removed: Iterable[Allele]) -> list[Allele]:
    by_number = {allele.number: allele for allele in changed}
    gone = {allele.number for allele in removed}
    return [by_number.get(allele.number, allele) for allele in alleles if allele.number not in gone]


def _in_file_order(alleles: Iterable[Allele]) -> tuple[Allele, ...]:
    return tuple(sorted(alleles, key=lambda allele: (allele.gene.locus, allele.fields, allele.suffix, allele.number)))


def _accessions(alleles: Iterable[Allele]) -> tuple[str, ...]:
    return tuple(sorted(allele.accession for allele in alleles))
