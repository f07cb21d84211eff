"""Which source the settings name.

In: settings. Out: a `Source`; nothing is asked of it yet.
"""

import re

from gfe_assets.errors import SettingsError
from gfe_assets.settings import Settings, folder_of
from gfe_assets.source.folder import FolderSource
from gfe_assets.source.models import Source
from gfe_assets.source.patience import Patience

_REPOSITORY = re.compile(r"github://(?P<owner>[A-Za-z0-9-]+)/(?P<repo>[A-Za-z0-9._-]+?)(?:\.git)?/?")


def open_source(settings: Settings, patience: Patience | None = None) -> Source:
    """The source that `GFE_SOURCE_URI` names: `file:///folder` or `github://OWNER/REPO`.

    `patience` replaces that of the settings, for callers that cannot wait long (a sensor tick).

    Raises:
        SettingsError: a GitHub URI does not name an owner and a repository.
    """
    if not settings.source_uri.startswith("github://"):
        return FolderSource(folder_of(settings.source_uri))
    from gfe_assets.source.github import GitHubSource  # noqa: PLC0415 (requests is slow to import; folders do without)

    match = _REPOSITORY.fullmatch(settings.source_uri)
    if not match:
        raise SettingsError(f"GFE_SOURCE_URI: {settings.source_uri!r} does not read github://OWNER/REPO")
    return GitHubSource(
        match["owner"],
        match["repo"],
        api_url=settings.github_api_url,
        raw_url=settings.github_raw_url,
        token=settings.github_token,
        memory_folder=settings.data_folder / "source",
        patience=patience or Patience(max_wait=settings.github_wait_seconds),
    )
