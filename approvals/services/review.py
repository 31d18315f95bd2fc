"""Writing review traces: what the platform itself says in the log.

Events are collected while rows are locked and appended by the last statement of the transaction: the
append takes the tenant's lock, and nobody may wait for a row while holding that.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.db.models import Model

from approvals.models import Incident, Item
from approvals.services.people import actor_of
from decisiongraph.core import clock
from tenants.access import Principal
from tenants.models import Tenant
from traces import services as log
from traces.domain.envelope import PLATFORM_PRODUCER, REVIEW_WORKFLOW

Json = dict[str, Any]
MAX_TEXT = 4000
"""Characters of other people's text that go into a platform event."""


class Book:
    """The events of one transaction, written at its end under one principal."""

    def __init__(self, tenant: Tenant, principal: Principal) -> None:
        self.tenant, self.principal = tenant, principal
        self.events: list[Json] = []
        self._rows: list[Model] = []

    def keep(self, *rows: Model) -> None:
        """Rows nobody reads before the end of the transaction: a batch inserts them together."""
        self._rows += rows

    def flush(self) -> None:
        """Insert what was kept, one statement a table."""
        by_model: dict[type[Model], list[Model]] = {}
        for row in self._rows:
            by_model.setdefault(type(row), []).append(row)
        self._rows = []
        for model, rows in by_model.items():
            model._default_manager.bulk_create(rows, batch_size=500)

    def add(
        self,
        trace_id: str,
        event_type: str,
        payload: Json,
        *,
        key: str,
        correlation_id: str | None = None,
        causation_event_id: str | None = None,
    ) -> None:
        """One more event. ``key`` is unique inside its review trace and makes a repetition harmless."""
        self.events.append(
            {
                "trace_id": trace_id,
                "event_type": event_type,
                "occurred_at": clock.rfc3339(clock.now()),
                "source": {"producer_id": PLATFORM_PRODUCER, "system": PLATFORM_PRODUCER, "subsystem": "approvals"},
                "actor": actor_of(self.principal),
                "idempotency_key": f"{trace_id}:{key}",
                "correlation_id": correlation_id,
                "causation_event_id": causation_event_id,
                "payload": payload,
            }
        )

    def write(self) -> None:
        """Insert what was kept, then append everything. The last statement of the transaction."""
        self.flush()
        for start in range(0, len(self.events), 500):
            log.append(
                self.tenant,
                # The platform writes; which producers a token may speak for does not matter here.
                principal=replace(self.principal, producers=None),
                events=self.events[start : start + 500],
                origin="platform",
            )
        self.events = []


def subject(item: Item) -> Json:
    """``subject`` of every platform event about an item."""
    found = {"trace_id": item.trace_id, "subject_type": item.subject_type, "subject_id": item.subject_id}
    return found | ({"event_id": item.event_id} if item.event_id else {})


def primary_entity(entity_type: str, entity_id: str, system: str | None) -> Json:
    """The entity of a trace; one that is not known is the trace itself."""
    found: Json = {"entity_type": entity_type, "entity_id": entity_id}
    return found | ({"system": system} if system is not None else {})


def open_trace(book: Book, item: Item) -> None:
    """``TraceStarted`` and, for a request of people, the request itself, then ``ApprovalRequested``."""
    book.add(
        item.review_trace,
        "TraceStarted",
        {
            "workflow": REVIEW_WORKFLOW,
            "title": item.title[:MAX_TEXT],
            "primary_entity": primary_entity(item.entity_type, item.entity_id, item.entity_system),
            "context": {"approval_id": str(item.pk), "subject": subject(item)},
        },
        key="started",
        correlation_id=item.trace_id,
        causation_event_id=item.event_id,
    )
    if item.subject_type == "exception" and not item.number and item.policy_id is not None:
        book.add(
            item.review_trace,
            "ExceptionRequested",
            {
                "exception_id": item.subject_id,
                "subject": subject(item),
                "policy": {"policy_id": item.policy_id, "policy_version": item.policy_version or ""},
                "reason": item.reason[:MAX_TEXT],
                "evidence": item.evidence,
                "priority": item.priority,
                "requested_by": actor_of(book.principal),
            },
            key="exception",
            correlation_id=item.trace_id,
        )
    ask(book, item, key="requested")


def ask(book: Book, item: Item, *, key: str) -> None:
    """``ApprovalRequested``: at the opening and after every resubmission."""
    payload: Json = {
        "approval_id": str(item.pk),
        "subject": subject(item),
        "reason": item.reason[:MAX_TEXT],
        "priority": item.priority,
        "requested_by": {"actor_id": item.requested_by, "principal": item.opened_by},
        "sla": item.sla_name,
        "quorum": item.quorum,
    }
    if item.policy_id is not None:
        payload["policy"] = {"policy_id": item.policy_id, "policy_version": item.policy_version or ""}
    if item.action_digest is not None:
        payload["action_digest"] = item.action_digest
    if item.due_at is not None:
        payload["due_at"] = clock.rfc3339(item.due_at)
    book.add(
        item.review_trace,
        "ApprovalRequested",
        payload,
        key=key,
        correlation_id=item.trace_id,
        causation_event_id=item.event_id,
    )


def step(book: Book, item: Item, action: str, reason: str, detail: Json, *, key: str) -> None:
    """What happened to an item where no event type of its own says it: an observation of the platform."""
    facts = {"action": action, "status": item.status, "version": item.version, "reason": reason[:MAX_TEXT], **detail}
    book.add(
        item.review_trace,
        "InputObserved",
        {
            "input_id": key,
            "source": {"system": PLATFORM_PRODUCER, "object_type": "approval_step", "object_id": str(item.pk)},
            "subject": subject(item),
            "facts": [
                {"key": name, "value": {"type": "integer" if isinstance(value, int) else "string", "value": value}}
                for name, value in facts.items()
                if value not in (None, "")
            ],
        },
        key=key,
        correlation_id=item.trace_id,
    )


def decision(book: Book, item: Item, *, approve: bool, reason: str, votes: list[Json], override: bool) -> None:
    """``ApprovalRecorded``: the quorum is met, or an admin overrode it."""
    payload: Json = {
        "approval_id": str(item.pk),
        "subject": subject(item),
        "approver": actor_of(book.principal),
        "decision": "approved" if approve else "rejected",
        "reason": reason[:MAX_TEXT],
        "evidence": [],
        "votes": votes,
    }
    if override:
        payload["override"] = True
    if item.action_digest is not None:
        payload["action_digest"] = item.action_digest
    if item.ticket_expires_at is not None:
        payload["expires_at"] = clock.rfc3339(item.ticket_expires_at)
    book.add(
        item.review_trace,
        "ApprovalRecorded",
        payload,
        key=f"decided-{item.version}",
        correlation_id=item.trace_id,
        causation_event_id=item.event_id,
    )


def escalation(book: Book, item: Item, *, to: str, reason: str) -> None:
    """``ApprovalEscalated``."""
    book.add(
        item.review_trace,
        "ApprovalEscalated",
        {
            "approval_id": str(item.pk),
            "subject": subject(item),
            "level": item.level,
            "reason": reason[:MAX_TEXT],
            "escalated_to": to,
        },
        key=f"escalated-{item.version}",
        correlation_id=item.trace_id,
    )


OUTCOME = {
    "approved": "success",
    "overridden": "success",
    "rejected": "failure",
    "withdrawn": "abandoned",
    "expired": "abandoned",
}


def close_trace(book: Book, item: Item, summary: str) -> None:
    """``TraceFinished``: nothing will be decided any more."""
    book.add(
        item.review_trace,
        "TraceFinished",
        {"outcome": OUTCOME[item.status], "summary": summary[:MAX_TEXT], "subject": subject(item)},
        key="finished",
        correlation_id=item.trace_id,
    )


def incident_subject(incident: Incident) -> Json | None:
    """The trace an incident came from, if any."""
    if incident.trace_id is None:
        return None
    return {"trace_id": incident.trace_id} | ({"event_id": incident.event_id} if incident.event_id else {})


def open_incident(book: Book, incident: Incident, *, entity: Json) -> None:
    """A review trace for an incident, or the next one after it was reopened."""
    about = incident_subject(incident)
    trace = incident.review_trace
    book.add(
        trace,
        "TraceStarted",
        {
            "workflow": REVIEW_WORKFLOW,
            "title": incident.title[:MAX_TEXT],
            "primary_entity": entity,
            "context": {"incident_id": str(incident.pk), "cause": incident.cause},
        },
        key="started",
        correlation_id=incident.trace_id,
        causation_event_id=incident.event_id,
    )
    payload: Json = {
        "incident_id": str(incident.pk),
        "severity": incident.severity,
        "title": incident.title[:MAX_TEXT],
        "cause": incident.cause,
    }
    if about is not None:
        payload["subject"] = about
    book.add(
        trace,
        "IncidentOpened",
        payload,
        key="opened",
        correlation_id=incident.trace_id,
        causation_event_id=incident.event_id,
    )


def close_incident(book: Book, incident: Incident) -> None:
    """``IncidentResolved`` and the end of its review trace."""
    payload: Json = {
        "incident_id": str(incident.pk),
        "resolution": incident.resolution[:MAX_TEXT],
        "resolved_by": actor_of(book.principal),
    }
    about = incident_subject(incident)
    if about is not None:
        payload["subject"] = about
    book.add(incident.review_trace, "IncidentResolved", payload, key="resolved", correlation_id=incident.trace_id)
    book.add(
        incident.review_trace,
        "TraceFinished",
        {"outcome": "success", "summary": incident.resolution[:MAX_TEXT]},
        key="finished",
        correlation_id=incident.trace_id,
    )
