"""Alignments: the MSF reader against Biopython, the golden rows, damaged files, and which file belongs to which locus."""

import csv
import io
import warnings
from pathlib import Path

import pytest
from Bio import AlignIO, BiopythonParserWarning
from hypothesis import given
from hypothesis import strategies as st

from gfe_assets.errors import BuildError
from gfe_assets.hla.alignments import AlignmentCounts, alignment_rows, msf_files, write_alignments
from gfe_assets.hla.features import DEFAULT_LOCI
from gfe_assets.hla.msf import read_msf

# Made by hand: 62 columns, so two blocks; a null allele that ends early; gaps inside (.) and at the ends (~).
MSF = """\
!!AA_MULTIPLE_ALIGNMENT

   MSF: 62  Type: P  Oct 06, 2015  15:36  Check: 0 ..

 Name: B*01:01:01:01    Len:    62  Check: 1910  Weight:  1.00
 Name: B*01:02          Len:    62  Check: 5859  Weight:  1.00
 Name: B*01:03N         Len:    12  Check:  953  Weight:  1.00
//

  B*01:01:01:01  MAVMAPRTLL LLLSGALALT QTWAGSHSMR YFFTSVSRPG RGEPRFIAVG
        B*01:02  ~~~~~~~~~~ LLLSG..ALT QTWAGSHSMR YFFTSVSRPG RGEPRFIAVG
       B*01:03N  MAVMAPRTLL LX

  B*01:01:01:01  YVDDTQFVRF DS
        B*01:02  YVDDTQFV.. ..

"""
# md5sum of the second and third aligned sequence, written as decimal numbers by bc, first 32 digits
SEQ_IDS = ("25324861767382407994695015213921", "32149942181674564125365091281118")
ALIGNED = [
    ("B*01:01:01:01", "MAVMAPRTLLLLLSGALALTQTWAGSHSMRYFFTSVSRPGRGEPRFIAVGYVDDTQFVRFDS"),
    ("B*01:02", "----------LLLSG--ALTQTWAGSHSMRYFFTSVSRPGRGEPRFIAVGYVDDTQFV----"),
    ("B*01:03N", "MAVMAPRTLLLX" + "-" * 50),
]


def read(text: str | bytes) -> list[tuple[str, str]]:
    raw = text.encode() if isinstance(text, str) else text
    return list(read_msf(io.BytesIO(raw), "release 3999, msf/B_prot.msf"))


def biopython(text: str) -> list[tuple[str, str]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BiopythonParserWarning)  # says that short sequences were filled, which is meant
        return [(record.id, str(record.seq)) for record in AlignIO.read(io.StringIO(text), "msf")]


def to_msf(sequences: dict[str, str], kind: str = "N") -> str:
    """The layout of IPD-IMGT/HLA: blocks of 50, tens, names to the right, a blank line where a sequence has ended."""
    width = max(map(len, sequences.values()))
    lines = [f"!!{kind}A_MULTIPLE_ALIGNMENT", "", f"   MSF: {width}  Type: {kind}  Oct 06, 2015  15:39  Check: 0 ..", ""]
    lines += [f" Name: {name:<16} Len: {len(row):5}  Check: 1  Weight:  1.00" for name, row in sequences.items()]
    lines += ["//", ""]
    for start in range(0, width, 50):
        for name, row in sequences.items():
            block = row[start : start + 50]
            tens = " ".join(block[ten : ten + 10] for ten in range(0, len(block), 10))
            lines.append(f"{name:>16}  {tens}" if block else "")
        lines.append("")
    return "\n".join(lines)


def test_a_file_gives_names_and_gapped_sequences_of_one_length() -> None:
    assert read(MSF) == ALIGNED


def test_a_reader_that_knows_the_format_agrees_on_the_hand_made_file() -> None:
    assert biopython(MSF) == ALIGNED


def test_windows_line_ends_and_column_numbers_change_nothing() -> None:
    assert read(MSF.replace("\n", "\r\n")) == ALIGNED
    numbers = f"{'1':>18}{'50':>53}\n  B*01:01:01:01  MAV"
    assert read(MSF.replace("  B*01:01:01:01  MAV", numbers)) == ALIGNED


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("QFVRF DS", "QFVRF", "line 16: B*01:01:01:01 has 60 columns where its Len: says 62"),
        ("QFVRF DS", "QFVRF DSS", "line 16: B*01:01:01:01 has 63 columns where its Len: says 62"),
        ("LX", "LLX", "line 16: B*01:03N has 13 columns where its Len: says 12"),
        ("        B*01:02  YVDD", "        B*01:04  YVDD", "line 15: 'B*01:04' is not announced in the header"),
        (" Name: B*01:02 ", " Name: B*01:03N", "line 7: B*01:03N is announced twice"),
        (
            "Len:    62  Check: 5859",
            "Len:    63  Check: 5859",
            "line 6: B*01:02 is announced with 63 columns in an alignment of 62",
        ),
        ("Check: 5859", "Chk\n Nam: B*01:05", "line 7: 'Nam: B*01:05  Weight:  1.00' announces no sequence"),
        ("MSF: 62", "MSF: 64", "line 8: the header announces no sequence of 64 columns"),
        ("MSF: 62", "MSF:", "line 8: the header announces no alignment (MSF:)"),
        ("//", "", "line 10: 'B*01:01:01:01  MAVMAPRTLL LLLSGALALT QTWAGSHSMR YFFTSVSRPG R' announces no sequence"),
        ("YVDDTQFV..", "YVDD\x07QFV..", "line 15: B*01:02 holds '\\x07', which is no residue and no gap"),
        ("YVDDTQFV..", "YVDD7QFV..", "line 15: B*01:02 holds '7', which is no residue and no gap"),
        ("YVDDTQFV..", "YVDDéQFV..", "line 15: B*01:02 holds '\\xc3', which is no residue and no gap"),
    ],
)
def test_a_damaged_file_is_refused_with_file_line_and_allele(old: str, new: str, problem: str) -> None:
    damaged = MSF.replace(old, new, 1)
    assert damaged != MSF
    with pytest.raises(BuildError) as caught:
        read(damaged)
    assert str(caught.value).startswith(f"release 3999, msf/B_prot.msf, {problem}")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "line 0: the file is empty"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "line 2: the file ends inside the header"),
        ("\n//\n", "line 2: the header announces no alignment"),
        ("   MSF: 9999999  Type: P Check: 0 ..\n//\n", "line 2: the header announces no alignment"),
    ],
)
def test_a_file_that_is_no_alignment_is_refused(text: str, problem: str) -> None:
    with pytest.raises(BuildError) as caught:
        read(text)
    assert str(caught.value).startswith(f"release 3999, msf/B_prot.msf, {problem}")


rows = st.integers(1, 130).flatmap(
    lambda width: st.lists(st.text("ACGT.", min_size=width, max_size=width), min_size=1, max_size=5)
)


@given(rows)
def test_what_is_written_as_msf_is_read_back_with_gaps_as_dashes(written: list[str]) -> None:
    sequences = {f"A*01:{number:02}": row for number, row in enumerate(written, 1)}
    text = to_msf(sequences)
    assert read(text) == [(name, row.replace(".", "-")) for name, row in sequences.items()] == biopython(text)


@given(st.integers(0, len(MSF.rstrip()) - 1))
def test_a_file_cut_anywhere_is_an_error_never_a_shorter_alignment(length: int) -> None:
    with pytest.raises(BuildError, match=r"release 3999, msf/B_prot\.msf, line \d+: "):
        read(MSF.rstrip()[:length])


@given(st.binary(max_size=60), st.integers(0, len(MSF)))
def test_any_bytes_anywhere_give_alignments_or_one_of_our_errors(junk: bytes, place: int) -> None:
    raw = MSF.encode()
    try:
        got = read(raw[:place] + junk + raw[place:])
    except BuildError:
        return
    assert len({len(sequence) for _, sequence in got}) == 1


def test_rows_have_the_alleles_of_the_build_and_count_the_others() -> None:
    counts = AlignmentCounts()
    names = {"HLA-B*01:02": "HLA-Bw1", "HLA-B*01:03N": "HLA-Bw2", "HLA-B*07:02": "HLA-Bw3", "HLA-A*01:01": "HLA-Aw1"}
    sequences = [*ALIGNED, ("C*01:02", "A" * 62)]
    got = list(alignment_rows("HLA-B", "PROT_ALIGN", sequences, gfe_names=names, version="3.99.0", counts=counts))
    assert [tuple(row) for row in got] == [
        ("PROT_ALIGN", SEQ_IDS[0], "HLA-Bw1", "HLA-B*01:02", 62, 0, "3.99.0", "", ALIGNED[1][1]),
        ("PROT_ALIGN", SEQ_IDS[1], "HLA-Bw2", "HLA-B*01:03N", 62, 0, "3.99.0", "", ALIGNED[2][1]),
    ]
    assert counts == AlignmentCounts(written=2, not_in_build=1, not_aligned=1)


@pytest.mark.parametrize(
    ("locus", "available", "expected"),
    [
        ("HLA-A", ["msf/A_gen.msf", "msf/A_prot.msf"], {"GEN_ALIGN": "msf/A_gen.msf", "PROT_ALIGN": "msf/A_prot.msf"}),
        (
            "HLA-DQA1",
            ["msf/DQA_gen.msf", "msf/DQA1_nuc.msf"],
            {"GEN_ALIGN": "msf/DQA_gen.msf", "NUC_ALIGN": "msf/DQA1_nuc.msf"},
        ),
        ("HLA-DPA1", ["msf/DPA_gen.msf", "msf/DPA1_gen.msf"], {"GEN_ALIGN": "msf/DPA1_gen.msf"}),
        ("HLA-DPB1", ["msf/DPB_gen.msf"], {"GEN_ALIGN": "msf/DPB_gen.msf"}),
        (
            "HLA-DRB4",
            ["msf/DRB345_nuc.msf", "msf/DRB345_prot.msf", "msf/DRB4_gen.msf", "msf/DRB3_gen.msf"],
            {"GEN_ALIGN": "msf/DRB4_gen.msf", "NUC_ALIGN": "msf/DRB345_nuc.msf", "PROT_ALIGN": "msf/DRB345_prot.msf"},
        ),
        ("HLA-DRB1", ["msf/DRB345_nuc.msf", "msf/DRB_nuc.msf"], {}),
        ("KIR2DL1", ["msf/A_gen.msf"], {}),
    ],
)
def test_each_alignment_of_a_locus_is_found_under_its_new_or_older_name(
    locus: str, available: list[str], expected: dict[str, str]
) -> None:
    assert msf_files(locus, available) == expected


def test_a_build_gets_its_rows_and_a_note_for_every_alignment_that_is_missing_or_incomplete(tmp_path: Path) -> None:
    (tmp_path / "B_prot.msf").write_text(MSF, encoding="utf-8")
    (tmp_path / "B_nuc.msf").write_text(to_msf({"B*01:02": "ACG"}), encoding="utf-8")
    files = {f"msf/{path.name}": path for path in tmp_path.glob("*.msf")}
    told: list[tuple[str, int, int | None]] = []
    notes = write_alignments(
        tmp_path, "3990", ["HLA-A", "HLA-B"], files, {"HLA-B*01:02": "HLA-Bw1"}, progress=lambda *args: told.append(args)
    )
    with (tmp_path / "all_alignments.3990.csv").open(encoding="utf-8", newline="") as file:
        written = list(csv.DictReader(file))
    assert [(row["label"], row["hla_name"], row["bp_sequence"], row["aa_sequence"]) for row in written] == [
        ("NUC_ALIGN", "HLA-B*01:02", "ACG", ""),
        ("PROT_ALIGN", "HLA-B*01:02", "", ALIGNED[1][1]),
    ]
    assert {row["imgt_release"] for row in written} == {"3.99.0"}
    assert notes == [
        "HLA-B GEN_ALIGN: release 3990 has no msf/B_gen.msf, so there are no such alignments",
        "HLA-B PROT_ALIGN: 1 alleles; 0 of the build are not in msf/B_prot.msf, 2 of it are not in the build",
    ]
    assert told == [("alignments written", 2, None)]


@pytest.mark.shared
def test_rows_equal_those_of_the_reference_pipeline(shared: Path) -> None:
    """The release's own MSF is not here: the golden sequences are written as one, with what the reference does undone."""
    golden = shared / "golden" / "3420"
    with (golden / "all_alignments.3420.csv").open(encoding="utf-8", newline="") as file:
        expected = list(csv.DictReader(file))
    with (golden / "gfe_sequences.3420.csv").open(encoding="utf-8", newline="") as file:
        names = {row["hla_name"]: row["gfe_name"] for row in csv.DictReader(file)}
    got = []
    for label in ("GEN_ALIGN", "NUC_ALIGN", "PROT_ALIGN"):
        of_label = [row for row in expected if row["label"] == label]
        protein = label == "PROT_ALIGN"
        column = "aa_sequence" if protein else "bp_sequence"
        sequences = {row["a_name"]: row[column].replace("-", ".") for row in of_label}
        null = "A*01:01:01:02N"
        if protein:
            sequences[null] = sequences[null].rstrip(".")
        lines = io.BytesIO(to_msf(sequences, "A" if protein else "N").encode())
        rows_of_label = alignment_rows(
            "HLA-A", label, read_msf(lines, label), gfe_names=names, version="3.42.0", counts=AlignmentCounts()
        )
        got += [row._asdict() for row in rows_of_label]
    shared_columns = ("label", "hla_name", "length", "rank", "bp_sequence", "aa_sequence", "imgt_release")
    ours = sorted(tuple(str(row[column]) for column in shared_columns) for row in got)
    assert ours == sorted(tuple(row[column] for column in shared_columns) for row in expected)
    assert len(ours) == 89 + 101 + 101
    assert all(row["gfe_name"] == names[row["hla_name"]] for row in got)


@pytest.mark.shared
@pytest.mark.parametrize("release", ["3190", "3210", "3220"])
def test_official_files_read_as_biopython_reads_them(shared: Path, release: str) -> None:
    files = sorted((shared / "imgthla" / release / "msf").glob("*.msf"))
    assert len(files) == 24
    for path in files:
        with path.open("rb") as lines:
            ours = list(read_msf(lines, path.name))
        assert ours == biopython(path.read_text(encoding="ascii")), path


@pytest.mark.shared
def test_the_default_loci_of_an_old_release_have_all_their_files_but_those_too_big_to_be_here(shared: Path) -> None:
    available = [f"msf/{path.name}" for path in (shared / "imgthla" / "3220" / "msf").glob("*.msf")]
    found = {locus: msf_files(locus, available) for locus in DEFAULT_LOCI}
    # the release has no genomic files of DPB1 and DQB1; the nucleotide files of A, B and C are not in this copy of it
    assert {
        (locus, label) for locus in found for label in ("GEN_ALIGN", "NUC_ALIGN", "PROT_ALIGN") if label not in found[locus]
    } == {
        ("HLA-A", "NUC_ALIGN"),
        ("HLA-B", "NUC_ALIGN"),
        ("HLA-C", "NUC_ALIGN"),
        ("HLA-DQB1", "GEN_ALIGN"),
        ("HLA-DPB1", "GEN_ALIGN"),
    }
