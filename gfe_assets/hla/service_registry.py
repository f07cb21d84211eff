"""A registry whose numbers come from a Feature Service, with a local one as its cache.

In: `allocate` and `sequences` as a `Registry` has them. Out: HTTP (`feature_service.py`), storing and
comparing (`registry.py`).

What the cache knows costs no request. Of a locus with many unknown features everything is fetched at once;
the rest is posted one by one, in order, because the order gives the numbers. Every answer is stored, batch by
batch, also when a later one fails: a service that numbered a feature once does so for ever, so nothing is lost.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from gfe_assets.hla.accession_rows import AccessionRow
from gfe_assets.hla.feature_service import FeatureService
from gfe_assets.hla.features import FeatureKey
from gfe_assets.hla.registry import Feature, ImportResult, Registry
from gfe_assets.progress import Progress, silent

FETCH_LOCUS_FROM = 50
"""Unknown features of one locus from which reading the whole locus costs less than posting them."""
_STORE_ROWS = 200


class ServiceRegistry:
    """The accessions of `service`; `cache` keeps every answer."""

    def __init__(self, service: FeatureService, cache: Registry) -> None:
        self._service = service
        self._cache = cache

    def __enter__(self) -> "ServiceRegistry":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def name(self) -> str:
        """The service and its cache, for messages."""
        return f"{self._service.name} (cached in {self._cache.name})"

    @property
    def cache(self) -> Registry:
        """The local registry that keeps every answer of the service."""
        return self._cache

    def close(self) -> None:
        """Close the connection and let go of the cache."""
        self._service.close()
        self._cache.close()

    def allocate(self, features: Iterable[Feature], progress: Progress = silent) -> dict[Feature, int]:
        """The accession of every distinct feature; the service numbers new ones in the order of `features`.

        Raises:
            RegistryError: a feature cannot be registered, or the service contradicts the cache or itself.
            RegistryUnavailable: the service stayed down; what it answered before is in the cache.
        """
        wanted = list(dict.fromkeys(features))
        numbers = self._cache.known(wanted)
        missing = [feature for feature in wanted if feature not in numbers]
        if missing:
            numbers.update(self._ask(missing, progress))
        return {feature: numbers[feature] for feature in wanted}

    def sequences(self, keys: Iterable[tuple[FeatureKey, int]]) -> dict[tuple[FeatureKey, int], str]:
        """The sequence behind every accession asked for; one that the service has not given is absent.

        Raises:
            RegistryError: the service contradicts the cache or itself.
            RegistryUnavailable: the service stayed down.
        """
        wanted = list(dict.fromkeys(keys))
        found = self._cache.sequences(wanted)
        missing = [asked for asked in wanted if asked not in found]
        if missing:
            self._fetch(sorted({key.locus for key, _ in missing}), silent)
            found.update(self._cache.sequences(missing))
        return found

    def import_rows(self, rows: Iterable[AccessionRow]) -> ImportResult:
        """Fill the cache from a file, as `Registry.import_rows` does."""
        return self._cache.import_rows(rows)

    def import_service(self, url: str, loci: Iterable[str], progress: Progress = silent) -> ImportResult:
        """Fill the cache from a service, as `Registry.import_service` does."""
        return self._cache.import_service(url, loci, progress)

    def export(self, path: str | Path) -> int:
        """Write the cache to a file, as `Registry.export` does."""
        return self._cache.export(path)

    def _ask(self, missing: list[Feature], progress: Progress) -> dict[Feature, int]:
        """The accessions of features that the cache lacks, which it has afterwards."""
        self._cache.check_authority(self._service.name)
        unknown = Counter(key.locus for key, _ in missing)
        self._fetch([locus for locus, count in unknown.items() if count >= FETCH_LOCUS_FROM], progress)
        fetched = self._cache.known(missing)
        self._register([feature for feature in missing if feature not in fetched], progress)
        return self._cache.known(missing)

    def _fetch(self, loci: list[str], progress: Progress) -> None:
        for done, locus in enumerate(loci, start=1):
            self._store(list(self._service.all_features([locus])))
            progress("loci read from the Feature Service", done, len(loci))

    def _register(self, missing: list[Feature], progress: Progress) -> None:
        answers: list[AccessionRow] = []
        try:
            for done, (key, sequence) in enumerate(missing, start=1):
                answers.append(self._service.register(key, sequence))
                if len(answers) == _STORE_ROWS or done == len(missing):
                    full, answers = answers, []
                    self._store(full)
                    progress("features registered", done, len(missing))
        finally:
            if answers:  # a later request failed; these were answered
                self._store(answers)

    def _store(self, rows: list[AccessionRow]) -> None:
        self._cache.import_rows(rows, authority=self._service.name)
