"""Releases, entries, features, GFEs, accessions, groups and the CSV files: pure HLA, no Dagster."""
