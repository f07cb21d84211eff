"""Why a run failed, read from its events: for runs that could not say so themselves, because they were killed.

In: one reading of the events in which Dagster tells of failures. Out: runs that said why in their tags (`statuses.py`), and
everything else that a run did (`facts.py`).
"""

from typing import Any, NamedTuple

import dagster as dg

_TYPES = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.ENGINE_EVENT}
_FROM_OUTSIDE = "This run has been marked as failed from outside the execution context."
"""Dagster's words when it has none; the engine event before it then says what it saw."""


class Failure(NamedTuple):
    """What happened, for people, and the kind of error with what lies below it."""

    message: str
    cause: str


def failure_of(instance: dg.DagsterInstance, run_id: str) -> Failure:
    """The failure that ended a run; the innermost error where there is one, else what Dagster says about its end."""
    seen = ""
    found = Failure("its run failed without saying why; the log of the run may know more", "unknown")
    for entry in instance.all_logs(run_id, of_type=_TYPES):
        event = entry.dagster_event
        if event is None:
            continue
        if event.event_type is dg.DagsterEventType.ENGINE_EVENT:
            seen = event.message or seen
            continue
        error = getattr(event.event_specific_data, "error", None)
        if error:
            found = _of_error(error)
        elif event.event_type is dg.DagsterEventType.RUN_FAILURE and found.cause == "unknown":
            said = event.message or ""
            found = Failure(seen if said in ("", _FROM_OUTSIDE) and seen else said or found.message, "the run's process ended")
    return found


def cause_of(error: BaseException) -> str:
    """The kind of an error, and of those below it with their messages, outermost first."""
    below = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    name = type(error).__name__
    return f"{name}, from {type(below).__name__}: {below}" if below else name


def _of_error(error: Any) -> Failure:
    """Dagster wraps what user code raised; the wrapped error is the one that people can act on."""
    inner = error
    while inner.cause:
        inner = inner.cause
    kind, _, message = (inner.message or "").strip().partition(": ")  # such as gfe_assets.errors.GraphError
    return Failure(message if kind.endswith(str(inner.cls_name)) else inner.message.strip(), str(inner.cls_name or "unknown"))
