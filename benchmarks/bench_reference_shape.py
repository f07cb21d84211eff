"""How much faster our load is than one in the shape of gfe-db's load script, and how long the adoption of its database takes.

In: 3220 of ../shared/imgthla, or as many simulated alleles; the server that tests start (`gfe_assets_tests/neo4j_server.py`).
Out: numbers on the terminal; nothing is kept.

    python -m benchmarks.bench_reference_shape                                  # the whole release
    python -m benchmarks.bench_reference_shape --alleles 2000 --times 1000      # only the first alleles; to the end

Both run on the same server, each on an empty database. The server is warm, as one in use is: ours has loaded the data once
before, the reference's statements have run on the first 500 rows of each file.

The shape is that of `gfe_assets_tests/reference_graph.py`: every row a `MERGE` on a name that has no index, or a `MATCH` on a
whole sequence; constraints that guard other properties. Rows come in batches of 500 as parameters in place of LOAD CSV, one
batch after the other. The time of that shape grows with the square of the alleles, so it is stopped when it has taken `--times`
times as long as ours, and the ratio is then "at least". Ours is measured with everything: reading the CSV files, connecting,
constraints, reading the graph, writing; most of the time of a small load is that of making constraints and plans.
"""

import argparse
import math
import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

import polars as pl

from benchmarks.__main__ import COMMAND, SHARED
from gfe_assets.graph.adopt import adopt
from gfe_assets.graph.desired import Provenance, desired_graph
from gfe_assets.graph.neo4j import Neo4jStore
from gfe_assets.graph.neo4j_errors import Address
from gfe_assets.graph.sync import plan
from gfe_assets.hla.csvs import read_csv
from gfe_assets.hla.release import parse_release
from gfe_assets.progress import silent
from gfe_assets.simulate import SimulatedDatabase, write_release
from gfe_assets_tests import reference_graph
from gfe_assets_tests.neo4j_server import Neo4jServer, empty

HEAP = "1g"
DATE = datetime(2025, 1, 1, tzinfo=timezone.utc)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--alleles", type=int, default=0, help="only the first ones (0: all)")
    parser.add_argument("--times", type=float, default=25, help="stop the reference's load after so many times as long as ours")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        release, csvs = built(folder, options.alleles)
        alleles = read_csv(csvs, "gfe_sequences", release).lazy().select(pl.len()).collect().item()
        print(f"{alleles:,} alleles of {release}, {os.cpu_count()} cores")
        (folder / "server").mkdir()
        with Neo4jServer(folder / "server", heap=HEAP, short_lived=False) as server:
            compare(server, csvs, release, options.times)


def compare(server: Neo4jServer, csvs: Path, release: str, times: float) -> None:
    """Warm up, measure, and show."""
    seconds_of_reference(server, csvs, release, math.inf, first=reference_graph.BATCH_ROWS)
    empty(server, schema=True)
    cold = seconds_of_load(store(server), csvs, release)
    empty(server, schema=True)
    ours = seconds_of_load(store(server), csvs, release)
    again = seconds_of_load(store(server), csvs, release)
    print(
        f"our store                     {ours:8.1f} s (the first time {cold:.1f} s; again, unchanged, {again:.1f} s)",
        flush=True,
    )
    empty(server, schema=True)
    theirs, done = seconds_of_reference(server, csvs, release, times * ours)
    print(f"shape of the reference        {theirs:8.1f} s{'' if done else ' (stopped)'}", flush=True)
    print(f"ratio                         {theirs / ours:8.1f}{'' if done else ' at least'}", flush=True)
    if done:
        address = Address(server.uri, server.user, server.password, server.database)
        began = time.perf_counter()
        adopt(address, None, wait_seconds=5, progress=silent)
        print(f"adoption of that database     {time.perf_counter() - began:8.1f} s", flush=True)
        print(f"load of the release into it   {seconds_of_load(store(server), csvs, release):8.1f} s")


def built(folder: Path, alleles: int) -> tuple[str, Path]:
    """The release, and the folder with the CSV files of its first alleles."""
    source, release = SHARED, "3220"
    if not (SHARED / release / "hla.dat.zip").is_file():
        source = folder / "source"
        write_release(
            source, release, SimulatedDatabase.create(alleles or 14_000, scale=0.4), date=DATE, message=f"Release {release}"
        )
    places = {"GFE_SOURCE_URI": source.as_uri(), "GFE_DATA_URI": str(folder / "data"), "DAGSTER_HOME": str(folder / "dagster")}
    command = [*COMMAND, "run", release, "--skip-load", "--limit", str(alleles)]
    subprocess.run(command, check=True, env={**os.environ, **places}, stdout=sys.stderr)
    return release, folder / "data" / "data" / release / "csv"


def store(at: Neo4jServer) -> Neo4jStore:
    return Neo4jStore(at.uri, at.user, at.password, at.database)


def seconds_of_load(graph: Neo4jStore, csvs: Path, release: str) -> float:
    """As the load stage does it."""
    began = time.perf_counter()
    day = DATE.isoformat()
    provenance = Provenance(release, parse_release(release).version, "0" * 40, day, "0" * 40, day)
    tables = (read_csv(csvs, table, release) for table in ("gfe_sequences", "all_features", "all_groups"))
    with graph.writing(f"load of release {release}", 0):
        with graph.reader() as reader:
            changes = plan(desired_graph(release, *tables, provenance), reader, lambda _: None)
        graph.apply(changes, silent)
    return time.perf_counter() - began


def seconds_of_reference(
    at: Neo4jServer, csvs: Path, release: str, bound: float, first: int | None = None
) -> tuple[float, bool]:
    """Seconds, and whether it came to its end within `bound`."""
    began = time.perf_counter()
    with at.driver() as driver, driver.session(database=at.database) as session:
        for _ in reference_graph.batches(session, csvs, release, first):
            if time.perf_counter() - began > bound:
                return time.perf_counter() - began, False
    return time.perf_counter() - began, True


if __name__ == "__main__":
    main()
