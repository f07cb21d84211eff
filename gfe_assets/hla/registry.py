"""The accession registry: which number every feature sequence has, for ever.

In: allocating numbers, looking them up both ways, import and export. Out: files (`accession_files.py`),
tables, locks and database errors (`accession_database.py`), the HTTP client (`feature_service.py`).

Inside one (locus, term, rank) a sequence has one number and a number one sequence; rows are added, never
changed or removed. A new sequence gets the highest number there is plus one, so numbers are dense unless an
import brought gaps. Sequences are found by their SHA-256 and read only when asked for.

Two authorities must never number the same features. The registry therefore remembers who numbers in it: nobody
yet (empty, or imports only), itself (`local`), or the Feature Service whose cache it is (its URL). The first one
that adds a number stays.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gfe_assets.errors import RegistryError
from gfe_assets.hla.accession_database import REGISTRY, AccessionDatabase
from gfe_assets.hla.accession_files import write_accessions
from gfe_assets.hla.accession_queries import Numbers, count_rows, insert, numbers_of, rows_in_file_order, sequences_of
from gfe_assets.hla.accession_rows import AccessionRow, checked_digest, digest_of, located, named
from gfe_assets.hla.feature_service import FeatureService
from gfe_assets.hla.features import FeatureKey
from gfe_assets.progress import Progress, silent

LOCAL = "local"
Feature = tuple[FeatureKey, str]


class ImportResult(NamedTuple):
    """How many rows of an import were added, and how many were there already (or came twice)."""

    new: int
    known: int


class Comparison(NamedTuple):
    """How a registry stands to some rows: those it lacks or has otherwise, and how many it has besides them."""

    missing: int
    extra: int


class Registry:
    """A registry in a SQLite file or a PostgreSQL database; nothing is opened before the first use.

    `wait_seconds` is how long to wait for another process that is writing. Every method raises `RegistryError`
    when the database cannot be used and `RegistryUnavailable` when trying again later may help.
    """

    def __init__(self, url: str, wait_seconds: float = 60) -> None:
        self._database = AccessionDatabase(url, wait_seconds)

    def __enter__(self) -> "Registry":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def name(self) -> str:
        """Its URL without the password, for messages."""
        return self._database.name

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def allocate(self, features: Iterable[Feature], progress: Progress = silent) -> dict[Feature, int]:
        """The accession of every distinct feature; new ones are numbered in the order of `features`.

        All of them in one transaction: a process that dies on the way leaves the registry as it was. When all
        are known already, nothing is written and no other process is waited for.

        Raises:
            RegistryError: a feature cannot be registered, or this registry is the cache of a Feature Service.
        """
        digests = _digests(features)
        with self._database.read() as connection:
            numbers = numbers_of(connection, (key for key, _ in digests))
        if any(digest not in numbers.get(key, ()) for (key, _), digest in digests.items()):
            with self._database.write() as connection:
                self._become(connection, LOCAL)
                numbers = numbers_of(connection, (key for key, _ in digests))
                insert(connection, _numbered(digests, numbers), progress)
        return {feature: numbers[feature[0]][digest] for feature, digest in digests.items()}

    def known(self, features: Iterable[Feature]) -> dict[Feature, int]:
        """The accessions of those features that have one; allocates nothing.

        Raises:
            RegistryError: a feature cannot be registered.
        """
        digests = _digests(features)
        with self._database.read() as connection:
            numbers = numbers_of(connection, (key for key, _ in digests))
        return {
            (key, sequence): numbers[key][digest]
            for (key, sequence), digest in digests.items()
            if digest in numbers.get(key, ())
        }

    def sequences(self, keys: Iterable[tuple[FeatureKey, int]]) -> dict[tuple[FeatureKey, int], str]:
        """The sequence behind every accession asked for; an accession that was never given is absent."""
        wanted: dict[FeatureKey, dict[int, None]] = {}
        for key, accession in keys:
            wanted.setdefault(key, {})[accession] = None
        with self._database.read() as connection:
            return {
                (key, accession): sequence
                for key, accessions in wanted.items()
                for accession, sequence in sequences_of(connection, key, accessions).items()
            }

    def import_rows(self, rows: Iterable[AccessionRow], authority: str = "") -> ImportResult:
        """Add rows numbered elsewhere, all or none; numbers keep their gaps.

        `authority` is the URL of the Feature Service that gave the numbers, when this registry is its cache.

        Raises:
            RegistryError: a row is wrong, or contradicts another one or the registry; names its place.
        """
        checked = [(row, checked_digest(row)) for row in rows]
        with self._database.write() as connection:
            if authority:
                self._become(connection, authority)
            numbers = numbers_of(connection, (row.key for row, _ in checked))
            new = list(_unknown(checked, numbers, self.name))
            insert(connection, new, silent)
        return ImportResult(len(new), len(checked) - len(new))

    def import_service(self, url: str, loci: Iterable[str], progress: Progress = silent) -> ImportResult:
        """Add all that a Feature Service has for some loci, all or none; this registry numbers on from there.

        Raises:
            RegistryError: the service gave a wrong answer, or contradicts this registry.
            RegistryUnavailable: the service stayed down.
        """
        with FeatureService(url) as service:
            return self.import_rows(service.all_features(loci, progress))

    def export(self, path: str | Path) -> int:
        """Write all rows to a `.csv` or `.parquet` file, by locus, gene order and accession; return their number.

        Raises:
            RegistryError: the file cannot be written.
        """
        with self._database.read() as connection:
            return write_accessions(rows_in_file_order(connection), path)

    def compare(self, rows: Iterable[AccessionRow]) -> Comparison:
        """Compare with rows from elsewhere, each given once.

        Raises:
            RegistryError: a row is wrong; names its place.
        """
        checked = [(row, checked_digest(row)) for row in rows]
        with self._database.read() as connection:
            numbers = numbers_of(connection, (row.key for row, _ in checked))
            total = count_rows(connection)
        known = sum(numbers.get(row.key, {}).get(digest) == row.accession for row, digest in checked)
        return Comparison(missing=len(checked) - known, extra=total - known)

    def authority(self) -> str:
        """Who numbers in this registry: nobody yet (empty), `LOCAL`, or the URL of the Feature Service whose cache it is."""
        with self._database.read() as connection:
            return str(connection.execute(sa.select(REGISTRY.c.authority)).scalar_one())

    def check_authority(self, authority: str) -> None:
        """Say whether this registry can be the cache of the Feature Service `authority`, before it is asked anything.

        Raises:
            RegistryError: somebody else numbers in it.
        """
        with self._database.read() as connection:
            self._authority_for(connection, authority)

    def _become(self, connection: Connection, authority: str) -> None:
        """Record who numbers in this registry, or refuse when somebody else does."""
        if self._authority_for(connection, authority) != authority:
            connection.execute(REGISTRY.update().values(authority=authority))

    def _authority_for(self, connection: Connection, authority: str) -> str:
        """Who numbers in this registry: nobody yet (empty) or `authority`."""
        present: str = connection.execute(sa.select(REGISTRY.c.authority)).scalar_one()
        if present == LOCAL != authority:
            raise RegistryError(
                f"the registry {self.name} has given accessions of its own, so it cannot be the cache of {authority}: "
                "set GFE_REGISTRY_URI to a new registry, or unset GFE_FEATURE_SERVICE_URL"
            )
        if present not in ("", authority):
            raise RegistryError(
                f"the registry {self.name} is the cache of {present}, which alone may number in it: "
                "set GFE_FEATURE_SERVICE_URL to that, "
                "or export the registry, import the file into a new one and set GFE_REGISTRY_URI to it"
            )
        return present


def _digests(features: Iterable[Feature]) -> dict[Feature, str]:
    """SHA-256 of every distinct feature, in the order of their first appearance."""
    return {feature: digest_of(*feature) for feature in dict.fromkeys(features)}


def _numbered(digests: Mapping[Feature, str], numbers: Numbers) -> list[tuple[AccessionRow, str]]:
    """Rows for the features that `numbers` lacks; adds them to `numbers`."""
    highest = {key: max(known.values()) for key, known in numbers.items()}
    new = []
    for (key, sequence), digest in digests.items():
        known = numbers.setdefault(key, {})
        if digest not in known:
            highest[key] = known[digest] = highest.get(key, 0) + 1
            new.append((AccessionRow(*key, known[digest], sequence), digest))
    return new


def _unknown(
    checked: Iterable[tuple[AccessionRow, str]], numbers: Numbers, registry: str
) -> Iterator[tuple[AccessionRow, str]]:
    """Rows that neither the registry nor an earlier row has; adds them to `numbers`."""
    taken = {key: {accession: digest for digest, accession in known.items()} for key, known in numbers.items()}
    for row, digest in checked:
        known, by_number = numbers.setdefault(row.key, {}), taken.setdefault(row.key, {})
        if known.get(digest) == row.accession:
            continue
        if digest in known or row.accession in by_number:
            number = known.get(digest)
            fact = f"its sequence has accession {number}" if number else "that accession belongs to another sequence"
            raise RegistryError(
                f"{located(row)}accession {row.accession} of {named(row.key)} contradicts an earlier row or the registry "
                f"{registry}, where {fact}. Accessions never change, so nothing was imported: "
                "correct the row, or import into a new registry"
            )
        known[digest], by_number[row.accession] = row.accession, digest
        yield row, digest
