"""The golden release: with the official accessions imported, a build equals what the reference pipeline published."""

import csv
import hashlib

import pytest

from gfe_assets.hla.accessions import read_accessions
from gfe_assets.hla.csvs import read_csv
from gfe_assets_tests.builds import build, given, registry

pytestmark = pytest.mark.shared
VERSION = "3.42.0"


def decimal_md5(text):
    return str(int.from_bytes(hashlib.md5(text.encode()).digest(), "big"))[:32]


@pytest.fixture(scope="module")
def golden(shared):
    """File name → rows of the published files (their older columns), as dictionaries."""

    def rows(name):
        with (shared / f"golden/3420/{name}.3420.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    return {name: rows(name) for name in ("gfe_sequences", "all_features", "all_groups", "all_cds")}


@pytest.fixture(scope="module")
def built(shared, tmp_path_factory):
    """The manifest, and file name → frame, of our build of the same entries."""
    folder = tmp_path_factory.mktemp("golden")
    source = shared / "golden/3420"
    with registry(folder) as accessions:
        assert accessions.import_rows(read_accessions(source / "feature_accessions.csv")).new == 140
    content, groups = (source / "hla.dat").read_bytes(), (source / "wmda/hla_nom_g.txt").read_text()
    manifest, csvs = build(given(folder / "raw", content, groups, release="3420", version=VERSION), folder)
    return manifest, {name: read_csv(csvs, name, "3420") for name in ("gfe_sequences", "all_features", "all_groups", "all_cds")}


@pytest.fixture(scope="module")
def gfe_of(golden):
    """Allele accession → published GFE name."""
    return {row["allele_id"]: row["gfe_name"] for row in golden["gfe_sequences"]}


def rows_of(frame, *columns):
    return sorted(tuple(str(cell) for cell in row) for row in frame.select(columns).iter_rows())


def test_every_check_passes(built):
    manifest, _ = built
    assert [check.name for check in manifest.checks if not check.passed] == []
    assert manifest.counts["alleles"] == 101
    assert manifest.partly_annotated == ()


def test_all_gfe_names_and_sequences_are_the_published_ones(built, golden):
    ours = rows_of(
        built[1]["gfe_sequences"], "gfe_name", "acc_name", "locus", "hla_name", "seq_id", "sequence", "length", "imgt_release"
    )
    published = sorted(
        (
            row["gfe_name"],
            row["allele_id"],
            row["locus"],
            row["hla_name"],
            decimal_md5(row["sequence"]),
            row["sequence"],
            row["length"],
            VERSION,
        )
        for row in golden["gfe_sequences"]
    )
    assert len(published) == 101
    assert ours == published


def test_all_features_are_the_published_ones(built, golden, gfe_of):
    columns = ("accession", "hash_code", "locus", "rank", "sequence", "term", "allele_id", "hla_name", "imgt_release")
    ours = rows_of(built[1]["all_features"], "gfe_name", *columns)
    published = sorted((gfe_of[row["allele_id"]], *(row[column] for column in columns)) for row in golden["all_features"])
    assert len(published) == 1535
    assert ours == published


def test_all_groups_are_the_published_ones(built, golden, gfe_of):
    columns = ("allele_id", "hla_name", "ard_id", "ard_name", "locus", "imgt_release")
    ours = rows_of(built[1]["all_groups"], "gfe_name", *columns)
    published = sorted(
        (gfe_of[row["allele_id"]], *(row[column] for column in columns))
        for row in golden["all_groups"]
        if row["ard_name"] != "2nd_FIELD"  # a column of the older layout; the contract has G, lg and lgx
    )
    assert len(published) == 273
    assert ours == published


def test_all_coding_sequences_are_the_published_ones(built, golden, gfe_of):
    ours = rows_of(built[1]["all_cds"], "gfe_name", "bp_seq_id", "bp_sequence", "aa_seq_id", "aa_sequence")
    published = sorted(
        (
            gfe_of[row["allele_id"]],
            decimal_md5(row["bp_sequence"]),
            row["bp_sequence"],
            decimal_md5(row["aa_sequence"]),
            row["aa_sequence"],
        )
        for row in golden["all_cds"]
    )
    assert len(published) == 101
    assert ours == published
