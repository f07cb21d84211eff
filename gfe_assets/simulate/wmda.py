"""Text files beside a simulated flat file: G groups, the allele list, and their six header lines.

In: alleles, release and date. Out: the flat file (`flatfile.py`), alignments (`msf.py`), folders (`repository.py`).

    A*;01:01:01:01/01:01:01:02N/01:37;01:01:01G      alleles with the same typing exons, named by the first
    A*;01:01:02;                                     an allele that shares them with no other
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from gfe_assets.hla.release import Release
from gfe_assets.simulate.alleles import LABEL, Allele


def groups_file(alleles: Iterable[Allele], loci: Iterable[str], release: Release, date: datetime) -> Iterator[str]:
    """Lines of `wmda/hla_nom_g.txt`: the alleles of `loci` by their typing exons (2 and 3 of class I, 2 of class II)."""
    yield from _head("hla_nom_g.txt", release, date)
    wanted = set(loci)
    groups: dict[tuple[object, ...], list[Allele]] = {}
    for allele in alleles:
        if allele.gene.locus in wanted and not allele.deleted:
            typing = tuple(allele.published(position).replace(".", "") for position in allele.gene.typing_exons)
            # A cut exon says nothing about group membership, so such an allele stands alone.
            alone = allele.number if allele.trim else 0
            groups.setdefault((allele.gene.locus, typing, alone), []).append(allele)
    for members in groups.values():
        first = members[0]
        name = f"{':'.join(f'{field:02d}' for field in (*first.fields, 1, 1)[:3])}G" if len(members) > 1 else ""
        yield f"{first.gene.name}*;{'/'.join(member.short_name for member in members)};{name}\n"


def allele_list(alleles: Iterable[Allele], release: Release, date: datetime) -> Iterator[str]:
    """Lines of `Allelelist.txt`: accession and name of every allele that is not deleted."""
    yield from _head("Allelelist.txt", release, date)
    yield "AlleleID,Allele\n"
    for allele in alleles:
        if not allele.deleted:
            yield f"{allele.accession},{allele.gene.name}*{allele.short_name}\n"


def _head(name: str, release: Release, date: datetime) -> list[str]:
    return [
        f"# file: {name}\n",
        f"# date: {date:%Y-%m-%d}\n",
        f"# version: IPD-IMGT/HLA {release.version}\n",
        f"# origin: {LABEL}\n",
        "# repository: none, this release is simulated\n",
        "# author: gfe-assets\n",
    ]
