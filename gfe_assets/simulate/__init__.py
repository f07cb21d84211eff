"""Simulated releases in the format of IPD-IMGT/HLA, of any size, labelled as simulated in every file.

In: databases by seed, their next releases and corrections, folders of releases to run on. Out: any real data; nothing
here comes from IPD-IMGT/HLA but lengths of features and counts of alleles. For the demo, tests and benchmarks.

    database = SimulatedDatabase.create(alleles=200, seed=1, scale=0.1)
    write_release(root, "3580", database, date=date, message="Release 3.58.0")
    following = database.evolve(seed=2, new=20, renamed=2, resequenced=3, deleted=1)
    following.changes.renamed                                # accession → (old name, new name)

Modules, each using those before it: `genes`, `mutate`, `alleles`, `growth`, `database`; `flatfile`, `wmda`, `msf`,
`repository`, `demo`.
"""

from gfe_assets.simulate.alleles import LABEL, Allele, SimulatedFeature
from gfe_assets.simulate.database import Evolution, Renaming, SimulatedDatabase
from gfe_assets.simulate.demo import DemoRelease, correct_demo, demo_releases
from gfe_assets.simulate.repository import LABEL_FILE, write_release

__all__ = [
    "LABEL",
    "LABEL_FILE",
    "Allele",
    "DemoRelease",
    "Evolution",
    "Renaming",
    "SimulatedDatabase",
    "SimulatedFeature",
    "correct_demo",
    "demo_releases",
    "write_release",
]
