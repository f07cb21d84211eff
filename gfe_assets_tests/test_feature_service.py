"""Registries that follow a Feature Service: a real HTTP server on this machine, with failures on demand."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from gfe_assets.errors import RegistryError, RegistryUnavailable
from gfe_assets.hla.accessions import AccessionRow, FeatureService, Registry, ServiceRegistry
from gfe_assets.hla.features import FeatureKey

A_EXON_1 = FeatureKey("HLA-A", "EXON", 1)
A_5UTR = FeatureKey("HLA-A", "FIVE_PRIME_UTR", 1)
B_INTRON_2 = FeatureKey("HLA-B", "INTRON", 2)
B_3UTR = FeatureKey("HLA-B", "THREE_PRIME_UTR", 1)


class Service:
    """A Feature Service in memory, spelling terms as the Sequence Ontology does.

    `trouble` holds answers that are given, one a request, instead of the right ones; None lets a request through.
    """

    def __init__(self, server: HTTPServer) -> None:
        self.url = server.url_for("").rstrip("/")
        self.features: list[dict[str, object]] = []
        self.trouble: list[Response | None] = []
        self.requests: list[str] = []
        server.expect_request("/features", method="POST").respond_with_handler(self.post)
        for locus in ("HLA-A", "HLA-B"):
            server.expect_request(f"/features/{locus}", method="GET").respond_with_handler(self.get)

    def has(self, locus: str, term: str, rank: int, accession: int, sequence: str) -> None:
        self.features.append({"locus": locus, "term": term, "rank": rank, "accession": accession, "sequence": sequence})

    def get(self, request: Request) -> Response:
        self.requests.append(f"GET {request.path}")
        if self.trouble and (answer := self.trouble.pop(0)):
            return answer
        return reply([feature for feature in self.features if request.path.endswith(str(feature["locus"]))])

    def post(self, request: Request) -> Response:
        asked = request.get_json()
        self.requests.append(f"POST {asked['locus']} {asked['term']} {asked['rank']} {asked['sequence']}")
        if self.trouble and (answer := self.trouble.pop(0)):
            return answer
        alike = [
            f for f in self.features if (f["locus"], f["term"], f["rank"]) == (asked["locus"], asked["term"], asked["rank"])
        ]
        for feature in alike:
            if feature["sequence"] == asked["sequence"]:
                return reply(feature)
        self.has(**asked, accession=len(alike) + 1)
        return reply(self.features[-1], status=201)


def reply(body: object, status: int = 200) -> Response:
    return Response(json.dumps(body), status=status, content_type="application/json")


def down() -> Response:
    return Response("the database is asleep", status=503)


@pytest.fixture
def service(httpserver: HTTPServer) -> Service:
    return Service(httpserver)


@pytest.fixture
def cache(tmp_path: Path) -> Registry:
    return Registry(f"sqlite:///{tmp_path / 'cache.sqlite'}")


@pytest.fixture
def registry(service: Service, cache: Registry) -> Iterator[ServiceRegistry]:
    client = FeatureService(service.url, attempts=4, pause=0.001, timeout=5)
    with ServiceRegistry(client, cache) as opened:
        yield opened


def letters(number: int) -> str:
    return "ATG" + format(number, "b").replace("0", "A").replace("1", "C")


# Numbers


def test_new_features_are_posted_in_order_with_the_terms_of_the_sequence_ontology(registry: ServiceRegistry, service: Service):
    features = [(A_5UTR, "CAG"), (A_EXON_1, "ATG"), (B_INTRON_2, "GT"), (B_3UTR, "TAA"), (A_EXON_1, "ATG"), (A_EXON_1, "ATC")]
    assert registry.allocate(iter(features)) == {
        (A_5UTR, "CAG"): 1,
        (A_EXON_1, "ATG"): 1,
        (B_INTRON_2, "GT"): 1,
        (B_3UTR, "TAA"): 1,
        (A_EXON_1, "ATC"): 2,
    }
    assert service.requests == [
        "POST HLA-A five_prime_UTR 1 CAG",
        "POST HLA-A exon 1 ATG",
        "POST HLA-B intron 2 GT",
        "POST HLA-B three_prime_UTR 1 TAA",
        "POST HLA-A exon 1 ATC",
    ]


def test_the_service_says_which_number_a_feature_has(registry: ServiceRegistry, service: Service):
    service.has("HLA-A", "exon", 1, 4443, "ATG")
    assert registry.allocate([(A_EXON_1, "ATG")]) == {(A_EXON_1, "ATG"): 4443}


def test_what_the_cache_knows_costs_no_request(registry: ServiceRegistry, service: Service):
    registry.allocate([(A_EXON_1, "ATG"), (B_3UTR, "TAA")])
    service.requests.clear()
    assert registry.allocate([(B_3UTR, "TAA"), (A_EXON_1, "ATG")]) == {(B_3UTR, "TAA"): 1, (A_EXON_1, "ATG"): 1}
    assert registry.sequences([(A_EXON_1, 1)]) == {(A_EXON_1, 1): "ATG"}
    assert service.requests == []


def test_many_unknown_features_of_a_locus_are_fetched_at_once(registry: ServiceRegistry, service: Service):
    for number in range(1, 101):
        service.has("HLA-A", "exon", 1, number, letters(number))
    features = [(A_EXON_1, letters(number)) for number in range(1, 103)]
    assert list(registry.allocate(features).values()) == list(range(1, 103))
    assert service.requests == ["GET /features/HLA-A", f"POST HLA-A exon 1 {letters(101)}", f"POST HLA-A exon 1 {letters(102)}"]


def test_a_sequence_that_the_cache_lacks_is_looked_up_in_the_service(registry: ServiceRegistry, service: Service):
    service.has("HLA-A", "exon", 1, 18, "ATG")
    service.has("HLA-B", "intron", 2, 3, "GT")
    assert registry.sequences([(A_EXON_1, 18), (A_EXON_1, 19)]) == {(A_EXON_1, 18): "ATG"}
    assert service.requests == ["GET /features/HLA-A"]


def test_a_registry_of_its_own_takes_over_the_numbers_of_a_service(cache: Registry, service: Service):
    service.has("HLA-A", "exon", 1, 18, "ATG")
    service.has("HLA-A", "five_prime_UTR", 1, 2, "cag")
    service.has("HLA-B", "intron", 2, 3, "GT")
    assert cache.import_service(service.url + "/", ["HLA-A", "HLA-B"]) == (3, 0)
    assert cache.import_service(service.url, ["HLA-A"]) == (0, 2)
    assert cache.allocate([(A_5UTR, "CAG"), (A_EXON_1, "ATC")]) == {(A_5UTR, "CAG"): 2, (A_EXON_1, "ATC"): 19}
    assert service.requests == ["GET /features/HLA-A", "GET /features/HLA-B", "GET /features/HLA-A"]


def test_progress_is_told(registry: ServiceRegistry):
    told: list[tuple[str, int, int | None]] = []
    registry.allocate([(A_EXON_1, letters(number)) for number in range(60)], lambda *step: told.append(step))
    assert told == [("loci read from the Feature Service", 1, 1), ("features registered", 60, 60)]


def test_the_cache_can_be_exported_and_filled_from_a_file(registry: ServiceRegistry, service: Service, tmp_path: Path):
    registry.import_rows([AccessionRow(*A_EXON_1, 18, "ATG")])
    assert registry.allocate([(A_EXON_1, "ATG")]) == {(A_EXON_1, "ATG"): 18}
    registry.export(tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == "locus,term,rank,accession,sequence\nHLA-A,EXON,1,18,ATG\n"
    assert service.requests == []


# Failures


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_service_that_stumbles_is_asked_again(registry: ServiceRegistry, service: Service, status: int):
    service.trouble = [Response("later", status=status), Response("later", status=status), Response("later", status=status)]
    assert registry.allocate([(A_EXON_1, "ATG")]) == {(A_EXON_1, "ATG"): 1}
    assert len(service.requests) == 4


def test_when_the_service_stays_down_what_it_answered_is_not_lost(registry: ServiceRegistry, service: Service, cache: Registry):
    service.trouble = [None, None, down(), down(), down(), down()]
    features = [(A_EXON_1, "ATG"), (A_EXON_1, "ATC"), (A_EXON_1, "ATT")]
    with pytest.raises(
        RegistryUnavailable, match=r"did not answer 4 requests \(POST /features: 503 SERVICE UNAVAILABLE\); run again"
    ) as failure:
        registry.allocate(features)
    assert failure.value.transient
    assert cache.known(features) == {(A_EXON_1, "ATG"): 1, (A_EXON_1, "ATC"): 2}
    service.requests.clear()
    assert registry.allocate(features) == {(A_EXON_1, "ATG"): 1, (A_EXON_1, "ATC"): 2, (A_EXON_1, "ATT"): 3}
    assert service.requests == ["POST HLA-A exon 1 ATT"]


def test_of_loci_fetched_at_once_those_before_a_failure_are_kept(registry: ServiceRegistry, service: Service, cache: Registry):
    service.has("HLA-A", "exon", 1, 7, "ATG")
    service.trouble = [None, down(), down(), down(), down()]
    with pytest.raises(RegistryUnavailable):
        registry.sequences([(A_EXON_1, 7), (B_INTRON_2, 1)])
    assert cache.sequences([(A_EXON_1, 7)]) == {(A_EXON_1, 7): "ATG"}


def test_a_service_that_is_not_there_is_unavailable(cache: Registry):
    client = FeatureService("http://127.0.0.1:1", attempts=2, pause=0.001)
    with (
        ServiceRegistry(client, cache) as registry,
        pytest.raises(RegistryUnavailable, match=r"2 requests \(POST /features: no connection\)"),
    ):
        registry.allocate([(A_EXON_1, "ATG")])


def test_an_answer_that_never_comes_is_unavailable(httpserver: HTTPServer, cache: Registry):
    release = threading.Event()

    def wait(_request: Request) -> Response:
        release.wait(10)
        return reply({})

    httpserver.expect_request("/features").respond_with_handler(wait)
    client = FeatureService(httpserver.url_for(""), attempts=1, timeout=0.2)
    with ServiceRegistry(client, cache) as registry, pytest.raises(RegistryUnavailable, match=r"no answer in 0\.2 s"):
        registry.allocate([(A_EXON_1, "ATG")])
    release.set()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            reply({"locus": "HLA-A", "term": "exon", "rank": 1, "accession": 1, "sequence": "ATT"}),
            "answered about another feature",
        ),
        (
            reply({"locus": "HLA-A", "term": "exon", "rank": 2, "accession": 1, "sequence": "ATG"}),
            "answered about another feature",
        ),
        (
            reply({"locus": "HLA-A", "term": "exon", "rank": 1, "accession": 0, "sequence": "ATG"}),
            "accession 0 of HLA-A EXON 1",
        ),
        (
            reply({"locus": "HLA-A", "term": "exon", "rank": 1, "accession": None, "sequence": "ATG"}),
            "is not a feature with locus",
        ),
        (reply(["no"]), "is not a feature with locus, term, rank, accession, sequence"),
        (Response("<html>", status=200), "did not answer POST /features with JSON"),
        (Response("unknown locus", status=400), "refused POST /features: 400 BAD REQUEST unknown locus"),
        (
            Response(status=301, headers={"Location": "https://elsewhere/features"}),
            "moved to https://elsewhere/features; set GFE_FEATURE_S",
        ),
    ],
)
def test_a_wrong_answer_is_refused_at_once(registry: ServiceRegistry, service: Service, answer: Response, message: str):
    service.trouble = [answer]
    with pytest.raises(RegistryError) as refusal:
        registry.allocate([(A_EXON_1, "ATG")])
    assert message in str(refusal.value)
    assert not refusal.value.transient
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"features": []}, "the answer about HLA-A is not a list of features"),
        ([{"locus": "HLA-B", "term": "exon", "rank": 1, "accession": 1, "sequence": "A"}], "HLA-A entry 1: is of HLA-B"),
        ([{"locus": "HLA-A", "term": "exon", "rank": 1, "sequence": "A"}], "HLA-A entry 1: is not a feature with"),
        ([{"locus": "HLA-A", "term": "utr", "rank": 1, "accession": 1, "sequence": "A"}], "HLA-A entry 1: HLA-A has no UTR 1"),
    ],
)
def test_a_wrong_list_is_refused_and_nothing_imported(cache: Registry, service: Service, answer: object, message: str):
    service.trouble = [reply(answer)]
    with pytest.raises(RegistryError) as refusal:
        cache.import_service(service.url, ["HLA-A"])
    assert message in str(refusal.value)
    assert cache.sequences([(A_EXON_1, 1)]) == {}


@pytest.mark.parametrize(
    ("told", "fact"),
    [((18, "ATT"), "that accession belongs to another sequence"), ((19, "ATG"), "its sequence has accession 18")],
)
def test_a_service_that_contradicts_the_cache_is_an_error(
    registry: ServiceRegistry, service: Service, cache: Registry, told: tuple[int, str], fact: str
):
    cache.import_rows([AccessionRow(*A_EXON_1, 18, "ATG")])
    service.has("HLA-A", "exon", 1, *told)
    service.has("HLA-A", "exon", 1, 20, "ATC")
    with pytest.raises(RegistryError, match=fact) as refusal:
        registry.sequences([(A_EXON_1, 20)])
    assert service.url in str(refusal.value)
    assert cache.sequences([(A_EXON_1, 18), (A_EXON_1, 19), (A_EXON_1, 20)]) == {(A_EXON_1, 18): "ATG"}


def test_the_cache_of_a_service_gives_no_numbers_itself(registry: ServiceRegistry, cache: Registry, service: Service):
    registry.allocate([(A_EXON_1, "ATG")])
    assert cache.allocate([(A_EXON_1, "ATG")]) == {(A_EXON_1, "ATG"): 1}
    with pytest.raises(RegistryError, match=f"is the cache of {service.url}, which alone may number in it"):
        cache.allocate([(A_EXON_1, "ATC")])


def test_a_registry_that_gave_numbers_cannot_become_a_cache(registry: ServiceRegistry, cache: Registry, service: Service):
    cache.allocate([(A_EXON_1, "ATG")])
    with pytest.raises(RegistryError, match="has given accessions of its own, so it cannot be the cache"):
        registry.allocate([(A_EXON_1, "ATC")])
    assert service.requests == [], "the service gave no number that could not be kept"


@pytest.mark.parametrize("url", ["", "features.example", "ftp://features.example", "http://"])
def test_a_url_of_no_service_is_refused(url: str):
    with pytest.raises(RegistryError, match="GFE_FEATURE_SERVICE_URL is not an http:// or https:// URL"):
        FeatureService(url)


def test_a_password_in_the_url_is_not_shown(cache: Registry):
    client = FeatureService("http://me:secret@127.0.0.1:1", attempts=1)
    with ServiceRegistry(client, cache) as registry, pytest.raises(RegistryUnavailable) as failure:
        registry.allocate([(A_EXON_1, "ATG")])
    assert "secret" not in str(failure.value)
