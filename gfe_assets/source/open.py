"""Which source the settings name.

In: settings. Out: a `Source`; nothing is asked of it yet.
"""

from gfe_assets.settings import Settings, folder_of
from gfe_assets.source.folder import FolderSource
from gfe_assets.source.models import Source


def open_source(settings: Settings) -> Source:
    """The source that `GFE_SOURCE_URI` names: `file:///folder` or `github://OWNER/REPO`."""
    return FolderSource(folder_of(settings.source_uri))
