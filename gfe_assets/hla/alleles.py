"""Naming the alleles of a release and writing their rows, one allele after the other.

In: entries, the accessions of their features, groups; the four CSV files that every build has. Out: which columns they
have (`records.py`), alignments (`alignments.py`), the order of a build (`build.py`).
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from gfe_assets.hla.csvs import CsvWriter
from gfe_assets.hla.features import FeatureKey
from gfe_assets.hla.flatfile import Entry, Feature
from gfe_assets.hla.gfe import gfe_name, seq_id
from gfe_assets.hla.groups import Groups
from gfe_assets.hla.manifest import PartlyAnnotated
from gfe_assets.hla.records import CdsRow, FeatureRow, GfeSequence, GroupRow
from gfe_assets.hla.release import parse_release
from gfe_assets.progress import Progress

_EVERY = 1000
Accessions = Mapping[tuple[FeatureKey, str], int]


@dataclass
class Named:
    """GFE name by allele, rows by file name, and what was noticed on the way.

    `coding` has the row of each GFE in `all_cds` (one each: alleles that share a GFE share their coding sequence, and
    where entries disagree the first one counts, and is noted), with the allele that it is from.
    """

    names: dict[str, str] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    coding: dict[str, tuple[CdsRow, str]] = field(default_factory=dict)
    without_cds: list[str] = field(default_factory=list)
    partly_annotated: list[PartlyAnnotated] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def note(self, entry: Entry, name: str) -> None:
        """Remember the name of an allele, and whether its entry annotates it completely."""
        self.names[entry.hla_name] = name
        if not (entry.translation and entry.cds):
            self.without_cds.append(entry.hla_name)
        if not entry.covered:
            self.partly_annotated.append(
                PartlyAnnotated(
                    acc_name=entry.acc_name,
                    hla_name=entry.hla_name,
                    gfe_name=name,
                    spans=tuple((part.start, part.end) for part in entry.features),
                    left_out=entry.left_out,
                )
            )
        if entry.left_out:
            parts = ", ".join(entry.left_out)
            self.notes.append(f"{entry.hla_name} has {parts}, which {entry.locus} does not have: its GFE name is without")


def write_alleles(
    release: str, entries: Sequence[Entry], accessions: Accessions, groups: Groups, folder: Path, progress: Progress
) -> Named:
    """Write sequences, features, groups and CDS of all alleles into `folder`."""
    version = parse_release(release).version
    named = Named()
    with ExitStack() as stack:
        sequences, features, grouped, cds = writers = [
            stack.enter_context(CsvWriter(folder, name, release))
            for name in ("gfe_sequences", "all_features", "all_groups", "all_cds")
        ]
        for count, entry in enumerate(entries, 1):
            parts = _numbered(entry, accessions)
            name = gfe_name(entry.locus, ((part.term, part.rank, number) for part, _, number in parts))
            named.note(entry, name)
            sequences.write([_sequence_row(entry, name, version)])
            features.write(_feature_rows(entry, name, parts, version))
            grouped.write(_group_rows(entry, name, groups, version))
            cds.write(_cds_rows(entry, name, named))
            if count % _EVERY == 0 or count == len(entries):
                progress("alleles written", count, len(entries))
        named.rows = {writer.path.name: writer.rows for writer in writers}
    return named


def _numbered(entry: Entry, accessions: Accessions) -> list[tuple[Feature, str, int]]:
    """The features of an allele with their sequences and accessions, in gene order."""
    numbered = []
    for part in entry.features:
        sequence = entry.bases(part.start, part.end)
        numbered.append((part, sequence, accessions[FeatureKey(entry.locus, part.term, part.rank), sequence]))
    return numbered


def _sequence_row(entry: Entry, name: str, version: str) -> GfeSequence:
    return GfeSequence(
        gfe_name=name,
        acc_name=entry.acc_name,
        locus=entry.locus,
        hla_name=entry.hla_name,
        seq_id=seq_id(entry.sequence),
        sequence=entry.sequence,
        length=len(entry.sequence),
        imgt_release=version,
    )


def _feature_rows(entry: Entry, name: str, parts: list[tuple[Feature, str, int]], version: str) -> list[FeatureRow]:
    return [
        FeatureRow(number, "none", entry.locus, part.rank, sequence, part.term, name, entry.acc_name, entry.hla_name, version)
        for part, sequence, number in parts
    ]


def _group_rows(entry: Entry, name: str, groups: Groups, version: str) -> list[GroupRow]:
    return [
        GroupRow(name, entry.acc_name, entry.hla_name, ard_id, ard_name, entry.locus, version)
        for ard_name, ard_id in groups.of(entry.hla_name)
    ]


def _cds_rows(entry: Entry, name: str, named: Named) -> list[CdsRow]:
    """The coding sequence of an allele, if it has one and is the first of its GFE."""
    if not (entry.translation and entry.cds):
        return []
    bases = "".join([entry.bases(*span) for span in entry.cds])
    row = CdsRow(name, seq_id(bases), bases, seq_id(entry.translation), entry.translation)
    first, of_allele = named.coding.setdefault(name, (row, entry.hla_name))
    if first is row:
        return [row]
    if first != row:
        named.notes.append(f"{entry.hla_name} has another CDS than {of_allele}, whose GFE it shares: all_cds has that one")
    return []
