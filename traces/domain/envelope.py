"""The frozen value that every floor above the log speaks: one stored event."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

INGEST_TYPES: tuple[str, ...] = (
    "TraceStarted",
    "InputObserved",
    "EntityObserved",
    "PolicyEvaluated",
    "ExceptionRequested",
    "ApprovalRecorded",
    "PrecedentCited",
    "ActionProposed",
    "ActionCommitted",
    "TraceFinished",
)
"""The published vocabulary that agents emit. Names and required keys never change."""

PLATFORM_TYPES: tuple[str, ...] = (
    "ApprovalRequested",
    "ApprovalEscalated",
    "ReviewRequested",
    "IncidentOpened",
    "IncidentResolved",
    "EventRedacted",
)
"""Types that only the platform writes; a client that sends one is refused with 403."""

OPEN_WORKFLOW = "import:open-workflow"
"""Principal of imported events whose importer asked for workflow items. It is part of every such event, so
the wish stands in the log itself, and no client can forge it."""

REVIEW_PREFIX = "review:"
"""Trace ids with this prefix belong to the platform's own review traces."""

PLATFORM_PRODUCER = "decisiongraph"
"""Producer of every platform event. Refused from clients: their keys must not meet the platform's."""

REVIEW_WORKFLOW = "decisiongraph.review"
"""Workflow name of every review trace."""


class Said(Protocol):
    """What an event says: all that may be folded, and so all that is read in order to fold.

    A `StoredEvent` says it too. What that holds beyond (who vouches for it, keys, hashes) is for whoever looks
    at the event itself.
    """

    @property
    def log_seq(self) -> int: ...
    @property
    def event_id(self) -> str: ...
    @property
    def trace_id(self) -> str: ...
    @property
    def trace_seq(self) -> int: ...
    @property
    def event_type(self) -> str: ...
    @property
    def occurred_at(self) -> str: ...
    @property
    def actor_type(self) -> str: ...
    @property
    def actor_id(self) -> str: ...
    @property
    def origin(self) -> str: ...
    @property
    def payload(self) -> dict[str, Any] | None: ...


class Entry(NamedTuple):
    """An entry of the log as it is read to be folded; each field means what it means in `StoredEvent`."""

    log_seq: int
    event_id: str
    trace_id: str
    trace_seq: int
    event_type: str
    occurred_at: str
    actor_type: str
    actor_id: str
    origin: str
    payload: dict[str, Any] | None


class StoredEvent(NamedTuple):
    """One event as the log holds it, in the order of the log's columns.

    ``payload`` is ``None`` once the body was erased; a rule then folds the envelope alone.
    A named tuple and not a dataclass: a replay makes one of these per event, and a frozen
    dataclass costs four times as much to construct.
    """

    log_seq: int
    """Position in the tenant's log, 1, 2, 3, ... without holes."""
    event_id: str
    trace_id: str
    trace_seq: int
    """Position in the trace, 0, 1, 2, ... without holes."""
    event_type: str
    schema_version: int
    occurred_at: str
    """RFC 3339 with offset, exactly as the client sent it."""
    recorded_at: str
    """RFC 3339 in UTC with six fraction digits and ``Z``: when the log accepted it."""
    producer_id: str
    system: str
    subsystem: str | None
    actor_type: str
    actor_id: str
    idempotency_key: str
    correlation_id: str | None
    causation_event_id: str | None
    tags: tuple[str, ...]
    origin: str
    """``ingest``, ``import`` or ``platform``."""
    principal: str
    """Who was authenticated when it was appended, for example ``token:1a2b3c4d``."""
    leaf_hash: str
    """``sha256:`` + hex; commits to the whole event without revealing the payload."""
    payload_hash: str | None
    payload: dict[str, Any] | None

    def as_json(self) -> dict[str, Any]:
        """The event as the API, the sockets and the exports show it."""
        return {
            "log_seq": self.log_seq,
            "event_id": self.event_id,
            "trace_id": self.trace_id,
            "trace_seq": self.trace_seq,
            "event_type": self.event_type,
            "schema_version": self.schema_version,
            "occurred_at": self.occurred_at,
            "recorded_at": self.recorded_at,
            "source": {
                "producer_id": self.producer_id,
                "system": self.system,
                "subsystem": self.subsystem,
            },
            "actor": {"actor_type": self.actor_type, "actor_id": self.actor_id},
            "idempotency_key": self.idempotency_key,
            "correlation_id": self.correlation_id,
            "causation_event_id": self.causation_event_id,
            "tags": list(self.tags),
            "origin": self.origin,
            "principal": self.principal,
            "payload_hash": self.payload_hash,
            "leaf_hash": self.leaf_hash,
            "payload": self.payload,
        }
