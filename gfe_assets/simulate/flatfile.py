"""Entries of a simulated `hla.dat`, in the layout of the official one.

In: an allele and a release; out comes the text of its entry, line ends included. Out: zip and folders (`repository.py`).

The layout is that of releases from 3.30 on: one interval for each exon in the CDS line, joined; `<` where its start is
missing; deleted alleles with an empty sequence of length 0. The EMBL layout is columns 1–5 for the line type, 80 in all.
"""

from collections.abc import Iterable, Iterator

from gfe_assets.hla.features import EXON, INTRON
from gfe_assets.hla.release import Release
from gfe_assets.simulate.alleles import LABEL, Allele, SimulatedFeature

_RULE = "CC   " + "-" * 74
_KEYS = {EXON: "exon", INTRON: "intron"}
_QUALIFIER = "FT" + " " * 19
_WIDTH = 59


def entries(alleles: Iterable[Allele], release: Release) -> Iterator[str]:
    """The text of every entry, one after the other."""
    for allele in alleles:
        yield entry(allele, release)


def entry(allele: Allele, release: Release) -> str:
    """The text of one entry, from its `ID` line to its `//` line."""
    features = allele.features()
    sequence = "".join(feature.sequence for feature in features)
    lines = [
        *_header(allele, release, len(sequence)),
        *_feature_table(allele, features, len(sequence)),
        *_sequence_block(sequence),
        "//\n",
    ]
    return "\n".join(lines)


def _header(allele: Allele, release: Release, length: int) -> list[str]:
    locus, mhc_class = allele.gene.locus, allele.gene.mhc_class
    partial = "" if allele.whole_coding or allele.deleted else " (partial)"
    return [
        f"ID   {allele.accession}; SV {allele.version}; standard; DNA; HUM; {length} BP.",
        "XX",
        f"AC   {allele.accession};",
        "XX",
        f"SV   {allele.versioned_accession}",
        "XX",
        f"DT   01-JAN-{1997 + allele.created} (Rel. 1.{allele.created}.0, Created, Version 1)",
        f"DT   01-JAN-{1997 + allele.updated} (Rel. 1.{allele.updated}.0, Last Updated, Version {allele.version})",
        "XX",
        f"DE   {allele.name}, Human MHC {mhc_class} sequence{partial}",
        "XX",
        f"KW   Human MHC; HLA; {mhc_class}; {locus}; Allele; {allele.name};",
        "XX",
        "OS   Homo Sapiens (human)",
        "OC   Eukaryota; Metazoa; Chordata; Vertebrata; Mammalia; Eutheria; Primates;",
        "OC   Catarrhini; Hominidae; Homo.",
        "XX",
        _RULE,
        f"CC   IPD-IMGT/HLA Release Version {release.version}",
        _RULE,
        f"CC   {LABEL}",
        "CC   The sequence below comes from a random number generator.",
        *(["CC   This allele has been deleted."] if allele.deleted else []),
        _RULE,
        "XX",
        *_reference(length),
    ]


def _reference(length: int) -> list[str]:
    if not length:
        return []
    return [
        "RN   [1]",
        f"RP   1-{length}",
        "RA   Gfe-Assets S;",
        'RT   "Simulated sequence.";',
        "RL   Unpublished.",
        "XX",
    ]


def _feature_table(allele: Allele, features: list[SimulatedFeature], length: int) -> list[str]:
    lines = [
        "FH   Key             Location/Qualifiers",
        "FH",
        _feature("source", f"1..{length}"),
        f'{_QUALIFIER}/organism="Homo sapiens"',
        f'{_QUALIFIER}/mol_type="genomic DNA"',
        f'{_QUALIFIER}/db_xref="taxon:9606"',
        f'{_QUALIFIER}/ethnic="Undefined"',
        f'{_QUALIFIER}/cell_line="SIMULATED"',
    ]
    if not features:
        return lines
    located, end = [], 0
    for feature in features:
        start, end = end + 1, end + len(feature.sequence)
        located.append((feature, start, end))
    lines += _coding_lines(allele, [(start, end) for feature, start, end in located if feature.term == EXON])
    trimmed = allele.trim
    for feature, start, end in located:
        lines.append(_feature(_KEYS.get(feature.term, "UTR"), f"{start}..{end}"))
        if feature.term in _KEYS:
            lines.append(f'{_QUALIFIER}/number="{feature.rank}"')
        if trimmed:
            lines.append(f"{_QUALIFIER}/partial")
            trimmed = 0
    return lines


def _feature(key: str, location: str) -> str:
    return f"FT   {key:<16}{location}"


def _coding_lines(allele: Allele, exons: list[tuple[int, int]]) -> list[str]:
    ranges = [f"{start}..{end}" for start, end in exons]
    positions = [position for position in allele.gene.exons if allele.parts[position].strip(".")]
    if allele.trim or not allele.known[positions[0]]:
        ranges[0] = "<" + ranges[0]
    location = f"join({','.join(ranges)})" if len(ranges) > 1 else ranges[0]
    first, *rest = _folded(location)
    lines = [_feature("CDS", first), *(_QUALIFIER + line for line in rest)]
    lines += [_QUALIFIER + f"/codon_start={allele.codon_start}"]
    if not allele.whole_coding:
        lines += [_QUALIFIER + "/partial"]
    lines += [
        f'{_QUALIFIER}/gene="{allele.gene.locus}"',
        f'{_QUALIFIER}/allele="{allele.name}"',
        f'{_QUALIFIER}/product="MHC {allele.gene.mhc_class} {allele.name} sequence"',
    ]
    if allele.translated:
        text = f'/translation="{allele.protein()}"'
        lines += [_QUALIFIER + text[start : start + _WIDTH] for start in range(0, len(text), _WIDTH)]
    return lines


def _folded(location: str) -> list[str]:
    """Lines of a location, broken after commas."""
    lines = [""]
    for piece in location.replace(",", ", ").split():
        if len(lines[-1]) + len(piece) > _WIDTH:
            lines.append("")
        lines[-1] += piece
    return lines


def _sequence_block(sequence: str) -> list[str]:
    counts = "; ".join(f"{sequence.count(base)} {base}" for base in "ACGT")
    lines = [f"SQ   Sequence {len(sequence)} BP; {counts}; 0 other;"]
    if not sequence:
        return [*lines, f"{0:>80}"]
    lower = sequence.lower()
    for start in range(0, len(lower), 60):
        row = lower[start : start + 60]
        blocks = f"{row[:10]} {row[10:20]} {row[20:30]} {row[30:40]} {row[40:50]} {row[50:]}"
        lines.append(f"     {blocks:<65}{start + len(row):>10}")
    return lines
