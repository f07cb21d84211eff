"""The registry: numbers for ever, in SQLite and in PostgreSQL (where `databases.py` finds one)."""

import csv
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gfe_assets.errors import RegistryError, RegistryUnavailable
from gfe_assets.hla.accessions import AccessionRow, Registry, ServiceRegistry, accession_rows, open_registry, read_accessions
from gfe_assets.hla.features import FeatureKey, structure
from gfe_assets.settings import Settings
from gfe_assets_tests.databases import KINDS, empty_database

A_EXON_1 = FeatureKey("HLA-A", "EXON", 1)
A_EXON_2 = FeatureKey("HLA-A", "EXON", 2)
B_EXON_1 = FeatureKey("HLA-B", "EXON", 1)


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each kind."""
    with empty_database(request.param, tmp_path) as url:
        yield url


@pytest.fixture
def registry(url: str) -> Iterator[Registry]:
    with Registry(url) as opened:
        yield opened


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The path of a SQLite registry with one row."""
    path = tmp_path / "one.sqlite"
    Registry(f"sqlite:///{path}").allocate([(A_EXON_1, "ATG")])
    return path


# Allocation


def test_numbers_count_from_1_inside_each_feature_in_the_order_of_first_appearance(registry: Registry):
    features = [(A_EXON_1, "ATG"), (B_EXON_1, "ATG"), (A_EXON_1, "ATGC"), (A_EXON_1, "ATG"), (A_EXON_2, "C"), (A_EXON_1, "A")]
    assert registry.allocate(iter(features)) == {
        (A_EXON_1, "ATG"): 1,
        (B_EXON_1, "ATG"): 1,
        (A_EXON_1, "ATGC"): 2,
        (A_EXON_2, "C"): 1,
        (A_EXON_1, "A"): 3,
    }


def test_a_known_sequence_keeps_its_number_and_a_new_one_gets_the_next(registry: Registry, url: str):
    registry.allocate([(A_EXON_1, "ATG"), (A_EXON_1, "C")])
    with Registry(url) as again:
        assert again.allocate([(A_EXON_1, "G"), (A_EXON_1, "C")]) == {(A_EXON_1, "G"): 3, (A_EXON_1, "C"): 2}


def test_allocating_nothing_gives_nothing(registry: Registry):
    assert registry.allocate([]) == {}


def test_looking_up_allocates_nothing(registry: Registry):
    registry.allocate([(A_EXON_1, "ATG")])
    assert registry.known([(A_EXON_1, "C"), (A_EXON_1, "ATG"), (B_EXON_1, "ATG")]) == {(A_EXON_1, "ATG"): 1}
    assert registry.allocate([(A_EXON_1, "G")]) == {(A_EXON_1, "G"): 2}


def test_sequences_are_found_by_number_and_unknown_numbers_are_absent(registry: Registry):
    many = {(A_EXON_1, "ATG" + format(number, "b").replace("0", "A").replace("1", "C")): number for number in range(1, 2501)}
    registry.allocate([*many, (B_EXON_1, "GGG")])
    asked = [(A_EXON_1, number) for number in range(1, 2510)] + [(B_EXON_1, 1), (A_EXON_2, 1)]
    expected = {(key, number): sequence for (key, sequence), number in many.items()} | {(B_EXON_1, 1): "GGG"}
    assert registry.sequences(iter(asked)) == expected
    assert registry.sequences([]) == {}


def test_progress_counts_up_to_what_was_new(registry: Registry):
    told: list[tuple[str, int, int | None]] = []
    features = [(A_EXON_1, "ATG" + format(number, "b").replace("0", "A").replace("1", "C")) for number in range(6000)]
    registry.allocate(features, lambda *step: told.append(step))
    assert told == [("accessions added", 5000, 6000), ("accessions added", 6000, 6000)]
    registry.allocate(features, lambda *step: told.append(step))
    assert len(told) == 2


@pytest.mark.parametrize(
    ("key", "sequence", "message"),
    [
        (A_EXON_1, "", "the sequence of HLA-A EXON 1 is empty"),
        (A_EXON_1, "ATGatg", "the sequence of HLA-A EXON 1 holds 'a', 'g', 't'; write it in capital DNA letters"),
        (A_EXON_1, "ATG*\n", r"holds '\n', '*'"),
        (A_EXON_1, "AUG", "holds 'U'"),
        (A_EXON_1, "ATG\u0410", "holds '?'"),
        (FeatureKey("HLA-A", "EXON", 9), "ATG", "HLA-A has no EXON 9; its features are FIVE_PRIME_UTR 1, EXON 1"),
        (FeatureKey("HLA-A", "INTRON", 8), "ATG", "HLA-A has no INTRON 8"),
        (FeatureKey("HLA-A", "exon", 1), "ATG", "HLA-A has no exon 1"),
        (FeatureKey("HLA-H", "EXON", 1), "ATG", "locus 'HLA-H' is not known"),
    ],
)
def test_what_is_no_feature_is_refused_and_nothing_is_kept(registry: Registry, key: FeatureKey, sequence: str, message: str):
    with pytest.raises(RegistryError, match=re.escape(message)):
        registry.allocate([(B_EXON_1, "ATG"), (key, sequence)])
    assert registry.known([(B_EXON_1, "ATG")]) == {}


def test_every_feature_of_every_structure_can_be_registered(registry: Registry):
    """20 features of a KIR gene: 9 exons, 9 introns, 2 untranslated regions (DESIGN.md 3)."""
    keys = structure("KIR3DL1").features
    assert registry.allocate((key, "ACGTN") for key in keys) == {(key, "ACGTN"): 1 for key in keys}
    assert len(keys) == 20


_FEATURES = st.tuples(st.sampled_from([A_EXON_1, A_EXON_2, B_EXON_1]), st.text("ACGT", min_size=1, max_size=3))
_NOT_RESET = [HealthCheck.function_scoped_fixture]


@settings(max_examples=40, deadline=None, suppress_health_check=_NOT_RESET)
@given(batches=st.lists(st.lists(_FEATURES, max_size=12), max_size=6))
def test_numbers_are_stable_dense_and_in_order_whatever_is_allocated(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[tuple[FeatureKey, str]]]
):
    url = f"sqlite:///{tmp_path_factory.mktemp('registry') / 'a.sqlite'}"
    order: dict[FeatureKey, list[str]] = {}
    for batch in batches:
        for key, sequence in batch:
            if sequence not in order.setdefault(key, []):
                order[key].append(sequence)
        with Registry(url) as registry:
            numbers = registry.allocate(batch)
        assert set(numbers) == set(batch)
        assert all(order[key][number - 1] == sequence for (key, sequence), number in numbers.items())
    everything = [feature for batch in batches for feature in batch]
    with Registry(url) as registry:
        registry.allocate(reversed(everything))
        stored = {(key, number): sequence for key, known in order.items() for number, sequence in enumerate(known, start=1)}
        assert registry.sequences((key, number) for key in order for number in range(1, 20)) == stored


# Import and export


def test_numbers_of_an_import_keep_their_gaps_and_the_next_is_the_highest_plus_one(registry: Registry):
    rows = [AccessionRow(*A_EXON_1, 18, "ATG"), AccessionRow(*A_EXON_1, 1, "C")]
    assert registry.import_rows(rows) == (2, 0)
    assert registry.allocate([(A_EXON_1, "G"), (A_EXON_1, "ATG")]) == {(A_EXON_1, "G"): 19, (A_EXON_1, "ATG"): 18}


def test_importing_twice_changes_nothing(registry: Registry):
    rows = [AccessionRow(*A_EXON_1, 18, "ATG"), AccessionRow(*A_EXON_1, 18, "ATG"), AccessionRow(*A_EXON_1, 1, "C")]
    assert registry.import_rows(iter(rows)) == (2, 1)
    assert registry.import_rows(iter(rows)) == (0, 3)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_an_export_imported_elsewhere_exports_to_the_same_bytes(registry: Registry, tmp_path: Path, ending: str):
    registry.import_rows([AccessionRow("HLA-B", "INTRON", 1, 12, "GT"), AccessionRow("HLA-B", "INTRON", 1, 9, "GTA")])
    registry.allocate([(FeatureKey("HLA-A", term, rank), "ACG") for term, rank in structure("HLA-A").positions][::-1])
    assert registry.export(tmp_path / f"one.{ending}") == 19
    with Registry(f"sqlite:///{tmp_path / 'other.sqlite'}") as other:
        assert other.import_rows(read_accessions(tmp_path / f"one.{ending}")) == (19, 0)
        other.export(tmp_path / f"two.{ending}")
    assert (tmp_path / f"one.{ending}").read_bytes() == (tmp_path / f"two.{ending}").read_bytes()
    exported = [f"{row.locus} {row.term} {row.rank} {row.accession}" for row in read_accessions(tmp_path / f"two.{ending}")]
    assert exported[:3] == ["HLA-A FIVE_PRIME_UTR 1 1", "HLA-A EXON 1 1", "HLA-A INTRON 1 1"]
    assert exported[-2:] == ["HLA-B INTRON 1 9", "HLA-B INTRON 1 12"]


def test_what_a_build_wrote_rebuilds_a_lost_registry(registry: Registry, tmp_path: Path):
    numbers = registry.allocate([(A_EXON_1, "ATG"), (A_EXON_1, "C"), (B_EXON_1, "C")])
    with Registry(f"sqlite:///{tmp_path / 'rebuilt.sqlite'}") as rebuilt:
        rebuilt.import_rows(accession_rows(numbers))
        assert rebuilt.allocate(reversed(numbers)) == numbers


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("HLA-A,EXON,1,1,ATGG", "a.csv line 3: accession 1 of HLA-A EXON 1 contradicts"),
        ("HLA-A,EXON,1,1,ATGG", "that accession belongs to another sequence"),
        ("HLA-A,EXON,1,2,ATG", "its sequence has accession 1. Accessions never change, so nothing was imported"),
        ("HLA-B,EXON,1,3,AAA", "a.csv line 3: accession 3 of HLA-B EXON 1 contradicts an earlier row"),
        ("HLA-B,EXON,1,2,CCC", "its sequence has accession 3"),
        ("HLA-A,EXON,1,0,ATG", "a.csv line 3: accession 0 of HLA-A EXON 1 is not a number from 1 to"),
        ("HLA-A,EXON,1,2147483648,ATG", "accession 2147483648 of HLA-A EXON 1 is not a number from 1 to 2147483647"),
        ("HLA-A,EXON,9,1,ATG", "a.csv line 3: HLA-A has no EXON 9"),
        ("HLA-A,UTR,1,1,ATG", "a.csv line 3: HLA-A has no UTR 1"),
        ("HLA-X,EXON,1,1,ATG", "a.csv line 3: locus 'HLA-X' is not known"),
        ("HLA-A,EXON,1,2,AT-G", "a.csv line 3: the sequence of HLA-A EXON 1 holds '-'"),
        ("HLA-A,EXON,1,2,", "a.csv line 3: the sequence of HLA-A EXON 1 is empty"),
    ],
)
def test_an_import_that_contradicts_anything_is_refused_whole(registry: Registry, tmp_path: Path, line: str, message: str):
    registry.allocate([(A_EXON_1, "ATG")])
    (tmp_path / "a.csv").write_text(f"locus,term,rank,accession,sequence\nHLA-B,EXON,1,3,CCC\n{line}\n")
    with pytest.raises(RegistryError, match=re.escape(message)):
        registry.import_rows(read_accessions(tmp_path / "a.csv"))
    assert registry.sequences([(A_EXON_1, 1), (A_EXON_1, 2), (B_EXON_1, 3)]) == {(A_EXON_1, 1): "ATG"}


@pytest.mark.shared
def test_with_the_official_table_imported_the_golden_features_have_their_official_numbers(registry: Registry, shared: Path):
    golden = shared / "golden" / "3420"
    assert registry.import_rows(read_accessions(golden / "feature_accessions.csv")) == (140, 0)
    with (golden / "all_features.3420.csv").open(newline="") as features:
        official = {
            (FeatureKey(row["locus"], row["term"], int(row["rank"])), row["sequence"]): int(row["accession"])
            for row in csv.DictReader(features)
        }
    assert registry.allocate(official) == official
    assert registry.sequences((key, number) for (key, _), number in official.items()) == {
        (key, number): sequence for (key, sequence), number in official.items()
    }
    assert registry.allocate([(FeatureKey("HLA-A", "EXON", 8), "ACGT")]) == {(FeatureKey("HLA-A", "EXON", 8), "ACGT"): 2}


@pytest.mark.shared
def test_a_feature_table_of_a_build_is_an_import_too(registry: Registry, shared: Path):
    result = registry.import_rows(read_accessions(shared / "golden" / "3420" / "all_features.3420.csv"))
    assert result.new == 140
    assert registry.import_rows(read_accessions(shared / "golden" / "3420" / "feature_accessions.csv")) == (0, 140)


# Databases that cannot be used


@pytest.mark.parametrize(
    "url",
    ["", "nonsense", "sqlite://", "sqlite:///:memory:", "mysql://me:secret@host/db", "postgresql://me:secret@host:port/db"],
)
def test_a_url_of_no_registry_is_refused_without_its_password(url: str):
    with pytest.raises(RegistryError) as refusal:
        Registry(url)
    assert "secret" not in str(refusal.value)


def test_nothing_is_opened_before_the_first_use(tmp_path: Path):
    with Registry(f"sqlite:///{tmp_path / 'a.sqlite'}"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_does_not_answer_is_worth_another_try():
    with pytest.raises(RegistryUnavailable, match=r"me:\*\*\*@127\.0\.0\.1:1/gfe cannot be reached") as failure:
        Registry("postgresql://me:secret@127.0.0.1:1/gfe").allocate([(A_EXON_1, "ATG")])
    assert failure.value.transient
    assert "secret" not in str(failure.value)


def test_another_schema_version_is_refused_and_left_alone(registry: Registry, url: str):
    registry.allocate([(A_EXON_1, "ATG")])
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg2:"), poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE registry SET schema_version = 99")
    with pytest.raises(RegistryError, match="has schema version 99, not 1 as this program needs"), Registry(url) as newer:
        newer.allocate([(A_EXON_1, "C")])


def test_a_database_of_another_program_is_refused(tmp_path: Path):
    connection = sqlite3.connect(tmp_path / "other.sqlite")
    connection.execute("CREATE TABLE features (name TEXT)")
    connection.close()
    with pytest.raises(RegistryError, match="holds tables of another program; set GFE_REGISTRY_URI"):
        Registry(f"sqlite:///{tmp_path / 'other.sqlite'}").known([])


def test_a_file_that_is_no_database_is_refused(tmp_path: Path):
    (tmp_path / "a.sqlite").write_text("These are not the bytes of a database. " * 100)
    with pytest.raises(RegistryError, match="is damaged or is no registry; put a backup in its place") as refusal:
        Registry(f"sqlite:///{tmp_path / 'a.sqlite'}").allocate([(A_EXON_1, "ATG")])
    assert not refusal.value.transient


def test_a_damaged_database_is_refused(file: Path):
    """The first page keeps the list of tables, the others are overwritten."""
    damaged = bytearray(file.read_bytes())
    damaged[4096:] = b"\xff" * (len(damaged) - 4096)
    file.write_bytes(damaged)
    with pytest.raises(RegistryError, match="is damaged or is no registry"):
        Registry(f"sqlite:///{file}").allocate([(A_EXON_1, "C")])


def test_a_registry_that_may_only_be_read_gives_known_numbers_and_refuses_new_ones(file: Path):
    with Registry(f"sqlite:///file:{file}?mode=ro&uri=true") as registry:
        assert registry.allocate([(A_EXON_1, "ATG")]) == {(A_EXON_1, "ATG"): 1}
        with pytest.raises(RegistryError, match="cannot be written; check the permissions"):
            registry.allocate([(A_EXON_1, "C")])


def test_a_folder_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(RegistryError, match=r"nowhere/a\.sqlite cannot be opened; check that its folder exists"):
        Registry(f"sqlite:///{tmp_path / 'nowhere' / 'a.sqlite'}").allocate([(A_EXON_1, "ATG")])


def test_while_another_process_writes_known_numbers_are_given_and_new_ones_wait_in_vain(file: Path):
    writer = sqlite3.connect(file, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    with Registry(f"sqlite:///{file}", wait_seconds=0.05) as registry:
        assert registry.allocate([(A_EXON_1, "ATG")]) == {(A_EXON_1, "ATG"): 1}
        with pytest.raises(RegistryUnavailable, match=r"is being written by another process, which did not finish in 0\.05 s"):
            registry.allocate([(A_EXON_1, "C")])
        writer.execute("ROLLBACK")
        writer.close()
        assert registry.allocate([(A_EXON_1, "C")]) == {(A_EXON_1, "C"): 2}


# Choice by the settings


def test_by_default_the_registry_is_a_file_in_the_data_folder(tmp_path: Path):
    settings = Settings(_env_file=None, data_uri=str(tmp_path / "data"))
    with open_registry(settings) as registry:
        assert isinstance(registry, Registry)
        registry.allocate([(A_EXON_1, "ATG")])
    assert (tmp_path / "data" / "registry" / "accessions.sqlite").is_file()


def test_with_a_feature_service_set_the_registry_is_its_cache(tmp_path: Path):
    settings = Settings(
        _env_file=None, data_uri=str(tmp_path / "data"), feature_service_url="http://user:secret@features.example/"
    )
    with open_registry(settings) as registry:
        assert isinstance(registry, ServiceRegistry)
        assert registry.name.startswith("http://features.example (cached in sqlite:////")


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "data").write_text("a file, not a folder")
    with pytest.raises(RegistryError, match=r"the folder of the accession registry .* cannot be made"):
        open_registry(Settings(_env_file=None, data_uri=str(tmp_path / "data")))
