"""GFE names and sequence ids: golden names, the paper's example, and identities from public MD5 values."""

import csv
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gfe_assets.errors import SettingsError
from gfe_assets.hla.features import DEFAULT_LOCI, KIR_LOCI, KNOWN_LOCI, TERMS, structure
from gfe_assets.hla.gfe import GfeNameError, gfe_name, seq_id, split_gfe_name

EXONS = {  # exons of the table; introns are one fewer, and both UTRs come on top
    "HLA-A": 8,
    "HLA-B": 7,
    "HLA-C": 8,
    "HLA-DRB1": 6,
    "HLA-DRB3": 6,
    "HLA-DRB4": 6,
    "HLA-DRB5": 6,
    "HLA-DQB1": 6,
    "HLA-DPB1": 5,
    "HLA-DQA1": 4,
    "HLA-DPA1": 4,
    "HLA-DRA": 4,
}


@st.composite
def known_features(draw):
    """A locus and accessions for some of its features."""
    locus = draw(st.sampled_from(KNOWN_LOCI))
    features = structure(locus).features
    numbers = draw(st.lists(st.integers(0, 10**9), min_size=len(features), max_size=len(features)))
    return locus, [(key, number) for key, number in zip(features, numbers, strict=True) if number]


@pytest.mark.parametrize(("locus", "exons"), EXONS.items())
def test_an_hla_gene_is_its_exons_with_introns_between_and_a_utr_at_both_ends(locus, exons):
    parts = [(key.term, key.rank) for key in structure(locus).features]
    expected = [("FIVE_PRIME_UTR", 1)]
    for number in range(1, exons + 1):
        expected += [("EXON", number), ("INTRON", number)]
    assert parts == [*expected[:-1], ("THREE_PRIME_UTR", 1)]


@pytest.mark.parametrize("locus", KIR_LOCI)
def test_a_kir_gene_has_twenty_features(locus):
    parts = structure(locus).features
    assert len(parts) == 20
    assert sum(key.term == "EXON" for key in parts) == sum(key.term == "INTRON" for key in parts) == 9
    assert parts[-1][1:] == ("THREE_PRIME_UTR", 1)


def test_the_default_loci_are_the_eleven_of_the_design():
    assert set(DEFAULT_LOCI) == set(EXONS) - {"HLA-DRA"}
    assert {key.term for locus in KNOWN_LOCI for key in structure(locus).features} == set(TERMS)


def test_an_unknown_locus_is_refused_with_the_known_ones():
    with pytest.raises(SettingsError, match=r"locus 'HLA-Z' is not known; the known loci are HLA-A, .*KIR3DS1"):
        structure("HLA-Z")


def test_the_name_of_the_first_allele_is_the_one_that_was_published():
    name = "HLA-Aw2-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1-4"
    parts = split_gfe_name(name)
    assert len(parts) == 17
    assert parts[0] == (("HLA-A", "FIVE_PRIME_UTR", 1), 2)
    assert parts[3] == (("HLA-A", "EXON", 2), 1)
    assert parts[-1] == (("HLA-A", "THREE_PRIME_UTR", 1), 4)
    assert gfe_name("HLA-A", [(key.term, key.rank, number) for key, number in parts]) == name


def test_features_that_are_not_known_are_zeros():
    assert gfe_name("HLA-DPA1", [("EXON", 2, 17)]) == "HLA-DPA1w0-0-0-17-0-0-0-0-0"
    assert split_gfe_name("HLA-DPA1w0-0-0-17-0-0-0-0-0") == [(("HLA-DPA1", "EXON", 2), 17)]
    assert split_gfe_name("KIR3DS1w" + "-".join("0" * 20)) == []


@given(known_features())
def test_a_name_taken_apart_gives_what_it_was_made_of(locus_and_features):
    locus, features = locus_and_features
    name = gfe_name(locus, [(key.term, key.rank, number) for key, number in features])
    assert split_gfe_name(name) == features
    assert gfe_name(locus, [(key.term, key.rank, number) for key, number in reversed(features)]) == name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "is not a GFE name"),
        ("HLA-A", "is not a GFE name"),
        ("HLA-A*01:01:01:01", "is not a GFE name"),
        ("HLA-Aw", "is not a GFE name"),
        ("HLA-Aw1-2", "has 2 features where HLA-A has 17"),
        ("HLA-Aw" + "-".join("1" * 18), "has 18 features where HLA-A has 17"),
        ("HLA-Zw1-1", "locus 'HLA-Z' is not known"),
        ("w1-1", "locus '' is not known"),
        ("HLA-DPA1w0-0-0-1x-0-0-0-0-0", "is not a GFE name"),
        ("HLA-DPA1w0-0-0--1-0-0-0-0-0", "is not a GFE name"),
        ("HLA-DPA1w0-0-0-01-0-0-0-0-0", "is not a GFE name"),  # two spellings of one name
        ("HLA-DPA1w0-0-0-٣-0-0-0-0-0", "is not a GFE name"),  # an Arabic-Indic 3
        ("HLA-DPA1w0-0-0-²-0-0-0-0-0", "is not a GFE name"),
        ("HLA-DPA1w0-0-0-" + "9" * 5000 + "-0-0-0-0-0", "is not a GFE name"),
        ("HLA-DPA1w0-0-0-1-0-0-0-0-0\n", "is not a GFE name"),
        ("hla-dpa1w0-0-0-1-0-0-0-0-0", "locus 'hla-dpa1' is not known"),
    ],
)
def test_what_is_no_gfe_name_is_refused(name, reason):
    with pytest.raises(GfeNameError, match=reason):
        split_gfe_name(name)


@given(st.text(alphabet="HLA-DPA1w0123456789 x٣"))
def test_any_text_is_a_gfe_name_or_a_clear_refusal(text):
    try:
        features = split_gfe_name(text)
    except GfeNameError:
        return
    locus = text.partition("w")[0]
    assert gfe_name(locus, [(key.term, key.rank, number) for key, number in features]) == text


def test_seq_id_is_the_first_32_digits_of_the_decimal_md5():
    # MD5 of `ACGT` as md5sum prints it
    assert seq_id("ACGT") == str(0xF1F8F4BF413B16AD135722AA4591043E)[:32] == "32163660066579165320025264931018"
    # MD5 of nothing is d41d8cd98f00b204e9800998ecf8427e (RFC 1321)
    assert seq_id("") == str(0xD41D8CD98F00B204E9800998ECF8427E)[:32]


@given(st.text(alphabet="ACGTN", max_size=200))
def test_seq_id_has_at_most_32_digits_and_follows_the_definition(sequence):
    expected = str(int.from_bytes(hashlib.md5(sequence.encode()).digest(), "big"))[:32]
    assert seq_id(sequence) == expected
    assert expected.isdigit()


@pytest.mark.shared
def test_all_golden_names_are_taken_apart_and_put_together_again(shared):
    with (shared / "golden/3420/gfe_sequences.3420.csv").open() as file:
        names = [row["gfe_name"] for row in csv.DictReader(file)]
    assert len(names) == 101
    for name in names:
        parts = split_gfe_name(name)
        assert gfe_name("HLA-A", [(key.term, key.rank, number) for key, number in parts]) == name
