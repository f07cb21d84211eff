"""Reading flat files: Biopython as an independent reader, hand-made entries of every kind, and spoiled ones."""

import io
import re
import warnings
import zipfile

import pytest
from Bio import SeqIO
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gfe_assets.errors import FlatFileError
from gfe_assets.hla import flatfile
from gfe_assets.hla.features import DEFAULT_LOCI, KIR_LOCI, KNOWN_LOCI, structure
from gfe_assets.hla.flatfile import BadEntry, Entry, Skipped, length_problem, parse_entry, read_entries, read_records
from gfe_assets.hla.release import parse_release
from gfe_assets.simulate import SimulatedDatabase
from gfe_assets.simulate.flatfile import entries as simulated_entries
from gfe_assets_tests.flatfiles import SEQUENCE, TABLE, entry

END = re.compile(rb"//[ \t]*\r?")


class Pieces(io.RawIOBase):
    """A stream that gives its content in pieces of given sizes, whatever it is asked for."""

    def __init__(self, content, sizes):
        self._content = io.BytesIO(content)
        self._sizes = iter(sizes)

    def read(self, size=-1):  # noqa: ARG002 - it gives what it has, as pipes do
        return self._content.read(next(self._sizes, 7))


def read_all(content, loci=KNOWN_LOCI):
    return list(read_entries(io.BytesIO(content), "test.dat", loci))


def outcome(stream):
    """All items of a stream, or the message of its refusal."""
    try:
        return list(read_entries(stream, "test.dat", KNOWN_LOCI))
    except FlatFileError as error:
        return str(error)


def read_one(content, loci=KNOWN_LOCI):
    [item] = read_all(content, loci)
    return item


def seen_by_biopython(content):
    """Allele name → record, as Biopython reads it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of locations such as join(<1..284)
        records = list(SeqIO.parse(io.StringIO(content.decode("utf-8", "replace")), "imgt"))
    return {record.description.split(",")[0]: record for record in records}


def as_biopython_sees(record):
    """Features (kind, number, sequence), coding sequence and translation of a record."""
    parts, coding, translation = [], "", ""
    first_exon = min((part.location.start for part in record.features if part.type == "exon"), default=0)
    for part in record.features:
        sequence = str(part.extract(record.seq)).upper()
        if part.type in ("exon", "intron"):
            parts.append((part.type.upper(), int(part.qualifiers["number"][0].split("/")[0]), sequence))
        elif part.type == "UTR":
            parts.append(("FIVE_PRIME_UTR" if part.location.start < first_exon else "THREE_PRIME_UTR", 1, sequence))
        elif part.type == "CDS":
            coding, translation = sequence, part.qualifiers.get("translation", [""])[0]
    return parts, coding, translation


def assert_both_agree(content, loci):
    """Our reader and Biopython say the same of every entry; gives what ours says."""
    items = read_all(content, loci)
    records = seen_by_biopython(content)
    assert [item.hla_name for item in items] == list(records)
    for item in items:
        record = records[item.hla_name]
        if isinstance(item, Skipped):
            assert item.locus not in loci or len(record.seq) < 6
            continue
        assert isinstance(item, Entry), item
        parts, coding, translation = as_biopython_sees(record)
        assert item.accession == record.name
        assert item.acc_name == record.id
        assert item.sequence == str(record.seq).upper()
        ours = [(part.term, part.rank, item.bases(part.start, part.end)) for part in item.features]
        assert sorted(ours) == sorted(parts)
        order = structure(item.locus).positions
        assert [order[term, rank] for term, rank, _ in ours] == sorted(order[term, rank] for term, rank, _ in ours)
        assert "".join(item.bases(*span) for span in item.cds) == coding
        assert item.translation == translation
    return items


@pytest.mark.shared
def test_the_modern_official_entries_read_as_biopython_reads_them(shared):
    items = assert_both_agree((shared / "modern/hla.3640.subset.dat").read_bytes(), DEFAULT_LOCI)
    skipped = [(item.hla_name, item.reason) for item in items if isinstance(item, Skipped)]
    reason = "locus not asked for"
    assert skipped == [("HLA-DRB2*01:01", reason), ("HLA-DRB7*01:01:01", reason), ("HLA-DRB7*01:01:02", reason)]
    first = items[0]
    assert (first.accession, first.acc_name, first.hla_name) == ("HLA00001", "HLA00001.4", "HLA-A*01:01:01:01")
    assert (first.line, len(first.sequence), len(first.features)) == (1, 3503, 17)


@pytest.mark.shared
def test_official_kir_entries_read_as_biopython_reads_them(shared):
    items = assert_both_agree((shared / "modern/kir.subset.dat").read_bytes(), KIR_LOCI)
    assert len(items) == 8
    assert all(isinstance(item, Entry) for item in items)


@pytest.mark.shared
def test_the_golden_entries_read_as_biopython_reads_them(shared):
    items = assert_both_agree((shared / "golden/3420/hla.dat").read_bytes(), DEFAULT_LOCI)
    assert sum(isinstance(item, Entry) for item in items) == 101


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize(("release", "entries"), [("3190", 12705), ("3210", None), ("3220", 14010)])
def test_whole_official_releases_read_as_biopython_reads_them(shared, release, entries):
    with zipfile.ZipFile(shared / f"imgthla/{release}/hla.dat.zip") as pack:
        items = assert_both_agree(pack.read("hla.dat"), DEFAULT_LOCI)
    assert entries in (None, len(items))
    assert {item.reason for item in items if isinstance(item, Skipped)} == {"locus not asked for"}


def test_simulated_entries_of_all_kinds_read_as_biopython_reads_them_and_as_they_were_made():
    database = SimulatedDatabase.create(120, seed=5, scale=0.1)
    content = "".join(simulated_entries(database.alleles, parse_release("3580"))).encode()
    items = assert_both_agree(content, DEFAULT_LOCI)
    assert len(items) == len(database.alleles)
    for item, allele in zip(items, database.alleles, strict=True):
        assert item.hla_name == allele.name
        if isinstance(item, Entry):
            ours = [(part.term, part.rank, item.bases(part.start, part.end)) for part in item.features]
            assert ours == [tuple(feature) for feature in allele.features()]
            assert item.acc_name == allele.versioned_accession
            assert bool(item.translation) == allele.translated
        else:
            assert item.reason == ("deleted" if allele.deleted else "locus not asked for")
    assert {type(item) for item in items} == {Entry, Skipped}
    assert any(allele.deleted for allele in database.alleles)


def test_a_hand_made_entry_is_read_as_it_stands():
    item = read_one(entry())
    assert item == Entry(
        accession="HLA00001",
        acc_name="HLA00001.4",
        hla_name="HLA-A*01:01",
        locus="HLA-A",
        sequence=SEQUENCE,
        features=(
            ("FIVE_PRIME_UTR", 1, 1, 10),
            ("EXON", 1, 11, 20),
            ("INTRON", 1, 21, 30),
            ("EXON", 2, 31, 52),
            ("THREE_PRIME_UTR", 1, 53, 60),
        ),
        cds=((11, 20), (31, 52)),
        translation="MAKPFGNFPVX",
        line=1,
    )
    assert item.bases(11, 20) == "ATGGCTAAAC"
    assert_both_agree(entry(), KNOWN_LOCI)


GOOD = entry()
CRLF = GOOD.replace(b"\n", b"\r\n")
SECOND = entry(accession="HLA00002", name="HLA-A*01:02")

ODD_BUT_CLEAR = {
    "CR LF at line ends": CRLF,
    "no newline at the end of the file": GOOD[:-1],
    "spaces after the last line": GOOD[:-1] + b" \t\n",
    "blank lines before the entry": b"\n\n" + GOOD,
    "capital letters in the sequence": GOOD.replace(b"gattacagcc", b"GATTACAGCC"),
    "keys in capitals": GOOD.replace(b"FT   exon", b"FT   EXON").replace(b"FT   UTR ", b"FT   utr "),
    "keys that say which UTR it is": GOOD.replace(b"UTR             1..10", b"5'UTR           1..10").replace(
        b"UTR             53..60", b"3'UTR           53..60"
    ),
    "numbers without quotes": re.sub(rb'/number="(\d)"', rb"/number=\1", GOOD),
    "a location over two lines": GOOD.replace(b"join(11..20,", b"join(11..20,  \nFT                   "),
    "a location over two lines with CR LF": CRLF.replace(b"join(11..20,", b"join(11..20,\r\nFT                   "),
    "a translation over two lines": GOOD.replace(b"MAKPFG", b"MAKPFG\nFT                   "),
    "a translation over two lines with CR LF": CRLF.replace(b"MAKPFG", b"MAKPFG\r\nFT                   "),
    "order for join": GOOD.replace(b"join(", b"order("),
    "no SV line": GOOD.replace(b"SV   HLA00001.4\n", b""),
    "an SV line with the version alone": GOOD.replace(b"SV   HLA00001.4\n", b"SV   4\n"),
    "the ID line of old EMBL files": GOOD.replace(b"ID   HLA00001; SV 4; standard", b"ID   HLA00001   standard"),
    "no comment and no AC": GOOD.replace(b"CC   IPD-IMGT/HLA Release Version 3.58.0\nXX\n", b""),
    "letters beyond ASCII in a name": GOOD.replace(b"CC   IPD", "RA   Müller;\nCC   IPD".encode()),
    "a second CDS, ignored": GOOD.replace(
        b"FT   UTR             1..10", b"FT   CDS             1..60\nFT   UTR             1..10"
    ),
    "a feature without qualifiers before another kind of line": GOOD.replace(b"SQ   ", b"XX\nSQ   "),
    "an unknown key, ignored": GOOD.replace(
        b"FT   UTR             1..10", b"FT   STS             7..9\nFT   UTR             1..10"
    ),
    "a line of another kind after the table": GOOD.replace(b"SQ   ", b"CO   something\nSQ   "),
}


@pytest.mark.parametrize("content", ODD_BUT_CLEAR.values(), ids=ODD_BUT_CLEAR)
def test_what_is_odd_but_clear_is_read(content):
    assert read_one(content)._replace(line=1) == read_one(GOOD)


def test_partial_ends_and_single_bases_are_spans():
    table = (("exon", "<1..20", "2"), ("exon", "21", "3"), ("exon", "22..>60", "4"))
    item = read_one(entry(table=table, cds="join(<1..20,21,22..>60)"))
    assert [part[2:] for part in item.features] == [(1, 20), (21, 21), (22, 60)]
    assert item.cds == ((1, 20), (21, 21), (22, 60))


def test_join_around_one_span_is_that_span():  # real, HLA-DMB*01:02 of 3.30.0 (ANHIG/IMGTHLA issue 118)
    assert read_one(entry(table=[("exon", "1..60", "3")], cds="join(<1..60)")).cds == ((1, 60),)


def test_without_sv_line_and_version_the_version_is_1():
    content = GOOD.replace(b"SV   HLA00001.4\n", b"").replace(b"SV 4; ", b"")
    assert read_one(content).acc_name == "HLA00001.1"


def test_an_entry_may_have_only_one_utr():
    only_5 = read_one(entry(table=TABLE[:-1], sequence=SEQUENCE[:52]))
    assert [part.term for part in only_5.features] == ["FIVE_PRIME_UTR", "EXON", "INTRON", "EXON"]
    only_3 = read_one(entry(table=[("exon", "1..20", "1"), ("UTR", "21..60")], cds="1..20"))
    assert [part.term for part in only_3.features] == ["EXON", "THREE_PRIME_UTR"]


def test_features_come_in_gene_order_whatever_their_order_in_the_file():
    shuffled = [TABLE[index] for index in (4, 2, 0, 3, 1)]
    assert read_one(entry(table=shuffled)).features == read_one(entry()).features


def test_a_fused_intron_counts_as_its_first_number():  # as KIR2DP1 in IPD-KIR
    table = (("exon", "1..20", "3"), ("intron", "21..30", "3/4"), ("exon", "31..60", "5"))
    item = read_one(entry(accession="KIR00001", name="KIR2DP1*0010201", table=table))
    assert [(part.term, part.rank) for part in item.features] == [("EXON", 3), ("INTRON", 3), ("EXON", 5)]


def test_an_entry_that_annotates_only_some_bases_is_kept():  # HLA-B*15:149N of 3.22.0 does, HLA-A*24:155N has overlaps
    item = read_one(entry(table=[("exon", "1..30", "2"), ("exon", "29..50", "3")]))
    assert [part[2:] for part in item.features] == [(1, 30), (29, 50)]


def test_an_entry_without_cds_or_translation_is_kept():
    assert read_one(entry(cds=None)).cds == ()
    untranslated = read_one(entry(translation=None))
    assert (untranslated.cds, untranslated.translation) == (((11, 20), (31, 52)), "")


def test_parts_behind_those_that_the_locus_has_are_left_out():  # HLA-B*51:197 has the exon 8 of HLA-C
    table = (("exon", "1..20", "7"), ("intron", "21..30", "7"), ("exon", "31..52", "8"), ("UTR", "53..60"))
    item = read_one(entry(name="HLA-B*51:197", table=table))
    assert item.left_out == ("intron 7", "exon 8")
    assert [(part.term, part.rank) for part in item.features] == [("EXON", 7), ("THREE_PRIME_UTR", 1)]


DELETED_ENTRIES = {
    "since 2024": entry(sequence="", table=(), cds=None),
    "with an x": entry(sequence="", table=(), cds=None).replace(b" 0\n//", b" x\n//"),
    "with an x that counts": entry(sequence="", table=(), cds=None, length=1).replace(b" 0\n//", b" X  1\n//"),
    "without SQ line": b"ID   HLA00001; SV 4; standard; DNA; HUM; 0 BP.\nDE   HLA-A*01:01, Human MHC Class I sequence\n//\n",
    "with five bases": entry(sequence="acgta", table=(), cds=None),
}


@pytest.mark.parametrize("content", DELETED_ENTRIES.values(), ids=DELETED_ENTRIES)
def test_deleted_alleles_are_skipped_as_such(content):
    assert read_one(content) == Skipped("HLA00001", "HLA-A*01:01", "HLA-A", "deleted")
    assert length_problem(content.removesuffix(b"//\n")) == ""


@pytest.mark.parametrize(
    "content",
    [
        entry(name="MICA*001"),
        entry(name="HLA-DRB9*01:01", table=[("exon", "1..60", "77")]),
        entry(name="HLA-Z*01:01"),
        entry(name="HLA-P*01:01:01:01", table=()),  # real: pseudogenes without exons
        entry(name="HLA-New*provisional"),  # a name that nobody expects, of a locus that nobody asked for
        entry(name="TAP1*01:01", length=61),
        entry(name="HLA-H*02:07", sequence="", table=()),
    ],
)
def test_entries_of_other_loci_are_skipped_whatever_is_odd_about_them(content):
    item = read_one(content)
    assert isinstance(item, Skipped)
    assert item.reason == "locus not asked for"
    assert item.hla_name.startswith(item.locus + "*")


def test_which_loci_are_other_is_for_the_caller_to_say():
    content = entry() + entry(name="HLA-B*07:02") + entry(name="KIR3DL1*001")
    assert [type(item) for item in read_all(content, ["HLA-B"])] == [Skipped, Entry, Skipped]


BAD_ENTRIES = {
    "no ID line": (GOOD[GOOD.index(b"\nXX") + 1 :], "its ID line is missing"),
    "an ID line without length": (GOOD.replace(b" 60 BP.", b""), "its ID line is missing or has no accession and length"),
    "a length of many digits": (GOOD.replace(b" 60 BP.", b" " + b"6" * 5000 + b" BP."), "its ID line"),
    "no DE line": (GOOD.replace(b"DE   HLA-A*01:01, Human MHC Class I sequence\n", b""), "no DE line"),
    "a DE line without allele": (entry(name="HLA-A"), "'HLA-A', which is not an allele name"),
    "an allele without fields": (entry(name="HLA-A*"), "'HLA-A*', which is not an allele name"),
    "a damaged allele name": (entry(name="HLA-A*01:0?:01"), "'HLA-A*01:0?:01', which is not an allele name"),
    "an SV line of another entry": (entry(version="SV   HLA00002.4"), "its SV line is of another entry, HLA00002"),
    "fewer bases than the ID line says": (
        entry(length=61, sequence=SEQUENCE),
        "its ID line says 61 bases but its sequence has 60",
    ),
    "more bases than the ID line says": (entry(length=59, cds=None, table=TABLE[:-1]), "says 59 bases but its sequence has 60"),
    "no bases where the ID line says some": (entry(sequence="", length=60), "says 60 bases but its sequence has 0"),
    "no SQ line": (GOOD[: GOOD.index(b"SQ   ")] + b"//\n", "no sequence (no SQ line)"),
    "a letter that is no base": (GOOD.replace(b"gattacagcc", b"gattacagcz"), "its sequence holds 'Z', which is no base"),
    "a gap in the sequence": (GOOD.replace(b"gattacagcc", b"gattaca.cc"), "its sequence holds '.', which is no base"),
    "a control character in the sequence": (GOOD.replace(b"gattacagcc", b"gattaca\x00cc"), "control characters"),
    "a control character in the name": (GOOD.replace(b"HLA-A*01:01,", b"HLA-A*01\x07:01,"), "control characters"),
    "no // before the next entry": (GOOD[: GOOD.rindex(b"//")] + SECOND, "another entry begins inside it"),
    "no features at all": (entry(table=(), cds=None), "it has no exon"),
    "no exon": (entry(table=[("UTR", "1..10")]), "it has no exon"),
    "only exons that the locus has not": (entry(table=[("exon", "1..60", "9")]), "exon 9 at 1..60 is not a part of HLA-A"),
    "an exon number beyond the gene before its other exons": (
        entry(table=[("exon", "1..30", "11"), ("exon", "31..60", "2")]),
        "exon 11 at 1..30 is not a part of HLA-A",
    ),
    "exon 0": (entry(table=[("exon", "1..30", "1"), ("exon", "31..60", "0")]), "exon 0 at 31..60 is not a part of HLA-A"),
    "an exon twice": (entry(table=[("exon", "1..30", "2"), ("exon", "31..60", "2")]), "exon 2 at 31..60 stands there twice"),
    "an exon beyond the gene twice": (
        entry(table=[("exon", "1..10", "8"), ("exon", "11..30", "9"), ("exon", "31..60", "9")]),
        "exon 9 at 31..60 stands there twice",
    ),
    "two 5'UTRs": (
        entry(table=[("UTR", "1..10"), ("UTR", "11..20"), ("exon", "21..60", "2")]),
        "UTR at 11..20 stands there twice: also at 1..10",
    ),
    "a UTR between exons": (
        entry(table=[("exon", "1..20", "1"), ("UTR", "21..30"), ("exon", "31..60", "2")]),
        "UTR at 21..30 stands between its exons",
    ),
    "a 3'UTR before the exons": (entry(table=[("3'UTR", "1..20"), ("exon", "21..60", "1")]), "stands before its exons"),
    "a 5'UTR after the exons": (entry(table=[("exon", "1..20", "1"), ("5'UTR", "21..60")]), "stands after its exons"),
    "an exon without number": (entry(table=[("exon", "1..60")]), "its exon at 1..60 has no /number"),
    "an intron without number": (
        entry(table=[*TABLE[:2], ("intron", "21..30"), *TABLE[3:]]),
        "its intron at 21..30 has no /number",
    ),
    "an exon with no digit as number": (entry(table=[("exon", "1..60", "two")]), "its exon at 1..60 has no /number"),
    "a feature beyond the sequence": (
        entry(table=[("exon", "1..61", "2")]),
        "its exon at 1..61 is outside its sequence of 60 bases",
    ),
    "a feature before the sequence": (entry(table=[("exon", "0..60", "2")]), "its exon at 0..60 is outside its sequence"),
    "a feature that ends before it begins": (entry(table=[("exon", "30..20", "2")]), "exon at 30..20 ends before it begins"),
    "a CDS beyond the sequence": (entry(cds="join(11..20,31..99)"), "its CDS at 31..99 is outside its sequence"),
    "an exon in two pieces": (entry(table=[("exon", "join(1..20,31..60)", "2")]), "exon at 1..60 has 2 spans"),
    "an exon on the other strand": (entry(table=[("exon", "complement(1..60)", "2")]), "location that cannot be read"),
    "a CDS on the other strand": (entry(cds="complement(join(11..20,31..52))"), "location that cannot be read"),
    "a location in another entry": (entry(cds="J00194.1:1..60"), "location that cannot be read: 'J00194.1:1..60'"),
    "a location between bases": (entry(table=[("exon", "20^21", "2")]), "location that cannot be read: '20^21'"),
    "a location that is not closed": (entry(cds="join(11..20,31..52"), "location that cannot be read"),
    "a location without anything": (entry(table=[("exon", "", "2")]), "location that cannot be read: ''"),
    "a location of many digits": (entry(table=[("exon", f"1..{'6' * 5000}", "2")]), "location that cannot be read"),
    "a number of many digits": (entry(table=[("exon", "1..60", "2" * 5000)]), "is not a part of HLA-A"),
}


@pytest.mark.parametrize(("content", "message"), BAD_ENTRIES.values(), ids=BAD_ENTRIES)
def test_what_contradicts_itself_is_a_bad_entry_that_says_why(content, message):
    assert content != GOOD
    before, item, after = read_all(SECOND + content + SECOND)
    assert isinstance(item, BadEntry)
    assert message in item.message
    assert item.line == SECOND.count(b"\n") + 1
    assert item.accession in ("HLA00001", "without an ID line")
    assert len(item.message) < 400
    assert isinstance(before, Entry)
    assert isinstance(after, Entry)
    assert after.line == (SECOND + content).count(b"\n") + 1


@pytest.mark.parametrize("what", ["fewer bases than the ID line says", "a letter that is no base", "no SQ line", "no ID line"])
def test_the_raw_stage_is_told_of_entries_that_are_damaged(what):
    content, message = BAD_ENTRIES[what]
    assert message in length_problem(content.removesuffix(b"//\n"))


def test_the_raw_stage_does_not_judge_names_and_features():
    assert length_problem(entry(name="HLA-New*x", table=()).removesuffix(b"//\n")) == ""


def test_an_empty_file_is_refused():
    for content in (b"", b"\n", b" \r\n\t\n"):
        with pytest.raises(FlatFileError, match=r"^test\.dat is empty: it has no entries; fetch it again$"):
            read_all(content)


@pytest.mark.parametrize("cut", [len(GOOD) + 1, len(GOOD) + 20, 2 * len(GOOD) - 4, 2 * len(GOOD) - 2])
def test_a_cut_file_is_refused_with_the_line_and_entry_where_it_ends(cut):
    items = read_entries(io.BytesIO((GOOD + SECOND)[:cut]), "release 3580, hla.dat", KNOWN_LOCI)
    assert isinstance(next(items), Entry)
    line = GOOD.count(b"\n") + 1
    name = "HLA00002" if cut >= len(GOOD) + 13 else "(HLA|without)"
    with pytest.raises(
        FlatFileError, match=rf"^release 3580, hla\.dat, line {line}: the file ends inside the entry {name}.*cut off"
    ):
        list(items)


def test_a_file_that_is_no_flat_file_is_refused_before_it_fills_the_memory():
    class Endless(io.RawIOBase):
        given = 0

        def read(self, size=-1):
            self.given += size
            return b"ID   HLA00007; " + b"x" * size

    stream = Endless()
    with pytest.raises(
        FlatFileError, match=r"line 1: the entry HLA00007 does not end within 32 MB; this is not an IPD-IMGT/HLA flat file"
    ):
        list(read_records(stream, "test.dat"))
    assert stream.given < 64 * 1024 * 1024


def test_an_entry_without_any_line_is_a_bad_entry():
    items = read_all(b"//\n" + GOOD + b"//\n//\n")
    assert [type(item) for item in items] == [BadEntry, Entry, BadEntry, BadEntry]
    assert items[0].accession == "without an ID line"
    assert items[3].line == GOOD.count(b"\n") + 3


def test_slashes_inside_a_line_do_not_end_an_entry():
    content = GOOD.replace(b"CC   IPD", b"CC   http://www.ebi.ac.uk//\nCC   IPD").replace(b"DE   HLA", b"//x\nDE   HLA")
    assert read_one(content) == read_one(GOOD)


SEVERAL = b"".join([GOOD, CRLF, BAD_ENTRIES["an exon twice"][0], entry(sequence="", table=()), b"//\n", SECOND, GOOD[:-1]])


@pytest.mark.parametrize("block", [*range(1, 12), 60, 61, 1000, len(GOOD) - 1, len(GOOD), len(GOOD) + 1])
def test_where_blocks_end_does_not_matter(block, monkeypatch):
    expected = read_all(SEVERAL)
    monkeypatch.setattr(flatfile, "_BLOCK", block)
    assert read_all(SEVERAL) == expected
    assert [type(item) for item in expected] == [Entry, Entry, BadEntry, Skipped, BadEntry, Entry, Entry]


@given(st.lists(st.integers(1, 400), max_size=40))
def test_how_a_stream_is_cut_into_pieces_does_not_matter(sizes):
    assert list(read_entries(Pieces(SEVERAL, sizes), "test.dat", KNOWN_LOCI)) == read_all(SEVERAL)


def records_of(content):
    """Line and text of every entry, found line by line; a last one without end makes the file a cut one."""
    records, start, at = [], 0, 0
    for text in re.findall(rb"[^\n]*\n|[^\n]+", content):
        at += len(text)
        if text.endswith(b"\n") and END.fullmatch(text[:-1]):
            records.append(content.count(b"\n", 0, start) + 1)
            start = at
    rest = content[start:]
    if rest.strip():
        records.append(content.count(b"\n", 0, start) + 1)
    return records


def assert_well_behaved(content):
    """Whatever the bytes: one item for each entry, at its line, whole or with a reason; or a refusal that says where."""
    items = outcome(io.BytesIO(content))
    if isinstance(items, str):
        assert re.match(r"test\.dat(, line \d+: | is empty: ).*fetch it again$", items)
        return
    lines = records_of(content)
    assert len(items) == len(lines)
    for item, line in zip(items, lines, strict=True):
        assert item.accession
        if isinstance(item, Skipped):
            assert item.locus
            assert item.reason
            continue
        assert item.line == line
        if isinstance(item, BadEntry):
            assert item.message
            continue
        assert item.locus in KNOWN_LOCI
        assert re.fullmatch(r"[ACGTUNRYSWKMBDHV]{6,}", item.sequence)
        assert item.acc_name.startswith(item.accession + ".")
        order = structure(item.locus).positions
        placed = [order[part.term, part.rank] for part in item.features]
        assert placed == sorted(set(placed))
        assert any(part.term == "EXON" for part in item.features)
        spans = [(part.start, part.end) for part in item.features] + list(item.cds)
        assert all(1 <= first <= last <= len(item.sequence) for first, last in spans)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(content):
    assert_well_behaved(content)
    assert_well_behaved(b"ID   HLA00001; SV 1; 60 BP.\n" + content + b"\n//\n")
    assert_well_behaved(GOOD + content)


@st.composite
def spoiled(draw):
    """Valid entries in which some bytes were replaced, inserted, deleted, or moved about."""
    content = bytearray(b"".join(draw(st.lists(st.sampled_from([GOOD, CRLF, SECOND, GOOD[:-1]]), min_size=1, max_size=3))))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.sampled_from([0, 0, 1, 2, 5, 60, 300])))
        piece = draw(
            st.one_of(
                st.binary(max_size=4),
                st.sampled_from(
                    [b"\n//\n", b"//", b"\nFT   exon            ", b"\nSQ   ", b"\r\n", b"\n", b"9" * 400, b"\x00", b'"']
                ),
            )
        )
        content[start:end] = piece
    return bytes(content)


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(spoiled())
def test_spoiled_entries_are_read_or_refused(content):
    assert_well_behaved(content)


@given(spoiled(), st.lists(st.integers(1, 200), max_size=20))
def test_spoiled_entries_do_not_depend_on_pieces(content, sizes):
    assert outcome(Pieces(content, sizes)) == outcome(io.BytesIO(content))


@pytest.mark.parametrize(
    "damage",
    [
        b"ID   HLA00001; " + b"1" * 2_000_000 + b" BP",
        b"ID   " + b"A" * 2_000_000,
        GOOD[:-3] + b" " * 2_000_000,
        GOOD.replace(b"1..10\n", b"1..10" + b" " * 2_000_000 + b"\n")[:-3],
        GOOD.replace(b"1..10\n", b"1..10" + b"\nFT" * 600_000 + b"\n")[:-3],
        GOOD.replace(b"join(11..20,", b"join(" + b"11..20," * 300_000)[:-3],
        GOOD.replace(b"HLA-A*01:01,", b"HLA-A*01" + b":01" * 600_000 + b",")[:-3],
        GOOD.replace(b'/translation="', b'/translation="' * 100_000)[:-3],
        GOOD.replace(b"MAKPFG", b"M \n" * 600_000)[:-3],
        b"\n" * 2_000_000 + GOOD[:-3],
    ],
    ids=range(10),
)
def test_megabytes_of_nonsense_in_one_entry_take_no_more_time_than_reading_them(damage):
    # quadratic patterns would need minutes here, so a slip shows as a test that hangs
    assert isinstance(parse_entry(damage, 1, KNOWN_LOCI), Entry | BadEntry)
    assert isinstance(length_problem(damage), str)
