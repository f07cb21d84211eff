"""Fixtures that more than one test file uses."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the project; tests that need it are skipped where it is absent."""
    if not (SHARED / "README.md").is_file():
        pytest.skip("needs the real data in ../shared, which is not on this machine")
    return SHARED
