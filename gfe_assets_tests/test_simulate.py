"""Simulated releases are in the official format, say what they are, and contain what they claim.

Biopython is the independent reader throughout: of the flat file, of alignments, of the genetic code, of checksums.
"""

import hashlib
import json
import re
import string
import warnings
import zipfile
from collections import Counter, defaultdict
from datetime import datetime, timezone
from io import StringIO
from pathlib import Path

import pytest
from Bio import AlignIO, BiopythonParserWarning, SeqIO
from Bio.Seq import Seq
from Bio.SeqRecord import SeqRecord
from Bio.SeqUtils.CheckSum import gcg
from hypothesis import given, settings
from hypothesis import strategies as st

from gfe_assets.errors import ReleaseNameError, SettingsError
from gfe_assets.hla.features import DEFAULT_LOCI, structure
from gfe_assets.simulate import LABEL, Allele, SimulatedDatabase, correct_demo, demo_releases, write_release
from gfe_assets.simulate.genes import GENES

DATE = datetime(2024, 10, 9, 10, 30, tzinfo=timezone.utc)
TERMS = {"exon": "EXON", "intron": "INTRON"}


@pytest.fixture(scope="module")
def database() -> SimulatedDatabase:
    return SimulatedDatabase.create(1200, seed=7)


@pytest.fixture(scope="module")
def folder(database: SimulatedDatabase, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_release(tmp_path_factory.mktemp("root"), "3580", database, date=DATE, message="Release 3.58.0")


@pytest.fixture(scope="module")
def flat_text(folder: Path) -> str:
    with zipfile.ZipFile(folder / "hla.dat.zip") as archive:
        assert archive.namelist() == ["hla.dat"]
        return archive.read("hla.dat").decode("ascii")


@pytest.fixture(scope="module")
def records(flat_text: str) -> list[SeqRecord]:
    return list(SeqIO.parse(StringIO(flat_text), "imgt"))


def read_features(record: SeqRecord) -> list[tuple[str, int, str]]:
    """(term, rank, sequence) as DESIGN says: a UTR before the first exon is 5', one after it 3'."""
    found = []
    for feature in record.features:
        sequence = str(feature.extract(record.seq)).upper()
        if feature.type == "UTR":
            seen_exon = any(term == "EXON" for term, _, _ in found)
            found.append(("THREE_PRIME_UTR" if seen_exon else "FIVE_PRIME_UTR", 1, sequence))
        elif feature.type in TERMS:
            found.append((TERMS[feature.type], int(feature.qualifiers["number"][0]), sequence))
    return found


def name_of(record: SeqRecord) -> str:
    return record.description.split(",")[0]


# The flat file


def test_biopython_reads_from_every_entry_exactly_the_features_that_were_simulated(database, records):
    assert len(records) == len(database.alleles)
    for allele, record in zip(database.alleles, records, strict=True):
        assert (record.id, name_of(record)) == (allele.versioned_accession, allele.name)
        assert read_features(record) == [tuple(feature) for feature in allele.features()], allele.name
        assert str(record.seq).upper() == allele.sequence == "".join(sequence for _, _, sequence in read_features(record))


def test_every_translation_is_what_biopython_translates_from_the_cds(records):
    seen = Counter()
    for record in records:
        for cds in (feature for feature in record.features if feature.type == "CDS"):
            start = int(cds.qualifiers["codon_start"][0]) - 1
            coding = str(cds.extract(record.seq))[start:]
            acids = str(Seq(coding[: len(coding) // 3 * 3]).translate())
            protein = acids.split("*", maxsplit=1)[0]
            if "translation" not in cds.qualifiers:
                seen["none"] += 1
                continue
            partial = "partial" in cds.qualifiers
            premature = "*" in acids and (partial or len(protein) < len(acids) - 1)
            seen["premature" if premature else "partial" if partial else "whole"] += 1
            assert cds.qualifiers["translation"] == [protein + "X" * premature], name_of(record)
            assert premature == name_of(record).endswith("N"), name_of(record)
            if not partial and not premature:
                assert protein.startswith("M")
                assert acids == protein + "*"
    assert all(seen[kind] for kind in ("none", "premature", "partial", "whole"))


def test_cds_joins_the_exons_and_nothing_else(records):
    for record in records:
        exons = "".join(sequence for term, _, sequence in read_features(record) if term == "EXON")
        coding = [str(feature.extract(record.seq)).upper() for feature in record.features if feature.type == "CDS"]
        assert coding == ([exons] if len(record) else [])


def test_base_counts_and_lengths_of_sq_and_id_lines_are_right(flat_text, records):
    counts = re.findall(r"^SQ   Sequence (\d+) BP; (\d+) A; (\d+) C; (\d+) G; (\d+) T; 0 other;$", flat_text, re.M)
    lengths = re.findall(r"^ID   HLA\d{5}; SV \d+; standard; DNA; HUM; (\d+) BP\.$", flat_text, re.M)
    assert len(counts) == len(lengths) == len(records)
    for record, length, numbers in zip(records, lengths, counts, strict=True):
        sequence = str(record.seq).upper()
        assert [len(sequence), *(sequence.count(base) for base in "ACGT")] == [int(number) for number in numbers]
        assert int(length) == len(sequence)


def test_lines_are_ascii_of_at_most_80_columns_and_entries_end_with_slashes(flat_text):
    lines = flat_text.split("\n")
    assert lines[-2:] == ["//", ""]
    assert all(len(line) <= 80 and line == line.rstrip() and set(line) <= set(string.printable) for line in lines)


def test_features_of_default_loci_fit_the_structure_of_the_locus_in_order(database):
    for allele in database.alleles:
        if allele.gene.locus in DEFAULT_LOCI:
            positions = structure(allele.gene.locus).positions
            order = [positions[term, rank] for term, rank, _ in allele.features()]
            assert order == sorted(order)
            assert not allele.full_length or allele.deleted or len(order) >= len(positions) - 2


@pytest.mark.parametrize("gene", GENES, ids=lambda gene: gene.locus)
def test_genes_have_the_parts_of_their_structure_and_a_coding_length_in_codons(gene):
    assert [gene.part(position) for position in range(len(gene.lengths))] == [
        (key.term, key.rank) for key in structure(gene.locus).features
    ]
    assert sum(gene.lengths[1::2]) % 3 == 0


def test_full_length_alleles_are_as_long_as_real_ones(database):
    # Lengths of HLA-A*01:01:01:01, HLA-B*07:02:01:01, HLA-C*07:02:01:01, HLA-DRB1*01:01:01:01, HLA-DQB1*06:02:01:01.
    expected = {"HLA-A": 3503, "HLA-B": 4081, "HLA-C": 4318, "HLA-DRB1": 11116, "HLA-DQB1": 7102}
    for allele in database.alleles:
        if allele.full_length and allele.gene.locus in expected and not allele.deleted:
            assert len(allele.sequence) == pytest.approx(expected[allele.gene.locus], rel=0.03)


def test_alleles_share_most_features_as_real_ones_do(database):
    features = [(allele.gene.locus, *feature) for allele in database.alleles for feature in allele.features()]
    assert len(features) / len(database.alleles) == pytest.approx(10, rel=0.15)
    assert len(set(features)) < 0.25 * len(features)


def test_a_database_has_the_special_cases_that_real_ones_have(records):
    genomic = [record for record in records if len(record)]
    by_name = {name_of(record): record for record in genomic}
    loci = Counter(name.split("*")[0] for name in by_name)
    assert set(DEFAULT_LOCI) | {"HLA-H", "HLA-DRB2", "MICA"} == set(loci)
    deleted = [record for record in records if not len(record)]
    assert deleted
    assert all([feature.type for feature in record.features] == ["source"] for record in deleted)
    untranslated = [name for name, record in by_name.items() if not any("translation" in f.qualifiers for f in record.features)]
    assert any(name.split("*")[0] in DEFAULT_LOCI and name.endswith("N") for name in untranslated)
    assert {name.split("*")[0] for name in untranslated} >= {"HLA-H", "HLA-DRB2"}
    assert any("partial" in f.qualifiers for record in genomic for f in record.features if f.type == "exon")
    exon_only = Counter(tuple(rank for _, rank, _ in read_features(record)) for record in genomic)
    assert exon_only[2, 3] > 20
    assert exon_only[2,] > 20
    assert {record.annotations["sequence_version"] for record in genomic} >= {1, 2, 3, 4}
    same = Counter((name.split("*")[0], tuple(read_features(record))) for name, record in by_name.items())
    assert 0 < sum(count > 1 for count in same.values()) < 30


def test_partial_entries_say_so_in_the_description_and_in_the_cds(flat_text):
    entries = [entry for entry in flat_text.split("//\n") if " 0 BP" not in entry and entry]
    assert 0 < sum("sequence (partial)\n" in entry for entry in entries) < len(entries)
    for entry in entries:
        cds = entry[entry.index("FT   CDS") : entry.index("/gene=")]
        assert ("sequence (partial)\n" in entry) == ("/partial" in cds)


def test_some_hla_dqb1_lineages_lack_exon_5_and_are_numbered_on(database):
    full = [allele for allele in database.alleles if allele.gene.locus == "HLA-DQB1" and allele.full_length]
    exons = {tuple(rank for term, rank, _ in allele.features() if term == "EXON") for allele in full}
    assert (1, 2, 3, 4, 6) in exons


def test_names_and_accessions_are_unique_and_entries_are_in_order_of_locus_and_name(database):
    names = [allele.name for allele in database.alleles]
    assert len(set(names)) == len(names)
    assert len({allele.accession for allele in database.alleles}) == len(names)
    order = [(allele.gene.locus, allele.fields) for allele in database.alleles]
    assert order == sorted(order)


def test_alleles_that_differ_in_the_fourth_field_only_have_the_same_coding_sequence(database):
    coding = defaultdict(set)
    for allele in database.alleles:
        if len(allele.fields) == 4 and allele.full_length and not allele.deleted:
            exons = tuple(feature.sequence for feature in allele.features() if feature.term == "EXON")
            coding[allele.gene.locus, allele.fields[:3]].add(exons)
    assert max(map(len, coding.values())) == 1
    assert len(coding) < sum(len(allele.fields) == 4 for allele in database.alleles)


# Groups and allele list


def test_g_groups_hold_exactly_the_alleles_with_the_same_typing_exons(folder, records):
    expected = defaultdict(list)
    for record in records:
        locus, short = name_of(record).split("*")
        if locus not in DEFAULT_LOCI or not len(record):
            continue
        cut = any("partial" in feature.qualifiers for feature in record.features if feature.type == "exon")
        wanted = (2, 3) if locus in ("HLA-A", "HLA-B", "HLA-C") else (2,)
        typing = [sequence for term, rank, sequence in read_features(record) if term == "EXON" and rank in wanted]
        expected[locus, tuple(typing), short if cut else ""].append(short)
    lines = (folder / "wmda" / "hla_nom_g.txt").read_text().splitlines()
    assert all(line.startswith("# ") for line in lines[:6])
    assert not lines[6].startswith("#")
    found = [line.split(";") for line in lines[6:]]
    assert [(f"HLA-{gene[:-1]}", names.split("/")) for gene, names, _ in found] == [
        (key[0], names) for key, names in expected.items()
    ]
    groups = [(gene, name) for gene, _, name in found if name]
    assert len(set(groups)) == len(groups) > 10
    for _, names, name in found:
        first = names.split("/")[0].rstrip(string.ascii_uppercase).split(":")
        assert name == (":".join([*first, "01", "01"][:3]) + "G" if "/" in names else "")


def test_the_allele_list_names_every_allele_that_is_not_deleted(folder, records):
    lines = (folder / "Allelelist.txt").read_text().splitlines()
    assert all(line.startswith("# ") for line in lines[:6])
    assert lines[6] == "AlleleID,Allele"
    assert lines[7:] == [
        f"{record.id.split('.')[0]},{name_of(record).removeprefix('HLA-')}" for record in records if len(record)
    ]


# Alignments


@pytest.fixture(scope="module")
def by_short_name(records: list[SeqRecord]) -> dict[str, SeqRecord]:
    return {name_of(record).removeprefix("HLA-"): record for record in records if len(record)}


def test_msf_files_are_named_as_in_the_repository(folder):
    names = {path.name for path in (folder / "msf").iterdir()}
    genes = [locus.removeprefix("HLA-") for locus in DEFAULT_LOCI]
    joint = [gene for gene in genes if gene not in ("DRB3", "DRB4", "DRB5")] + ["DRB345"]
    assert names == {f"{gene}_gen.msf" for gene in genes} | {f"{gene}_{kind}.msf" for gene in joint for kind in ("nuc", "prot")}


def read_alignment(path: Path) -> list[SeqRecord]:
    with warnings.catch_warnings():
        # Rows of null alleles are shorter, in real files too; Biopython pads them.
        warnings.simplefilter("ignore", BiopythonParserWarning)
        return list(AlignIO.read(path, "msf"))


def test_genomic_alignments_hold_every_full_length_allele_and_nothing_but_its_sequence(folder, database, by_short_name):
    found = {}
    for path in (folder / "msf").glob("*_gen.msf"):
        rows = read_alignment(path)
        assert len({len(row) for row in rows}) == 1
        found |= {row.id: str(row.seq).replace("-", "") for row in rows}
    full = [a for a in database.alleles if a.full_length and not a.deleted and a.gene.locus in DEFAULT_LOCI]
    assert found == {a.name.removeprefix("HLA-"): str(by_short_name[a.name.removeprefix("HLA-")].seq).upper() for a in full}


def test_nucleotide_alignments_hold_the_exons_of_every_allele(folder, by_short_name):
    found = {}
    for path in (folder / "msf").glob("*_nuc.msf"):
        found |= {row.id: str(row.seq).replace("-", "") for row in read_alignment(path)}
    assert found == {
        name: "".join(sequence for term, _, sequence in read_features(record) if term == "EXON")
        for name, record in by_short_name.items()
        if f"HLA-{name.split('*')[0]}" in DEFAULT_LOCI
    }


def test_protein_alignments_hold_the_translations_of_the_flat_file(folder, by_short_name):
    found = {}
    for path in (folder / "msf").glob("*_prot.msf"):
        found |= {row.id: str(row.seq).replace("-", "") for row in read_alignment(path)}
    expected = {}
    for name, record in by_short_name.items():
        for feature in record.features:
            if "translation" in feature.qualifiers and f"HLA-{name.split('*')[0]}" in DEFAULT_LOCI:
                expected[name] = feature.qualifiers["translation"][0]
    assert found == expected


def test_columns_of_an_alignment_belong_together(folder):
    rows = read_alignment(folder / "msf" / "A_nuc.msf")
    for column in range(150, 250):
        letters = Counter(str(row.seq)[column] for row in rows)
        letters.pop("-", None)
        inserted = sum(letters.values()) < 10  # by frame shifts of null alleles
        assert inserted or max(letters.values()) > 0.5 * sum(letters.values())


def test_checksums_and_lengths_of_alignments_are_those_of_gcg(folder):
    for path in [folder / "msf" / "A_gen.msf", folder / "msf" / "DRB345_prot.msf"]:
        head, body = path.read_text().split("//\n")
        rows = defaultdict(str)
        for line in body.splitlines():
            name, *groups = line.split() or [""]
            rows[name] += "".join(groups)
        announced = re.findall(r"^ Name: (\S+) +Len: +(\d+)  Check: +(\d+)  Weight:  1.00$", head, re.M)
        assert len(announced) == len(rows) - 1
        for name, length, check in announced:
            assert (len(rows[name]), gcg(rows[name])) == (int(length), int(check))


# Folders


def test_every_file_and_every_entry_says_that_it_is_simulated(folder, flat_text):
    for path in (path for path in folder.rglob("*") if path.is_file()):
        text = path.read_bytes().decode("latin-1")
        assert "simulated" in text.lower(), path.name
        assert path.name == "md5checksum.txt" or LABEL in text, path.name
    entries = flat_text.split("//\n")[:-1]
    assert all(f"CC   {LABEL}\n" in entry and "CC   IPD-IMGT/HLA Release Version 3.58.0\n" in entry for entry in entries)


def test_md5_sums_are_right_and_in_the_format_of_the_repository(folder):
    for place in (folder, folder / "wmda"):
        lines = (place / "md5checksum.txt").read_text().splitlines()
        assert len(lines) >= 2
        for line in lines:
            name, digest = re.fullmatch(r"MD5 \((.+)\) = ([0-9a-f]{32})", line).groups()
            assert hashlib.md5((place / name).read_bytes()).hexdigest() == digest


def test_the_same_arguments_give_the_same_bytes(tmp_path):
    for root in (tmp_path / "a", tmp_path / "b"):
        write_release(root, "390", SimulatedDatabase.create(80, seed=3, scale=0.1), date=DATE, message="m")
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(files) > 20
    assert all((tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes() for path in files)


def test_the_commit_changes_with_content_and_with_message(tmp_path):
    database = SimulatedDatabase.create(30, seed=3, scale=0.1)
    other = SimulatedDatabase.create(30, seed=4, scale=0.1)
    commits = []
    for simulated, message in ((database, "m"), (database, "n"), (other, "m"), (database, "m")):
        written = write_release(tmp_path, "3580", simulated, date=DATE, message=message, align=False)
        commits.append(json.loads((written / "commit.json").read_text()))
    shas = [commit["sha"] for commit in commits]
    assert all(re.fullmatch("[0-9a-f]{40}", sha) for sha in shas)
    assert len(set(shas[:3])) == 3
    assert shas[3] == shas[0]
    assert datetime.fromisoformat(commits[0]["date"]) == DATE
    assert commits[0]["message"].startswith("m\n")


def test_without_alignments_there_is_no_msf_folder(tmp_path):
    written = write_release(tmp_path, "3580", SimulatedDatabase.create(30, scale=0.1), date=DATE, message="m", align=False)
    assert not (written / "msf").exists()


def test_a_release_that_could_not_be_written_leaves_the_old_one_and_nothing_else(tmp_path):
    database = SimulatedDatabase.create(30, seed=3, scale=0.1)
    written = write_release(tmp_path, "3580", database, date=DATE, message="m", align=False)
    before = (written / "commit.json").read_text()

    def stop(_what: str, _done: int, _total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_release(tmp_path, "3580", database.evolve(seed=1, new=3), date=DATE, message="m", progress=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["3580"]
    assert (written / "commit.json").read_text() == before


def test_a_folder_is_written_only_for_a_release(tmp_path):
    with pytest.raises(ReleaseNameError):
        write_release(tmp_path, "Latest", SimulatedDatabase.create(20, scale=0.1), date=DATE, message="m")


# Sizes and seeds


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), alleles=st.integers(11, 120), scale=st.sampled_from([0.01, 0.1, 0.5]))
def test_any_seed_size_and_scale_gives_a_database_that_biopython_reads(seed, alleles, scale):
    from gfe_assets.hla.release import parse_release  # noqa: PLC0415
    from gfe_assets.simulate.flatfile import entries  # noqa: PLC0415

    database = SimulatedDatabase.create(alleles, seed=seed, scale=scale)
    default = [allele for allele in database.alleles if allele.gene.locus in DEFAULT_LOCI and not allele.deleted]
    assert len(default) == alleles
    following = database.evolve(seed=seed + 1, new=5, renamed=0, resequenced=0, deleted=0)
    text = "".join(entries(following.alleles, parse_release("3580")))
    for allele, record in zip(following.alleles, SeqIO.parse(StringIO(text), "imgt"), strict=True):
        assert read_features(record) == [tuple(feature) for feature in allele.features()]


def test_other_seeds_give_other_sequences():
    sequences = [{a.sequence for a in SimulatedDatabase.create(40, seed=seed, scale=0.1).alleles} for seed in (1, 2)]
    assert sequences[0] & sequences[1] <= {""}


def test_small_databases_have_the_special_cases_too():
    alleles = SimulatedDatabase.create(70, seed=2, scale=0.1).alleles
    assert sum(allele.deleted for allele in alleles) == 1
    assert any(allele.suffix == "N" and allele.translated for allele in alleles)
    assert any(allele.suffix == "N" and not allele.translated for allele in alleles)
    assert any(allele.trim for allele in alleles)
    features = Counter((allele.gene.locus, tuple(allele.features())) for allele in alleles if not allele.deleted)
    assert max(features.values()) == 2


def test_loci_share_the_alleles_by_their_real_proportions():
    counts = Counter(allele.gene.locus for allele in SimulatedDatabase.create(2000, outside=0, deleted=0, scale=0.1).alleles)
    assert sum(counts.values()) == 2000
    # Allele list of 3.58.0: 10,183 of 39,083 alleles of these loci are HLA-B, 8,472 HLA-A, 3,751 HLA-DRB1.
    assert counts["HLA-B"] / 2000 == pytest.approx(10183 / 39083, rel=0.05)
    assert counts["HLA-A"] / 2000 == pytest.approx(8472 / 39083, rel=0.05)
    assert counts["HLA-DRB1"] / 2000 == pytest.approx(3751 / 39083, rel=0.05)


@pytest.mark.parametrize(
    "arguments",
    [{"alleles": 5}, {"loci": ()}, {"loci": ("HLA-Z",)}, {"outside": -1}, {"deleted": -1}, {"scale": 0}],
)
def test_what_cannot_be_simulated_is_refused(arguments):
    with pytest.raises(SettingsError):
        SimulatedDatabase.create(**{"alleles": 50, **arguments})


# The next release


def published(allele: Allele) -> tuple[object, ...]:
    return allele.version, allele.name, allele.deleted, tuple(allele.features()), allele.translated


def test_evolve_changes_exactly_what_it_says():
    before = SimulatedDatabase.create(300, seed=5, scale=0.1)
    after = before.evolve(seed=6, new=30, renamed=7, resequenced=9, deleted=3, removed=2)
    old = {allele.accession: allele for allele in before.alleles}
    new = {allele.accession: allele for allele in after.alleles}
    changes = after.changes
    assert set(changes.new) == set(new) - set(old)
    assert set(changes.removed) == set(old) - set(new)
    assert [len(kind) for kind in (changes.new, changes.renamed, changes.resequenced, changes.deleted, changes.removed)] == [
        30,
        7,
        9,
        3,
        2,
    ]
    touched = {*changes.renamed, *changes.resequenced, *changes.deleted}
    assert len(touched) == 19
    for accession in set(old) & set(new):
        a, b = old[accession], new[accession]
        if accession not in touched:
            assert a is b
        if accession in changes.renamed:
            assert (a.name, b.name) == changes.renamed[accession]
            assert a.name != b.name
            assert (a.version, a.features()) == (b.version, b.features())
        if accession in changes.resequenced:
            assert (a.name, a.version + 1) == (b.name, b.version)
            assert a.features() != b.features()
        if accession in changes.deleted:
            assert (b.name, b.version, b.sequence) == (a.name, a.version + 1, "")
    names = [allele.name for allele in after.alleles]
    assert len(set(names)) == len(names)


def test_evolve_is_the_same_for_the_same_seed_and_leaves_the_original_alone():
    before = SimulatedDatabase.create(60, seed=5, scale=0.1)
    kept = [published(allele) for allele in before.alleles]
    first, second, other = (before.evolve(seed=seed, new=5) for seed in (1, 1, 2))
    assert [published(allele) for allele in first.alleles] == [published(allele) for allele in second.alleles]
    assert first.changes != other.changes
    assert [published(allele) for allele in before.alleles] == kept


def test_accessions_of_removed_alleles_are_never_used_again():
    database = SimulatedDatabase.create(60, seed=5, scale=0.1)
    removed: set[str] = set()
    for seed in range(5):
        database = database.evolve(seed=seed, new=5, renamed=0, resequenced=0, deleted=0, removed=5)
        removed |= set(database.changes.removed)
        assert not removed & {allele.accession for allele in database.alleles}


def test_more_changes_than_alleles_are_refused():
    with pytest.raises(SettingsError, match="ask for fewer"):
        SimulatedDatabase.create(30, scale=0.1).evolve(seed=1, renamed=500)


def test_the_demo_has_three_releases_and_a_correction_of_the_second_that_the_third_contains(tmp_path):
    first, second, third = demo_releases(tmp_path)
    assert [release.release for release in (first, second, third)] == ["3580", "3590", "3600"]
    assert all((release.folder / "hla.dat.zip").is_file() for release in (first, second, third))
    before = (second.folder / "commit.json").read_text()
    corrected = correct_demo(tmp_path)
    changes = corrected.database.changes
    assert corrected.folder == second.folder
    assert (corrected.folder / "commit.json").read_text() != before
    assert (len(changes.renamed), len(changes.resequenced), len(changes.removed), changes.new) == (1, 1, 1, ())
    names = {allele.accession: allele.name for allele in third.database.alleles}
    assert not set(changes.removed) & set(names)
    assert all(names[accession] == renaming.new for accession, renaming in changes.renamed.items())


# Against the real thing


def shape(line: str) -> str:
    """A line with names, numbers and words replaced, so that only its layout is left."""
    return re.sub(r"[A-Z]{3,4}1?\b(?=\*)|\d+", "0", re.sub(r"\*[\d:]+[A-Z]?", "*0", line))


@pytest.mark.shared
def test_line_layouts_are_those_of_official_entries(shared, flat_text):
    official = (shared / "modern" / "hla.3640.subset.dat").read_text()
    kinds = ("ID ", "AC ", "SV ", "SQ ", "FH", "OS ", "OC ", "FT   exon", "FT   intron", "FT   UTR", "FT   source")
    real = {re.sub(r" +", " ", shape(line)) for line in official.splitlines() if line.startswith(kinds)}
    ours = {re.sub(r" +", " ", shape(line)) for line in flat_text.splitlines() if line.startswith(kinds)}
    assert ours <= real
    columns = {line.index(line.split()[2]) for line in official.splitlines() if line.startswith("FT   exon")}
    assert columns == {line.index(line.split()[2]) for line in flat_text.splitlines() if line.startswith("FT   exon")}


@pytest.mark.shared
def test_no_sequence_comes_from_official_entries(shared, flat_text):
    official = set((shared / "modern" / "hla.3640.subset.dat").read_text().splitlines())
    with zipfile.ZipFile(shared / "imgthla" / "3220" / "hla.dat.zip") as archive:
        official |= set(archive.read("hla.dat").decode().splitlines())
    sequence = {line for line in flat_text.splitlines() if line.startswith("     ") and len(line.split()) == 7}
    assert len(sequence) > 1000
    assert not sequence & official
