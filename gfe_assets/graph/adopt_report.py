"""What a survey of a database says: how it differs from our schema, and what becomes of each difference.

In: the records of a report. Out: finding them (`adopt_survey.py`), acting on them (`adopt_steps.py`), printing (`console.py`).
"""

from collections.abc import Iterable
from itertools import islice
from typing import Literal

from pydantic import BaseModel

EXAMPLES = 5
_EXAMPLE_LENGTH = 160

Action = Literal["change", "keep", "refuse"]
"""`change`: --apply brings it to our schema. `keep`: it stays as it is, and is told. `refuse`: nothing is changed while it is
there."""


class Difference(BaseModel):
    """One kind of difference: a stable name, the label or type it is about, how many there are, a few of them."""

    what: str
    where: str
    count: int
    examples: tuple[str, ...] = ()
    action: Action
    remedy: str


class AdoptionReport(BaseModel):
    """What a database holds and how it differs; after `applied` the differences are those that there were before."""

    graph: str
    database: str = ""
    nodes: dict[str, int] = {}
    edges: dict[str, int] = {}
    releases: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()
    applied: bool = False
    accessions_added: int = 0

    def of(self, action: Action) -> list[Difference]:
        """The differences of one kind of consequence."""
        return [difference for difference in self.differences if difference.action == action]

    @property
    def needed(self) -> bool:
        """Whether there is anything to adopt."""
        return bool(self.of("change") or self.of("refuse"))

    @property
    def refusal(self) -> str:
        """Why it cannot be adopted as it is, as one text; empty when it can."""
        reasons = [
            f"{difference.what} ({difference.where}: {difference.count:,}"
            + (f", such as {difference.examples[0]}" if difference.examples else "")
            + f"): {difference.remedy}"
            for difference in self.of("refuse")
        ]
        return "; ".join(reasons)


class Findings:
    """Collects differences; those that do not occur are left out."""

    def __init__(self) -> None:
        self.differences: list[Difference] = []

    def add(
        self, what: str, where: str, count: int, remedy: str, examples: Iterable[object] = (), *, action: Action = "change"
    ) -> None:
        """Take one down if `count` is not 0; long examples are cut."""
        if count:
            shown = tuple(str(example)[:_EXAMPLE_LENGTH] for example in islice(examples, EXAMPLES))
            self.differences.append(
                Difference(what=what, where=where, count=count, examples=shown, action=action, remedy=remedy)
            )
