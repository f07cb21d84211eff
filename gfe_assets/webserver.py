"""`gfe-assets ui`: Dagster's web server and daemon on this machine, ready to click.

In: which deployment they serve, and starting them. Out: what they show (`definitions.py`).
"""

import os
import sys
from pathlib import Path

from gfe_assets import console
from gfe_assets.demonstration import demo_settings, prepare_source
from gfe_assets.home import open_instance
from gfe_assets.partitions import add_releases
from gfe_assets.settings import Settings
from gfe_assets.source.open import open_source


def serve(settings: Settings, port: int) -> None:
    """Become `dagster dev` (this process is replaced) with the environment of the deployment."""
    if "source_uri" not in settings.model_fields_set:
        settings = demo_settings(settings)
        prepare_source(settings)
        os.environ["GFE_SOURCE_URI"] = settings.source_uri
        os.environ["GFE_DATA_URI"] = str(settings.data_folder)
        console.err.print(f"GFE_SOURCE_URI is not set: serving the simulated releases in {settings.data_folder / 'source'}")
    with open_instance(settings) as instance:
        tips = open_source(settings).tips()
        add_releases(instance, [tip.release for tip in tips.tips] if tips else [])
    console.err.print(f"Dagster's UI: http://127.0.0.1:{port}   (runs are kept in {os.environ['DAGSTER_HOME']})")
    dagster = Path(sys.executable).with_name("dagster")
    os.execv(dagster, [str(dagster), "dev", "-m", "gfe_assets.definitions", "-h", "127.0.0.1", "-p", str(port)])  # noqa: S606
