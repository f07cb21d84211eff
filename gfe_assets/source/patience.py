"""Asking again: when, how often, and when to give up.

In: an action that fails with `TryAgain`, and a `Patience`. Out: what failed and why (`http.py`).

A server that fails is asked again after growing, jittered pauses, a few times. A server that says when to come
back is asked then, if that is not beyond the patience for one request; else the caller is told when.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import tenacity

from gfe_assets.errors import SourceUnavailable

_Result = TypeVar("_Result")


class TryAgain(SourceUnavailable):
    """The server did not answer usefully; `after` is the pause in seconds that it asked for, None if it named none."""

    def __init__(self, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


@dataclass(frozen=True)
class Patience:
    """How long to go on.

    `attempts` in all for one request; pauses begin at `pause` seconds, double up to `longest_pause`, and are jittered
    by up to their own length; all pauses of one request add up to at most `max_wait` seconds. A connection
    may take `connect_timeout` seconds to come and `read_timeout` between two pieces of an answer.
    """

    attempts: int = 5
    pause: float = 0.5
    longest_pause: float = 30
    max_wait: float = 300
    connect_timeout: float = 10
    read_timeout: float = 30

    def run(self, action: Callable[[], _Result]) -> _Result:
        """Call `action` until it returns.

        Raises:
            TryAgain: the last failure, when attempts or time are used up or the server wants a longer pause.
        """
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(TryAgain), wait=self._wait, stop=self._stop, reraise=True
        )
        return retrying(action)

    def _wait(self, state: tenacity.RetryCallState) -> float:
        asked = _asked_pause(state)
        pause = min(self.longest_pause, self.pause * 2 ** (state.attempt_number - 1))
        jittered = tenacity.wait_random(0, pause)(state)
        return asked + min(1.0, jittered) if asked is not None else pause + jittered

    def _stop(self, state: tenacity.RetryCallState) -> bool:
        return state.attempt_number >= self.attempts or state.idle_for + state.upcoming_sleep > self.max_wait


def _asked_pause(state: tenacity.RetryCallState) -> float | None:
    error = state.outcome.exception() if state.outcome else None
    return error.after if isinstance(error, TryAgain) else None
