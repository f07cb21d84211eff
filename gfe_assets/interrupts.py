"""Noticing Ctrl-C where a library takes the signal for itself.

In: whether SIGINT or SIGTERM came while a block ran, whoever handled it. Out: what follows from it (`foreground.py`).

While Dagster executes a run it puts off signals, and one that comes in its last moments it forgets: the run would end as if
nobody had asked it to stop, and the next one would begin. Python can write the number of each signal into a socket as well.
"""

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_STOPPING = {signal.SIGINT, signal.SIGTERM}


@contextmanager
def interrupts() -> Iterator[Callable[[], bool]]:
    """Give a function that says whether one has come since it was last asked; outside the main thread none ever does."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    receiver, sender = socket.socketpair()
    with receiver, sender:
        receiver.setblocking(False)
        sender.setblocking(False)
        before = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        try:
            yield lambda: _came(receiver)
        finally:
            signal.set_wakeup_fd(before)


def _came(receiver: socket.socket) -> bool:
    try:
        return not _STOPPING.isdisjoint(receiver.recv(4096))
    except BlockingIOError:
        return False
