"""Backups: everything comes back equal, every damage is found, nothing half-done looks whole, no accession is ever lost."""

import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from gfe_assets.definitions import build_defs
from gfe_assets.errors import BackupError, GraphBusy, RegistryError, SettingsError
from gfe_assets.graph.backup import back_up
from gfe_assets.graph.backup_folder import find_backup, list_backups, prune, slug
from gfe_assets.graph.backup_format import BackupManifest
from gfe_assets.graph.compare import same_graph
from gfe_assets.graph.ladybug import LadybugStore
from gfe_assets.graph.neo4j import Neo4jStore
from gfe_assets.graph.restore import Restored, restore
from gfe_assets.graph.store import GraphStore
from gfe_assets.hla.features import EXON, FeatureKey
from gfe_assets.hla.registry import Registry
from gfe_assets.progress import Progress, silent
from gfe_assets.settings import Settings
from gfe_assets.simulate import SimulatedDatabase, write_release
from gfe_assets_tests.graph_stores import load, state
from gfe_assets_tests.graph_worlds import Allele, Version, oracle
from gfe_assets_tests.neo4j_server import empty

ROOT = Path(__file__).parents[1]
A1 = Allele("HLA-A*01:01", "HLA00001.1", "HLA-Aw1-1")
A2 = Allele("HLA-A*02:01", "HLA00005.1", "HLA-Aw2-0", {"G": "HLA-A*02:01:01G", "lg": "HLA-A*02:01g"}, bases="ACGT" * 2500)
A3 = Allele("HLA-A*03:01", "HLA00037.1", "HLA-Aw3-1", {"G": "HLA-A*03:01:01G"})
OLD, NEW = Version("390", (A1, A2)), Version("3100", (A1, A2, A3), limit=7)
NEWER = Version("3110", (A1, A3))
EXON_1, EXON_2 = FeatureKey("HLA-A", EXON, 1), FeatureKey("HLA-A", EXON, 2)

StoreMaker = Callable[[str], GraphStore]


class Site:
    """A deployment of its own: graph, registry, folder of backups."""

    def __init__(self, folder: Path, store: GraphStore) -> None:
        self.folder, self.store, self.root = folder, store, folder / "backups"
        folder.mkdir(parents=True, exist_ok=True)
        self.registry = Registry(f"sqlite:///{folder / 'accessions.sqlite'}")

    def fill(self, *versions: Version) -> None:
        known: dict[str, Version] = {}
        for version in versions:
            load(self.store, version, known)
        self.registry.allocate([(EXON_1, "ACGT"), (EXON_1, "ACGTA"), (EXON_2, "TT")])

    def back_up(self, reason: str = "manual", keep: int = 99, progress: Progress = silent, wait: float = 5) -> BackupManifest:
        return back_up(self.root, self.store, self.registry, reason=reason, keep=keep, wait_seconds=wait, progress=progress)

    def restore(self, backup: Path, *, replace: bool = False, progress: Progress = silent) -> Restored:
        return restore(backup, self.store, self.registry, root=self.root, replace=replace, wait_seconds=5, progress=progress)

    def exported(self) -> bytes:
        self.registry.export(self.folder / "exported.csv")
        return (self.folder / "exported.csv").read_bytes()

    def names(self) -> list[str]:
        return [each.path.name for each in list_backups(self.root)]


def embedded(folder: Path) -> LadybugStore:
    return LadybugStore(f"ladybug://{folder / 'graph' / 'gfe.lbdb'}")


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site that is loaded and backed up, for copies of it."""
    folder = tmp_path_factory.mktemp("made")
    site = Site(folder, embedded(folder))
    site.fill(OLD, NEW)
    site.back_up()
    return site.folder


@pytest.fixture
def site(tmp_path: Path, made_once: Path) -> Site:
    """A small graph and its registry; no backup."""
    shutil.copytree(made_once, tmp_path / "here", ignore=shutil.ignore_patterns("backups"))
    return Site(tmp_path / "here", embedded(tmp_path / "here"))


@pytest.fixture
def backed_up(site: Site, made_once: Path) -> Path:
    """The one backup of `site`."""
    shutil.copytree(made_once / "backups", site.root)
    return list_backups(site.root)[0].path


@pytest.fixture
def elsewhere(tmp_path: Path) -> Site:
    """A site where nothing is yet."""
    return Site(tmp_path / "there", embedded(tmp_path / "there"))


@pytest.fixture
def server_site(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    server = request.getfixturevalue("neo4j_server")
    empty(server)
    yield Site(tmp_path / "server", Neo4jStore(server.uri, server.user, server.password, server.database))
    empty(server)


def unchanged_by(site: Site, what: Callable[[], object], error: type[Exception], match: str) -> None:
    before = state(site.store), site.exported(), site.names()
    with pytest.raises(error, match=match):
        what()
    assert (state(site.store), site.exported(), site.names()) == before


def test_backup_wipe_restore_gives_an_equal_graph_and_registry(site: Site, elsewhere: Site) -> None:
    name, registry = site.back_up().name, site.exported()
    shutil.copytree(site.folder / "graph", elsewhere.folder / "graph")
    shutil.rmtree(site.folder / "graph")
    (site.folder / "accessions.sqlite").unlink()
    site.registry.close()

    restored = site.restore(site.root / name)

    assert state(site.store) == oracle({"390": OLD, "3100": NEW})
    with site.store.reader() as one, elsewhere.store.reader() as two:
        assert same_graph(one, two) == []
    assert site.exported() == registry
    assert (restored.releases, restored.gone, restored.before, restored.accessions_added) == (("390", "3100"), (), "", 3)


def test_a_restored_registry_numbers_on_and_never_anew(backed_up: Path, site: Site, elsewhere: Site) -> None:
    elsewhere.restore(backed_up)
    asked = [(EXON_1, "ACGTA"), (EXON_1, "GGG")]
    assert elsewhere.registry.allocate(asked) == {(EXON_1, "ACGTA"): 2, (EXON_1, "GGG"): 3}
    assert elsewhere.registry.authority() == site.registry.authority() == "local"


def test_a_backup_restores_on_another_machine_from_a_copy_of_its_folder(
    backed_up: Path, elsewhere: Site, tmp_path: Path
) -> None:
    copy = shutil.copytree(backed_up, tmp_path / "stick" / "any name [1]")
    shutil.rmtree(backed_up)
    elsewhere.restore(find_backup(elsewhere.root, str(copy)))
    assert state(elsewhere.store) == oracle({"390": OLD, "3100": NEW})


def test_the_release_that_was_loaded_when_differs_in_nothing_after_a_restore(
    backed_up: Path, site: Site, elsewhere: Site
) -> None:
    elsewhere.restore(backed_up)
    for each in (site, elsewhere):
        with each.store.reader() as reader:
            each.loaded = reader.query("MATCH (r:Release) RETURN r.name, r.loaded_at ORDER BY r.name").rows
    assert site.loaded == elsewhere.loaded


def test_loads_go_on_after_a_restore_as_if_nothing_had_happened(backed_up: Path, elsewhere: Site) -> None:
    elsewhere.restore(backed_up)
    known = {"390": OLD, "3100": NEW}
    load(elsewhere.store, NEWER, known)
    assert state(elsewhere.store) == oracle(known)


@pytest.mark.slow
def test_a_graph_moves_from_a_laptop_to_the_server_and_back(site: Site, server_site: Site, elsewhere: Site) -> None:
    server_site.restore(site.root / site.back_up().name)
    assert state(server_site.store) == oracle({"390": OLD, "3100": NEW})

    elsewhere.restore(server_site.root / server_site.back_up().name)

    with site.store.reader() as one, elsewhere.store.reader() as two:
        assert same_graph(one, two) == []
    assert elsewhere.exported() == site.exported()
    assert graph_bytes(site.root) == graph_bytes(server_site.root)


@pytest.mark.slow
def test_a_server_graph_is_replaced_by_the_backup_and_nothing_else_is_left(server_site: Site) -> None:
    server_site.fill(OLD, NEW)
    older = server_site.root / server_site.back_up().name
    load(server_site.store, Version("390", (A3,), commit="beef"), {"3100": NEW})
    load(server_site.store, NEWER, {})
    restored = server_site.restore(older, replace=True)
    assert state(server_site.store) == oracle({"390": OLD, "3100": NEW})
    assert restored.gone == ("3110",)


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, 4, 8])
def test_a_restore_to_a_server_that_is_cut_off_says_so_in_the_graph_and_can_be_repeated(
    site: Site, server_site: Site, step: int
) -> None:
    backup = site.root / site.back_up().name
    server_site.fill(NEWER)
    with pytest.raises(ZeroDivisionError):
        server_site.restore(backup, replace=True, progress=failing_at("written", step))
    with server_site.store.reader() as reader:
        assert reader.query("MATCH (r:Release) WHERE r.complete RETURN r.name").rows == []
    server_site.restore(backup, replace=True)
    assert state(server_site.store) == oracle({"390": OLD, "3100": NEW})


def test_the_manifest_says_what_the_graph_holds(site: Site) -> None:
    nodes, edges = oracle({"390": OLD, "3100": NEW})
    before = datetime.now(timezone.utc)
    manifest = site.back_up("before the audit")
    assert manifest.nodes == {label: len(rows) for label, rows in nodes.items()}
    assert manifest.edges == {type_: len(rows) for type_, rows in edges.items()}
    assert (manifest.releases, manifest.accessions, manifest.authority) == (("390", "3100"), 3, "local")
    assert (manifest.created_at - before).total_seconds() < 60
    assert manifest.name == f"{manifest.created_at:%Y%m%dT%H%M%SZ}-before-the-audit"
    for file in manifest.files:
        content = (site.root / manifest.name / file.name).read_bytes()
        assert (file.size, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        assert file.rows == pl.scan_parquet(site.root / manifest.name / file.name).select(pl.len()).collect().item()


def test_the_same_graph_gives_the_same_bytes_however_it_was_made(site: Site, elsewhere: Site) -> None:
    elsewhere.fill(NEW, OLD)
    site.back_up()
    elsewhere.back_up()
    assert graph_bytes(site.root) == graph_bytes(elsewhere.root)


def graph_bytes(root: Path) -> dict[str, bytes]:
    """File → content of the newest backup, but for the releases, which say when they were loaded."""
    folder = list_backups(root)[-1].path
    return {path.name: path.read_bytes() for path in folder.glob("*.parquet") if path.name != "nodes.Release.parquet"}


def test_the_manifest_can_be_checked_with_sha256sum(backed_up: Path) -> None:
    said = subprocess.run(
        ["sha256sum", "-c", "manifest.json.sha256"], cwd=backed_up, capture_output=True, text=True, check=True
    )
    assert said.stdout == "manifest.json: OK\n"


def test_a_byte_flipped_anywhere_is_detected_and_the_file_named(backed_up: Path, site: Site, elsewhere: Site) -> None:
    files = sorted(backed_up.iterdir())
    assert len(files) == 7 + 5 + 1 + 2  # labels, types, accessions, manifest and its seal
    for file in files:
        sound = file.read_bytes()
        for place in (0, len(sound) // 2, len(sound) - 1):
            file.write_bytes(sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :])
            with pytest.raises(BackupError, match=f"{file.name.replace('.', '[.]')}"):
                elsewhere.restore(backed_up)
            assert not list_backups(site.root)[0].intact
        file.write_bytes(sound)
    assert list_backups(site.root)[0].intact
    assert not (elsewhere.folder / "graph").exists()
    assert elsewhere.exported() == b"locus,term,rank,accession,sequence\n"


def test_a_file_cut_off_or_missing_is_detected_and_named(backed_up: Path, elsewhere: Site) -> None:
    for file in sorted(backed_up.iterdir()):
        sound = file.read_bytes()
        file.write_bytes(sound[:-1])
        with pytest.raises(BackupError, match=file.name):
            elsewhere.restore(backed_up)
        file.unlink()
        with pytest.raises(BackupError, match=f"{file.name} is missing"):
            elsewhere.restore(backed_up)
        file.write_bytes(sound)


def test_a_backup_of_another_format_or_schema_is_refused(backed_up: Path, elsewhere: Site) -> None:
    reseal(backed_up, format=2)
    with pytest.raises(BackupError, match="has format 2, not 1"):
        elsewhere.restore(backed_up)
    fewer = pl.read_parquet(backed_up / "nodes.GFE.parquet").drop("locus")
    fewer.write_parquet(backed_up / "nodes.GFE.parquet")
    content = (backed_up / "nodes.GFE.parquet").read_bytes()
    files = json.loads((backed_up / "manifest.json").read_text())["files"]
    for file in files:
        if file["name"] == "nodes.GFE.parquet":
            file.update(size=len(content), sha256=hashlib.sha256(content).hexdigest())
    reseal(backed_up, format=1, files=files, code_version="9.9")
    with pytest.raises(BackupError, match=r"written by version 9[.]9 of gfe-assets, whose graph has other GFE"):
        elsewhere.restore(backed_up)


def reseal(backup: Path, **changes: object) -> None:
    """Change the manifest and vouch for it, as another version of the program would."""
    text = json.dumps({**json.loads((backup / "manifest.json").read_text()), **changes})
    (backup / "manifest.json").write_text(text)
    (backup / "manifest.json.sha256").write_text(f"{hashlib.sha256(text.encode()).hexdigest()}  manifest.json\n")


KILLED_BACKUP = textwrap.dedent("""
    import os, signal, sys
    from pathlib import Path
    from gfe_assets.graph.backup import back_up
    from gfe_assets.graph.ladybug import LadybugStore
    from gfe_assets.hla import registry
    folder, step = Path(sys.argv[1]), int(sys.argv[2])
    def die(*_):
        os.kill(os.getpid(), signal.SIGKILL)
    def progress(what, done, total):
        if done == step:
            die()
    if step == 100:  # everything but the name is there
        Path.rename = die
    back_up(folder / "backups", LadybugStore(f"ladybug://{folder}/graph/gfe.lbdb"),
            registry.Registry(f"sqlite:///{folder}/accessions.sqlite"),
            reason="manual", keep=9, wait_seconds=5, progress=progress)
""")


@pytest.mark.parametrize("step", [1, 12, 100])
def test_a_killed_backup_leaves_nothing_that_looks_whole_and_the_next_one_cleans_up(site: Site, step: int) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED_BACKUP, str(site.folder), str(step)], env=environment(), check=False)
    assert killed.returncode == -signal.SIGKILL
    assert site.names() == []
    assert [path for path in site.root.iterdir() if ".partial-" in path.name]
    name = site.back_up().name
    assert sorted(path.name for path in site.root.iterdir()) == [".lock", name]


@pytest.mark.parametrize("step", [1, 5])
def test_a_restore_that_fails_on_the_way_leaves_the_graph_as_it_was(backed_up: Path, elsewhere: Site, step: int) -> None:
    elsewhere.fill(NEWER)
    before = state(elsewhere.store)
    with pytest.raises(ZeroDivisionError):
        elsewhere.restore(backed_up, replace=True, progress=failing_at("written", step))
    assert state(elsewhere.store) == before
    elsewhere.restore(backed_up, replace=True)
    assert state(elsewhere.store) == oracle({"390": OLD, "3100": NEW})


KILLED_RESTORE = textwrap.dedent("""
    import os, signal, sys
    from pathlib import Path
    from gfe_assets.graph.ladybug import LadybugStore
    from gfe_assets.graph.restore import restore
    from gfe_assets.hla.registry import Registry
    folder, backup = Path(sys.argv[1]), Path(sys.argv[2])
    def progress(what, done, total):
        if what == "edges written":
            os.kill(os.getpid(), signal.SIGKILL)
    restore(backup, LadybugStore(f"ladybug://{folder}/graph/gfe.lbdb"), Registry(f"sqlite:///{folder}/accessions.sqlite"),
            root=folder / "backups", replace=True, wait_seconds=5, progress=progress)
""")


def test_a_killed_restore_leaves_the_graph_as_it_was_and_can_be_repeated(site: Site, elsewhere: Site) -> None:
    elsewhere.fill(NEWER)
    elsewhere.registry.allocate([(EXON_2, "GGGG")])
    site.registry.allocate([(EXON_2, "GGGG"), (EXON_2, "GGGGG")])
    newer = site.root / site.back_up().name
    before = state(elsewhere.store)
    command = [sys.executable, "-c", KILLED_RESTORE, str(elsewhere.folder), str(newer)]
    assert subprocess.run(command, env=environment(), check=False).returncode == -signal.SIGKILL
    assert state(elsewhere.store) == before
    assert elsewhere.exported() == site.exported()
    elsewhere.restore(newer, replace=True)
    assert state(elsewhere.store) == oracle({"390": OLD, "3100": NEW})


def failing_at(what: str, step: int) -> Progress:
    """A listener that breaks off at the step-th message of things that are `what`."""
    heard = 0

    def listener(name: str, _done: int, _total: int | None) -> None:
        nonlocal heard
        heard += what in name
        if heard == step:
            raise ZeroDivisionError

    return listener


def test_a_full_disk_leaves_no_backup_and_one_sentence(site: Site) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # as a disk that has this much left for each file
    try:
        with pytest.raises(BackupError, match=r"cannot be written: .*; nothing of it is left"):
            site.back_up()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in site.root.iterdir()] == [".lock"]


def test_a_graph_that_is_not_empty_is_replaced_only_on_request_and_after_a_backup_of_it(
    backed_up: Path, elsewhere: Site
) -> None:
    elsewhere.fill(NEWER)
    present = state(elsewhere.store)
    unchanged_by(
        elsewhere, lambda: elsewhere.restore(backed_up), BackupError, "not empty [(]it has release 3110[)]; say --replace"
    )

    restored = elsewhere.restore(backed_up, replace=True)

    assert state(elsewhere.store) == oracle({"390": OLD, "3100": NEW})
    assert restored.gone == ("3110",)
    assert elsewhere.names() == [restored.before]
    assert restored.before.endswith("-before-restore")
    elsewhere.restore(elsewhere.root / restored.before, replace=True)
    assert state(elsewhere.store) == present


def test_a_restore_does_not_prune_the_backup_that_it_restores(site: Site) -> None:
    first = site.back_up(keep=1).name
    site.restore(site.root / first, replace=True)
    assert len(site.names()) == 2


def test_a_graph_file_that_cannot_be_read_is_not_overwritten(backed_up: Path, elsewhere: Site) -> None:
    (elsewhere.folder / "graph").mkdir()
    broken = elsewhere.folder / "graph" / "gfe.lbdb"
    broken.write_bytes(b"not a graph" * 1000)
    with pytest.raises(BackupError, match=r"cannot be backed up before.*Put that graph out of the way"):
        elsewhere.restore(backed_up, replace=True)
    assert broken.read_bytes() == b"not a graph" * 1000
    broken.unlink()
    elsewhere.restore(backed_up)
    assert state(elsewhere.store) == oracle({"390": OLD, "3100": NEW})


def test_an_empty_graph_is_not_backed_up_so_that_it_never_pushes_out_a_real_backup(elsewhere: Site) -> None:
    elsewhere.registry.allocate([(EXON_1, "ACGT")])
    with pytest.raises(BackupError, match="is empty, so there is nothing to back up"):
        elsewhere.back_up()
    assert not elsewhere.root.exists()


def test_accessions_given_since_the_backup_stay(backed_up: Path, site: Site) -> None:
    site.registry.allocate([(EXON_2, "TTT")])
    since = site.exported()
    restored = site.restore(backed_up, replace=True)
    assert (site.exported(), restored.accessions_added) == (since, 0)


def test_a_registry_that_is_a_part_of_the_backups_gets_the_rest(backed_up: Path, site: Site, elsewhere: Site) -> None:
    elsewhere.registry.allocate([(EXON_1, "ACGT")])
    assert elsewhere.restore(backed_up).accessions_added == 2
    assert elsewhere.exported() == site.exported()


@pytest.mark.parametrize("own", ["ACGTA", "CCC"], ids=["the same sequence with another number", "the same number"])
def test_a_registry_that_contradicts_the_backup_stops_the_restore_before_anything_is_written(
    backed_up: Path, elsewhere: Site, own: str
) -> None:
    elsewhere.registry.allocate([(EXON_1, own)])
    unchanged_by(
        elsewhere, lambda: elsewhere.restore(backed_up), BackupError, "has given 1 accessions that the backup does not"
    )
    unchanged_by(elsewhere, lambda: elsewhere.restore(backed_up, replace=True), BackupError, "set GFE_REGISTRY_URI")


def test_a_registry_that_only_differs_takes_the_backups_accessions_first_and_then_the_restore_goes(
    backed_up: Path, elsewhere: Site
) -> None:
    elsewhere.registry.allocate([(FeatureKey("HLA-B", EXON, 1), "CCC")])
    with pytest.raises(BackupError, match=r"gfe-assets accessions import .*/accessions.parquet"):
        elsewhere.restore(backed_up)
    assert cli(elsewhere.folder, "accessions", "import", str(backed_up / "accessions.parquet"), registry=elsewhere.registry)
    assert elsewhere.restore(backed_up).accessions_added == 0


def test_the_cache_of_a_feature_service_stays_its_cache(site: Site, elsewhere: Site) -> None:
    empty_registry(site)
    site.registry.import_rows([], authority="http://numbers.example.org")
    site.registry.import_rows([row(EXON_1, 5, "ACGT")], authority="http://numbers.example.org")
    elsewhere.restore(site.root / site.back_up().name)
    assert elsewhere.registry.authority() == "http://numbers.example.org"
    with pytest.raises(RegistryError, match=r"is the cache of http://numbers[.]example[.]org"):
        elsewhere.registry.allocate([(EXON_1, "GGG")])


def empty_registry(site: Site) -> None:
    site.registry.close()
    (site.folder / "accessions.sqlite").unlink()


def row(key: FeatureKey, accession: int, sequence: str) -> object:
    from gfe_assets.hla.accessions import AccessionRow  # noqa: PLC0415

    return AccessionRow(*key, accession, sequence)


def test_the_newest_backups_are_kept_whatever_their_reason(site: Site) -> None:
    made = [site.back_up(reason, keep=3).name for reason in ("daily", "before loads", "after loads", "daily", "manual")]
    assert site.names() == made[-3:]
    assert sorted(path.name for path in site.root.iterdir() if path.name.startswith(".")) == [".lock"]


def test_damaged_backups_neither_count_nor_go(site: Site) -> None:
    made = [site.back_up().name for _ in range(3)]
    for damaged in (made[0], made[2]):
        (site.root / damaged / "nodes.GFE.parquet").unlink()
    assert prune(site.root, 1) == []
    newest = site.back_up(keep=1).name
    assert site.names() == [made[0], made[2], newest]


def test_backups_of_the_same_second_have_different_names(site: Site) -> None:
    assert len({site.back_up().name for _ in range(3)}) == 3


@pytest.mark.parametrize(
    ("reason", "part"),
    [
        ("manual", "manual"),
        ("Before load of 3.58.0!", "before-load-of-3-58-0"),
        ("../../etc", "etc"),
        ("Ü", "manual"),
        ("x" * 99, "x" * 40),
    ],
)
def test_a_reason_becomes_a_harmless_part_of_the_name(reason: str, part: str) -> None:
    assert slug(reason) == part


@pytest.mark.parametrize("name", ["", ".hidden", "20200101T000000Z-x", "/nowhere/x"])
def test_an_unknown_backup_is_told_with_those_that_there_are(backed_up: Path, name: str) -> None:
    (backed_up.parent / ".hidden").mkdir()
    with pytest.raises(BackupError, match=f"there is no backup '{name}'; there are {backed_up.name}"):
        find_backup(backed_up.parent, name)


def test_a_backup_waits_for_the_load_that_is_going_on(site: Site) -> None:
    holder = embedded(site.folder)
    with holder.writing("load of release 3100", 0), pytest.raises(GraphBusy, match="load of release 3100"):
        site.back_up(wait=0.2)
    assert site.names() == []


def settings_of(folder: Path, **more: object) -> Settings:
    return Settings(_env_file=None, data_uri=str(folder), source_uri=(folder / "source").as_uri(), **more)  # type: ignore[call-arg]


def test_the_daily_schedule_is_there_at_two_in_the_morning_utc_and_off(tmp_path: Path) -> None:
    schedule = build_defs(settings_of(tmp_path)).resolve_schedule_def("daily_backup")
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    assert (schedule.cron_schedule, schedule.execution_timezone, schedule.job_name) == ("0 2 * * *", "UTC", "backup_job")


def test_a_tick_of_the_schedule_asks_for_a_backup_that_its_job_accepts(tmp_path: Path) -> None:
    definitions = build_defs(settings_of(tmp_path))
    moment = datetime(2026, 1, 2, 2, tzinfo=timezone.utc)
    with dg.build_schedule_context(scheduled_execution_time=moment) as context:
        ticked = definitions.resolve_schedule_def("daily_backup").evaluate_tick(context)
    (request,) = ticked.run_requests or ()
    config = dg.validate_run_config(definitions.resolve_job_def("backup_job"), request.run_config)
    assert config["ops"]["graph_backup"]["config"] == {"reason": "daily"}


def test_another_hour_can_be_set_and_nonsense_is_one_sentence(tmp_path: Path) -> None:
    schedule = build_defs(settings_of(tmp_path, backup_cron="30 4 * * 6")).resolve_schedule_def("daily_backup")
    assert schedule.cron_schedule == "30 4 * * 6"
    with pytest.raises(SettingsError, match="GFE_BACKUP_CRON: 'at night' is no cron expression"):
        build_defs(settings_of(tmp_path, backup_cron="at night"))


def test_a_run_in_dagster_makes_a_backup_and_shows_what_it_holds(site: Site) -> None:
    settings = settings_of(site.folder)
    with dg.DagsterInstance.ephemeral() as instance:
        result = build_defs(settings).resolve_job_def("backup_job").execute_in_process(instance=instance)
    (shown,) = (event.materialization.metadata for event in result.get_asset_materialization_events())
    (made,) = list_backups(settings.backups_folder)
    assert (shown["backup"].value, shown["releases"].value) == (made.path.name, "390, 3100")
    assert made.path.name.endswith("-manual")


def test_a_restore_in_dagster_that_is_refused_fails_with_the_sentence(tmp_path: Path) -> None:
    config = {"ops": {"restore_graph": {"config": {"name": "nothing"}}}}
    job = build_defs(settings_of(tmp_path)).resolve_job_def("restore_job")
    with dg.DagsterInstance.ephemeral() as instance, pytest.raises(dg.Failure, match="there is no backup 'nothing'"):
        job.execute_in_process(instance=instance, run_config=config)


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GFE_", "DAGSTER_"))}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


def cli(folder: Path, *words: str, registry: Registry | None = None, fails: bool = False, **more: str) -> str:
    """Run the command line in a deployment of its own; what it printed (on standard error where it has to fail)."""
    where = {"GFE_DATA_URI": str(folder), "GFE_SOURCE_URI": (folder.parent / "source").as_uri(), **more}
    if registry:
        where["GFE_REGISTRY_URI"] = registry.name
    command = [sys.executable, "-c", "from gfe_assets.cli import main; main()", *words]
    done = subprocess.run(command, env=environment(**where), cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == (1 if fails else 0), done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr if fails else done.stdout


@pytest.mark.slow
def test_the_command_line_backs_up_lists_and_restores_on_another_machine(tmp_path: Path) -> None:
    first = SimulatedDatabase.create(alleles=40, seed=7, scale=0.1, loci=["HLA-A", "HLA-DRB1"])
    second = first.evolve(seed=8, new=5, renamed=1, resequenced=2, deleted=1)
    for release, database, day in (("3580", first, 1), ("3590", second, 2)):
        write_release(
            tmp_path / "source", release, database, date=datetime(2025, 1, day, tzinfo=timezone.utc), message="", align=False
        )
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    assert "There is no backup yet" in cli(here, "backups")
    assert "is empty, so there is nothing to back up" in cli(here, "backup", fails=True)

    cli(here, "run", "3580", "3590", GFE_LOCI="HLA-A,HLA-DRB1", GFE_BACKUP_AROUND_LOADS="1")
    cli(here, "run", "3590", GFE_LOCI="HLA-A,HLA-DRB1", GFE_BACKUP_AROUND_LOADS="1")
    assert "2 releases" in cli(here, "backup", "--reason", "for the other machine", GFE_BACKUPS_KEPT="3")
    records = json.loads(cli(here, "backups", "--json"))
    assert [record["reason"] for record in records] == ["after loads", "for the other machine"]
    assert all(record["intact"] and record["releases"] == ["3580", "3590"] for record in records)

    path = records[-1]["path"]
    assert "2 releases" in cli(there, "restore", path)
    with embedded(here).reader() as one, embedded(there).reader() as two:
        assert same_graph(one, two) == []
    for folder in (here, there):
        cli(folder, "accessions", "export", str(folder / "accessions.csv"))
    assert (here / "accessions.csv").read_bytes() == (there / "accessions.csv").read_bytes()

    assert "say --replace" in cli(there, "restore", path, fails=True)
    flipped = Path(path) / "edges.HAS_FEATURE.parquet"
    sound = flipped.read_bytes()
    flipped.write_bytes(sound[:100] + bytes([sound[100] ^ 1]) + sound[101:])
    said = cli(here, "restore", Path(path).name, "--replace", fails=True)
    assert "the SHA-256 of edges.HAS_FEATURE.parquet" in " ".join(said.split())
    assert "NO" in cli(here, "backups")
    flipped.write_bytes(sound)
    assert "before-restore" in cli(here, "restore", Path(path).name, "--replace")
    assert "there is no backup 'x'" in cli(here, "restore", "x", fails=True)
