"""What changed between two releases, on hand-made frames."""

import re
import zipfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gfe_assets.errors import BuildError
from gfe_assets.hla.changes import (
    COLUMNS,
    Allele,
    Reannotated,
    ReleaseChanges,
    Renamed,
    Resequenced,
    release_changes,
)
from gfe_assets.hla.features import DEFAULT_LOCI

A1 = ("HLA00001.1", "HLA-A*01:01:01:01", "111", "HLA-Aw1-1")
A2 = ("HLA00002.1", "HLA-A*01:02", "222", "HLA-Aw2-1")
B1 = ("HLA00132.3", "HLA-B*07:02:01", "333", "HLA-Bw1-1")


def frame(*rows: tuple[str, ...]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.String), orient="row")


def test_the_same_release_twice_has_no_changes():
    changes = release_changes(frame(A1, A2, B1), frame(B1, A2, A1))
    assert changes == ReleaseChanges(alleles_before=3, alleles_after=3)
    assert changes.empty


def test_an_accession_number_that_only_the_later_release_has_is_new_with_its_gfe():
    changes = release_changes(frame(A1), frame(A1, B1))
    assert changes.new == (Allele("HLA00132.3", "HLA-B*07:02:01", "HLA-Bw1-1"),)
    assert changes.gfes_new == ("HLA-Bw1-1",)
    assert not changes.deleted
    assert not changes.gfes_gone


def test_an_accession_number_that_only_the_earlier_release_has_is_deleted_with_its_gfe():
    changes = release_changes(frame(A1, B1), frame(B1))
    assert changes.deleted == (Allele("HLA00001.1", "HLA-A*01:01:01:01", "HLA-Aw1-1"),)
    assert changes.gfes_gone == ("HLA-Aw1-1",)
    assert not changes.new


def test_the_same_accession_number_under_another_name_is_renamed_and_neither_new_nor_deleted():
    changes = release_changes(frame(A2), frame(("HLA00002.1", "HLA-A*01:02:01", "222", "HLA-Aw2-1")))
    assert changes == ReleaseChanges(1, 1, renamed=(Renamed("HLA00002", "HLA-A*01:02", "HLA-A*01:02:01"),))


def test_another_version_with_another_sequence_is_resequenced():
    changes = release_changes(frame(A2), frame(("HLA00002.2", "HLA-A*01:02", "999", "HLA-Aw2-5")))
    assert changes.resequenced == (Resequenced("HLA-A*01:02", "HLA00002.1", "HLA00002.2", True, "HLA-Aw2-1", "HLA-Aw2-5"),)
    assert changes.gfes_new == ("HLA-Aw2-5",)
    assert changes.gfes_gone == ("HLA-Aw2-1",)
    assert changes.counts == {
        "alleles_new": 0,
        "alleles_deleted": 0,
        "alleles_renamed": 0,
        "alleles_resequenced": 1,
        "alleles_reannotated": 0,
        "gfes_new": 1,
        "gfes_gone": 1,
    }


def test_another_version_of_the_same_sequence_is_resequenced_without_a_change_of_sequence():
    (row,) = release_changes(frame(A2), frame(("HLA00002.2", "HLA-A*01:02", "222", "HLA-Aw2-1"))).resequenced
    assert (row.before, row.after, row.sequence_changed) == ("HLA00002.1", "HLA00002.2", False)


def test_another_sequence_under_the_same_version_is_resequenced():
    (row,) = release_changes(frame(A2), frame(("HLA00002.1", "HLA-A*01:02", "999", "HLA-Aw2-5"))).resequenced
    assert row.sequence_changed


def test_an_allele_renamed_and_resequenced_at_once_stands_in_both_lists():
    changes = release_changes(frame(A2), frame(("HLA00002.2", "HLA-A*01:02:01", "999", "HLA-Aw2-5")))
    assert [row.after for row in changes.renamed] == ["HLA-A*01:02:01"]
    assert [row.name for row in changes.resequenced] == ["HLA-A*01:02:01"]


def test_the_same_sequence_cut_into_other_features_is_reannotated_only():
    changes = release_changes(frame(A2), frame(("HLA00002.1", "HLA-A*01:02", "222", "HLA-Aw0-7")))
    assert changes.reannotated == (Reannotated("HLA-A*01:02", "HLA00002.1", "HLA-Aw2-1", "HLA-Aw0-7"),)
    assert not changes.resequenced


def test_a_name_that_moves_to_another_accession_number_is_one_deleted_and_one_new_allele():
    changes = release_changes(frame(A2), frame(("HLA09999.1", "HLA-A*01:02", "222", "HLA-Aw2-1")))
    assert [row.accession for row in changes.deleted] == ["HLA00002.1"]
    assert [row.accession for row in changes.new] == ["HLA09999.1"]
    assert not changes.gfes_new


def test_a_gfe_shared_by_two_alleles_is_gone_only_with_the_last_of_them():
    shares = ("HLA00003.1", "HLA-A*01:03", "111", "HLA-Aw1-1")
    assert release_changes(frame(A1, shares), frame(A1)).gfes_gone == ()
    assert release_changes(frame(A1), frame(A1, shares)).gfes_new == ()


def test_against_nothing_everything_is_new_in_file_order():
    changes = release_changes(frame(), frame(B1, A1, A2))
    assert [row.name for row in changes.new] == [B1[1], A1[1], A2[1]]
    assert (changes.alleles_before, changes.alleles_after) == (0, 3)


def test_two_versions_of_one_accession_number_in_a_release_are_refused_by_name():
    with pytest.raises(BuildError, match=r"the later of two releases has the accession number HLA00002 more than once"):
        release_changes(frame(), frame(A2, ("HLA00002.2", "HLA-A*01:02:02", "9", "HLA-Aw9-1")))


ALLELES = st.dictionaries(
    st.integers(1, 12),
    st.tuples(st.integers(1, 3), st.sampled_from("abcd"), st.sampled_from("123"), st.sampled_from("xy")),
    max_size=12,
)


@given(before=ALLELES, after=ALLELES)
@settings(deadline=None)
def test_every_allele_is_new_deleted_or_in_both_and_the_comparison_turns_around(before, after):
    def rows(alleles):
        return frame(*((f"HLA{n:05}.{version}", *rest) for n, (version, *rest) in alleles.items()))

    there, back = release_changes(rows(before), rows(after)), release_changes(rows(after), rows(before))
    assert there.alleles_before + len(there.new) - len(there.deleted) == there.alleles_after
    assert {row.accession for row in there.new} == {f"HLA{n:05}.{after[n][0]}" for n in set(after) - set(before)}
    assert {row.accession for row in there.renamed} == {
        f"HLA{n:05}" for n in set(after) & set(before) if after[n][1] != before[n][1]
    }
    assert set(there.new) == set(back.deleted)
    assert set(there.gfes_new) == set(back.gfes_gone)
    assert there.empty == (before == after)


def official_entries(folder: Path) -> pl.DataFrame:
    """Accession, name and length of every entry of a real flat file, read by its ID and DE lines alone."""
    text = zipfile.ZipFile(folder / "hla.dat.zip").read("hla.dat").decode()
    entry = re.compile(r"^ID   (HLA\d+); SV (\d+);.*?(\d+) BP\.$.*?^DE   (HLA-(\w+)\*[^,]+),", re.M | re.S)
    rows = [
        (f"{number}.{version}", name, length, f"GFE of {name}")
        for number, version, length, name, gene in entry.findall(text)
        if f"HLA-{gene}" in DEFAULT_LOCI and int(length) >= 6
    ]
    return frame(*rows)


def official_names(folder: Path) -> dict[str, str]:
    """Accession number → name, as the release's own list of alleles has it."""
    lines = (folder / "Allelelist.txt").read_text().splitlines()
    pairs = dict(line.split() for line in lines)
    return {number: f"HLA-{name}" for number, name in pairs.items() if f"HLA-{name.partition('*')[0]}" in DEFAULT_LOCI}


@pytest.mark.shared
def test_new_deleted_and_renamed_alleles_of_3_22_0_are_those_of_the_official_allele_lists(shared):
    """The lists name 43 alleles of 3.21.0 and 5 of 3.22.0 that the flat files lack, so only alleles of both are compared."""
    entries = [official_entries(shared / "imgthla" / release) for release in ("3210", "3220")]
    numbers = [{accession.partition(".")[0] for accession in frame["acc_name"]} for frame in entries]
    old, new = (official_names(shared / "imgthla" / release) for release in ("3210", "3220"))
    changes = release_changes(*entries)
    found_new = {row.accession.partition(".")[0] for row in changes.new}
    assert found_new & (set(new) - set(old)) == (set(new) - set(old)) & numbers[1]
    assert not found_new & set(old) & numbers[0]
    assert {row.accession.partition(".")[0] for row in changes.deleted} == set(old) - set(new)
    assert {(row.accession, row.before, row.after) for row in changes.renamed} == {
        (number, old[number], new[number]) for number in numbers[0] & numbers[1] if old[number] != new[number]
    }
    assert len(changes.renamed) == 34
