"""What a run alert and a release report are written from, and the message that is sent.

In: typed records; whoever knows the run fills them. Out: their words (`report.py`, `release_report.py`),
sending (`send.py`), and how Dagster tells the facts (`stages/`).
"""

import re
from datetime import datetime
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict

from gfe_assets.hla.changes import ReleaseChanges
from gfe_assets.hla.manifest import CheckResult

Outcome = Literal["success", "warning", "failure", "canceled"]
"""How a run ended: `warning` is a run that went through although a check failed."""

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def printable(text: str) -> str:
    """The text without control characters, lone surrogates and carriage returns, none of which a mail can carry."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))


Text = Annotated[str, AfterValidator(printable)]


class CheckLine(BaseModel):
    """The verdict of a check as people read it; an `ERROR` stops the data, a `WARN` does not."""

    model_config = ConfigDict(frozen=True)

    name: Text
    passed: bool
    severity: Literal["ERROR", "WARN"] = "ERROR"
    summary: Text = ""

    @classmethod
    def of(cls, check: CheckResult) -> "CheckLine":
        """From the result of a check of a build or of the graph."""
        severity: Literal["ERROR", "WARN"] = "ERROR" if check.blocking else "WARN"
        return cls(name=check.name, passed=check.passed, severity=severity, summary=check.summary)


class Run(BaseModel):
    """What alert and report share. `release` is the branch name, `status` one of the execution states.

    `seconds` maps stage → seconds. `ui_url` is the address of the Dagster UI; links are left out without it.
    """

    model_config = ConfigDict(frozen=True)

    release: Text = ""
    version: Text = ""
    status: Text = ""
    commit_sha: Text = ""
    commit_date: datetime | None = None
    commit_url: Text = ""
    commit_message: Text = ""
    checks: tuple[CheckLine, ...] = ()
    seconds: dict[Text, float] = {}
    run_id: Text = ""
    ui_url: Text = ""

    @property
    def run_url(self) -> str:
        """The page of the run in the UI, empty where it is not known."""
        return f"{self.ui_url.rstrip('/')}/runs/{self.run_id}" if self.ui_url and self.run_id else ""

    @property
    def failed_checks(self) -> list[CheckLine]:
        """The checks that did not pass."""
        return [check for check in self.checks if not check.passed]

    @property
    def release_name(self) -> str:
        """Both spellings of the release, `3580 (3.58.0)`, or the one that is known."""
        return f"{self.release} ({self.version})" if self.release and self.version else self.release or self.version


class RunReport(Run):
    """The facts of one run that ended.

    `counts` is what there is now (alleles, GFEs, …), `changes` what the run wrote. `cause` is the sentence of an expected
    failure, `error` whatever else is known of it, a traceback perhaps. `job` names a run that is of no release.
    `report_url` is where the release report is read: a web address, or a file.
    """

    outcome: Outcome
    job: Text = ""
    counts: dict[Text, int] = {}
    changes: dict[Text, int] = {}
    cause: Text = ""
    error: Text = ""
    report_url: Text = ""


class ReleaseReport(Run):
    """The facts of one loaded release.

    `counts_before` and `counts_after` are of the graph; `changes` is against the release `compared_with` ("3.57.0"), None where
    there is none before it. `correction` is against the same release as it was loaded before, from the commit `corrected`; None
    where this is its first content. `skipped` is reason → locus → entries, as the manifest has it.
    """

    counts_before: dict[Text, int] = {}
    counts_after: dict[Text, int] = {}
    compared_with: Text = ""
    changes: ReleaseChanges | None = None
    corrected: Text = ""
    correction: ReleaseChanges | None = None
    skipped: dict[Text, dict[Text, int]] = {}
    notes: tuple[Text, ...] = ()
    created_at: datetime | None = None


class ReleaseSize(NamedTuple):
    """How much a release holds; `release` is the branch name."""

    release: str
    alleles: int
    gfes: int
    features: int


class Message(BaseModel):
    """What is sent: one subject, and the same facts as plain text and as HTML."""

    model_config = ConfigDict(frozen=True)

    outcome: Outcome
    subject: Text
    text: Text
    html: Text
