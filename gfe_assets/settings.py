"""Every `GFE_*` setting, in one place, with its meaning and default.

In: names, types, defaults and checks of the settings, read from the environment or `.env`. Out: what is
done with them. Values are checked here once, so that nobody else has to; secrets never appear in `repr`.
"""

import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from urllib.request import url2pathname

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from gfe_assets.errors import SettingsError
from gfe_assets.hla.features import DEFAULT_LOCI, structure

_ADDRESS = re.compile(r"[!-~]+@[!-~]+")  # printable ASCII; whether it exists, its mail server knows

CommaSeparated = Annotated[tuple[str, ...], NoDecode]


class Settings(BaseSettings):
    """Settings of one deployment; `Settings.load()` turns mistakes into one clear sentence."""

    model_config = SettingsConfigDict(env_prefix="GFE_", env_file=".env", extra="ignore", frozen=True)

    source_uri: str = Field(
        "github://ANHIG/IMGTHLA", description="Where releases come from: github://OWNER/REPO or file:///folder"
    )
    data_uri: str = Field("data", description="Folder for raw files, CSV files, registry and graph")
    graph_uri: str = Field(
        "", description="ladybug:///file (embedded, default: inside the data folder), neo4j://, neo4j+s://, bolt://"
    )
    graph_user: str = Field("neo4j", description="User of a graph server")
    graph_password: SecretStr = Field(SecretStr(""), description="Password of a graph server")
    graph_database: str = Field("neo4j", description="Database on a graph server")
    graph_wait_seconds: float = Field(900, ge=0, description="How long a load waits for another writer of the same graph")
    registry_uri: str = Field("", description="SQLAlchemy URL of the accession registry (default: SQLite in the data folder)")
    loci: CommaSeparated = Field(DEFAULT_LOCI, description="Loci to build, comma separated, such as HLA-A,HLA-B")
    error_tolerance: int = Field(0, ge=0, description="How many unusable entries a build may have and still be loaded")
    github_api_url: str = Field("https://api.github.com", description="Base URL of the GitHub REST API or a mirror")
    github_raw_url: str = Field(
        "https://github.com", description="Base URL for raw files: {raw}/{owner}/{repo}/raw/{sha}/{path}"
    )
    github_token: SecretStr = Field(SecretStr(""), description="GitHub token; optional, raises the rate limit")
    github_wait_seconds: float = Field(
        300, ge=0, description="How long one request to GitHub may be put off by its rate limit or failures before giving up"
    )
    backups_kept: int = Field(14, ge=1, description="How many sound backups are kept; older ones are removed after a new one")
    backup_around_loads: bool = Field(
        False,
        description="Back up before the first and after the last of a batch of loads, unless a backup holds the graph already",
    )
    backup_cron: str = Field("0 2 * * *", description="When the schedule of daily backups runs, in UTC, as five cron fields")
    poll_seconds: int = Field(3600, ge=30, description="How often the commit sensor looks for new commits")
    retry_seconds: float = Field(
        30, ge=0, description="Pause before a stage is tried again after a failure of network or database; 0: never again"
    )
    feature_service_url: str = Field(
        "", description="Feature Service that is the authority for accessions; empty: this registry is"
    )
    process_existing: Literal["none", "latest", "all"] = Field(
        "none", description="What the first tick of a new deployment runs"
    )
    excluded_shas: CommaSeparated = Field((), description="Commits never to run, comma separated")
    notify_urls: CommaSeparated = Field((), repr=False, description="Apprise URLs for alerts, comma separated")
    notify_email: CommaSeparated = Field((), description="E-mail addresses for alerts, comma separated")
    smtp_host: str = Field("localhost", min_length=1, description="Mail server for alerts")
    smtp_port: int = Field(
        0, ge=0, le=65535, description="Port of the mail server; 0: the usual one (25, starttls 587, ssl 465)"
    )
    smtp_user: str = Field("", description="User of the mail server; empty: no login")
    smtp_password: SecretStr = Field(SecretStr(""), description="Password of the mail server")
    smtp_from: str = Field(
        "", description="Sender of alert mails (default: the user if it is an address, else gfe-assets@HOST)"
    )
    smtp_tls: Literal["", "none", "starttls", "ssl"] = Field(
        "", description="Encryption to the mail server: none, starttls, ssl (default: starttls with a login, else none)"
    )
    ui_url: str = Field("http://localhost:3000", description="Where people open the Dagster UI; alerts link to it")

    @classmethod
    def load(cls, **overrides: Any) -> "Settings":
        """Read environment and `.env`.

        Raises:
            SettingsError: names each wrong setting, its value's problem, and nothing secret.
        """
        try:
            return cls(**overrides)
        except ValidationError as error:
            problems = "; ".join(
                f"GFE_{'.'.join(str(part) for part in problem['loc']).upper()}: {problem['msg'].removeprefix('Value error, ')}"
                for problem in error.errors(include_input=False, include_url=False)
            )
            raise SettingsError(f"settings cannot be used: {problems}") from None

    @field_validator("loci", "excluded_shas", "notify_email", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("notify_urls", mode="before")
    @classmethod
    def _split_urls(cls, value: object) -> object:
        """A comma separates URLs only where the next one begins: URLs may list recipients with commas themselves."""
        if not isinstance(value, str):
            return value
        parts = re.split(r"[\s,]+(?=[A-Za-z][\w+.-]*://)", value)
        return tuple(part.strip(" ,") for part in parts if part.strip(" ,"))

    @field_validator("loci")
    @classmethod
    def _known_loci(cls, loci: tuple[str, ...]) -> tuple[str, ...]:
        if not loci:
            raise ValueError("name at least one locus")
        for locus in loci:
            try:
                structure(locus)
            except SettingsError as error:
                raise ValueError(str(error)) from None
        return loci

    @field_validator("notify_email")
    @classmethod
    def _addresses(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        for address in addresses:
            if not _ADDRESS.fullmatch(address):
                raise ValueError(f"{address!r} is no e-mail address such as name@example.org")
        return addresses

    @field_validator("smtp_from")
    @classmethod
    def _sender(cls, address: str) -> str:
        if address and not _ADDRESS.fullmatch(address):
            raise ValueError(f"{address!r} is no e-mail address such as name@example.org")
        return address

    @field_validator("ui_url")
    @classmethod
    def _web_address(cls, url: str) -> str:
        if url and urlsplit(url).scheme not in ("http", "https"):
            raise ValueError(f"{url!r} is not the address of a web page: it must begin with http:// or https://")
        return url.rstrip("/")

    @field_validator("source_uri")
    @classmethod
    def _source_scheme(cls, uri: str) -> str:
        if urlsplit(uri).scheme not in ("github", "file"):
            raise ValueError(f"{uri!r} is neither github://OWNER/REPO nor file:///folder")
        return uri

    @field_validator("data_uri")
    @classmethod
    def _data_scheme(cls, uri: str) -> str:
        if "://" in uri and urlsplit(uri).scheme != "file":
            raise ValueError(f"{uri!r} is not a folder; other storage is not supported yet")
        return uri

    @field_validator("graph_uri")
    @classmethod
    def _graph_scheme(cls, uri: str) -> str:
        schemes = ("ladybug", "neo4j", "neo4j+s", "neo4j+ssc", "bolt", "bolt+s", "bolt+ssc")
        if uri and urlsplit(uri).scheme not in schemes:
            raise ValueError(
                f"scheme of {urlsplit(uri).scheme or 'this'!r} is not one of {', '.join(s + '://' for s in schemes)}"
            )
        return uri

    @cached_property
    def data_folder(self) -> Path:
        """The data folder as an absolute path."""
        return folder_of(self.data_uri)

    @property
    def backups_folder(self) -> Path:
        """Where backups of the graph and the registry are."""
        return self.data_folder / "backups"

    @property
    def graph_location(self) -> str:
        """`graph_uri`, or the embedded default inside the data folder."""
        return self.graph_uri or f"ladybug://{self.data_folder / 'graph' / 'gfe.lbdb'}"

    @property
    def registry_location(self) -> str:
        """`registry_uri`, or the SQLite default inside the data folder."""
        return self.registry_uri or f"sqlite:///{self.data_folder / 'registry' / 'accessions.sqlite'}"


def folder_of(uri: str) -> Path:
    """The absolute path that a plain path or a `file://` URI names."""
    return Path(url2pathname(urlsplit(uri).path) if "://" in uri else uri).expanduser().resolve()
