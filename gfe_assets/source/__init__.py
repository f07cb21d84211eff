"""Where releases come from: the GitHub repository or a folder, and fetching from either."""
