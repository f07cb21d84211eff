"""ARD groups: rules, the golden release, py-ard as oracle, and files that are not right."""

import contextlib
import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gfe_assets.errors import BuildError
from gfe_assets.hla.features import DEFAULT_LOCI
from gfe_assets.hla.groups import Groups, parse_groups

ORACLE = Path(__file__).with_name("oracle_pyard.py")

# Made by hand after the examples of IPD-IMGT/HLA's description of its wmda files and of py-ard's feature tables.
FILE = """\
# file: hla_nom_g.txt
# date: 2015-01-19
A*;01:01:01:01/01:01:01:02N/01:01:38L/01:04:01:01N/01:32;01:01:01G
A*;01:01:02;
A*;01:11N;
A*;01:52:01N;
A*;02:17:02/02:1033;02:17:01G
C*;02:02:37/02:10:01:01;02:10:01G
C*;02:10:02;
DRB4*;01:03:01:02N/01:03:01:13N;01:03:01G
DPB1*;105:01/665:01:01;105:01G
DQB1*;03:276N;03:276G
"""


@pytest.fixture(scope="module")
def groups() -> Groups:
    return parse_groups(FILE.splitlines(keepends=True), "3999")


@pytest.mark.parametrize(
    ("allele", "g", "lgx"),
    [
        ("HLA-A*01:01:01:01", "HLA-A*01:01:01G", "HLA-A*01:01"),  # first of its group
        ("HLA-A*01:01:01:02N", "HLA-A*01:01:01G", "HLA-A*01:01"),  # a null allele is in the group of its exons
        ("HLA-A*01:01:38L", "HLA-A*01:01:01G", "HLA-A*01:01"),
        ("HLA-A*01:04:01:01N", "HLA-A*01:01:01G", "HLA-A*01:01"),  # another protein, the same group
        ("HLA-A*01:32", "HLA-A*01:01:01G", "HLA-A*01:01"),
        ("HLA-A*01:01:02", None, "HLA-A*01:01"),  # no group: two fields of its own name
        ("HLA-A*01:11N", None, "HLA-A*01:11N"),  # the letter belongs to the second field
        ("HLA-A*01:52:01N", None, "HLA-A*01:52"),  # the letter goes with the third field
        ("HLA-A*02:17:02", "HLA-A*02:17:02G", "HLA-A*02:17"),  # named by the first allele, not by the end of the line
        ("HLA-A*02:1033", "HLA-A*02:17:02G", "HLA-A*02:17"),
        ("HLA-C*02:10:01:01", "HLA-C*02:02:37G", "HLA-C*02:02"),
        ("HLA-C*02:10:02", None, "HLA-C*02:10"),  # lgx is not reduced a second time
        ("HLA-DRB4*01:03:01:02N", "HLA-DRB4*01:03:01G", "HLA-DRB4*01:03"),  # the first allele is null
        ("HLA-DPB1*665:01:01", "HLA-DPB1*105:01:01G", "HLA-DPB1*105:01"),  # two fields: 01 is added
        ("HLA-DQB1*03:276N", "HLA-DQB1*03:276:01G", "HLA-DQB1*03:276"),
        ("HLA-B*07:02:01:01", None, "HLA-B*07:02"),  # not in the file
    ],
)
def test_an_allele_has_its_g_group_if_any_and_always_lg_and_lgx(groups: Groups, allele: str, g: str | None, lgx: str) -> None:
    expected = (("lg", f"{lgx}g"), ("lgx", lgx))
    assert groups.of(allele) == ((("G", g), *expected) if g else expected)


@pytest.mark.parametrize("allele", ["KIR2DL1*0010101", "KIR3DL3*00101"])
def test_kir_alleles_have_no_groups(groups: Groups, allele: str) -> None:
    assert groups.of(allele) == ()


def test_groups_know_which_alleles_their_file_lists(groups: Groups) -> None:
    assert len(groups) == 5 + 1 + 1 + 1 + 2 + 2 + 1 + 2 + 2 + 1
    assert "HLA-A*01:01:02" in groups
    assert "HLA-A*01:01" not in groups


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("A*;01:01:0", "'A*;01:01:0' is not of the form"),
        ("A*;01:01:01/01:02;01:01:01", "is not of the form"),
        ("A;01:01:01;", "is not of the form"),
        ("A*;;", "is not of the form"),
        ("A*;01:01:01;01:01:01G;", "is not of the form"),
        ("A*;01:01:01//01:02;01:01:01G", "'' is not the name of an allele"),
        ("A*;01:01:01/x1:02;01:01:01G", "'x1:02' is not the name of an allele"),
        ("A*;01:01:02/01:09;01:01:02G", "HLA-A*01:01:02 is in HLA-A*01:01:02G here and in no G group before"),
        ("A*;01:32;", "HLA-A*01:32 is in no G group here and in HLA-A*01:01:01G before"),
        ("version https://git-lfs.github.com/spec/v1", "is not of the form"),
    ],
)
def test_a_line_that_is_not_right_is_named_with_release_and_file(line: str, problem: str) -> None:
    with pytest.raises(BuildError) as caught:
        parse_groups([*FILE.splitlines(), line], "3999")
    assert str(caught.value).startswith("release 3999, wmda/hla_nom_g.txt, line 13: ")
    assert problem in str(caught.value)


@pytest.mark.parametrize("text", ["", "# file: hla_nom_g.txt\n", "\n\n"])
def test_a_file_without_alleles_is_refused(text: str) -> None:
    with pytest.raises(BuildError, match=r"release 3999: wmda/hla_nom_g\.txt lists no allele"):
        parse_groups(text.splitlines(), "3999")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "hla_nom_g.txt"
    path.write_bytes(b"A*;01:01:01;\n\xff\xfe\n")
    with path.open(encoding="utf-8") as lines, pytest.raises(BuildError, match=r"release 3999, .*are not UTF-8 text"):
        parse_groups(lines, "3999")


def test_an_allele_that_stands_twice_in_the_same_group_is_accepted() -> None:
    assert len(parse_groups(["A*;01:01:02;", "A*;01:01:02;"], "3999")) == 1


@given(st.lists(st.text(alphabet="A*;/:01NG #\n\x00é", max_size=30), max_size=8))
def test_any_text_gives_groups_or_one_of_our_errors(lines: list[str]) -> None:
    with contextlib.suppress(BuildError):
        assert len(parse_groups(lines, "3999")) > 0


@pytest.mark.shared
def test_groups_equal_those_of_the_reference_pipeline(shared: Path) -> None:
    golden = shared / "golden" / "3420"
    with (golden / "all_groups.3420.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["ard_name"] in ("G", "lg", "lgx")]
    with (golden / "wmda" / "hla_nom_g.txt").open(encoding="utf-8") as lines:
        groups = parse_groups(lines, "3420")
    expected = [(row["hla_name"], row["ard_name"], row["ard_id"]) for row in rows]
    alleles = dict.fromkeys(name for name, _, _ in expected)
    assert [(name, *group) for name in alleles for group in groups.of(name)] == expected
    assert (len(alleles), len(expected)) == (101, 71 + 101 + 101)


@pytest.mark.shared
@pytest.mark.parametrize("release", ["3190", "3210", "3220", "3580"])
def test_every_line_of_an_official_file_is_read(shared: Path, release: str) -> None:
    path = shared / "imgthla" / release / "wmda" / "hla_nom_g.txt"
    text = path.read_text(encoding="utf-8")
    alleles = sum(line.count("/") + 1 for line in text.splitlines() if not line.startswith("#"))
    assert len(parse_groups(text.splitlines(), release)) == alleles > 12_000


@pytest.mark.shared
@pytest.mark.slow
def test_all_alleles_of_a_release_have_the_groups_that_pyard_gives_them(shared: Path, tmp_path: Path) -> None:
    given = shared / "imgthla" / "3580"
    shutil.copytree(given / "wmda", tmp_path / "tree" / "3580" / "wmda")
    (tmp_path / "tree" / "Latest" / "allelelist").mkdir(parents=True)
    shutil.copy(given / "Allelelist.txt", tmp_path / "tree" / "Latest" / "allelelist" / "Allelelist.3580.txt")
    (tmp_path / "database").mkdir()
    listed = (given / "Allelelist.txt").read_text(encoding="utf-8").splitlines()
    names = [f"HLA-{line.split(',')[1]}" for line in listed if line.startswith("HLA")]
    names = [name for name in names if name.partition("*")[0] in DEFAULT_LOCI]
    environment = {**os.environ, "IMGT_HLA_URL": f"{(tmp_path / 'tree').as_uri()}/", "PYARD_RC": "no"}
    answer = subprocess.run(
        [sys.executable, "-W", "error", str(ORACLE), "3580", str(tmp_path / "database")],
        env=environment,
        input="\n".join(names),
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    oracle = {name: (g, lg, lgx) for name, g, lg, lgx in csv.reader(answer.stdout.splitlines())}
    with (given / "wmda" / "hla_nom_g.txt").open(encoding="utf-8") as lines:
        groups = parse_groups(lines, "3580")
    ours = {name: dict(groups.of(name)) for name in names}
    # py-ard answers with the allele itself where it has no G group
    assert {name: (of.get("G", name), of["lg"], of["lgx"]) for name, of in ours.items()} == oracle
    assert len(oracle) == 39_083
