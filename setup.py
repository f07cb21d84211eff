"""The package: `pip install .` gives the command `gfe-assets`; extras `dev` (tests and linters) and `aws`."""

from pathlib import Path

from setuptools import find_packages, setup

setup(
    name="gfe-assets",
    version="0.1.0",
    description="Every IPD-IMGT/HLA release as a graph of gene features, on Dagster",
    long_description=Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="GPL-3.0-or-later",
    packages=find_packages(include=["gfe_assets", "gfe_assets.*"]),
    data_files=[("share/gfe-assets", ["dagster.yaml", "workspace.yaml"])],
    python_requires=">=3.10,<3.15",
    install_requires=[
        "dagster>=1.13.27,<1.14",
        "dagster-webserver>=1.13.27,<1.14",
        "pydantic>=2.12,<3",
        "pydantic-settings>=2.12,<3",
        "neo4j>=6.1,<7",
        "requests>=2.32,<3",
        "tenacity>=9,<10",
        "biopython>=1.86,<2",
        "polars>=2.0,<3",
        "pyarrow>=22",
        "ladybug>=0.22,<0.23",
        "SQLAlchemy>=2.0.40,<3",
        "apprise>=2.2,<3",
        "typer>=0.29,<1",
        "rich>=14",
        "markdown-it-py>=3,<5",
        "matplotlib>=3.10,<4",
    ],
    extras_require={
        "aws": ["dagster-aws>=0.29.27,<0.30", "dagster-postgres>=0.29.27,<0.30"],
        "dev": [
            "aiosmtpd>=1.4.6,<2",
            "hypothesis>=6.140,<7",
            "mypy>=2.4,<3",
            "psycopg2-binary>=2.9",
            "py-ard>=2.4.2,<2.5",
            "pytest>=9,<10",
            "pytest-httpserver>=1.1",
            "pytest-xdist>=3.8,<4",
            "ruff>=0.17,<0.18",
            "pillow>=11",
            "selenium>=4.30,<5",
            "trustme>=1.2,<2",
            "types-requests",
        ],
    },
    entry_points={"console_scripts": ["gfe-assets=gfe_assets.cli:main"]},
)
