"""Builds: what they hold, what they leave out and say so, and what is left on the disk when one fails or is killed."""

import json
import os
import pickle
import signal
import subprocess
import sys
import textwrap
from io import BytesIO
from zipfile import ZipFile

import pytest

from gfe_assets import __version__
from gfe_assets.errors import BuildError, FlatFileError
from gfe_assets.hla.accessions import read_accessions
from gfe_assets.hla.collect import features_of
from gfe_assets.hla.csvs import read_csv
from gfe_assets.hla.features import DEFAULT_LOCI, FeatureKey
from gfe_assets.hla.flatfile import read_entries
from gfe_assets.hla.gfe import split_gfe_name
from gfe_assets.hla.manifest import MANIFEST, BuildParameters, read_manifest, verify_files
from gfe_assets.simulate import SimulatedDatabase
from gfe_assets_tests.builds import COMMIT, RELEASE, VERSION, build, given, registry, simulated
from gfe_assets_tests.flatfiles import SEQUENCE, entry

OTHER = SEQUENCE.replace("CCCTTTGGGA", "CCCTATGGGA")  # differs in exon 2
GOOD = entry()
NAMES = ("gfe_sequences", "all_features", "all_groups", "all_cds")


def failed(manifest):
    return [check.name for check in manifest.failed]


def rows(folder, name):
    return read_csv(folder, name, RELEASE).to_dicts()


def left_in(folder):
    """Everything below a folder but the registry and what was read."""
    return sorted(path.name for path in (folder / "data").rglob("*")) if (folder / "data").exists() else []


@pytest.fixture(scope="module")
def database():
    return SimulatedDatabase.create(150, seed=11, scale=0.05)


@pytest.fixture(scope="module")
def built(database, tmp_path_factory):
    """The folder, input, manifest and CSV folder of a simulated build."""
    folder = tmp_path_factory.mktemp("built")
    source = simulated(folder, database)
    return folder, source, *build(source, folder)


def test_every_allele_of_the_simulated_release_is_in_the_build(built, database):
    _, source, manifest, csvs = built
    expected = [allele for allele in database.alleles if not allele.deleted and allele.gene.locus in DEFAULT_LOCI]
    alleles = rows(csvs, "gfe_sequences")
    assert failed(manifest) == []
    assert [row["hla_name"] for row in alleles] == [allele.name for allele in expected]
    assert [row["acc_name"] for row in alleles] == [allele.versioned_accession for allele in expected]
    assert [row["sequence"] for row in alleles] == [allele.sequence for allele in expected]
    assert {row["imgt_release"] for row in alleles} == {VERSION}
    assert manifest.counts["alleles"] == len(expected)
    assert manifest.counts["entries"] == source.records == len(database.alleles)


def test_every_feature_of_the_simulated_release_is_in_the_build_under_the_number_in_the_name(built, database):
    _, _, manifest, csvs = built
    by_name = {allele.name: allele for allele in database.alleles}
    found = {}
    for row in rows(csvs, "all_features"):
        found.setdefault(row["hla_name"], []).append(row)
    for allele in rows(csvs, "gfe_sequences"):
        features = found.pop(allele["hla_name"])
        truth = by_name[allele["hla_name"]].features()
        assert [(row["term"], row["rank"], row["sequence"]) for row in features] == [tuple(feature) for feature in truth]
        numbered = [(FeatureKey(row["locus"], row["term"], row["rank"]), row["accession"]) for row in features]
        assert split_gfe_name(allele["gfe_name"]) == numbered
        assert {row["allele_id"] for row in features} == {allele["acc_name"]}
    assert not found
    assert manifest.counts["features"] == len(
        {(*f, a.gene.locus) for a in database.alleles for f in a.features() if a.gene.locus in DEFAULT_LOCI}
    )


def test_accessions_count_from_1_in_file_order(built):
    csvs = built[3]
    seen = {}
    for row in rows(csvs, "all_features"):
        numbers = seen.setdefault((row["locus"], row["term"], row["rank"]), {})
        assert numbers.setdefault(row["sequence"], len(numbers) + 1) == row["accession"]


def test_skips_are_counted_by_reason_and_locus(built, database):
    manifest = built[2]
    expected = {}
    for allele in database.alleles:
        locus = allele.gene.locus
        reason = "locus not asked for" if locus not in DEFAULT_LOCI else "deleted" if allele.deleted else ""
        if reason:
            expected.setdefault(reason, {}).setdefault(locus, 0)
            expected[reason][locus] += 1
    assert manifest.skipped == expected
    assert set(expected) == {"locus not asked for", "deleted"}


def test_alleles_without_translation_are_kept_and_counted(built, database):
    _, _, manifest, csvs = built
    expected = [a.name for a in database.alleles if not a.translated and not a.deleted and a.gene.locus in DEFAULT_LOCI]
    assert list(manifest.without_cds) == expected != []
    coding = {row["gfe_name"] for row in rows(csvs, "all_cds")}
    for row in rows(csvs, "gfe_sequences"):
        assert (row["gfe_name"] in coding) == (row["hla_name"] not in expected)


def test_the_manifest_lists_every_file_as_it_is(built):
    _, source, manifest, csvs = built
    assert read_manifest(csvs, RELEASE) == manifest
    verify_files(csvs, manifest)
    names = sorted([f"accessions.{RELEASE}.parquet", *(f"{name}.{RELEASE}.csv" for name in NAMES), f"errors.{RELEASE}.ndjson"])
    assert [file.name for file in manifest.files] == names
    assert sorted(path.name for path in csvs.iterdir()) == sorted([*names, MANIFEST])
    counted = {file.name: file.rows for file in manifest.files}
    for name in NAMES:
        assert counted[f"{name}.{RELEASE}.csv"] == manifest.counts[name] == read_csv(csvs, name, RELEASE).height
    assert counted[f"accessions.{RELEASE}.parquet"] == manifest.counts["features"]
    assert (manifest.release, manifest.version, manifest.commit) == (RELEASE, VERSION, COMMIT)
    assert (manifest.fingerprint, manifest.content_digest) == (source.fingerprint, source.content_digest)


def test_building_again_gives_the_same_bytes_and_replaces_the_old_build_whole(built):
    folder, source, manifest, csvs = built
    before = {path.name: path.read_bytes() for path in csvs.iterdir() if path.name != MANIFEST}
    (csvs / "stray.txt").write_text("from somebody else")
    again, _ = build(source, folder)
    assert {path.name: path.read_bytes() for path in csvs.iterdir() if path.name != MANIFEST} == before
    assert again.files == manifest.files
    assert [path.name for path in csvs.parent.iterdir()] == ["csv"]


def test_the_accessions_that_a_build_wrote_rebuild_a_lost_registry(built, tmp_path):
    _, source, manifest, csvs = built
    with registry(tmp_path) as accessions:
        accessions.import_rows(read_accessions(csvs / f"accessions.{RELEASE}.parquet"))
    rebuilt, _ = build(source, tmp_path)
    assert rebuilt.files == manifest.files


def test_progress_is_told_at_the_end_of_every_step(database, tmp_path):
    told = {}
    source = simulated(tmp_path, database)
    manifest, _ = build(source, tmp_path, progress=lambda what, done, total: told.__setitem__(what, (done, total)))
    assert told["entries read"] == (source.records, source.records)
    assert told["alleles written"] == (manifest.counts["alleles"],) * 2


def test_a_limited_build_has_the_first_alleles_of_the_file(built, tmp_path):
    _, source, _, csvs = built
    manifest, limited = build(source, tmp_path, limit=7)
    assert failed(manifest) == []
    assert [row["hla_name"] for row in rows(limited, "gfe_sequences")] == [
        row["hla_name"] for row in rows(csvs, "gfe_sequences")[:7]
    ]
    beyond = manifest.skipped["beyond the limit"]["any"]
    others = sum(sum(loci.values()) for reason, loci in manifest.skipped.items() if reason != "beyond the limit")
    assert 7 + beyond + others == source.records


def test_a_limit_larger_than_the_release_changes_nothing(built, tmp_path):
    _, source, manifest, _ = built
    unlimited, _ = build(source, tmp_path, limit=10**6)
    assert unlimited.skipped == manifest.skipped
    assert unlimited.files == manifest.files


def test_a_limit_that_is_just_the_release_skips_nothing(tmp_path):
    manifest, _ = build(given(tmp_path, GOOD), tmp_path, limit=1)
    assert manifest.skipped == {}


def test_only_the_loci_asked_for_are_built(built, tmp_path):
    manifest, csvs = build(built[1], tmp_path, loci=("HLA-B",))
    assert {row["locus"] for row in rows(csvs, "gfe_sequences")} == {"HLA-B"}
    assert set(manifest.skipped["locus not asked for"]) >= set(DEFAULT_LOCI) - {"HLA-B"}
    assert failed(manifest) == []


def test_kir_is_built_beside_hla_from_its_own_file_and_without_groups(tmp_path):
    table = (("exon", "1..20", "3"), ("intron", "21..30", "3/4"), ("exon", "31..60", "5"))
    kir = tmp_path / "KIR.dat"
    kir.write_bytes(entry(accession="KIR00001", name="KIR2DP1*0010201", table=table))
    source = given(tmp_path, GOOD, records=2)
    source = type(source)(**{**vars(source), "flat_files": (*source.flat_files, kir)})
    manifest, csvs = build(source, tmp_path, kir=True)
    assert failed(manifest) == []
    assert [row["gfe_name"] for row in rows(csvs, "gfe_sequences")][1].startswith("KIR2DP1w0-0-0-0-0-1-1-0-0-1-")
    assert {row["locus"] for row in rows(csvs, "all_groups")} == {"HLA-A"}


def test_a_build_by_hand_has_the_rows_that_one_expects(tmp_path):
    twin = entry(accession="HLA00002", name="HLA-A*01:02", sequence=OTHER)
    manifest, csvs = build(given(tmp_path, GOOD + twin), tmp_path)
    first, second = rows(csvs, "gfe_sequences")
    assert first["gfe_name"] == "HLA-Aw1-1-1-1-0-0-0-0-0-0-0-0-0-0-0-0-1"
    assert second["gfe_name"] == "HLA-Aw1-1-1-2-0-0-0-0-0-0-0-0-0-0-0-0-1"
    assert [(row["hla_name"], row["ard_name"], row["ard_id"]) for row in rows(csvs, "all_groups")] == [
        ("HLA-A*01:01", "G", "HLA-A*01:01:01G"),
        ("HLA-A*01:01", "lg", "HLA-A*01:01g"),
        ("HLA-A*01:01", "lgx", "HLA-A*01:01"),
        ("HLA-A*01:02", "G", "HLA-A*01:01:01G"),
        ("HLA-A*01:02", "lg", "HLA-A*01:01g"),
        ("HLA-A*01:02", "lgx", "HLA-A*01:01"),
    ]
    assert [row["bp_sequence"] for row in rows(csvs, "all_cds")] == [
        "ATGGCTAAAC" + "CCCTTTGGGAAATTTCCCGGTG",
        "ATGGCTAAAC" + "CCCTATGGGAAATTTCCCGGTG",
    ]
    assert manifest.counts == {
        "entries": 2,
        "alleles": 2,
        "gfes": 2,
        "features": 6,
        "gfe_sequences": 2,
        "all_features": 10,
        "all_groups": 6,
        "all_cds": 2,
    }


def test_alleles_that_share_a_gfe_share_its_coding_sequence(tmp_path):
    manifest, csvs = build(given(tmp_path, GOOD + entry(accession="HLA00002", name="HLA-A*01:02")), tmp_path)
    assert failed(manifest) == []
    assert manifest.counts["gfes"] == 1
    assert len(rows(csvs, "all_cds")) == 1
    assert manifest.notes == ()


def test_where_they_disagree_about_it_the_first_counts_and_it_is_noted(tmp_path):
    other = entry(accession="HLA00002", name="HLA-A*01:02", translation="MAKPX")
    manifest, csvs = build(given(tmp_path, GOOD + other), tmp_path)
    assert failed(manifest) == []
    assert [row["aa_sequence"] for row in rows(csvs, "all_cds")] == ["MAKPFGNFPVX"]
    assert manifest.notes == ("HLA-A*01:02 has another CDS than HLA-A*01:01, whose GFE it shares: all_cds has that one",)


# annotates one base less than it has; its features are those of the first
LONGER = entry(accession="HLA00002", name="HLA-A*01:02", sequence=SEQUENCE + "A")


@pytest.mark.parametrize("content", [GOOD + LONGER, LONGER + GOOD])
def test_an_entry_that_its_gfe_cannot_tell_from_another_allele_is_an_error(tmp_path, content):
    manifest, csvs = build(given(tmp_path, content), tmp_path)
    assert failed(manifest) == ["error_tolerance"]
    [error] = (csvs / f"errors.{RELEASE}.ndjson").read_text().splitlines()
    assert "HLA-A*01:02" in error
    assert "which are all those of HLA-A*01:01, whose sequence is another" in error


def test_an_entry_that_its_gfe_cannot_tell_from_another_can_be_tolerated(tmp_path):
    manifest, csvs = build(given(tmp_path, GOOD + LONGER), tmp_path, tolerance=1)
    assert failed(manifest) == []
    assert [row["hla_name"] for row in rows(csvs, "gfe_sequences")] == ["HLA-A*01:01"]


def test_a_partly_annotated_allele_is_kept_declared_and_verified_where_it_is_annotated(tmp_path):
    table = (("exon", "1..30", "2"), ("exon", "29..50", "3"))  # two bases in both, ten in none
    manifest, csvs = build(given(tmp_path, entry(table=table)), tmp_path)
    assert failed(manifest) == []
    [declared] = manifest.partly_annotated
    assert (declared.hla_name, declared.acc_name, declared.spans) == ("HLA-A*01:01", "HLA00001.4", ((1, 30), (29, 50)))
    assert declared.gfe_name == rows(csvs, "gfe_sequences")[0]["gfe_name"]
    [verdict] = [check for check in manifest.checks if check.name == "round_trip"]
    assert "1 of them only where their entries name features" in verdict.summary


def test_parts_that_the_locus_has_not_are_left_out_and_noted(tmp_path):
    table = (("exon", "1..20", "7"), ("intron", "21..30", "7"), ("exon", "31..52", "8"), ("UTR", "53..60"))
    manifest, csvs = build(given(tmp_path, entry(name="HLA-B*51:197", table=table)), tmp_path)
    assert failed(manifest) == []
    assert rows(csvs, "gfe_sequences")[0]["gfe_name"] == "HLA-Bw0-0-0-0-0-0-0-0-0-0-0-0-0-1-1"
    assert manifest.partly_annotated[0].left_out == ("intron 7", "exon 8")
    assert manifest.notes == ("HLA-B*51:197 has intron 7, exon 8, which HLA-B does not have: its GFE name is without",)


@pytest.mark.shared
def test_the_real_release_3220_declares_its_partly_annotated_alleles(shared, tmp_path):
    with ZipFile(shared / "imgthla/3220/hla.dat.zip") as pack:
        content = pack.read("hla.dat")
    wanted = [b"HLA-B*15:149N", b"HLA-A*24:155N", b"HLA-C*08:89N", b"HLA-DQB1*05:96"]
    entries = [text + b"//\n" for text in content.split(b"//\n") if any(b"DE   " + name + b"," in text for name in wanted)]
    groups = (shared / "imgthla/3220/wmda/hla_nom_g.txt").read_text()
    manifest, _ = build(given(tmp_path, b"".join(entries), groups, release="3220", version="3.22.0"), tmp_path)
    assert failed(manifest) == []
    spans = {allele.hla_name: allele.spans for allele in manifest.partly_annotated}
    assert spans["HLA-B*15:149N"] == ((1, 268), (269, 544), (545, 661))  # of 820 bases
    assert spans["HLA-A*24:155N"] == ((1, 270), (271, 546), (547, 821), (820, 821))
    assert set(spans) == {name.decode() for name in wanted}


BAD = entry(accession="HLA00009", name="HLA-A*01:09", table=[("exon", "1..61", "2")])


def test_a_bad_entry_does_not_stop_a_build_but_fails_its_check(tmp_path):
    manifest, csvs = build(given(tmp_path, GOOD + BAD), tmp_path)
    assert failed(manifest) == ["error_tolerance"]
    assert [row["hla_name"] for row in rows(csvs, "gfe_sequences")] == ["HLA-A*01:01"]
    assert [json.loads(line) for line in (csvs / f"errors.{RELEASE}.ndjson").read_text().splitlines()] == [
        {
            "release": RELEASE,
            "entry": "HLA-A*01:09",
            "accession": "HLA00009",
            "file": "hla.dat",
            "line": GOOD.count(b"\n") + 1,
            "error": "its exon at 1..61 is outside its sequence of 60 bases",
        }
    ]
    assert read_manifest(csvs, RELEASE).failed == manifest.failed


def test_as_many_bad_entries_as_tolerated_pass(tmp_path):
    source = given(tmp_path, GOOD + BAD)
    assert failed(build(source, tmp_path, tolerance=1)[0]) == []
    assert failed(build(source, tmp_path, tolerance=0)[0]) == ["error_tolerance"]


@pytest.mark.parametrize(
    ("twin", "message"),
    [
        (entry(name="HLA-A*01:02", sequence=OTHER), "its accession is that of the entry at line 1 of hla.dat too"),
        (entry(accession="HLA00002", sequence=OTHER), "its allele name is that of the entry at line 1 of hla.dat too"),
        (GOOD, "its accession is that of the entry at line 1 of hla.dat too"),
    ],
    ids=["accession", "allele name", "the whole entry"],
)
def test_the_second_of_two_entries_with_one_name_is_a_bad_entry(tmp_path, twin, message):
    manifest, csvs = build(given(tmp_path, GOOD + twin), tmp_path)
    assert failed(manifest) == ["error_tolerance"]
    assert json.loads((csvs / f"errors.{RELEASE}.ndjson").read_text())["error"] == message
    assert len(rows(csvs, "gfe_sequences")) == 1


def test_an_entry_that_ate_the_next_one_is_not_tolerated(tmp_path):
    merged = GOOD[: GOOD.rindex(b"//")] + entry(accession="HLA00002", name="HLA-A*01:02")
    source = given(tmp_path, merged + entry(accession="HLA00003", name="HLA-A*01:03"))
    assert source.records == 3
    manifest, _ = build(source, tmp_path, tolerance=5)
    assert failed(manifest) == ["entries_accounted_for"]


def test_nothing_to_build_is_an_error_that_says_what_stood_in_the_way(tmp_path):
    with pytest.raises(BuildError, match=r"^release 3580: none of its 1 entries gives an allele of HLA-DRA; check GFE_LOCI$"):
        build(given(tmp_path / "a", GOOD), tmp_path / "a", loci=("HLA-DRA",))
    with pytest.raises(
        BuildError, match=r"\(first problem: hla\.dat, line 1, entry HLA00009 HLA-A\*01:09: its exon at 1\.\.61 is outside"
    ):
        build(given(tmp_path / "b", BAD), tmp_path / "b")
    assert left_in(tmp_path / "a") == left_in(tmp_path / "b") == []


def test_a_cut_file_leaves_no_build_and_no_accession(tmp_path):
    with pytest.raises(FlatFileError, match=r"^release 3580, hla\.dat, line 1: the file ends inside the entry HLA00001"):
        build(given(tmp_path, GOOD[:-3]), tmp_path)
    assert left_in(tmp_path) == []
    with registry(tmp_path) as accessions:
        assert accessions.export(tmp_path / "all.csv") == 0


@pytest.mark.parametrize("which", ["flat_files", "groups_file"])
def test_a_pinned_file_that_is_gone_is_named(tmp_path, which):
    source = given(tmp_path, GOOD)
    path = source.flat_files[0] if which == "flat_files" else source.groups_file
    path.unlink()
    with pytest.raises(
        BuildError, match=rf"^release 3580: its pinned file .*{path.name} cannot be read \(No such file"
    ) as caught:
        build(source, tmp_path)
    assert "run the release again" in str(caught.value)
    assert left_in(tmp_path) == []


def test_a_groups_file_that_cannot_be_understood_is_named_with_its_line_before_accessions_are_given(tmp_path):
    with pytest.raises(BuildError, match=r"^release 3580, wmda/hla_nom_g\.txt, line 2: 'nonsense' is not of the form"):
        build(given(tmp_path, GOOD, groups="# file\nnonsense\n"), tmp_path)
    with registry(tmp_path) as accessions:
        assert accessions.export(tmp_path / "all.csv") == 0


def test_an_alignment_that_cannot_be_understood_is_named_and_leaves_no_build(tmp_path):
    msf = tmp_path / "A_nuc.msf"
    msf.write_text("nonsense\n")
    source = given(tmp_path, GOOD, msf_files={"msf/A_nuc.msf": msf})
    with pytest.raises(BuildError, match=r"release 3580, msf/A_nuc\.msf"):
        build(source, tmp_path, align=True)
    assert left_in(tmp_path) == [RELEASE]


def test_an_alignment_that_is_gone_is_counted_in_the_notes(built, tmp_path):
    manifest, csvs = build(built[1], tmp_path, align=True)
    assert failed(manifest) == []
    assert len(manifest.notes) == 3 * len(DEFAULT_LOCI)
    assert rows(csvs, "all_alignments") == []


def test_same_input_means_content_parameters_and_code(tmp_path):
    source = given(tmp_path, GOOD)
    manifest, _ = build(source, tmp_path)
    same = BuildParameters(loci=DEFAULT_LOCI)
    assert manifest.same_input(source.fingerprint, same)
    assert not manifest.same_input("another", same)
    for other in ({"limit": 1}, {"align": True}, {"kir": True}, {"loci": ("HLA-A",)}):
        assert not manifest.same_input(source.fingerprint, same.model_copy(update=other))
    older = manifest.model_copy(update={"code_version": "0.0.1"})
    assert manifest.code_version == __version__
    assert not older.same_input(source.fingerprint, same)


@pytest.mark.parametrize("name", [*(f"{name}.{RELEASE}.csv" for name in NAMES), f"accessions.{RELEASE}.parquet"])
def test_a_flipped_byte_is_found_before_anything_is_loaded(tmp_path, name):
    manifest, csvs = build(given(tmp_path, GOOD), tmp_path)
    content = bytearray((csvs / name).read_bytes())
    content[len(content) // 2] ^= 1
    (csvs / name).write_bytes(content)
    with pytest.raises(BuildError, match=rf"^release 3580: .*{name} is not the file that was built \(its sha256 differs"):
        verify_files(csvs, manifest)


def test_a_file_that_is_gone_or_cut_is_found_before_anything_is_loaded(tmp_path):
    manifest, csvs = build(given(tmp_path, GOOD), tmp_path)
    path = csvs / f"all_cds.{RELEASE}.csv"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BuildError, match="is not the file that was built"):
        verify_files(csvs, manifest)
    path.unlink()
    with pytest.raises(BuildError, match=r"all_cds\.3580\.csv is not there; build the release again"):
        verify_files(csvs, manifest)


def test_a_manifest_that_is_missing_or_damaged_is_refused(tmp_path):
    with pytest.raises(BuildError, match=r"release 3580 has no build in .*: build it first \(gfe-assets run 3580\)"):
        read_manifest(tmp_path, RELEASE)
    for content in (b"", b"{", b"{}", b"\xff", b'{"release": 1}'):
        (tmp_path / MANIFEST).write_bytes(content)
        with pytest.raises(BuildError, match=r"manifest\.json cannot be understood; build the release again"):
            read_manifest(tmp_path, RELEASE)


def test_a_place_that_cannot_be_written_is_a_clear_error(tmp_path):
    (tmp_path / "data").write_text("a file where a folder should be")
    with pytest.raises(BuildError, match=r"^release 3580: its CSV files cannot be written to .*(Not a directory|File exists)"):
        build(given(tmp_path / "raw", GOOD), tmp_path)


ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(path or "." for path in sys.path)}
IN_ANOTHER_PROCESS = textwrap.dedent("""
    import pickle, resource, sys, time
    from pathlib import Path
    from gfe_assets.errors import GfeError
    from gfe_assets_tests.builds import build

    source = pickle.loads(Path(sys.argv[1]).read_bytes())
    folder, stop_at, largest_file = Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    if largest_file >= 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

    def progress(what, done, total):
        if what == stop_at:
            print("here", flush=True)
            time.sleep(600)

    try:
        build(source, folder, progress=progress)
    except GfeError as error:
        print(type(error).__name__, error)
        sys.exit(3)
""")


@pytest.fixture
def other_process(tmp_path):
    """Start a build in another process, which waits for ever when the step `stop_at` tells its progress."""
    started = []

    def start(source, stop_at="", limit=-1):
        (tmp_path / "source.pickle").write_bytes(pickle.dumps(source))
        process = subprocess.Popen(
            [sys.executable, "-c", IN_ANOTHER_PROCESS, str(tmp_path / "source.pickle"), str(tmp_path), stop_at, str(limit)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("stop_at", ["entries read", "alleles written"])
@pytest.mark.parametrize("with_old_build", [False, True], ids=["first build", "rebuild"])
def test_a_killed_build_leaves_the_old_one_or_none_and_the_next_works(built, tmp_path, other_process, stop_at, with_old_build):
    source, expected = built[1], built[2]
    csvs = tmp_path / "data" / RELEASE / "csv"
    if with_old_build:
        build(source, tmp_path, limit=20)
    before = read_manifest(csvs, RELEASE) if with_old_build else None
    process = other_process(source, stop_at)
    assert process.stdout.readline() == "here\n", process.stderr.read()
    process.send_signal(signal.SIGKILL)
    process.wait()
    if before:
        assert read_manifest(csvs, RELEASE) == before
        verify_files(csvs, before)
    else:
        assert not csvs.exists()
    if stop_at == "alleles written":
        assert any(name.endswith(".partial") for name in left_in(tmp_path))
    manifest, _ = build(source, tmp_path)
    assert manifest.files == expected.files
    assert [path.name for path in csvs.parent.iterdir()] == ["csv"]


@pytest.mark.parametrize("room", [0, 5_000, 50_000])
def test_a_full_disk_is_a_clear_error_and_leaves_no_build(built, tmp_path, other_process, room):
    source, expected = built[1], built[2]
    _, csvs = build(source, tmp_path)  # the registry has all accessions now, so the other process only writes files
    largest = max(file.size for file in expected.files)
    assert room < largest
    old = {path.name: path.read_bytes() for path in csvs.iterdir()}
    process = other_process(source, limit=room)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 3, errors
    assert output.startswith("BuildError release 3580: ")
    assert "make room or choose another GFE_DATA_URI" in output
    assert {path.name: path.read_bytes() for path in csvs.iterdir()} == old
    assert [path.name for path in csvs.parent.iterdir()] == ["csv"]


def test_a_full_disk_is_a_clear_error_for_the_accessions_file_too(built, tmp_path):
    code = textwrap.dedent("""
        import resource, sys
        from gfe_assets.errors import RegistryError
        from gfe_assets.hla.accessions import read_accessions, write_accessions
        rows = list(read_accessions(sys.argv[1]))
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
        try:
            write_accessions(rows, sys.argv[2])
        except RegistryError as error:
            print(error)
    """)
    target = tmp_path / "accessions.parquet"
    done = subprocess.run(
        [sys.executable, "-c", code, str(built[3] / f"accessions.{RELEASE}.parquet"), str(target)],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=False,
    )
    assert done.stdout.startswith(f"accessions file {target} cannot be written: "), done.stderr
    assert "File too large" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_from_the_first_build_on_leaves_no_folder(tmp_path, other_process):
    source = given(tmp_path, GOOD)
    with registry(tmp_path) as accessions:
        accessions.allocate(features_of(read_entries(BytesIO(GOOD), "hla.dat", DEFAULT_LOCI)))
    output, errors = other_process(source, limit=0).communicate(timeout=120)
    assert output.startswith("BuildError release 3580: "), errors
    assert left_in(tmp_path) == [RELEASE]
    manifest, _ = build(source, tmp_path)
    assert failed(manifest) == []
