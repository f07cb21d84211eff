"""`make bench`: the promises of the project, measured on this machine through the real command line.

In: the official releases beside the project (../shared/imgthla) when they are there, else simulated ones. Out: a table
on the terminal and the same as JSON in benchmarks/results/.

Every measurement is a process of its own and is repeated; shown are the median and the range. Peak memory is that of the
largest process. Biopython is timed in the same run, so that the ratio does not depend on the machine.
"""

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

from gfe_assets.simulate import SimulatedDatabase, write_release

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "imgthla"
COMMAND = [str(Path(sys.executable).with_name("gfe-assets"))]
REPEATS = int(os.environ.get("BENCH_REPEATS", "5"))
BIOPYTHON = """
import sys
from Bio import SeqIO
for record in SeqIO.parse(sys.argv[1], "imgt"):
    for feature in record.features:
        if feature.type in ("UTR", "exon", "intron", "CDS"):
            feature.extract(record.seq)
"""


class Measured(NamedTuple):
    """Seconds of a process and its peak memory in MB; `report` is what it printed as JSON, if it did."""

    seconds: float
    peak_mb: int
    report: dict[str, object]


def measure(command: list[str], **environment: str) -> Measured:
    """Run a command to its end; GNU-free: the kernel's own accounting of children gives the peak memory."""
    script = (
        "import json, resource, subprocess, sys, time\n"
        "start = time.monotonic()\n"
        "done = subprocess.run(sys.argv[1:], capture_output=True, text=True)\n"
        "peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024\n"
        "print(json.dumps([time.monotonic() - start, peak, done.returncode, done.stdout, done.stderr]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *command], capture_output=True, text=True, check=True, env={**os.environ, **environment}
    )
    seconds, peak, code, out, err = json.loads(done.stdout)
    if code:
        sys.exit(f"{' '.join(command)} failed: {err or out}")
    last = out.strip().splitlines()[-1:] or [""]
    return Measured(seconds, peak, json.loads(last[0]) if last[0].startswith("{") else {})


def repeated(what: str, once: Callable[[], tuple[float, int]], rows: list[dict[str, object]], repeats: int = REPEATS) -> float:
    """Measure several times; adds a row and prints it; gives the median seconds."""
    found = [once() for _ in range(repeats)]
    seconds = [each[0] for each in found]
    row = {
        "what": what,
        "median_s": round(statistics.median(seconds), 2),
        "range_s": [round(min(seconds), 2), round(max(seconds), 2)],
        "peak_mb": max(each[1] for each in found),
        "runs": repeats,
    }
    rows.append(row)
    low, high = min(seconds), max(seconds)
    print(f"{what:58} {row['median_s']:>7} s   {low:6.2f}–{high:<6.2f}  {row['peak_mb']:>6} MB", flush=True)
    return statistics.median(seconds)


def stage_seconds(measured: Measured, stage: str) -> tuple[float, int]:
    """The seconds of one stage as `run --json` reports them."""
    match = re.search(rf'"{stage}": ?([\d.]+)', json.dumps(measured.report["seconds"]))
    return float(match[1]) if match else 0.0, measured.peak_mb


def main() -> None:
    """Measure everything and keep the numbers."""
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, first, second = releases(folder)
        print(f"{os.cpu_count()} cores, {source}\n")

        def run(data: str, *arguments: str) -> Measured:
            return measure(
                [*COMMAND, "run", "--json", *arguments],
                GFE_SOURCE_URI=source.as_uri(),
                GFE_DATA_URI=str(folder / data),
                GFE_GRAPH_URI="",
                DAGSTER_HOME=str(folder / data / "dagster"),
            )

        def fresh(*arguments: str) -> Measured:
            fresh.count += 1  # type: ignore[attr-defined]
            return run(f"fresh{fresh.count}", *arguments)  # type: ignore[attr-defined]

        fresh.count = 0  # type: ignore[attr-defined]
        repeated("gfe-assets --help", lambda: measure([*COMMAND, "--help"])[:2], rows)
        run("warm", second, "--skip-load")
        flat = next((folder / "warm" / "raw" / second).glob("*/hla.dat"))
        bio = repeated(
            f"Biopython parses and extracts {second}", lambda: measure([sys.executable, "-c", BIOPYTHON, str(flat)])[:2], rows
        )
        build = repeated(f"build of {second}, new registry", lambda: stage_seconds(fresh(second, "--skip-load"), "build"), rows)
        print(f"{'  ratio to Biopython':58} {build / bio:>7.2f}")
        rows.append({"what": "build / Biopython", "ratio": round(build / bio, 2)})
        repeated(f"load of {second} into an empty graph", lambda: stage_seconds(fresh(second), "load"), rows)
        run("same", second)
        repeated(f"load of {second} again, unchanged", lambda: stage_seconds(run("same", second), "load"), rows)

        def next_load() -> tuple[float, int]:
            fresh(first)
            return stage_seconds(run(f"fresh{fresh.count}", second), "load")  # type: ignore[attr-defined]

        repeated(f"load of {second} on {first}", next_load, rows, max(1, REPEATS // 2))
        demo_home = {"GFE_DATA_URI": str(folder / "demo")}
        repeated("gfe-assets demo", lambda: measure([*COMMAND, "demo"], **demo_home)[:2], rows, 2)
    results = ROOT / "benchmarks" / "results"
    results.mkdir(exist_ok=True)
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    (results / f"{stamp}.json").write_text(json.dumps({"source": str(source), "rows": rows}, indent=1))


def releases(folder: Path) -> tuple[Path, str, str]:
    """A source folder and two releases of it, one after the other."""
    if (SHARED / "3220" / "hla.dat.zip").is_file():
        return SHARED, "3210", "3220"
    start = time.monotonic()
    source = folder / "source"
    database = SimulatedDatabase.create(14_000, seed=1, scale=0.4)
    for release, each in (("3580", database), ("3590", database.evolve(seed=2, new=500, renamed=30, resequenced=100))):
        write_release(
            source, release, each, date=datetime(2025, 1, 1, tzinfo=timezone.utc), message=f"Release {release}", align=False
        )
    print(f"simulated releases written in {time.monotonic() - start:.0f} s")
    return source, "3580", "3590"


if __name__ == "__main__":
    main()
