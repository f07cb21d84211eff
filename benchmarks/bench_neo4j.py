"""How long loads into Neo4j take, and how much memory they need.

In: releases that are built already in a data folder (`gfe-assets run RELEASE --skip-load`), or synthetic ones of any size; the
server that tests start (`gfe_assets_tests/neo4j_server.py`). Out: numbers on the terminal; nothing is kept; how a load in the
shape of the reference compares (`bench_reference_shape.py`).

    python -m benchmarks.bench_neo4j --data data 3220
    python -m benchmarks.bench_neo4j --synthetic 46000 --releases 2

Every release is loaded by a process of its own, as in real use, on a server that has just been started; then the last one
again. Peak memory is that process's; the server has the heap that `--heap` gives it.
"""

import argparse
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import polars as pl

from benchmarks.bench_graph import NAMES, synthesize
from gfe_assets.graph.desired import Provenance, desired_graph
from gfe_assets.graph.neo4j import Neo4jStore
from gfe_assets.graph.sync import plan
from gfe_assets.hla.csvs import read_csv
from gfe_assets.hla.release import parse_release
from gfe_assets.progress import silent
from gfe_assets_tests.neo4j_server import Neo4jServer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="RELEASE")
    parser.add_argument("--data", type=Path, help="data folder with builds of these releases")
    parser.add_argument("--synthetic", type=int, default=0, metavar="ALLELES")
    parser.add_argument("--releases", type=int, default=2, help="how many synthetic releases")
    parser.add_argument("--heap", default="1g", help="the server's heap")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(load_one(*options.one)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        names = options.names or [f"3{10 + number}0" for number in range(options.releases)]
        if options.synthetic:
            synthesize(folder, options.synthetic, names)
        else:
            for release, table in itertools.product(names, NAMES):
                read_csv(options.data / "data" / release / "csv", table, release).write_parquet(
                    folder / f"{table}.{release}.parquet"
                )
        show_loads(folder, names, options.heap)


def show_loads(folder: Path, names: list[str], heap: str) -> None:
    """Load each release into one new server, and the last again."""
    print(f"{'release':8} {'total s':>8} {'read':>6} {'plan':>6} {'write':>6} {'peak MB':>8}  changes")
    with tempfile.TemporaryDirectory() as name, Neo4jServer(Path(name), heap=heap, short_lived=False) as server:
        for release in [*names, names[-1]]:
            command = [sys.executable, "-m", "benchmarks.bench_neo4j", "--one", str(folder), server.uri, release]
            began = time.perf_counter()
            result = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
            total = time.perf_counter() - began
            steps = " ".join(f"{result[step]:6.2f}" for step in ("read", "plan", "write"))
            print(f"{release:8} {total:8.2f} {steps} {result['peak']:8,.0f}  {result['changes'] or 'none'}", flush=True)


def load_one(folder: str, uri: str, release: str) -> dict[str, object]:
    """Load one release and measure: reading files, reading the graph and comparing, writing."""
    times = [time.perf_counter()]
    frames = [pl.scan_parquet(Path(folder) / f"{table}.{release}.parquet") for table in NAMES]
    date = f"20{release[1:3]}-01-01T00:00:00+00:00"
    provenance = Provenance(release, parse_release(release).version, "0" * 40, date, "0" * 40, date)
    desired = desired_graph(release, *frames, provenance)
    times.append(time.perf_counter())
    store = Neo4jStore(uri, "neo4j", "", "neo4j")
    with store.writing(f"load of release {release}", 0):
        with store.reader() as reader:
            changes = plan(desired, reader, lambda _: None)
        times.append(time.perf_counter())
        store.apply(changes, silent)
    times.append(time.perf_counter())
    sums: dict[str, int] = {}
    for name, count in changes.counts.items():
        sums[name.partition(".")[2]] = sums.get(name.partition(".")[2], 0) + count
    return {
        **dict(zip(("read", "plan", "write"), (b - a for a, b in itertools.pairwise(times)), strict=True)),
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "changes": ", ".join(f"{count:,} {what}" for what, count in sums.items() if count),
    }


if __name__ == "__main__":
    main()
