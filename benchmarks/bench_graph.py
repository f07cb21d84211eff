"""How long loads into the embedded graph take, and how much memory.

In: releases that are built already in a data folder (`gfe-assets run RELEASE --skip-load`), or synthetic ones of any size.
Out: numbers on the terminal; nothing is kept.

    python benchmarks/bench_graph.py --data data 3210 3220
    python benchmarks/bench_graph.py --synthetic 46000 --releases 4

Every release is loaded by a process of its own, as in real use; then the last one again. "write" includes the loading
subprocess. Peak memory is that of the largest process.
"""

import argparse
import itertools
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import polars as pl

from gfe_assets.graph.desired import Provenance, desired_graph
from gfe_assets.graph.ladybug import LadybugStore
from gfe_assets.graph.sync import plan
from gfe_assets.hla.csvs import read_csv
from gfe_assets.hla.release import parse_release
from gfe_assets.progress import silent

NAMES = ("gfe_sequences", "all_features", "all_groups")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="RELEASE")
    parser.add_argument("--data", type=Path, help="data folder with builds of these releases")
    parser.add_argument("--synthetic", type=int, default=0, metavar="ALLELES")
    parser.add_argument("--releases", type=int, default=3, help="how many synthetic releases")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(load_one(*options.one)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.synthetic:
            names = [f"3{10 + number}0" for number in range(options.releases)]
            synthesize(folder, options.synthetic, names)
        else:
            names = options.names
            for release in names:
                for table in NAMES:
                    frame = read_csv(options.data / "data" / release / "csv", table, release)
                    frame.write_parquet(folder / f"{table}.{release}.parquet")
        graph = f"ladybug://{folder / 'graph.lbdb'}"
        print(f"{'release':8} {'total s':>8} {'read':>6} {'plan':>6} {'write':>6} {'peak MB':>8} {'file MB':>8}  changes")
        for release in [*names, names[-1]]:
            command = [sys.executable, __file__, "--one", str(folder), graph, release]
            began = time.perf_counter()
            result = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
            total = time.perf_counter() - began
            print(
                f"{release:8} {total:8.2f} {result['read']:6.2f} {result['plan']:6.2f} {result['write']:6.2f} "
                f"{result['peak']:8,.0f} {result['file']:8,.0f}  {result['changes'] or 'none'}"
            )


def load_one(folder: str, graph: str, release: str) -> dict[str, object]:
    """Load one release and measure."""
    times = [time.perf_counter()]
    frames = [pl.read_parquet(Path(folder) / f"{table}.{release}.parquet") for table in NAMES]
    version = parse_release(release).version
    date = f"20{release[1:3]}-01-01T00:00:00+00:00"
    provenance = Provenance(release, version, "0" * 40, date, "0" * 40, date)
    desired = desired_graph(release, *frames, provenance)
    del frames
    times.append(time.perf_counter())
    store = LadybugStore(graph)
    with store.writing(f"load of release {release}", 0):
        with store.reader() as reader:
            changes = plan(desired, reader, lambda _: None)
        times.append(time.perf_counter())
        store.apply(changes, silent)
    times.append(time.perf_counter())
    own, loader = (resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    sums: dict[str, int] = {}
    for name, count in changes.counts.items():
        sums[name.partition(".")[2]] = sums.get(name.partition(".")[2], 0) + count
    steps = dict(zip(("read", "plan", "write"), (b - a for a, b in itertools.pairwise(times)), strict=True))
    size = store.path.stat().st_size / 1e6
    return {
        **steps,
        "peak": max(own, loader),
        "file": size,
        "changes": ", ".join(f"{v:,} {k}" for k, v in sums.items() if k and v),
    }


def synthesize(folder: Path, alleles: int, names: list[str]) -> None:
    """Releases that grow by 3 %; 17 features an allele (9 or 10 of them known), sequences of 3.4 kb on average."""
    dice = random.Random(1)
    parts = [("FIVE_PRIME_UTR", 1), *((t, n) for n in range(1, 9) for t in ("EXON", "INTRON") if (t, n) != ("INTRON", 8))]
    parts.append(("THREE_PRIME_UTR", 1))
    pool = [["".join(dice.choices("ACGT", k=dice.randint(100, 600))) for _ in range(alleles // 13)] for _ in parts]
    sequences, features, groups = [], [], []
    for number in range(alleles):
        known = range(len(parts)) if number % 2 else (1, 3, 5)
        chosen = {place: min(int(dice.expovariate(6 / len(pool[0]))), len(pool[0]) - 1) for place in known}
        gfe = "HLA-Aw" + "-".join(str(chosen[place] + 1) if place in chosen else "0" for place in range(len(parts)))
        name, accession = f"HLA-A*{number:05}:01", f"HLA{number:05}.1"
        text = "".join(pool[place][chosen[place]] for place in known)
        sequences.append((gfe, accession, "HLA-A", name, gfe, text, len(text)))
        features += [
            (chosen[place] + 1, "HLA-A", parts[place][1], pool[place][chosen[place]], parts[place][0], gfe, name)
            for place in known
        ]
        groups += [(name, f"{name}{kind}", kind) for kind in ("G", "lg", "lgx")]
    tables = {
        "gfe_sequences": (sequences, ["gfe_name", "acc_name", "locus", "hla_name", "seq_id", "sequence", "length"]),
        "all_features": (features, ["accession", "locus", "rank", "sequence", "term", "gfe_name", "hla_name"]),
        "all_groups": (groups, ["hla_name", "ard_id", "ard_name"]),
    }
    for index, release in enumerate(names):
        size = int(alleles * 0.97 ** (len(names) - 1 - index))
        last = f"HLA-A*{size:05}:01"
        for table, (rows, columns) in tables.items():
            frame = pl.DataFrame(rows, schema=columns, orient="row").filter(pl.col("hla_name") < last)
            frame.write_parquet(folder / f"{table}.{release}.parquet")


if __name__ == "__main__":
    main()
