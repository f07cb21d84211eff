"""The graph: what it is (`model`), how it becomes equal to a release (`sync`), and the stores that hold it."""
