"""Readings of the database, shared by the sockets of this event loop.

Sockets that follow the same topic ask the same question at the same time. A reading in flight is
joined, a page of the log just read is handed out again (the log never changes), and an answer
"nothing new" is good for those who only look. An asker says since when an answer must have been
asked for: after a doorbell an older one proves nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from channels.db import database_sync_to_async

THREADS = 4
KEEP_SECONDS = 5.0
"""How long a page is handed out again; short, because the payload of an event can be erased."""
KEEP_BYTES = 32 * 1024 * 1024

_threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="dg-sockets")

T = TypeVar("T")


class Line(NamedTuple):
    """One event of a log topic, encoded."""

    place: int
    """Where it stands in its topic: positions have no holes."""
    log_seq: int
    message: str
    data: bytes


class Reading(NamedTuple):
    """An answer and when it was asked for (monotonic seconds)."""

    begun: float
    lines: list[Line]
    size: int


async def database(call: Callable[[], T]) -> T:
    """Run something that reads the database on one of a few threads kept for sockets."""
    return await database_sync_to_async(call, thread_sensitive=False, executor=_threads)()


class Feed:
    """Shared readings."""

    def __init__(self) -> None:
        self._flights: dict[Hashable, tuple[float, asyncio.Task[Reading]]] = {}
        self._kept: OrderedDict[Hashable, Reading] = OrderedDict()
        self._bytes = 0

    async def read(self, key: Hashable, call: Callable[[], list[Line]], *, since: float, keep: bool) -> list[Line]:
        """What ``call`` returns, asked for at ``since`` or later.

        With ``keep`` a non-empty answer does not depend on when it was asked for (pages of the log).
        Raises whatever ``call`` raises.
        """
        while True:
            kept = self._find(key)
            if kept is not None and (kept.begun >= since or (keep and kept.lines)):
                return kept.lines
            flight = self._flights.get(key)
            if flight is None:
                begun = time.monotonic()
                task = asyncio.create_task(self._fly(key, call, begun))
                flight = (begun, task)
                self._flights[key] = flight
                task.add_done_callback(_heard)
            reading = await asyncio.shield(flight[1])
            if reading.begun >= since or (keep and reading.lines):
                return reading.lines

    async def _fly(self, key: Hashable, call: Callable[[], list[Line]], begun: float) -> Reading:
        try:
            lines = await database(call)
        finally:
            # Here and not in a callback: whoever finds it in the list must be able to wait for it.
            del self._flights[key]
        reading = Reading(begun, lines, sum(len(line.data) for line in lines))
        self._forget(key)
        self._kept[key] = reading
        self._bytes += reading.size
        while self._kept and (self._bytes > KEEP_BYTES or len(self._kept) > 2000):
            self._forget(next(iter(self._kept)))
        return reading

    def _find(self, key: Hashable) -> Reading | None:
        kept = self._kept.get(key)
        if kept is not None and time.monotonic() - kept.begun > KEEP_SECONDS:
            self._forget(key)
            return None
        return kept

    def _forget(self, key: Hashable) -> None:
        gone = self._kept.pop(key, None)
        if gone is not None:
            self._bytes -= gone.size


def _heard(done: asyncio.Task[Reading]) -> None:
    """Whoever asked may have left; an error that nobody waits for is no news."""
    if not done.cancelled():
        done.exception()
