"""The four stages as Dagster assets, in flow order: raw → build → load → validate. Thin: Dagster in, plain functions out."""
