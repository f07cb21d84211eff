"""Collecting the entries of a release: which of them are built, and why the others are not.

In: the flat files of a release; what they hold, sorted into alleles, skips and unusable entries. Out: reading an
entry (`flatfile.py`), naming and writing alleles (`alleles.py`).
"""

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from gfe_assets.hla.features import FeatureKey
from gfe_assets.hla.flatfile import BadEntry, Entry, Skipped, read_entries
from gfe_assets.progress import Progress

BEYOND_LIMIT = "beyond the limit"
ANY_LOCUS = "any"
_EVERY = 1000


class Rejected(NamedTuple):
    """An unusable entry and the file it stands in."""

    file: str
    entry: BadEntry

    def __str__(self) -> str:
        names = " ".join(name for name in (self.entry.accession, self.entry.hla_name) if name)
        return f"{self.file}, line {self.entry.line}, entry {names}: {self.entry.message}"


@dataclass
class Collected:
    """What the flat files hold: alleles in file order, skips by reason and locus, unusable entries."""

    entries: list[Entry] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    skipped: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    _places: dict[str, str] = field(default_factory=dict)

    def add(self, item: Entry | Skipped | BadEntry, file: str) -> None:
        """Sort in one entry; the second of two with one accession or allele name is unusable."""
        if isinstance(item, Skipped):
            self.skipped[item.reason][item.locus] += 1
        elif isinstance(item, BadEntry):
            self.rejected.append(Rejected(file, item))
        elif twin := self._places.get(item.accession):
            self._reject(item, file, f"its accession is that of the entry at {twin} too")
        elif twin := self._places.get(item.hla_name):
            self._reject(item, file, f"its allele name is that of the entry at {twin} too")
        else:
            self._places[item.accession] = self._places[item.hla_name] = f"line {item.line} of {file}"
            self.entries.append(item)

    def reject_ambiguous(self) -> None:
        """Reject the entries that a GFE cannot tell from another allele, see `ambiguous`."""
        rejected = set()
        for entry, kept in ambiguous(self.entries):
            file = self._places[entry.accession].rpartition(" of ")[2]
            message = f"it leaves bases out of its features, which are all those of {kept.hla_name}, whose sequence is another"
            self._reject(entry, file, message)
            rejected.add(entry.accession)
        if rejected:
            self.entries = [entry for entry in self.entries if entry.accession not in rejected]

    def _reject(self, item: Entry, file: str, message: str) -> None:
        self.rejected.append(Rejected(file, BadEntry(item.accession, item.hla_name, item.line, message)))


def ambiguous(entries: Iterable[Entry]) -> Iterator[tuple[Entry, Entry]]:
    """Entries with the features of another allele and another sequence, each with the allele that keeps the GFE.

    A GFE has one sequence. Two can only meet in it when an entry leaves bases out of its features; the entry that annotates
    every base keeps the GFE, or else the first.
    """
    entries = list(entries)
    suspects = {_parts(entry) for entry in entries if not entry.covered}
    alike: dict[tuple[object, ...], list[Entry]] = defaultdict(list)
    for entry in entries:
        if _parts(entry) in suspects:
            bases = (entry.bases(part.start, part.end) for part in entry.features)
            alike[(_parts(entry), *bases)].append(entry)
    for group in alike.values():
        kept = next((entry for entry in group if entry.covered), group[0])
        yield from ((entry, kept) for entry in group if entry.sequence != kept.sequence)


def _parts(entry: Entry) -> tuple[object, ...]:
    return (entry.locus, *((part.term, part.rank) for part in entry.features))


def collect(
    flat_files: Iterable[Path], release: str, loci: Collection[str], limit: int, records: int, progress: Progress
) -> Collected:
    """Read the entries of a release in file order, up to `limit` alleles (0: all); what follows is counted as a skip.

    `records` is how many entries the files have.

    Raises:
        FlatFileError: a file as a whole cannot be read.
        OSError: a file cannot be opened or read.
    """
    collected = Collected()
    read = 0
    for read, (file, item) in enumerate(_items(flat_files, release, loci), 1):
        collected.add(item, file)
        if read % _EVERY == 0:
            progress("entries read", read, records)
        if limit and len(collected.entries) == limit:
            break
    progress("entries read", read, records)
    collected.reject_ambiguous()
    if limit and read < records:
        collected.skipped[BEYOND_LIMIT][ANY_LOCUS] = records - read
    return collected


def _items(flat_files: Iterable[Path], release: str, loci: Collection[str]) -> Iterator[tuple[str, Entry | Skipped | BadEntry]]:
    for path in flat_files:
        with path.open("rb") as stream:
            for item in read_entries(stream, f"release {release}, {path.name}", loci):
                yield path.name, item


def features_of(entries: Iterable[Entry]) -> Iterator[tuple[FeatureKey, str]]:
    """Every feature of every allele with its sequence, in file order: the order in which new ones are numbered."""
    for entry in entries:
        for part in entry.features:
            yield FeatureKey(entry.locus, part.term, part.rank), entry.bases(part.start, part.end)


def write_errors(path: Path, release: str, rejected: Iterable[Rejected]) -> None:
    """Write one JSON object a line for every unusable entry."""
    with path.open("w", encoding="utf-8") as file:
        for item in rejected:
            line = {
                "release": release,
                "entry": item.entry.hla_name,
                "accession": item.entry.accession,
                "file": item.file,
                "line": item.entry.line,
                "error": item.entry.message,
            }
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
