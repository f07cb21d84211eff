"""What one release wants the graph to hold: its nodes and edges, made from the rows of its CSV files.

In: frames of `gfe_sequences`, `all_features` and `all_groups` (columns as in `hla/records.py`) and the provenance of
the release. Out: what is in the graph already and how the two become equal (`sync.py`).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import polars as pl

from gfe_assets.errors import GraphError
from gfe_assets.graph.frames import edge_schema, node_schema, shaped
from gfe_assets.graph.model import (
    EDGE_BY_TYPE,
    FEATURE,
    GFE,
    HAS_FEATURE,
    HAS_IPD_ACCESSION,
    HAS_IPD_ALLELE,
    HAS_SEQUENCE,
    IPD_ACCESSION,
    IPD_ALLELE,
    NODES,
    RELEASE,
    SEQUENCE,
    SUBMITTED,
    SUBMITTER,
    SUBMITTER_NAME,
)

SUBMITTER_ROW = {
    "name": SUBMITTER_NAME,
    "institution": "IPD",
    "url": "https://www.ebi.ac.uk/ipd/imgt/hla/",
    "email": "hla@alleles.org",
}
"""Who submitted the GFEs of official releases; the address is the public one of the WHO Nomenclature Committee."""

Frame = pl.DataFrame | pl.LazyFrame


@dataclass(frozen=True)
class Provenance:
    """The `Release` node: field by field the properties that `model.RELEASE` declares.

    `name` is the branch name, `version` the one found in the file (3130 holds 3.13.1); `commit_date` and `loaded_at` are
    ISO 8601; `entries_limit` is 0 for a whole release.
    """

    name: str
    version: str
    commit_sha: str
    commit_date: str
    fingerprint: str
    loaded_at: str
    complete: bool = True
    entries_limit: int = 0


@dataclass(frozen=True)
class ReleaseGraph:
    """The nodes and edges that a release wants, each once; frames as `store.py` describes them."""

    release: str
    nodes: Mapping[str, pl.DataFrame]
    edges: Mapping[str, pl.DataFrame]


def desired_graph(release: str, sequences: Frame, features: Frame, groups: Frame, provenance: Provenance) -> ReleaseGraph:
    """The graph of `release` from its CSV files, which may be lazy (then sequences are read once and not kept).

    Alleles may share a GFE, which then has one sequence; an allele without a group has null for it.

    Raises:
        GraphError: a GFE has two sequences, or an allele name stands on two rows.
    """
    alleles = sequences.lazy().select("gfe_name", "acc_name", "locus", "hla_name").collect()
    gfes = alleles.select(name="gfe_name", locus="locus").unique(["name"], keep="first", maintain_order=True)
    fids = features.lazy().select("gfe_name", fid=_fid()).unique().collect()
    submitted = gfes.select(
        source=pl.lit(SUBMITTER_NAME), target="name", submit_date=pl.lit(provenance.commit_date[:10], dtype=pl.String())
    )
    nodes = {
        GFE.label: gfes,
        FEATURE.label: _features(features),
        IPD_ACCESSION.label: alleles.select(name="acc_name").unique(maintain_order=True),
        SUBMITTER.label: pl.DataFrame([SUBMITTER_ROW]),
        RELEASE.label: pl.DataFrame([asdict(provenance)]),
        **order_dependent_nodes(release, sequences, groups).nodes,
    }
    edges = {
        HAS_IPD_ALLELE.type: _dated(alleles, "hla_name", release),
        HAS_IPD_ACCESSION.type: _dated(alleles, "acc_name", release),
        HAS_SEQUENCE.type: gfes.select(source="name", target="name"),
        HAS_FEATURE.type: fids.select(source="gfe_name", target="fid"),
        SUBMITTED.type: submitted,
    }
    return ReleaseGraph(
        release,
        {node.label: shaped(nodes[node.label], node_schema(node)) for node in NODES},
        {type_: shaped(frame, edge_schema(EDGE_BY_TYPE[type_])) for type_, frame in edges.items()},
    )


def order_dependent_nodes(release: str, sequences: Frame, groups: Frame) -> ReleaseGraph:
    """Only the nodes whose properties depend on the order of releases (`IPD_Allele`, `Sequence`), for `sync.plan`.

    Raises:
        GraphError: as `desired_graph`.
    """
    rows = sequences.lazy().select("gfe_name", "hla_name", "locus", "sequence", "length", "seq_id").collect()
    _one_value(release, rows, "gfe_name", "seq_id", "sequences")
    _one_value(release, rows, "hla_name", "gfe_name", "GFE names")
    named = rows.unique(["gfe_name"], keep="first", maintain_order=True).rename({"gfe_name": "name"})
    alleles = rows.select(name="hla_name", gene="locus").unique(["name"], keep="first", maintain_order=True)
    rows_of_groups = groups.lazy().select("hla_name", "ard_id", "ard_name").collect()
    for group in ("G", "lg", "lgx"):
        ids = rows_of_groups.filter(pl.col("ard_name") == group, pl.col("ard_id") != "")
        one = ids.unique(["hla_name"], keep="first", maintain_order=True).select(name="hla_name", **{group: "ard_id"})
        alleles = alleles.join(one, on="name", how="left", maintain_order="left")
    nodes = {
        SEQUENCE.label: shaped(named, node_schema(SEQUENCE)),
        IPD_ALLELE.label: shaped(alleles, node_schema(IPD_ALLELE)),
    }
    return ReleaseGraph(release, nodes, {})


def _fid() -> pl.Expr:
    """The key of a feature, `locus|rank|term|accession`."""
    return pl.concat_str(["locus", "rank", "term", "accession"], separator="|")


def _features(features: Frame) -> pl.DataFrame:
    rows = features.lazy().select("locus", "rank", "term", "accession", "sequence", fid=_fid())
    return rows.unique(["fid"], keep="first", maintain_order=True).collect()


def _dated(alleles: pl.DataFrame, target: str, release: str) -> pl.DataFrame:
    return alleles.select(source="gfe_name", target=target, releases=pl.concat_list(pl.lit(release))).unique(
        ["source", "target"], maintain_order=True
    )


def _one_value(release: str, rows: pl.DataFrame, key: str, value: str, what: str) -> None:
    """Refuse rows in which one `key` has two different `value`s."""
    pairs = rows.select(key, value).unique()
    double = pairs.filter(pl.col(key).is_duplicated()).get_column(key)
    if len(double):
        raise GraphError(
            f"release {release}: {double.n_unique()} values of {key} have more than one of their {what}, such as "
            f"{double.sort().item(0)}; build the release again"
        )
