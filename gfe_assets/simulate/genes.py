"""The genes that can be simulated: structure, lengths, and how often their alleles are seen.

In: for each gene its feature lengths in bases, its share of all alleles, its number of lineages and how much of
an allele is usually sequenced. Out: sequences (`mutate.py`), alleles (`growth.py`).

Lengths are typical ones of IPD-IMGT/HLA entries; shares and lineages are counts of its allele list at
release 3.58.0, both rounded. They are facts about genes; no sequence comes from anywhere but a random generator.
"""

from dataclasses import dataclass

from gfe_assets.errors import SettingsError
from gfe_assets.hla.features import EXON, FIVE_PRIME_UTR, INTRON, THREE_PRIME_UTR

Coverage = tuple[int, ...] | None
"""Which exons of an allele are sequenced; None is the whole gene, untranslated regions and introns included."""

_SHORTEST_SCALED = 12


@dataclass(frozen=True)
class Gene:
    """One gene. `lengths` holds bases of 5'UTR, exon 1, intron 1, …, last exon, 3'UTR; 0 is a part the gene lacks.

    `coverages` are (coverage, weight) pairs. `optional_exon` is an exon that most lineages lack together with its intron.
    `own_families`: every protein gets its own first field, as in HLA-DPB1. `functional` genes have a translation.
    """

    locus: str
    mhc_class: str
    lengths: tuple[int, ...]
    share: int
    lineages: int
    coverages: tuple[tuple[Coverage, int], ...]
    optional_exon: int | None = None
    own_families: bool = False
    functional: bool = True
    first_field_digits: int = 2

    @property
    def exons(self) -> range:
        """Positions of the exons in `lengths`."""
        return range(1, len(self.lengths) - 1, 2)

    @property
    def noncoding(self) -> tuple[int, ...]:
        """Positions of untranslated regions and introns in `lengths`."""
        return tuple(range(0, len(self.lengths), 2))

    @property
    def typing_exons(self) -> tuple[int, ...]:
        """Positions of the exons that define a G group: 2 and 3 of class I genes, 2 of class II genes."""
        return (3, 5) if self.mhc_class == "Class I" else (3,)

    @property
    def coding_family(self) -> str:
        """Genes of one family share ancestral exons; HLA-DRB1, 3, 4 and 5 are aligned with each other."""
        return "HLA-DRB" if self.functional and self.locus.startswith("HLA-DRB") else self.locus

    @property
    def name(self) -> str:
        """The gene without `HLA-`, as in the names of MSF files and in `wmda/`."""
        return self.locus.removeprefix("HLA-")

    def part(self, position: int) -> tuple[str, int]:
        """Term and rank of the feature at `position`, as in `hla.features`."""
        if position == 0:
            return FIVE_PRIME_UTR, 1
        if position == len(self.lengths) - 1:
            return THREE_PRIME_UTR, 1
        return (EXON, (position + 1) // 2) if position % 2 else (INTRON, position // 2)

    def known(self, coverage: Coverage) -> tuple[bool, ...]:
        """For each position whether an allele of this coverage has it sequenced."""
        if coverage is None:
            return (True,) * len(self.lengths)
        return tuple(position % 2 == 1 and (position + 1) // 2 in coverage for position in range(len(self.lengths)))

    def scaled_lengths(self, scale: float) -> tuple[int, ...]:
        """`lengths` with noncoding parts times `scale` (but never under 12 bases); exons keep theirs."""
        return tuple(
            length if position % 2 or not length else max(_SHORTEST_SCALED, round(length * scale))
            for position, length in enumerate(self.lengths)
        )


def _class_one(exons: int) -> tuple[tuple[Coverage, int], ...]:
    return ((None, 67), (tuple(range(1, exons + 1)), 8), ((1, 2, 3, 4, 5), 4), ((2, 3, 4), 6), ((2, 3), 18))


def _class_two(exons: int, *, full: int, coding: int, two: int, one: int) -> tuple[tuple[Coverage, int], ...]:
    return ((None, full), (tuple(range(1, exons + 1)), coding), ((2, 3), two), ((2,), one))


_DRB345 = _class_two(6, full=25, coding=10, two=20, one=45)

# fmt: off
GENES = (
    Gene("HLA-A", "Class I", (300, 73, 130, 270, 241, 276, 579, 276, 102, 117, 442, 33, 142, 48, 169, 5, 300),
         8472, 21, _class_one(8)),
    Gene("HLA-B", "Class I", (284, 73, 129, 270, 245, 276, 575, 276, 93, 117, 441, 33, 106, 44, 1119),
         10183, 36, _class_one(7)),
    Gene("HLA-C", "Class I", (283, 73, 130, 270, 246, 276, 587, 276, 121, 120, 439, 33, 107, 48, 164, 5, 1140),
         8570, 14, _class_one(8)),
    Gene("HLA-DRB1", "Class II", (600, 100, 5180, 270, 2270, 282, 700, 111, 475, 24, 790, 14, 300),
         3751, 13, _class_two(6, full=30, coding=10, two=15, one=45)),
    Gene("HLA-DRB3", "Class II", (313, 100, 7652, 270, 2274, 282, 684, 111, 473, 24, 799, 14, 570), 514, 3, _DRB345),
    Gene("HLA-DRB4", "Class II", (313, 100, 9563, 270, 2737, 282, 704, 111, 474, 24, 302, 14, 570), 264, 3, _DRB345),
    Gene("HLA-DRB5", "Class II", (313, 100, 7950, 270, 2253, 282, 703, 111, 478, 24, 301, 14, 645), 209, 2, _DRB345),
    Gene("HLA-DQB1", "Class II", (525, 109, 1431, 270, 2530, 282, 509, 111, 1097, 24, 609, 14, 205),
         2771, 5, _class_two(6, full=55, coding=10, two=20, one=15), optional_exon=5),
    Gene("HLA-DPB1", "Class II", (366, 100, 4536, 264, 4014, 282, 547, 111, 329, 20, 963),
         2762, 24, _class_two(5, full=55, coding=10, two=10, one=25), own_families=True),
    Gene("HLA-DQA1", "Class II", (742, 82, 3770, 249, 413, 282, 356, 155, 436),
         847, 6, _class_two(4, full=60, coding=15, two=10, one=15)),
    Gene("HLA-DPA1", "Class II", (523, 100, 3584, 246, 340, 282, 214, 155, 4331),
         740, 4, _class_two(4, full=60, coding=15, two=10, one=15)),
    Gene("HLA-DRA", "Class II", (359, 82, 2413, 246, 491, 282, 289, 155, 1394),
         78, 1, _class_two(4, full=80, coding=10, two=5, one=5)),
)
OUTSIDE_GENES = (
    Gene("HLA-H", "Class I", (300, 73, 124, 270, 242, 276, 585, 275, 102, 117, 440, 33, 142, 47, 167, 5, 300),
         82, 3, ((None, 75), ((1, 2, 3, 4, 5, 6, 7, 8), 25)), functional=False),
    Gene("HLA-DRB2", "Class II", (0, 104, 0, 0, 0, 262, 0, 111, 0, 24, 0, 12, 0),
         2, 1, (((1, 3, 4, 5, 6), 1),), functional=False),
    Gene("MICA", "Class I", (529, 70, 6841, 255, 274, 288, 587, 279, 99, 132, 2551, 128, 691),
         570, 8, ((None, 5), ((1, 2, 3, 4, 5, 6), 25), ((2, 3, 4, 5), 45), ((2, 3, 4), 25)), first_field_digits=3),
)
# fmt: on
"""`OUTSIDE_GENES` are in `hla.dat` but not among the loci that a build reads: two pseudogenes and a class I-like gene."""

GENE_BY_LOCUS = {gene.locus: gene for gene in (*GENES, *OUTSIDE_GENES)}


def gene_of(locus: str) -> Gene:
    """The gene of a locus.

    Raises:
        SettingsError: the simulator does not know it.
    """
    if locus not in GENE_BY_LOCUS:
        raise SettingsError(f"locus {locus!r} cannot be simulated; the simulator knows {', '.join(GENE_BY_LOCUS)}")
    return GENE_BY_LOCUS[locus]
