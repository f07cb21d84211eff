"""Judging a build before it may be loaded: every rule a set of CSV files must keep.

In: the files of a build and its manifest, as they stand on disk; one `CheckResult` a rule. Out: making them
(`build.py`), showing them (`stages/build.py`), rules about the graph (`graph/compare.py`).

All checks block: a build that fails one is never loaded. Every check looks at all rows, none at a sample.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from gfe_assets.errors import BuildError
from gfe_assets.hla.csvs import csv_path, read_csv
from gfe_assets.hla.manifest import CheckResult, Manifest
from gfe_assets.hla.records import CSV_FILES, UNIQUE_KEYS
from gfe_assets.hla.release import parse_release
from gfe_assets.hla.spelling import SequenceLookup, annotated, look_up, spell, split_names

_EXAMPLES = 10


@dataclass(frozen=True)
class BuildUnderTest:
    """A build on disk: its folder, manifest, number of entries counted by the raw stage, tolerance, and the registry."""

    folder: Path
    manifest: Manifest
    records: int
    tolerance: int
    look_up: SequenceLookup

    @property
    def names(self) -> list[str]:
        """The CSV files that this build should have."""
        return [name for name in CSV_FILES if name != "all_alignments" or self.manifest.parameters.align]

    @cached_property
    def frames(self) -> dict[str, pl.DataFrame]:
        """Every CSV file, read back."""
        return {name: read_csv(self.folder, name, self.manifest.release) for name in self.names}

    @cached_property
    def parts(self) -> pl.DataFrame:
        """Every GFE name of the build taken apart, see `spelling.split_names`."""
        return split_names(self.frames["gfe_sequences"].select("gfe_name", "locus").unique())


def run_checks(build: BuildUnderTest) -> list[CheckResult]:
    """Judge a build; the rules that read rows are only asked when every file can be read."""
    schema = csv_schema(build)
    if not schema.passed:
        return [schema]
    return [
        schema,
        *(
            check(build)
            for check in (
                unique_keys,
                referential_integrity,
                entries_accounted_for,
                error_tolerance,
                no_all_zero_gfe,
                one_sequence_per_gfe,
                round_trip,
            )
        ),
    ]


CHECK_DESCRIPTIONS = {
    "csv_schema": "Every CSV file of the contract is there, with its columns in order, types, and the release in every row.",
    "unique_keys": "No accession, allele name, feature of an allele, group of an allele or CDS of a GFE stands twice.",
    "referential_integrity": "Features, groups, CDS and alignments belong to alleles and GFEs of this build; none is left out.",
    "entries_accounted_for": "Every entry of the flat file is an allele of the build, a counted skip, or a reported error.",
    "error_tolerance": "No more unusable entries than GFE_ERROR_TOLERANCE allows (default: none).",
    "no_all_zero_gfe": "Every GFE knows at least one feature.",
    "one_sequence_per_gfe": "Alleles that share a GFE have the same sequence.",
    "round_trip": "Every GFE name, split and looked up in the registry, gives back the sequence of its alleles.",
}
"""Check name → what it promises, in the words shown to people."""


def csv_schema(build: BuildUnderTest) -> CheckResult:
    """Header, types, number of rows and release of every file."""
    problems = []
    rows = 0
    version = parse_release(build.manifest.release).version
    try:
        counted = {file.name: file.rows for file in build.manifest.files}
        for name, frame in build.frames.items():
            rows += frame.height
            path = csv_path(build.folder, name, build.manifest.release)
            if frame.height != counted.get(path.name):
                problems.append(f"{path.name} has {frame.height} rows, its manifest says {counted.get(path.name)}")
            # the release is the last column of most files, so this also finds lines that were cut
            strangers = frame.filter(pl.col("imgt_release") != version).height if "imgt_release" in frame.columns else 0
            if strangers:
                problems.append(f"{path.name} has {strangers} rows that are not of release {version}")
    except BuildError as error:
        problems.append(str(error))
    return _verdict("csv_schema", problems, f"{rows:,} rows in {len(build.names)} files", {"rows": rows})


def unique_keys(build: BuildUnderTest) -> CheckResult:
    """The unique columns of `records.UNIQUE_KEYS`."""
    problems = []
    for name, keys in UNIQUE_KEYS.items():
        for key in keys if name in build.frames else ():
            frame = build.frames[name].select(key)
            twice = frame.filter(frame.is_duplicated()).unique()
            problems += [f"{name}: {', '.join(map(str, row))} stands more than once" for row in twice.iter_rows()]
    return _verdict("unique_keys", problems, "all keys are unique", {"duplicates": len(problems)})


def referential_integrity(build: BuildUnderTest) -> CheckResult:
    """Rows of one file point to rows of the others, by accession, allele name and GFE name together."""
    frames = build.frames
    alleles = frames["gfe_sequences"].select("gfe_name", "hla_name", allele_id="acc_name", locus="locus")
    by_allele = ["gfe_name", "hla_name", "allele_id", "locus"]
    problems = []
    for name in ("all_features", "all_groups"):
        strangers = frames[name].join(alleles, on=by_allele, how="anti")
        problems += [f"{name}: {row} is no allele of gfe_sequences" for row in strangers["hla_name"].unique()]
    problems += _unequal_features(alleles.join(build.parts, on=["gfe_name", "locus"]), frames["all_features"])
    ungrouped = alleles.filter(pl.col("locus").str.starts_with("HLA-")).join(
        frames["all_groups"].filter(pl.col("ard_name") == "lgx"), on="allele_id", how="anti"
    )
    problems += [f"all_groups: {row} has no lgx" for row in ungrouped["hla_name"]]
    for name, key in (("all_cds", ["gfe_name"]), ("all_alignments", ["gfe_name", "hla_name"])):
        if name in frames:
            strangers = frames[name].join(alleles, on=key, how="anti")
            problems += [f"{name}: {row} is not in gfe_sequences" for row in strangers["gfe_name"].unique()]
    return _verdict(
        "referential_integrity", problems, f"{alleles.height:,} alleles, all files agree", {"problems": len(problems)}
    )


def _unequal_features(named: pl.DataFrame, features: pl.DataFrame) -> list[str]:
    """Features that a GFE name has and `all_features` has not, and the other way round."""
    key = ["allele_id", "term", "rank", "accession"]
    missing = named.join(features, on=key, how="anti")
    strange = features.join(named, on=key, how="anti")
    return [
        f"all_features: {name} {problem}"
        for rows, problem in ((missing, "lacks a feature of its GFE name"), (strange, "has one that its GFE name has not"))
        for name in rows["hla_name"].unique(maintain_order=True)
    ]


def entries_accounted_for(build: BuildUnderTest) -> CheckResult:
    """Alleles + skips + errors = entries of the flat file, the skips by reason and locus."""
    manifest = build.manifest
    alleles = build.frames["gfe_sequences"].height
    skipped = sum(sum(by_locus.values()) for by_locus in manifest.skipped.values())
    accounted = alleles + skipped + manifest.errors
    numbers = {"entries": build.records, "alleles": alleles, "skipped": skipped, "errors": manifest.errors}
    problems = [] if accounted == build.records else [f"{build.records} entries were read but {accounted} are accounted for"]
    return _verdict(
        "entries_accounted_for",
        problems,
        f"{build.records:,} entries: {alleles:,} alleles, {skipped:,} skipped, {manifest.errors:,} errors",
        numbers,
    )


def error_tolerance(build: BuildUnderTest) -> CheckResult:
    """The number of unusable entries against the setting."""
    errors, file = build.manifest.errors, f"errors.{build.manifest.release}.ndjson"
    passed = errors <= build.tolerance
    lines = (build.folder / file).read_text(encoding="utf-8").splitlines()[:_EXAMPLES] if errors else []
    return CheckResult(
        name="error_tolerance",
        passed=passed,
        summary=f"{errors} unusable entries, {build.tolerance} tolerated"
        + ("" if passed else f": see {file}, correct the source or raise GFE_ERROR_TOLERANCE (first: {_sentence(lines[0])})"),
        numbers={"errors": errors, "tolerance": build.tolerance},
        examples=tuple(lines),
    )


def _sentence(line: str) -> str:
    """A line of the error file in words."""
    error = json.loads(line)
    return f"{error['file']}, line {error['line']}, entry {error['accession']} {error['entry']}: {error['error']}"


def no_all_zero_gfe(build: BuildUnderTest) -> CheckResult:
    """A GFE name in which every feature is 0 says nothing."""
    sequences = build.frames["gfe_sequences"]
    empty = sequences.filter(~pl.col("gfe_name").str.contains(r"w.*[1-9]"))
    problems = [f"{name} has no known feature" for name in empty["hla_name"]]
    return _verdict("no_all_zero_gfe", problems, "every GFE has a known feature", {"all_zero": empty.height})


def one_sequence_per_gfe(build: BuildUnderTest) -> CheckResult:
    """The graph holds one Sequence node a GFE, so the alleles of a GFE must agree."""
    several = (
        build.frames["gfe_sequences"]
        .group_by("gfe_name")
        .agg(pl.col("seq_id").n_unique(), pl.col("hla_name"))
        .filter(pl.col("seq_id") > 1)
    )
    problems = [
        f"{gfe} has {count} sequences ({', '.join(alleles[:4])})"
        for gfe, count, alleles in several.select("gfe_name", "seq_id", "hla_name").iter_rows()
    ]
    gfes = build.frames["gfe_sequences"]["gfe_name"].n_unique()
    return _verdict("one_sequence_per_gfe", problems, f"{gfes:,} GFEs, each with one sequence", {"gfes": gfes})


def round_trip(build: BuildUnderTest) -> CheckResult:
    """Every allele's GFE name gives back its sequence; where the entry leaves bases out of its features, those it has."""
    sequences = build.frames["gfe_sequences"].select("gfe_name", "hla_name", "sequence", "length")
    partly = build.manifest.partly_annotated
    known = look_up(build.parts, build.look_up)
    wrong = (
        annotated(sequences, partly)
        .join(spell(build.parts, known), on="gfe_name", how="left")
        .filter(pl.col("rebuilt").is_null() | (pl.col("rebuilt") != pl.col("sequence")))
    )
    lengths = sequences.filter(pl.col("length") != pl.col("sequence").str.len_bytes())
    problems = [
        *(f"{name} ({gfe}) is not what its features spell" for name, gfe in wrong.select("hla_name", "gfe_name").iter_rows()),
        *_altered_features(build.frames["all_features"], known),
        *(f"{name} is not as long as its length says" for name in lengths["hla_name"]),
    ]
    return _verdict(
        "round_trip",
        problems,
        f"{sequences.height:,} alleles spelled by their features"
        + (f", {len(partly)} of them only where their entries name features" if partly else ""),
        {"alleles": sequences.height, "features": known.height, "partly_annotated": len(partly)},
    )


def _altered_features(features: pl.DataFrame, known: pl.DataFrame) -> list[str]:
    """Rows of `all_features` that have another sequence than the registry has; those of no GFE name are `_unequal_features`."""
    altered = features.join(known, on=["locus", "term", "rank", "accession"]).filter(
        pl.col("feature").is_null() | (pl.col("feature") != pl.col("sequence"))
    )
    return [
        f"all_features: {term} {rank} of {name} is not accession {accession} of the registry"
        for name, term, rank, accession in altered.select("hla_name", "term", "rank", "accession").iter_rows()
    ]


def _verdict(name: str, problems: list[str], good: str, numbers: dict[str, int]) -> CheckResult:
    """Passed when there is no problem; else the first problems are the examples."""
    summary = good if not problems else f"{len(problems)} problems, such as: {problems[0]}"
    return CheckResult(
        name=name, passed=not problems, summary=summary, numbers=dict(numbers), examples=tuple(problems[:_EXAMPLES])
    )
