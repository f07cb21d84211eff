"""Measurements: ratios in one run, medians, peak memory. Not tests: nothing here fails for being slow."""
