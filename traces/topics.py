"""Live topics: what a topic is, and the two that follow the log.

This is the lowest floor that has topics, so the two kinds are defined here; every app above declares
its own in its ``topics.py`` and the roof collects them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from tenants.models import Tenant
from traces import selectors
from traces.domain.envelope import StoredEvent
from traces.models import Event


@dataclass(frozen=True, slots=True)
class Message:
    """One thing a topic says."""

    name: str
    """``noun.past_participle``."""
    publisher: str
    """The part of the platform that publishes it."""
    meaning: str


class Position(NamedTuple):
    """A point in a log topic: events after it have not been sent."""

    place: int
    """In the topic's own numbering, which has no holes."""
    log_seq: int
    """In the tenant's log: what clients are given and give back."""


@dataclass(frozen=True, slots=True)
class LogTopic:
    """A topic that sends stored events, each once and in order."""

    name: str
    with_id: bool
    """Whether the topic is spelled ``name:{id}``."""
    permission: str
    meaning: str
    messages: tuple[Message, ...]
    head: Callable[[Tenant, str], Position | None]
    """The last event's position; None when the id names nothing."""
    place_of: Callable[[Tenant, str, int], int]
    """The place of the last event at or before a ``log_seq``."""
    read: Callable[[Tenant, str, int, int], list[StoredEvent]]
    """Up to a number of events after a place, in order."""
    place: Callable[[StoredEvent], int]
    """Where an event stands."""
    message: Callable[[StoredEvent], str]
    """Which message an event is."""


@dataclass(frozen=True, slots=True)
class StateTopic:
    """A topic that sends the present state: whole on subscribing, again when it changed."""

    name: str
    with_id: bool
    permission: str
    meaning: str
    messages: tuple[Message, ...]
    """The first one is also said when a change was found by looking."""
    read: Callable[[Tenant, str], Any]
    """The state as JSON values; None when the id names nothing."""
    interval: float
    """Least time between two state frames, in seconds."""


Topic = LogTopic | StateTopic

APPENDED = "trace.event_appended"
FINISHED = "trace.finished"
SIGNED = "log.checkpoint_signed"

MESSAGES = (
    Message(APPENDED, "append", "an event was appended"),
    Message(FINISHED, "append", "the event that finishes a trace was appended"),
)


def message_of(event: StoredEvent) -> str:
    """``trace.finished`` for the last event of a trace, ``trace.event_appended`` for every other."""
    return FINISHED if event.event_type == "TraceFinished" else APPENDED


def _log_head(tenant: Tenant, ident: str) -> Position:
    head = selectors.head(tenant)
    return Position(head, head)


def _log_place(tenant: Tenant, ident: str, log_seq: int) -> int:
    return log_seq


def _read_log(tenant: Tenant, ident: str, place: int, limit: int) -> list[StoredEvent]:
    return selectors.read_log(tenant, after=place, limit=limit)


def _trace_position(tenant: Tenant, trace_id: str, log_seq: int | None) -> Position | None:
    """The trace's last event at or before ``log_seq``; walks its index backwards and stops there."""
    with tenant_tx(tenant):
        events = Event.objects.filter(trace_id=trace_id)
        if log_seq is not None:
            events = events.filter(log_seq__lte=log_seq)
        found = events.order_by("-trace_seq").values_list("trace_seq", "log_seq").first()
    return Position(*found) if found else None


def _trace_head(tenant: Tenant, trace_id: str) -> Position | None:
    return _trace_position(tenant, trace_id, None)


def _trace_place(tenant: Tenant, trace_id: str, log_seq: int) -> int:
    found = _trace_position(tenant, trace_id, log_seq)
    return found.place if found else -1


def _read_trace(tenant: Tenant, trace_id: str, place: int, limit: int) -> list[StoredEvent]:
    return selectors.read_trace(tenant, trace_id, after_seq=place, limit=limit)


def _log_state(tenant: Tenant, ident: str) -> Any:
    state = selectors.seal_state(tenant)
    row = state.checkpoint
    return {
        "head": state.head,
        "size": state.size,
        "sealed_at": None if row is None else clock.rfc3339(row.sealed_at),
        "note": None if row is None else row.note,
        "fault": state.fault or None,
    }


TOPICS: tuple[Topic, ...] = (
    StateTopic(
        name="log",
        with_id=False,
        permission="read",
        meaning="how far the log is sealed, and its newest checkpoint",
        messages=(Message(SIGNED, "seal", "a checkpoint over the newest events was signed"),),
        read=_log_state,
        interval=0.5,
    ),
    LogTopic(
        name="traces",
        with_id=False,
        permission="read",
        meaning="every event of the tenant's log",
        messages=MESSAGES,
        head=_log_head,
        place_of=_log_place,
        read=_read_log,
        place=lambda event: event.log_seq,
        message=message_of,
    ),
    LogTopic(
        name="trace",
        with_id=True,
        permission="read",
        meaning="the events of one trace",
        messages=MESSAGES,
        head=_trace_head,
        place_of=_trace_place,
        read=_read_trace,
        place=lambda event: event.trace_seq,
        message=message_of,
    ),
)
