"""The HTTP client of a Feature Service: asks for accessions, and believes no answer unread.

In: `GET {url}/features/{locus}` → `[{locus, term, rank, accession, sequence}, …]` and `POST {url}/features`
`{locus, term, rank, sequence}` → the same with `accession`; retries. Out: caching and comparing answers
(`registry.py`, `service_registry.py`).

The service spells terms as the Sequence Ontology does (`exon`, `five_prime_UTR`), we in capitals. Both requests
may be repeated: posting a sequence twice gives the same accession.
"""

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import requests
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from gfe_assets.errors import RegistryError, RegistryUnavailable
from gfe_assets.hla.accession_rows import COLUMNS, AccessionRow
from gfe_assets.hla.features import EXON, FIVE_PRIME_UTR, INTRON, THREE_PRIME_UTR, FeatureKey
from gfe_assets.progress import Progress, silent

SERVICE_TERMS = {
    FIVE_PRIME_UTR: "five_prime_UTR",
    EXON: "exon",
    INTRON: "intron",
    THREE_PRIME_UTR: "three_prime_UTR",
}
"""Our term → the term of the Sequence Ontology (SO:0000204, SO:0000147, SO:0000188, SO:0000205)."""

_TRY_AGAIN = (408, 425, 429)  # besides all 5xx
_BODY_SHOWN = 200
_CHECK = "check that GFE_FEATURE_SERVICE_URL is a Feature Service"


class FeatureService:
    """One service; `attempts` requests at most for an answer, with growing random pauses of at most `longest_pause` seconds.

    Raises:
        RegistryError: `url` is not an http(s) URL.
    """

    def __init__(self, url: str, attempts: int = 6, pause: float = 0.5, longest_pause: float = 30, timeout: float = 60) -> None:
        parts = urlsplit(url.strip().rstrip("/"))
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise RegistryError("GFE_FEATURE_SERVICE_URL is not an http:// or https:// URL of a Feature Service")
        self._url = urlunsplit(parts)
        self.name = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        self._attempts, self._timeout = attempts, timeout
        self._retrying = Retrying(
            retry=retry_if_exception_type(RegistryUnavailable),
            stop=stop_after_attempt(attempts),
            wait=wait_random_exponential(multiplier=pause, max=longest_pause),
            reraise=True,
        )
        self._session = requests.Session()

    def __enter__(self) -> "FeatureService":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def all_features(self, loci: Iterable[str], progress: Progress = silent) -> Iterator[AccessionRow]:
        """Everything the service knows about some loci.

        Raises:
            RegistryError: the service refuses, or an answer is not a list of features of that locus.
            RegistryUnavailable: the service stayed down.
        """
        wanted = list(loci)
        for done, locus in enumerate(wanted, start=1):
            answer = self._ask("GET", f"/features/{quote(locus, safe='')}")
            if not isinstance(answer, list):
                raise RegistryError(f"{self.name}: the answer about {locus} is not a list of features; {_CHECK}")
            for number, item in enumerate(answer, start=1):
                row = self._row(item, f"{self.name} {locus} entry {number}")
                if row.locus != locus:
                    raise RegistryError(f"{row.place}: is of {row.locus}, not of the locus asked for; {_CHECK}")
                yield row
            progress("loci read from the Feature Service", done, len(wanted))

    def register(self, key: FeatureKey, sequence: str) -> AccessionRow:
        """The accession of one feature, which the service gives it now if it has none.

        Raises:
            RegistryError: the service refuses, or answers about another feature.
            RegistryUnavailable: the service stayed down.
        """
        place = f"{self.name} {key.locus} {key.term} {key.rank}"
        question = {"locus": key.locus, "term": SERVICE_TERMS[key.term], "rank": key.rank, "sequence": sequence}
        row = self._row(self._ask("POST", "/features", question), place)
        if (row.key, row.sequence) != (key, sequence):
            raise RegistryError(f"{place}: answered about another feature than the one posted; {_CHECK}")
        return row

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        try:
            return self._retrying(self._ask_once, method, path, body)
        except RegistryUnavailable as error:
            raise RegistryUnavailable(
                f"the Feature Service {self.name} did not answer {self._attempts} requests ({error}); run again when it does"
            ) from None

    def _ask_once(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        """One request. Redirects are not followed: a redirected POST would arrive as a GET."""
        try:
            answer = self._session.request(method, self._url + path, json=body, timeout=self._timeout, allow_redirects=False)
        except requests.RequestException as error:
            raise RegistryUnavailable(f"{method} {path}: {_why(error, self._timeout)}") from None
        if answer.status_code >= 500 or answer.status_code in _TRY_AGAIN:
            raise RegistryUnavailable(f"{method} {path}: {answer.status_code} {answer.reason}")
        if answer.is_redirect:
            place = answer.headers["Location"]
            raise RegistryError(f"{self.name} moved to {place}; set GFE_FEATURE_SERVICE_URL to the address it has now")
        if not answer.ok:
            told = f"{answer.status_code} {answer.reason} {answer.text[:_BODY_SHOWN]}".strip()
            raise RegistryError(f"{self.name} refused {method} {path}: {told}; {_CHECK}")
        try:
            return answer.json()
        except requests.JSONDecodeError:
            raise RegistryError(f"{self.name} did not answer {method} {path} with JSON; {_CHECK}") from None

    def _row(self, item: object, place: str) -> AccessionRow:
        """One feature of an answer; extra fields are ignored, letters and ranges are checked on import."""
        fields = [item.get(name) for name in COLUMNS] if isinstance(item, dict) else []
        match fields:
            case [str(locus), str(term), int(rank), int(accession), str(sequence)]:
                return AccessionRow(locus, term.upper(), rank, accession, sequence.upper(), place)
        raise RegistryError(f"{place}: is not a feature with {', '.join(COLUMNS)}; {_CHECK}")


def _why(error: requests.RequestException, timeout: float) -> str:
    """A failure to get an answer in words; the library's own text is a chain of class names."""
    if isinstance(error, requests.Timeout):
        return f"no answer in {timeout:g} s"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not accepted"
    return "no connection" if isinstance(error, requests.ConnectionError) else type(error).__name__
