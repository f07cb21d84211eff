"""Everything in the UI says what it is, in words, and where it belongs."""

import re
import warnings

import dagster as dg
import pytest

from gfe_assets.definitions import build_defs
from gfe_assets.settings import Settings

FLOW = ("release_commits", "raw_sequences", "gfe_csvs", "gfe_graph", "graph_validation", "release_report")


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return build_defs(Settings(_env_file=None))


@pytest.fixture(scope="module")
def repository(definitions: dg.Definitions) -> dg.RepositoryDefinition:
    return definitions.get_repository_def()


def is_sentence(text: str | None) -> bool:
    """Several words that end with a full stop, or name a place at the end."""
    return bool(text) and len(str(text).split()) > 3


def test_every_asset_has_a_description_a_stage_as_group_kinds_owners_and_tags(repository: dg.RepositoryDefinition):
    graph = repository.asset_graph
    assert {key.to_user_string() for key in graph.get_all_asset_keys()} >= {*FLOW, "graph_backup", "execution_state"}
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert is_sentence(node.description), key
        assert node.group_name in ("raw", "build", "load", "validate"), key
        assert node.kinds, key
        assert node.owners == ["team:transplant-bioinformatics"], key
        assert node.tags["stage"] == node.group_name, key


def test_every_asset_that_is_made_links_to_its_code(repository: dg.RepositoryDefinition):
    for key in repository.asset_graph.materializable_asset_keys:
        references = repository.asset_graph.get(key).metadata["dagster/code_references"].code_references
        assert [reference.file_path.rpartition("/")[2].endswith(".py") for reference in references] == [True], key


def test_every_check_has_a_description_and_a_partition(repository: dg.RepositoryDefinition):
    specs = [repository.asset_graph.get_check_spec(key) for key in repository.asset_graph.asset_check_keys]
    assert len(specs) > 25
    for spec in specs:
        assert is_sentence(spec.description), spec.name
        assert spec.partitions_def is not None, spec.name
    assert {spec.name for spec in specs if not spec.blocking} == {"md5_list"}


def test_every_job_sensor_schedule_and_resource_has_a_description(
    definitions: dg.Definitions, repository: dg.RepositoryDefinition
):
    named = [
        *(job for job in repository.get_all_jobs() if not job.name.startswith("__")),
        *repository.sensor_defs,
        *repository.schedule_defs,
    ]
    assert len(named) >= 10
    for each in named:
        assert is_sentence(each.description), each.name
    for name, resource in (definitions.resources or {}).items():
        text = getattr(resource, "description", None) or getattr(resource, "resource_cls", type(resource)).__doc__
        assert is_sentence(text), name


def test_every_setting_and_launch_parameter_has_a_description():
    from gfe_assets.resources import LaunchParameters  # noqa: PLC0415 - only here

    for model in (Settings, LaunchParameters):
        for name, field in model.model_fields.items():
            assert is_sentence(field.description), name


def test_nothing_that_only_dagster_can_act_on_is_said_when_the_definitions_are_loaded():
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        build_defs(Settings(_env_file=None))
    ours = re.compile("backfill_policy|code_references|CodeReference|partitions_def on an AssetCheckSpec")
    assert [str(each.message) for each in said if not ours.search(str(each.message))] == []


def test_runs_of_older_releases_start_first(repository: dg.RepositoryDefinition):
    for name in ("release_job", "build_job", "load_job"):
        job = repository.get_job(name)
        names = ["3580", "390", "3100", "400"]
        priority = {each: int(job.partitioned_config.get_tags_for_partition_key(each)["dagster/priority"]) for each in names}
        assert sorted(names, key=lambda each: -priority[each]) == ["390", "3100", "3580", "400"]
