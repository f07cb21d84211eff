"""The rows that a build writes and a load reads: the one declaration of every CSV file.

In: one NamedTuple a file; header, order and types of a CSV derive from its fields (`CSV_FILES`). Out:
writing and reading (`csvs.py`), and where the values come from (`gfe.py`, `groups.py`, …).

Names and order are the CSV contract with users of gfe-db; change them here and nowhere else.
"""

from typing import NamedTuple


class GfeSequence(NamedTuple):
    """An allele: its GFE name, accession with sequence version, and whole sequence."""

    gfe_name: str
    acc_name: str
    locus: str
    hla_name: str
    seq_id: str
    sequence: str
    length: int
    imgt_release: str


class FeatureRow(NamedTuple):
    """A feature of an allele; `hash_code` is always `none` (kept for readers of the reference's files)."""

    accession: int
    hash_code: str
    locus: str
    rank: int
    sequence: str
    term: str
    gfe_name: str
    allele_id: str
    hla_name: str
    imgt_release: str


class GroupRow(NamedTuple):
    """An ARD group of an allele; `ard_name` is G, lg or lgx."""

    gfe_name: str
    allele_id: str
    hla_name: str
    ard_id: str
    ard_name: str
    locus: str
    imgt_release: str


class CdsRow(NamedTuple):
    """The coding sequence of a GFE and its translation, one row for each distinct one."""

    gfe_name: str
    bp_seq_id: str
    bp_sequence: str
    aa_seq_id: str
    aa_sequence: str


class AlignmentRow(NamedTuple):
    """An aligned sequence of an allele; `label` is GEN_ALIGN, NUC_ALIGN or PROT_ALIGN."""

    label: str
    seq_id: str
    gfe_name: str
    hla_name: str
    length: int
    rank: int
    imgt_release: str
    bp_sequence: str
    aa_sequence: str


COLUMNS: dict[str, str] = {
    "gfe_name": "Name of the GFE: locus, w, and the accession of each feature in gene order (0: not known)",
    "acc_name": "Accession of the allele in IPD-IMGT/HLA with its sequence version, HLA00001.4",
    "allele_id": "Accession of the allele in IPD-IMGT/HLA with its sequence version, HLA00001.4",
    "hla_name": "Name of the allele, HLA-A*01:01:01:01",
    "locus": "Gene, HLA-A",
    "seq_id": "First 32 digits of the decimal MD5 of the sequence",
    "sequence": "Bases of the allele, or of the feature",
    "length": "Number of bases (of aligned sequences: columns)",
    "imgt_release": "Release, 3.58.0",
    "accession": "Number of the feature's sequence among those of its locus, term and rank",
    "hash_code": "Always none; kept for readers of the reference's files",
    "rank": "Place of the feature among those of its kind: exon 2 has 2; a UTR has 1",
    "term": "Kind of feature: FIVE_PRIME_UTR, exon, intron, THREE_PRIME_UTR",
    "ard_id": "Name of the group, A*01:01:01G",
    "ard_name": "Kind of group: G, lg, lgx",
    "bp_seq_id": "As seq_id, of the coding sequence",
    "bp_sequence": "Bases (coding sequence, or aligned with gaps)",
    "aa_seq_id": "As seq_id, of the protein",
    "aa_sequence": "Amino acids (protein, or aligned with gaps)",
    "label": "GEN_ALIGN, NUC_ALIGN or PROT_ALIGN",
}
"""Column name → what stands in it, for people."""

Row = GfeSequence | FeatureRow | GroupRow | CdsRow | AlignmentRow

CSV_FILES: dict[str, type[Row]] = {
    "gfe_sequences": GfeSequence,
    "all_features": FeatureRow,
    "all_groups": GroupRow,
    "all_cds": CdsRow,
    "all_alignments": AlignmentRow,
}
"""File name (without release and ending) → row model. `all_alignments` exists only when alignments were asked for."""

UNIQUE_KEYS: dict[str, tuple[tuple[str, ...], ...]] = {
    "gfe_sequences": (("acc_name",), ("hla_name",)),
    "all_features": (("allele_id", "term", "rank"),),
    "all_groups": (("allele_id", "ard_name"),),
    "all_cds": (("gfe_name",),),
    "all_alignments": (("label", "hla_name"),),
}
"""File name → the column sets that are unique in it; a build check and the tests read them."""
