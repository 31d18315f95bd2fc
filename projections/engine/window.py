"""Reading the log once for everybody who stands at the same place, and remembering open traces."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from django.db import connection

from tenants.models import Tenant
from traces import selectors as log
from traces.domain.envelope import Entry, Said

MEMORY = 30_000
"""Events kept so that a trace that finishes need not be read again."""


class LogGap(RuntimeError):
    """The log did not answer with the next event: never skip over it."""


class Window:
    """The last piece of one tenant's log that was read. The log never changes, so it never ages."""

    def __init__(self, tenant: Tenant, *, remember: bool = True, ahead: bool = False) -> None:
        """``ahead``: a thread reads the piece that follows the one that is worked on; then `close` it."""
        self.tenant = tenant
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="dg-window") if ahead else None
        self._next: tuple[int, Future[list[Entry]]] | None = None
        self._events: list[Entry] = []
        self._remember = remember
        self._traces: dict[str, list[Entry]] = {}
        self._remembered = 0
        self._seen_to = -1

    def read(self, after: int, limit: int, until: int | None = None) -> list[Entry]:
        """The events that follow ``after``, up to ``limit`` of them and none beyond ``until``."""
        if until is not None:
            limit = min(limit, until - after)
        if limit <= 0:
            return []
        if self._events:
            start = after + 1 - self._events[0].log_seq
            if 0 <= start < len(self._events):
                return self._events[start : start + limit]
        events = self._read(after, limit, until)
        if self._pool is not None and len(events) == limit:
            end = events[-1].log_seq
            self._next = end, self._pool.submit(self._fetch, end, limit, until)
        if events and (events[0].log_seq != after + 1 or events[-1].log_seq != after + len(events)):
            raise LogGap(f"after event {after} the log answered with event {events[0].log_seq}")
        if events:
            self._events = events
            if self._remember:
                self._keep(events)
        return events

    def _read(self, after: int, limit: int, until: int | None) -> list[Entry]:
        """From the thread, if it read from here; less than asked for is no harm, more is."""
        ready, self._next = self._next, None
        if ready is not None and ready[0] == after:
            events = ready[1].result()
            if events and len(events) <= limit and (until is None or events[-1].log_seq <= until):
                return events
        return log.read_said(self.tenant, after=after, limit=limit, until=until)

    def _fetch(self, after: int, limit: int, until: int | None) -> list[Entry]:
        try:
            return log.read_said(self.tenant, after=after, limit=limit, until=until)
        finally:
            connection.close()  # this thread's own, back to the pool

    def close(self) -> None:
        """End the thread."""
        self._next = None
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _keep(self, events: Sequence[Entry]) -> None:
        if events[0].log_seq != self._seen_to + 1:
            self._traces.clear()
            self._remembered = 0
        self._seen_to = events[-1].log_seq
        traces = self._traces
        for event in events:
            known = traces.get(event.trace_id)
            if known is None:
                traces[event.trace_id] = [event]
            else:
                known.append(event)
        self._remembered += len(events)
        while self._remembered > MEMORY and len(traces) > 1:
            oldest = next(iter(traces))
            self._remembered -= len(traces.pop(oldest))

    def history(self, events: Iterable[Said], types: frozenset[str]) -> Mapping[int, Sequence[Said]]:
        """For each event (by ``log_seq``) the earlier events of these types of its trace."""
        found: dict[int, list[Said]] = {}
        unknown: list[Said] = []
        for event in events:
            known = self._traces.get(event.trace_id)
            if known is not None and known[0].trace_seq == 0 and known[-1].log_seq >= event.log_seq:
                found[event.log_seq] = _earlier(known, event, types)
            else:
                unknown.append(event)
        if unknown:
            stored = log.trace_history(self.tenant, sorted({event.trace_id for event in unknown}), sorted(types))
            for event in unknown:
                found[event.log_seq] = _earlier(stored[event.trace_id], event, types)
        return found


def _earlier(trace: Sequence[Said], event: Said, types: frozenset[str]) -> list[Said]:
    return [item for item in trace if item.log_seq < event.log_seq and item.event_type in types]
