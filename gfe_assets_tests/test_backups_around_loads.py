"""GFE_BACKUP_AROUND_LOADS: one backup before a batch of loads and one after it, and none that is needless."""

import time
from collections.abc import Sequence

import dagster as dg
import polars as pl
import pytest

from gfe_assets.definitions import build_defs
from gfe_assets.errors import BackupError
from gfe_assets.graph.backup import needs_backup
from gfe_assets.graph.backup_folder import list_backups
from gfe_assets.graph.model import Node
from gfe_assets.graph.open import open_store
from gfe_assets.graph.store import GraphReader
from gfe_assets_tests.sites import Site


@pytest.fixture
def around(loaded: Site) -> Site:
    """3580 is loaded and not backed up, 3590 and 3600 are published; from now on there are backups around loads."""
    loaded.changed["backup_around_loads"] = "true"
    loaded.publish("3600", Site.database.evolve(seed=9, new=2, renamed=0, resequenced=0, deleted=0))
    return loaded


def backups(site: Site) -> list[tuple[str, list[str]]]:
    """Reason and releases of each backup, oldest first."""
    return [(each["reason"], each["releases"]) for each in (b.record() for b in list_backups(site.settings.backups_folder))]


def test_a_batch_has_one_backup_before_its_first_change_and_one_after_its_last(around: Site):
    around.run("3580", "3590", "3600")  # 3580 changes nothing
    assert backups(around) == [("before loads", ["3580"]), ("after loads", ["3580", "3590", "3600"])]
    around.publish("3590", Site.database.evolve(seed=4, new=1, renamed=1, resequenced=0, deleted=0))
    around.run("3590")  # the backup before it is the one after the batch before
    assert [reason for reason, _ in backups(around)] == ["before loads", "after loads", "after loads"]
    around.run("3590")  # changes nothing
    around.run("3600", job="build_job")  # loads nothing
    assert len(backups(around)) == 3


def test_a_backup_that_was_damaged_is_made_anew_before_the_next_load(around: Site):
    around.run("3590")
    newest = list_backups(around.settings.backups_folder)[-1].path
    (newest / "nodes.GFE.parquet").write_bytes(b"damaged")
    around.run("3600")
    assert [reason for reason, _ in backups(around)][-2:] == ["before loads", "after loads"]


def test_nothing_is_loaded_when_the_backup_before_it_cannot_be_made(around: Site):
    around.settings.backups_folder.parent.mkdir(parents=True, exist_ok=True)
    around.settings.backups_folder.write_text("a file in the place of the folder")
    before = around.graph_digest()
    with pytest.raises(BackupError, match="cannot be written"):
        around.run("3590")
    assert around.status("3590") == "LOAD_FAILED"
    assert around.graph_digest() == before


class Altered:
    """A graph as it is, but for what its `Release` nodes say."""

    def __init__(self, reader: GraphReader, **values: object) -> None:
        self._reader, self._values = reader, values

    def read_nodes(self, node: Node, columns: Sequence[str]) -> pl.DataFrame:
        frame = self._reader.read_nodes(node, columns)
        return frame.with_columns(
            pl.lit(value, frame.schema[name]).alias(name) for name, value in self._values.items() if name in columns
        )


def test_a_graph_that_a_killed_load_left_half_needs_no_backup_and_an_adopted_one_does(around: Site):
    folder = around.settings.backups_folder
    with open_store(around.settings).reader() as reader:
        assert needs_backup(folder, reader)
        assert not needs_backup(folder, Altered(reader, complete=False))
        assert needs_backup(folder, Altered(reader, complete=False, loaded_at=None))


def test_the_sensor_asks_for_one_backup_when_the_last_run_has_ended(around: Site):
    around.changed.pop("backup_around_loads")  # as if another process had loaded
    around.run("3590")
    definitions = build_defs(around.settings)
    sensor = definitions.resolve_sensor_def("backup_after_loads")

    def tick(instance: dg.DagsterInstance) -> dg.RunRequest | dg.SkipReason:
        with dg.build_sensor_context(instance=instance, definitions=definitions) as context:
            return sensor(context)

    with around.instance() as instance:
        waiting = instance.create_run_for_job(
            definitions.resolve_job_def("release_job"),
            tags={"dagster/partition": "3600"},
            status=dg.DagsterRunStatus.NOT_STARTED,
        )
        assert "runs of 3600 have not ended" in str(tick(instance).skip_message)
        instance.report_run_canceled(waiting)
        request = tick(instance)
        assert isinstance(request, dg.RunRequest)
        assert request.run_key == tick(instance).run_key
        done = definitions.resolve_job_def("backup_job").execute_in_process(instance=instance, run_config=request.run_config)
        assert done.success
        assert tick(instance).skip_message == "nothing was loaded since the newest backup"
    assert backups(around) == [("after loads", ["3580", "3590"])]
    time.sleep(1)
    around.run("3590")
    with around.instance() as instance:
        assert tick(instance).skip_message == "nothing was loaded since the newest backup"  # it changed nothing


@pytest.mark.parametrize(("setting", "status"), [("true", "RUNNING"), ("false", "STOPPED")])
def test_the_sensor_is_on_where_the_setting_asks_for_it(site: Site, setting: str, status: str):
    site.changed["backup_around_loads"] = setting
    sensor = build_defs(site.settings).resolve_sensor_def("backup_after_loads")
    assert sensor.default_status is dg.DefaultSensorStatus[status]
