"""Build checks: each passes on a good build and fails on one that was tampered with in its way."""

import shutil

import polars as pl
import pytest

from gfe_assets.hla.checks import CHECK_DESCRIPTIONS, BuildUnderTest, run_checks
from gfe_assets.hla.csvs import csv_path, read_csv
from gfe_assets.hla.manifest import PartlyAnnotated
from gfe_assets.simulate import SimulatedDatabase
from gfe_assets_tests.builds import RELEASE, build, registry, simulated

FILES = ("gfe_sequences", "all_features", "all_groups", "all_cds", "all_alignments")


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A good build of a simulated release, alignments included, with its registry open."""
    folder = tmp_path_factory.mktemp("good")
    source = simulated(folder, SimulatedDatabase.create(80, seed=7, scale=0.05), align=True)
    manifest, csvs = build(source, folder, align=True)
    with registry(folder) as accessions:
        yield BuildUnderTest(csvs, manifest, source.records, 0, accessions.sequences)


class Tampered:
    """A copy of a good build in which files can be changed."""

    def __init__(self, good, folder):
        self.folder = folder / "csv"
        shutil.copytree(good.folder, self.folder)
        self.values = {name: getattr(good, name) for name in ("manifest", "records", "tolerance", "look_up")}
        self.sequences = good.frames["gfe_sequences"]

    def change(self, name, function, *, counted=True):
        """Rewrite a file; `counted` adjusts the manifest, as if the build had written it so."""
        frame = function(read_csv(self.folder, name, RELEASE))
        path = csv_path(self.folder, name, RELEASE)
        frame.write_csv(path)
        if counted:
            files = [
                file.model_copy(update={"rows": frame.height}) if file.name == path.name else file
                for file in self.values["manifest"].files
            ]
            self.manifest(files=tuple(files))

    def manifest(self, **changes):
        self.values["manifest"] = self.values["manifest"].model_copy(update=changes)

    def failed(self):
        """Names of the checks that fail, and what the first of them says."""
        checks = run_checks(BuildUnderTest(self.folder, **self.values))
        return {check.name: check.summary for check in checks if not check.passed}


@pytest.fixture
def tampered(good, tmp_path):
    return Tampered(good, tmp_path)


def first(column, value=None, **more):
    """An expression that changes one column of the first row; `value` may be an expression."""
    values = {column: value, **more}
    return lambda frame: frame.with_columns(
        pl.when(pl.int_range(pl.len()) == 0)
        .then(pl.lit(new) if not isinstance(new, pl.Expr) else new)
        .otherwise(name)
        .alias(name)
        for name, new in values.items()
    )


def without_first(frame):
    return frame.slice(1)


def first_twice(frame):
    return pl.concat([frame.head(1), frame])


def swapped(column, first_row, second_row):
    """Exchange the cells of two rows in a column."""

    def swap(frame):
        cells = frame[column].to_list()
        cells[first_row], cells[second_row] = cells[second_row], cells[first_row]
        return frame.with_columns(pl.Series(column, cells))

    return swap


def test_a_good_build_passes_every_check(good):
    checks = run_checks(good)
    assert [check.name for check in checks] == list(CHECK_DESCRIPTIONS)
    assert [check.name for check in checks if not check.passed] == []
    assert all(check.blocking and check.summary and not check.examples for check in checks)
    assert good.names == list(FILES)


def test_the_order_of_rows_is_not_judged(tampered):
    for name in FILES:
        tampered.change(name, lambda frame: frame.sample(fraction=1, shuffle=True, seed=3))
    assert tampered.failed() == {}


def test_a_file_that_was_cut_fails_the_schema_and_nothing_else_is_asked(tampered):
    path = csv_path(tampered.folder, "all_features", RELEASE)
    path.write_bytes(path.read_bytes()[:-1000])
    failed = tampered.failed()
    assert list(failed) == ["csv_schema"]
    assert "all_features.3580.csv" in failed["csv_schema"]


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_fails_the_schema(tampered, name):
    csv_path(tampered.folder, name, RELEASE).unlink()
    assert f"{name}.3580.csv is not there" in tampered.failed()["csv_schema"]


@pytest.mark.parametrize("name", FILES)
def test_another_column_order_fails_the_schema(tampered, name):
    tampered_frame = read_csv(tampered.folder, name, RELEASE)
    tampered_frame.select(reversed(tampered_frame.columns)).write_csv(csv_path(tampered.folder, name, RELEASE))
    assert "has the columns" in tampered.failed()["csv_schema"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("change", [without_first, first_twice])
def test_another_number_of_rows_than_written_fails_the_schema(tampered, name, change):
    tampered.change(name, change, counted=False)
    failed = tampered.failed()
    assert list(failed) == ["csv_schema"]
    assert "rows, its manifest says" in failed["csv_schema"]


def test_rows_of_another_release_fail_the_schema(tampered):
    tampered.change("all_groups", first("imgt_release", "3.57.0"))
    assert tampered.failed() == {
        "csv_schema": "1 problems, such as: all_groups.3580.csv has 1 rows that are not of release 3.58.0"
    }


@pytest.mark.parametrize("name", FILES)
def test_a_row_twice_fails_the_unique_keys(tampered, name):
    tampered.change(name, first_twice)
    assert name in tampered.failed()["unique_keys"]


def test_two_alleles_with_one_accession_fail_the_unique_keys(tampered):
    accession = tampered.sequences["acc_name"][1]
    tampered.change("gfe_sequences", first("acc_name", accession))
    assert f"gfe_sequences: {accession} stands more than once" in tampered.failed()["unique_keys"]


def test_an_allele_that_is_gone_is_missed(tampered):
    tampered.change("gfe_sequences", without_first)
    failed = tampered.failed()
    assert set(failed) == {"referential_integrity", "entries_accounted_for"}
    assert "is no allele of gfe_sequences" in failed["referential_integrity"]


def test_a_feature_that_is_gone_is_missed(tampered):
    tampered.change("all_features", without_first)
    assert list(tampered.failed()) == ["referential_integrity"]
    assert "lacks a feature of its GFE name" in tampered.failed()["referential_integrity"]


def test_a_feature_too_many_is_found(tampered):
    tampered.change("all_features", lambda frame: pl.concat([frame, first("rank", 77)(frame.head(1))]))
    assert list(tampered.failed()) == ["referential_integrity"]


def test_a_group_that_is_gone_is_missed(tampered):
    tampered.change("all_groups", lambda frame: frame.filter(pl.col("ard_name") != "lgx"))
    failed = tampered.failed()
    assert list(failed) == ["referential_integrity"]
    assert "has no lgx" in failed["referential_integrity"]


@pytest.mark.parametrize("name", ["all_features", "all_groups", "all_cds", "all_alignments"])
def test_rows_of_a_gfe_that_is_not_in_the_build_are_found(tampered, name):
    tampered.change(name, first("gfe_name", "HLA-Aw" + "-".join(["9"] * 17)))
    assert list(tampered.failed()) == ["referential_integrity"]


@pytest.mark.parametrize("name", ["all_features", "all_groups"])
def test_rows_of_an_allele_that_is_not_in_the_build_are_found(tampered, name):
    tampered.change(name, first("hla_name", "HLA-A*99:99"))
    assert f"{name}: HLA-A*99:99 is no allele of gfe_sequences" in tampered.failed()["referential_integrity"]


def test_entries_that_nobody_accounts_for_are_missed(tampered):
    tampered.values["records"] += 1
    failed = tampered.failed()
    assert list(failed) == ["entries_accounted_for"]
    assert "entries were read but" in failed["entries_accounted_for"]


def test_more_errors_than_tolerated_fail_with_the_first_of_them(tampered):
    line = (
        '{"release": "3580", "entry": "HLA-A*01:01", "accession": "HLA00001", "file": "hla.dat", "line": 7, '
        '"error": "it has no exon"}'
    )
    (tampered.folder / "errors.3580.ndjson").write_text(line + "\n")
    tampered.manifest(errors=1)
    tampered.values["records"] += 1
    failed = tampered.failed()
    assert list(failed) == ["error_tolerance"]
    assert "1 unusable entries, 0 tolerated: see errors.3580.ndjson" in failed["error_tolerance"]
    [check] = [check for check in run_checks(BuildUnderTest(tampered.folder, **tampered.values)) if not check.passed]
    assert check.examples == (line,)
    tampered.values["tolerance"] = 1
    assert tampered.failed() == {}


def test_a_gfe_that_knows_no_feature_is_found(tampered):
    name = tampered.sequences["gfe_name"][0]
    locus, _, numbers = name.partition("w")
    nothing = locus + "w" + "-".join("0" for _ in numbers.split("-"))
    for file in FILES:
        tampered.change(file, lambda frame: frame.with_columns(pl.col("gfe_name").replace({name: nothing})))
    failed = tampered.failed()
    assert "has no known feature" in failed["no_all_zero_gfe"]
    assert set(failed) == {"no_all_zero_gfe", "referential_integrity", "round_trip"}


def test_two_sequences_under_one_gfe_are_found(tampered):
    one, other = tampered.sequences["gfe_name"].unique(maintain_order=True)[:2]
    tampered.change("gfe_sequences", lambda frame: frame.with_columns(pl.col("gfe_name").replace({one: other})))
    assert "has 2 sequences" in tampered.failed()["one_sequence_per_gfe"]


def test_names_of_two_alleles_exchanged_are_found(tampered):
    names = tampered.sequences["gfe_name"]
    other = next(index for index, name in enumerate(names) if name != names[0] and name[:6] == names[0][:6])
    tampered.change("gfe_sequences", swapped("gfe_name", 0, other))
    assert {"referential_integrity", "round_trip"} <= set(tampered.failed())


def test_a_single_altered_base_is_found(tampered):
    letter = tampered.sequences["sequence"][0][0]
    tampered.change("gfe_sequences", first("sequence", pl.lit("A" if letter != "A" else "C") + pl.col("sequence").str.slice(1)))
    assert "is not what its features spell" in tampered.failed()["round_trip"]


def test_a_single_altered_base_of_a_feature_is_found(tampered):
    tampered.change("all_features", first("sequence", pl.col("sequence") + "A"))
    failed = tampered.failed()
    assert list(failed) == ["round_trip"]
    assert "is not accession 1 of the registry" in failed["round_trip"]


def test_a_wrong_length_is_found(tampered):
    tampered.change("gfe_sequences", first("length", pl.col("length") + 1))
    assert "is not as long as its length says" in tampered.failed()["round_trip"]


def test_another_accession_of_the_registry_in_a_name_is_found(tampered):
    sequences = tampered.sequences
    name = next(name for name in sequences["gfe_name"] if name.endswith("-1"))
    for file in FILES:
        tampered.change(file, lambda frame: frame.with_columns(pl.col("gfe_name").replace({name: name[:-1] + "2"})))
    assert {"referential_integrity", "round_trip"} <= set(tampered.failed())


@pytest.mark.parametrize(
    "name",
    [
        lambda name: name.replace("w", "wx", 1),
        lambda name: name + "-1",
        lambda name: name.rsplit("-", 1)[0],
        lambda name: name.replace("HLA-", "HLA-X", 1),
        lambda name: name.partition("w")[0] + "w",
        lambda name: name[:0],
    ],
)
def test_a_name_that_cannot_be_taken_apart_fails_the_round_trip(tampered, name):
    old = tampered.sequences["gfe_name"][0]
    for file in FILES:
        tampered.change(file, lambda frame: frame.with_columns(pl.col("gfe_name").replace({old: name(old)})))
    assert "round_trip" in tampered.failed()


def test_a_registry_that_says_something_else_is_found(tampered):
    honest = tampered.values["look_up"]

    def altered(keys):
        found = honest(keys)
        key = min(found)
        return {**found, key: found[key] + "A"}

    tampered.values["look_up"] = altered
    assert list(tampered.failed()) == ["round_trip"]


def test_a_registry_that_lost_an_accession_is_found(tampered):
    honest = tampered.values["look_up"]

    def forgetful(keys):
        found = honest(keys)
        found.pop(min(found))
        return found

    tampered.values["look_up"] = forgetful
    assert list(tampered.failed()) == ["round_trip"]


def test_spans_of_a_partly_annotated_allele_are_what_its_name_must_spell(tampered):
    row = tampered.sequences.row(0, named=True)
    spans = ((1, row["length"] - 1),)
    declared = PartlyAnnotated(acc_name=row["acc_name"], hla_name=row["hla_name"], gfe_name=row["gfe_name"], spans=spans)
    tampered.manifest(partly_annotated=(declared,))
    assert list(tampered.failed()) == ["round_trip"]
