"""How long it takes to say where every release stands.

In: a number of releases, runs and commits. Out: seconds on the terminal; nothing is kept.

    python benchmarks/bench_state.py --releases 60 --runs 2000 --commits 600

The runs and events are made through Dagster's own storage (SQLite, as `dagster.yaml` has it), with all the tags that real runs
leave. One in twenty failed, one in a hundred was killed and left its reason in its events only.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import dagster as dg

from gfe_assets.overview import overview
from gfe_assets.state import read_states

KILLED, FAILED = 100, 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--releases", type=int, default=60)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--commits", type=int, default=600)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    fast = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # only the filling gains from it
    with tempfile.TemporaryDirectory(dir=fast) as home:
        Path(home, "dagster.yaml").write_bytes(Path(__file__).parents[1].joinpath("dagster.yaml").read_bytes())
        with dg.DagsterInstance.from_config(home) as instance:
            fill(instance, options.releases, options.runs, options.commits)
            seconds = []
            for _ in range(options.repeat):
                start = time.monotonic()
                states = read_states(instance)
                seconds.append(time.monotonic() - start)
            start = time.monotonic()
            size = len(str(overview(states)["states"].value))
            shown = time.monotonic() - start
        failed = sum(1 for state in states if state.status.bad and state.reason)
        print(f"{options.releases} releases, {options.runs} runs: {len(states)} states, {failed} of them failed")
        print(
            f"read_states           {statistics.median(seconds):.2f} s (median of {options.repeat}), {max(seconds):.2f} s max"
        )
        print(f"table for the UI      {shown:.2f} s, {size / 1000:.0f} kB")
        print(f"gfe-assets status     {status_command(home):.2f} s, start of Python and dagster included")


def fill(instance: dg.DagsterInstance, releases: int, runs: int, commits: int) -> None:
    names = [f"3{number}0" for number in range(1, releases + 1)]
    for number in range(commits):
        instance.report_runless_asset_event(observation(names[number % releases], f"{number:040x}"))
    for number in range(runs):
        add_run(instance, names[number % releases], f"{number % commits:040x}", number)


def observation(release: str, sha: str) -> dg.AssetObservation:
    return dg.AssetObservation(
        "release_commits",
        partition=release,
        metadata={
            "commit_sha": sha,
            "commit_date": "2024-01-01T12:00:00+00:00",
            "commit_message": "Update of hla.dat " * 5,
            "commit": dg.MetadataValue.url(f"https://github.com/ANHIG/IMGTHLA/commit/{sha}"),
            "outcome": "NEW_CONTENT",
            "status": "PENDING",
            "reason": f"release {release}, commit {sha[:7]}: changes files that a build reads",
        },
    )


def add_run(instance: dg.DagsterInstance, release: str, sha: str, number: int) -> None:
    failed, killed = number % FAILED == 0, number % KILLED == 0
    status = dg.DagsterRunStatus.FAILURE if failed else dg.DagsterRunStatus.SUCCESS
    tags = {
        "gfe/release": release,
        "gfe/commit_sha": sha,
        "gfe/status": "LOAD_FAILED" if failed else "LOAD_SUCCESS",
        "gfe/stage": "load" if failed else "validate",
        "gfe/trigger": "commit",
        "gfe/content": sha,
        "gfe/counts": json.dumps(dict.fromkeys(("entries", "alleles", "gfes", "features", "all_cds", "all_groups"), 40000)),
        "gfe/changes": json.dumps({"inserted": 100_000, "updated": 10, "deleted": 1}),
        "dagster/partition": release,
        "dagster/priority": "-303000",
        "dagster/run_key": f"{release}:{sha}",
        "dagster/sensor_name": "imgt_hla_commits",
        ".dagster/repository": "__repository__@gfe_assets.definitions",
        ".dagster/grpc_info": '{"host": "localhost", "socket": "/tmp/tmp0123456789"}',
    }
    if failed and not killed:
        tags |= {
            "gfe/reason": f"release {release}: the graph could not be written, " + "as it is " * 20,
            "gfe/cause": "GraphError",
        }
    run = dg.DagsterRun(
        job_name="release_job",
        run_id=str(uuid.UUID(int=number)),
        run_config={"resources": {"parameters": {"config": {"align": True, "limit": 0}}}},
        tags=tags,
        status=dg.DagsterRunStatus.STARTED if killed else status,
    )
    instance.add_run(run)
    if killed:
        instance.report_run_failed(run, "the process of this run died before the run had ended")


def status_command(home: str) -> float:
    start = time.monotonic()
    command = [sys.executable, "-c", "from gfe_assets.cli import main; main()", "status", "--json"]
    environment = {**os.environ, "DAGSTER_HOME": home, "GFE_DATA_URI": home}
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - start


if __name__ == "__main__":
    main()
