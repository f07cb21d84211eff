"""GFE assets: every IPD-IMGT/HLA release as a graph of gene features, on Dagster.

The flow has four words, and the code has the same four: raw → build → load → validate.
`hla/`, `graph/`, `source/` and `notify/` are plain functions and never import dagster;
`stages/` puts them on Dagster; `definitions.py` binds everything.
"""

__version__ = "0.1.0"
