"""CSV files: the contract spelled out once more by hand, and what is written read back by two readers."""

import csv

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gfe_assets.errors import BuildError
from gfe_assets.hla.csvs import CsvWriter, csv_path, read_csv, schema
from gfe_assets.hla.records import CSV_FILES, UNIQUE_KEYS, CdsRow, FeatureRow, GfeSequence, GroupRow

CONTRACT = {  # DESIGN.md, section 3, literally
    "gfe_sequences": "gfe_name acc_name locus hla_name seq_id sequence length imgt_release",
    "all_features": "accession hash_code locus rank sequence term gfe_name allele_id hla_name imgt_release",
    "all_groups": "gfe_name allele_id hla_name ard_id ard_name locus imgt_release",
    "all_cds": "gfe_name bp_seq_id bp_sequence aa_seq_id aa_sequence",
    "all_alignments": "label seq_id gfe_name hla_name length rank imgt_release bp_sequence aa_sequence",
}
HEADER = CONTRACT["all_groups"].replace(" ", ",").encode() + b"\n"
NUMBERS = {"length", "accession", "rank"}
GROUP = GroupRow("HLA-Aw1", "HLA00001.4", "HLA-A*01:01", "HLA-A*01:01:01G", "G", "HLA-A", "3.58.0")

# without carriage returns, which Python's writer leaves without quotes when lines end with a line feed
texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), max_size=20)


@pytest.fixture
def written(tmp_path):
    """Write the bytes of an `all_groups` file, header included, and read it."""

    def write(body, header=HEADER):
        csv_path(tmp_path, "all_groups", "3580").write_bytes(header + body)
        return read_csv(tmp_path, "all_groups", "3580")

    return write


@pytest.mark.parametrize(("name", "columns"), CONTRACT.items())
def test_every_file_has_the_columns_of_the_contract(name, columns, tmp_path):
    with CsvWriter(tmp_path, name, "3580"):
        pass
    path = tmp_path / f"{name}.3580.csv"
    assert path.read_text() == columns.replace(" ", ",") + "\n"
    assert {column for column, kind in schema(name).items() if str(kind) == "Int64"} == NUMBERS & set(columns.split())
    assert read_csv(tmp_path, name, "3580").is_empty()


def test_the_contract_names_all_files_and_keys_of_them():
    assert list(CSV_FILES) == list(CONTRACT)
    assert all(set(key) <= set(CONTRACT[name].split()) for name, keys in UNIQUE_KEYS.items() for key in keys)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(rows=st.lists(st.builds(CdsRow, texts, texts, texts, texts, texts), max_size=6))
def test_what_is_written_is_what_pythons_reader_reads(rows, tmp_path):
    with CsvWriter(tmp_path, "all_cds", "3580") as writer:
        writer.write(iter(rows))
    assert writer.rows == len(rows)
    with writer.path.open(encoding="utf-8", newline="") as file:
        header, *back = csv.reader(file)
    assert header == CONTRACT["all_cds"].split()
    assert [tuple(row) for row in back] == rows


plain = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=20)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.builds(GfeSequence, plain, plain, plain, plain, plain, plain, st.integers(-(2**63), 2**63 - 1), plain), max_size=6
    )
)
def test_what_is_written_is_read_back_cell_by_cell(rows, tmp_path):
    with CsvWriter(tmp_path, "gfe_sequences", "3580") as writer:
        for row in rows:
            writer.write([row])
    back = read_csv(tmp_path, "gfe_sequences", "3580")
    assert [GfeSequence(*row) for row in back.iter_rows()] == rows


def test_empty_cells_and_cells_that_need_quotes_survive(tmp_path):
    rows = [
        FeatureRow(1, "none", "", 1, "", "a,b", 'say "no"', " ", "two\nlines", "3.58.0"),
        FeatureRow(2, "none", "HLA-A", 2, "ACGT", "EXON", "Aw1", "HLA1.1", "HLA-A*01", "3.58.0"),
    ]
    with CsvWriter(tmp_path, "all_features", "3580") as writer:
        writer.write(rows)
    assert [FeatureRow(*row) for row in read_csv(tmp_path, "all_features", "3580").iter_rows()] == rows


def test_only_the_columns_asked_for_are_kept(tmp_path):
    with CsvWriter(tmp_path, "all_groups", "3580") as writer:
        writer.write([GROUP])
    frame = read_csv(tmp_path, "all_groups", "3580", ["ard_id", "hla_name"])
    assert sorted(frame.columns) == ["ard_id", "hla_name"]
    assert frame["ard_id"].to_list() == ["HLA-A*01:01:01G"]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BuildError, match=r"^release 3580: .*all_groups\.3580\.csv is not there; build the release again$"):
        read_csv(tmp_path, "all_groups", "3580")


@pytest.mark.parametrize(
    "header", [b"", b"\n", b"gfe_name\n", b"allele_id,gfe_name,hla_name,ard_id,ard_name,locus,imgt_release\n"]
)
def test_another_header_is_refused(written, header):
    with pytest.raises(BuildError, match=r"^release 3580: all_groups\.3580\.csv has the columns .* where gfe_name, allele_id"):
        written(b"", header)


@pytest.mark.parametrize(
    "body",
    [b"a,b,c,d,e,f,g,h\n", b'a,b,c,d,"e,f,g\n', b"\xff\xfe,b,c,d,e,f,g\n"],
    ids=["a cell too many", "a quote left open", "no UTF-8"],
)
def test_a_file_that_is_no_csv_is_refused(written, body):
    with pytest.raises(
        BuildError, match=r"^release 3580: all_groups\.3580\.csv cannot be read \(.*\); build the release again$"
    ):
        written(body)


def test_a_header_that_is_no_text_is_refused(written):
    with pytest.raises(BuildError, match="cannot be read"):
        written(b"", b"\xff\xfe\n")


@pytest.mark.parametrize(
    ("length", "message"), [("long", "cannot be read"), ("1.5", "cannot be read"), ("", "has 1 empty cells where numbers")]
)
def test_a_cell_of_another_type_is_refused(tmp_path, length, message):
    header = CONTRACT["gfe_sequences"].replace(" ", ",")
    csv_path(tmp_path, "gfe_sequences", "3580").write_text(f"{header}\ng,a,l,h,s,q,{length},3.58.0\n")
    with pytest.raises(BuildError, match=rf"^release 3580: gfe_sequences\.3580\.csv {message}"):
        read_csv(tmp_path, "gfe_sequences", "3580")


def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path):
    csv_path(tmp_path, "all_groups", "3580").mkdir()
    with pytest.raises(BuildError, match="cannot be read"):
        read_csv(tmp_path, "all_groups", "3580")


def test_a_folder_name_that_looks_like_a_pattern_is_only_a_name(tmp_path):
    folder = tmp_path / "releases [3-5]*?"
    folder.mkdir()
    with CsvWriter(folder, "all_groups", "3580") as writer:
        writer.write([GROUP])
    assert [GroupRow(*row) for row in read_csv(folder, "all_groups", "3580").iter_rows()] == [GROUP]
