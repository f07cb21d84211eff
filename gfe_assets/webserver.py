"""`gfe-assets ui`: Dagster's web server and daemon on this machine, ready to click.

In: which deployment they serve, and starting them. Out: what they show (`definitions.py`).
"""

import os
import sys

from gfe_assets import console
from gfe_assets.demonstration import demo_settings, prepare_source
from gfe_assets.errors import SourceUnavailable
from gfe_assets.home import open_instance, project_file
from gfe_assets.partitions import add_releases
from gfe_assets.settings import Settings
from gfe_assets.source.open import open_source
from gfe_assets.source.patience import Patience

_SHORT_PATIENCE = Patience(attempts=3, max_wait=15, connect_timeout=5, read_timeout=10)
_SUPERSEDED = "Function `dev_command` is superseded"
"""Dagster's advice to use `dg dev`, which would need the project to be laid out as its generator does."""


def serve(settings: Settings, port: int) -> None:
    """Become `dagster dev` (this process is replaced) with the environment of the deployment.

    The releases of the source become partitions; where it does not answer, those of earlier are there, and the commit sensor
    adds what is missing.
    """
    if "source_uri" not in settings.model_fields_set:
        settings = demo_settings(settings)
        prepare_source(settings)
        os.environ["GFE_SOURCE_URI"] = settings.source_uri
        os.environ["GFE_DATA_URI"] = str(settings.data_folder)
        console.complain(f"GFE_SOURCE_URI is not set: serving the simulated releases in {settings.data_folder / 'source'}")
    url = f"http://127.0.0.1:{port}"
    if "ui_url" not in settings.model_fields_set:
        os.environ["GFE_UI_URL"] = url
    with open_instance(settings) as instance:
        try:
            tips = open_source(settings, _SHORT_PATIENCE).tips()
        except SourceUnavailable as error:
            console.complain(f"{error} (the UI starts all the same)")
        else:
            add_releases(instance, [tip.release for tip in tips.tips] if tips else [])
    console.err.print(f"Dagster's UI: {url}   (runs are kept in {os.environ['DAGSTER_HOME']})", soft_wrap=True)
    command = [sys.executable, "-W", f"ignore:{_SUPERSEDED}", "-m", "dagster", "dev"]
    place = ["-w", str(project_file("workspace.yaml")), "-h", "127.0.0.1", "-p", str(port)]
    os.execv(sys.executable, [*command, *place])  # noqa: S606
