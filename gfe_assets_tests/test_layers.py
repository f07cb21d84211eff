"""The layers: what the plain packages import, and that importing them touches nothing. Seen in a fresh interpreter."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import gfe_assets

PACKAGE = Path(gfe_assets.__file__).parent
PLAIN = ("hla", "graph", "source", "notify")
PROBE = """
import importlib, json, sys
package, names = sys.argv[1], sys.argv[2:]
touched = []

def ours(frame):
    # our own code did it, unless an import lies between, or pydantic asking importlib.metadata for its plugins
    while frame:
        file = frame.f_code.co_filename
        if "importlib" in file:
            return False
        if file.startswith(package):
            return True
        frame = frame.f_back
    return False

WATCHED = ("open", "os.", "socket.", "subprocess.", "shutil.", "sqlite3.", "urllib.", "tempfile.")

def watch(event, details):
    if event.startswith(WATCHED) and ours(sys._getframe(1)):
        touched.append(f"{event} {details}")

sys.addaudithook(watch)
for name in names:
    importlib.import_module(name)
print(json.dumps({"modules": sorted(sys.modules), "touched": touched, "imported": names}))
"""


def modules_below(folder):
    """Dotted names of all modules in one of our packages."""
    return sorted(
        ".".join(["gfe_assets", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__")
        for path in (PACKAGE / folder).rglob("*.py")
    )


def probe(home, package, names, path):
    """Import modules in a new interpreter with an empty environment; gives what it loaded and what `package` touched."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(package), *names],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module", params=PLAIN)
def fresh(request, tmp_path_factory):
    """What a new interpreter with an empty home saw while it imported every module of a package."""
    return probe(tmp_path_factory.mktemp("home"), PACKAGE, modules_below(request.param), str(PACKAGE.parent))


def test_the_plain_packages_never_import_dagster(fresh):
    assert fresh["imported"]
    assert [name for name in fresh["modules"] if name.partition(".")[0].startswith("dagster")] == []


def test_importing_them_reads_and_writes_nothing(fresh):
    assert fresh["touched"] == []


def test_arrows_go_one_way(fresh):
    upper = {"stages", "definitions", "jobs", "sensors", "schedules", "resources", "state", "cli", "runs"}
    own = [name.split(".")[1] for name in fresh["modules"] if name.startswith("gfe_assets.")]
    assert sorted(upper & set(own)) == []


def test_the_probe_sees_what_a_module_does_when_it_is_imported(tmp_path):
    (tmp_path / "reads.py").write_text("import pathlib\nTEXT = pathlib.Path(__file__).read_text()\n")
    seen = probe(tmp_path, tmp_path, ["reads"], str(tmp_path))
    assert len(seen["touched"]) == 1
    assert "reads.py" in seen["touched"][0]


def test_every_module_of_the_package_is_looked_at():
    assert "gfe_assets.hla.flatfile" in modules_below("hla")
    assert "gfe_assets.hla" in modules_below("hla")
    assert all((PACKAGE / folder).is_dir() for folder in PLAIN)
