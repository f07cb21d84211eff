"""Accessions files: what is written is read back, and a wrong file is refused with its line."""

import csv
from pathlib import Path

import polars as pl
import pytest

from gfe_assets.errors import RegistryError
from gfe_assets.hla.accession_rows import AccessionRow, accession_rows
from gfe_assets.hla.accessions import read_accessions, write_accessions
from gfe_assets.hla.features import FeatureKey

ROWS = [
    AccessionRow("HLA-A", "FIVE_PRIME_UTR", 1, 1, "CAGGAGCAG"),
    AccessionRow("HLA-A", "EXON", 1, 1, "ATGGCC"),
    AccessionRow("HLA-A", "EXON", 1, 18, "ATGGCCG"),
    AccessionRow("KIR3DL1", "INTRON", 9, 4443, "GTNAG"),
]
HEADER = "locus,term,rank,accession,sequence\n"


def without_places(path: Path) -> list[AccessionRow]:
    return [row._replace(place="") for row in read_accessions(path)]


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".CSV"])
def test_what_is_written_is_read_back(tmp_path: Path, ending: str):
    path = tmp_path / f"accessions{ending}"
    assert write_accessions(iter(ROWS), path) == 4
    assert without_places(path) == ROWS
    assert [file.name for file in tmp_path.iterdir()] == [path.name], "no temporary file is left"


def test_a_csv_has_the_columns_of_the_official_table_and_unix_line_ends(tmp_path: Path):
    write_accessions(ROWS[:2], tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == HEADER.encode() + b"HLA-A,FIVE_PRIME_UTR,1,1,CAGGAGCAG\nHLA-A,EXON,1,1,ATGGCC\n"


def test_a_parquet_file_is_readable_by_others_with_numbers_as_numbers(tmp_path: Path):
    write_accessions(ROWS, tmp_path / "a.parquet")
    frame = pl.read_parquet(tmp_path / "a.parquet")
    assert frame.schema == {
        "locus": pl.String,
        "term": pl.String,
        "rank": pl.Int64,
        "accession": pl.Int64,
        "sequence": pl.String,
    }
    assert frame.rows() == [row[:5] for row in ROWS]


def test_rows_of_an_allocation_are_in_gene_order():
    numbers = {
        (FeatureKey("HLA-B", "EXON", 1), "A"): 1,
        (FeatureKey("HLA-A", "THREE_PRIME_UTR", 1), "C"): 1,
        (FeatureKey("HLA-A", "INTRON", 1), "G"): 10,
        (FeatureKey("HLA-A", "INTRON", 1), "T"): 9,
        (FeatureKey("HLA-A", "EXON", 2), "A"): 1,
        (FeatureKey("HLA-A", "FIVE_PRIME_UTR", 1), "A"): 1,
    }
    assert [f"{row.locus} {row.term} {row.rank} {row.accession}" for row in accession_rows(numbers)] == [
        "HLA-A FIVE_PRIME_UTR 1 1",
        "HLA-A INTRON 1 9",
        "HLA-A INTRON 1 10",
        "HLA-A EXON 2 1",
        "HLA-A THREE_PRIME_UTR 1 1",
        "HLA-B EXON 1 1",
    ]


def test_rows_know_their_place(tmp_path: Path):
    write_accessions(ROWS, tmp_path / "a.csv")
    write_accessions(ROWS, tmp_path / "a.parquet")
    assert [row.place for row in read_accessions(tmp_path / "a.csv")][::3] == ["a.csv line 2", "a.csv line 5"]
    assert [row.place for row in read_accessions(tmp_path / "a.parquet")][::3] == ["a.parquet row 1", "a.parquet row 4"]


def test_columns_may_stand_in_any_order_among_others_after_a_byte_order_mark(tmp_path: Path):
    """A feature table of a build, saved by a spreadsheet, is an accessions file too."""
    path = tmp_path / "all_features.csv"
    path.write_bytes(
        b"\xef\xbb\xbfaccession,hash_code,locus,rank,sequence,term,gfe_name\r\n7,none,HLA-A,1,ATG,EXON,HLA-Aw0-7\r\n"
    )
    assert without_places(path) == [AccessionRow("HLA-A", "EXON", 1, 7, "ATG")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a.csv line 1: no column locus, term, rank, accession, sequence"),
        ("locus,term,rank,sequence\nHLA-A,EXON,1,ATG\n", "a.csv line 1: no column accession"),
        ("locus;term;rank;accession;sequence\n", "a.csv line 1: no column"),
        (HEADER + "HLA-A,EXON,1,1,ATG\nHLA-A,EXON,1\n", "a.csv line 3: not the 5 fields that its header has"),
        (HEADER + "\n", "a.csv line 2: not the 5 fields"),
        (HEADER + "HLA-A,EXON,one,1,ATG\n", "a.csv line 2: rank 'one' of HLA-A EXON is not a whole number"),
        (HEADER + "HLA-A,EXON,1,1.0,ATG\n", "a.csv line 2: accession '1.0' of HLA-A EXON is not a whole number"),
        (HEADER + "HLA-A,EXON,1,-1,ATG\n", "a.csv line 2: accession '-1'"),
        (HEADER + "HLA-A,EXON,1,१,ATG\n", "a.csv line 2: accession"),
        (HEADER + "HLA-A,EXON,1," + "9" * 5000 + ",ATG\n", "a.csv line 2: accession"),
        (HEADER + 'HLA-A,EXON,1,1,"ATG\n', "a.csv line 2: not a CSV file"),
    ],
)
def test_a_wrong_csv_is_refused_with_its_line(tmp_path: Path, text: str, message: str):
    path = tmp_path / "a.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RegistryError) as refusal:
        list(read_accessions(path))
    assert message in str(refusal.value)


def test_a_binary_file_is_no_csv(tmp_path: Path):
    (tmp_path / "a.csv").write_bytes(HEADER.encode() + bytes(range(128, 256)))
    with pytest.raises(RegistryError, match=r"a\.csv line 2: not the 5 fields"):
        list(read_accessions(tmp_path / "a.csv"))


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pl.DataFrame({"locus": ["HLA-A"]}), "no column term, rank, accession, sequence"),
        (
            pl.DataFrame([("HLA-A", "EXON", "one", 1, "A")], schema=HEADER.strip().split(","), orient="row"),
            "is not a usable Parquet file",
        ),
        (
            pl.DataFrame(
                [("HLA-A", "EXON", 1, 1, "A"), ("HLA-A", "EXON", 1, None, "C")], schema=HEADER.strip().split(","), orient="row"
            ),
            "a.parquet row 2: accession is empty",
        ),
    ],
)
def test_a_wrong_parquet_file_is_refused(tmp_path: Path, frame: pl.DataFrame, message: str):
    frame.write_parquet(tmp_path / "a.parquet")
    with pytest.raises(RegistryError) as refusal:
        list(read_accessions(tmp_path / "a.parquet"))
    assert message in str(refusal.value)


def test_a_text_file_is_no_parquet_file(tmp_path: Path):
    (tmp_path / "a.parquet").write_text(HEADER)
    with pytest.raises(RegistryError, match=r"a\.parquet is not a usable Parquet file"):
        list(read_accessions(tmp_path / "a.parquet"))


def test_the_ending_must_name_a_format(tmp_path: Path):
    with pytest.raises(RegistryError, match=r"must end in \.csv or \.parquet"):
        list(read_accessions(tmp_path / "accessions.xlsx"))
    with pytest.raises(RegistryError, match=r"must end in \.csv or \.parquet"):
        write_accessions(ROWS, tmp_path / "accessions")


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_file_or_folder_that_is_not_there_is_named(tmp_path: Path, name: str):
    with pytest.raises(RegistryError, match=rf"{name} cannot be read: No such file"):
        list(read_accessions(tmp_path / name))
    with pytest.raises(RegistryError, match=rf"{name} cannot be written: No such file or directory"):
        write_accessions(ROWS, tmp_path / "nowhere" / name)


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_write_that_fails_leaves_the_former_file_and_nothing_else(tmp_path: Path, name: str):
    write_accessions(ROWS, tmp_path / name)
    before = (tmp_path / name).read_bytes()

    def broken():
        yield ROWS[0]
        raise RegistryError("the database went away")

    with pytest.raises(RegistryError, match="went away"):
        write_accessions(broken(), tmp_path / name)
    assert (tmp_path / name).read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.shared
def test_the_official_table_is_read_whole(shared: Path):
    path = shared / "golden" / "3420" / "feature_accessions.csv"
    with path.open(newline="") as file:
        expected = [tuple(line.values()) for line in csv.DictReader(file)]
    rows = list(read_accessions(path))
    assert [tuple(str(field) for field in row[:5]) for row in rows] == expected
    assert len(rows) == 140
