"""Questions that users of the graph ask, as Cypher that both stores answer.

In: named statements with parameters and what they answer. Out: the schema they rest on (`model.py`), asking them
(`GraphReader.query`). The tests run every one on both stores; the documentation shows them as they stand here.
"""

from dataclasses import dataclass

_GENE_ORDER = (
    "CASE f.term WHEN 'FIVE_PRIME_UTR' THEN 0 WHEN 'EXON' THEN 2 * f.rank - 1 WHEN 'INTRON' THEN 2 * f.rank ELSE 1000 END"
)


@dataclass(frozen=True)
class ExampleQuery:
    """`question` for people, `statement` in Cypher, names of its `parameters` (all texts)."""

    question: str
    statement: str
    parameters: tuple[str, ...] = ()


EXAMPLES: dict[str, ExampleQuery] = {
    "alleles_of_release": ExampleQuery(
        "Which alleles does a release have at a locus, and what is their GFE?",
        "MATCH (g:GFE)-[e:HAS_IPD_ALLELE]->(a:IPD_Allele) "
        "WHERE g.locus = $locus AND $release IN e.releases "
        "RETURN a.name AS allele, g.name AS gfe ORDER BY allele",
        ("locus", "release"),
    ),
    "gfe_of_allele": ExampleQuery(
        "What is the GFE of an allele, and in which releases?",
        "MATCH (g:GFE)-[e:HAS_IPD_ALLELE]->(a:IPD_Allele) WHERE a.name = $allele "
        "RETURN g.name AS gfe, e.releases AS releases ORDER BY gfe",
        ("allele",),
    ),
    "alleles_of_gfe": ExampleQuery(
        "Which alleles have a GFE, and in which releases?",
        "MATCH (g:GFE)-[e:HAS_IPD_ALLELE]->(a:IPD_Allele) WHERE g.name = $gfe "
        "RETURN a.name AS allele, e.releases AS releases ORDER BY allele",
        ("gfe",),
    ),
    "features_of_gfe": ExampleQuery(
        "Which features make up a GFE, in gene order?",
        "MATCH (g:GFE)-[:HAS_FEATURE]->(f:Feature) WHERE g.name = $gfe "
        "RETURN f.term AS term, f.rank AS rank, f.accession AS accession, f.sequence AS sequence "
        f"ORDER BY {_GENE_ORDER}",
        ("gfe",),
    ),
    "alleles_sharing_feature": ExampleQuery(
        "Which alleles share a feature, such as exon 2 number 1 of HLA-A (HLA-A|2|EXON|1)?",
        "MATCH (a:IPD_Allele)<-[:HAS_IPD_ALLELE]-(g:GFE)-[:HAS_FEATURE]->(f:Feature) WHERE f.fid = $fid "
        "RETURN DISTINCT a.name AS allele ORDER BY allele",
        ("fid",),
    ),
    "gfes_of_locus": ExampleQuery(
        "Which GFEs does a locus have in a release?",
        "MATCH (g:GFE)-[e:HAS_IPD_ALLELE]->(:IPD_Allele) WHERE g.locus = $locus AND $release IN e.releases "
        "RETURN DISTINCT g.name AS gfe ORDER BY gfe",
        ("locus", "release"),
    ),
    "new_alleles": ExampleQuery(
        "Which alleles does a release have that an earlier one has not?",
        "MATCH (g:GFE)-[e:HAS_IPD_ALLELE]->(a:IPD_Allele) "
        "WHERE $release IN e.releases AND NOT $earlier IN e.releases "
        "RETURN a.name AS allele, g.name AS gfe ORDER BY allele",
        ("release", "earlier"),
    ),
    "gone_alleles": ExampleQuery(
        "Which alleles of an earlier release does a later one not have any more, or with another GFE?",
        "MATCH (g:GFE)-[e:HAS_IPD_ALLELE]->(a:IPD_Allele) "
        "WHERE $earlier IN e.releases AND NOT $release IN e.releases "
        "RETURN a.name AS allele, g.name AS gfe ORDER BY allele",
        ("release", "earlier"),
    ),
}


def filled_in(example: ExampleQuery, **values: str) -> str:
    """The statement with its parameters written out, to paste into `gfe-assets query`."""
    statement = example.statement
    for name in example.parameters:
        quoted = values[name].replace("\\", "\\\\").replace("'", "\\'")
        statement = statement.replace(f"${name}", f"'{quoted}'")
    return statement
