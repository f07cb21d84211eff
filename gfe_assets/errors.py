"""Everything this project raises on purpose.

In: one small tree of exceptions whose messages are whole sentences for a person: they name the
release, file, line or allele, and say what to do. Out: handling. The command line prints the message
of any `GfeError` in one line and exits non-zero; Dagster shows it as the cause of the failed step.

`transient` says whether trying again without changing anything may help (a network that is down, a
graph that is busy); bad data is never transient, so it is never retried.
"""


class GfeError(Exception):
    """Base of all expected failures; its message is shown to users as it is."""

    transient = False


class SettingsError(GfeError):
    """A `GFE_*` setting or a command line value cannot be used."""


class ReleaseNameError(GfeError):
    """A text that should name an IPD-IMGT/HLA release does not."""


class SourceError(GfeError):
    """The source repository or folder does not hold what was asked for."""


class SourceUnavailable(SourceError):
    """The source did not answer; trying again later may help."""

    transient = True


class ReleaseNotFound(SourceError):
    """The source has no such release."""


class ReleaseRefused(SourceError):
    """The files of a release contradict themselves or the release; they are never loaded."""


class FlatFileError(GfeError):
    """An `hla.dat` cannot be read at a given line and entry."""


class RegistryError(GfeError):
    """The accession registry cannot be read or written, or contradicts what it is told."""


class RegistryUnavailable(RegistryError):
    """The registry database or the Feature Service did not answer; trying again later may help."""

    transient = True


class BuildError(GfeError):
    """A build cannot be made, found, or used."""


class GraphError(GfeError):
    """The graph cannot be read or written."""


class GraphUnavailable(GraphError):
    """The graph store did not answer; trying again later may help."""

    transient = True


class Busy(GfeError):
    """Another process holds what can only be held once, and did not finish in the time set."""

    transient = True


class GraphBusy(Busy, GraphError):
    """Another process is writing the graph and did not finish in the time set."""


class BackupError(GfeError):
    """A backup cannot be written, read, or trusted."""
