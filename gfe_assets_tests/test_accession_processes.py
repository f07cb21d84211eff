"""The registry under several processes, a killed process and a full disk; all of them real."""

import json
import os
import random
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gfe_assets.hla.accessions import Registry
from gfe_assets.hla.features import FeatureKey
from gfe_assets_tests.databases import KINDS, empty_database

ROOT = Path(__file__).resolve().parents[1]
A_EXON_1 = FeatureKey("HLA-A", "EXON", 1)
KEYS = [A_EXON_1, FeatureKey("HLA-A", "EXON", 2), FeatureKey("HLA-B", "EXON", 1)]

ALLOCATE = """
import json, sys
from gfe_assets.hla.accessions import Registry
from gfe_assets.hla.features import FeatureKey
url = sys.argv[1]
print("ready", flush=True)
for line in sys.stdin:
    features = [(FeatureKey(*key), sequence) for key, sequence in json.loads(line)]
    with Registry(url) as registry:
        numbers = registry.allocate(features)
    print(json.dumps([[key, sequence, number] for (key, sequence), number in numbers.items()]), flush=True)
"""

STOP_IN_THE_MIDDLE = """
import sys, time
from gfe_assets.hla.accessions import Registry
from gfe_assets.hla.features import FeatureKey
def stop(what, done, total):
    if done >= 10000:
        print("in the middle", flush=True)
        time.sleep(600)
key = FeatureKey("HLA-B", "INTRON", 1)
features = ((key, "ACGT" * 2000 + format(n, "b").replace("0", "A").replace("1", "C")) for n in range(10001))
Registry(sys.argv[1]).allocate(features, stop)
"""

RUN_OUT_OF_SPACE = """
import resource, sys
from gfe_assets.errors import RegistryError
from gfe_assets.hla.accessions import Registry
from gfe_assets.hla.features import FeatureKey
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
key = FeatureKey("HLA-B", "INTRON", 1)
try:
    Registry(sys.argv[1]).allocate((key, "ACGT" * 1000 + "A" * n) for n in range(1000))
except RegistryError as error:
    print(error)
"""


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each kind."""
    with empty_database(request.param, tmp_path) as url:
        yield url


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Run one of the programs above in a process that does not outlive the test."""
    with ExitStack() as running:

        def begin(program: str, *arguments: str) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-c", program, *arguments],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            running.enter_context(process)
            running.callback(process.kill)
            return process

        yield begin


def answers_of_processes(
    start: Start, url: str, batches_of_process: list[list[list[tuple[FeatureKey, str]]]]
) -> Iterator[tuple[FeatureKey, str, int]]:
    """Each process allocates its batches; all start together, when every one of them has imported its modules."""
    processes = [start(ALLOCATE, url) for _ in batches_of_process]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process, batches in zip(processes, batches_of_process, strict=True):
        process.stdin.write("".join(json.dumps(batch) + "\n" for batch in batches))
        process.stdin.flush()
    for process in processes:
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        for line in output.splitlines():
            for key, sequence, number in json.loads(line):
                yield FeatureKey(*key), sequence, number


def test_processes_that_allocate_overlapping_features_at_once_never_collide(start: Start, url: str):
    """Four processes, ten transactions each, from an empty database: unique, dense, and the same answer for all."""
    rng = random.Random(20)
    pool = [(key, "".join(rng.choices("ACGT", k=40))) for key in KEYS for _ in range(200)]
    batches = [[rng.sample(pool, 60) for _ in range(10)] for _ in range(4)]
    told: dict[tuple[FeatureKey, str], set[int]] = defaultdict(set)
    for key, sequence, number in answers_of_processes(start, url, batches):
        told[key, sequence].add(number)
    assert set(told) == {feature for process in batches for batch in process for feature in batch}
    assert all(len(numbers) == 1 for numbers in told.values()), "every process was told the same number"
    for key in KEYS:
        numbers = sorted(number for (its_key, _), (number,) in told.items() if its_key == key)
        assert numbers == list(range(1, len(numbers) + 1))
    with Registry(url) as registry:
        assert registry.sequences((key, number) for (key, _), (number,) in told.items()) == {
            (key, number): sequence for (key, sequence), (number,) in told.items()
        }


def test_a_process_killed_in_the_middle_of_an_allocation_leaves_the_registry_as_it_was(start: Start, url: str, tmp_path: Path):
    """80 MB are written, more than stays in memory, so on SQLite the file itself is half-changed when the process dies."""
    with Registry(url) as registry:
        registry.allocate([(A_EXON_1, "ATG"), (A_EXON_1, "C")])
        registry.export(tmp_path / "before.csv")
    process = start(STOP_IN_THE_MIDDLE, url)
    assert process.stdout.readline() == "in the middle\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    if url.startswith("sqlite"):
        assert Path(url.removeprefix("sqlite:///") + "-journal").stat().st_size > 0
    with Registry(url) as registry:
        registry.export(tmp_path / "after.csv")
        assert (tmp_path / "after.csv").read_bytes() == (tmp_path / "before.csv").read_bytes()
        assert registry.allocate([(A_EXON_1, "G")]) == {(A_EXON_1, "G"): 3}


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits on file size")
def test_no_space_left_is_said_and_leaves_the_registry_as_it_was(start: Start, tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'a.sqlite'}"
    with Registry(url) as registry:
        registry.allocate([(A_EXON_1, "ATG")])
        output, _ = start(RUN_OUT_OF_SPACE, url).communicate(timeout=60)
        assert "cannot be written" in output
        assert "space" in output
        assert "nothing was changed" in output
        assert registry.allocate([(A_EXON_1, "ATG"), (A_EXON_1, "C")]) == {(A_EXON_1, "ATG"): 1, (A_EXON_1, "C"): 2}
        assert registry.sequences([(FeatureKey("HLA-B", "INTRON", 1), 1)]) == {}
