"""Commits against their tickets: what was done, held beside what was approved."""

from __future__ import annotations

import json
import uuid
from datetime import datetime
from typing import Any

from approvals.domain import ticket
from approvals.models import Item, Step
from approvals.services import incidents, review, tell
from approvals.services.opening import bounded
from tenants.models import Tenant
from traces import selectors as log
from traces.domain.envelope import StoredEvent

UNKNOWN = "action.approval_unknown"


def weigh(tenant: Tenant, event: StoredEvent, book: review.Book, *, now: datetime) -> None:
    """Judge one ``ActionCommitted``: use the ticket, or open an incident."""
    payload = event.payload or {}
    named = payload.get("approval_id")
    named = named if isinstance(named, str) and named else None
    item = _item(event, payload, named)
    if item is None:
        if named is not None and not _outside(tenant, event, named):
            _report(
                tenant, event, book, None, UNKNOWN, "high", "A commit names an approval nobody gave", now,
                {"approval_id": bounded(named)},
            )  # fmt: skip
        return
    book.flush()  # it may have been opened by the same batch
    executed = payload.get("executed")
    verdict = ticket.judge(
        ticket.Ticket(item.status, item.action_digest, item.ticket_expires_at, item.used_by),
        status=str(payload.get("status")),
        executed=executed if isinstance(executed, dict) else None,
        bound=json.loads(item.action) if item.action else {},
        named=named is not None,
        at=datetime.fromisoformat(event.recorded_at),
    )
    if verdict.uses:
        item.used_at, item.used_by = datetime.fromisoformat(event.recorded_at), event.event_id
        item.save(update_fields=["used_at", "used_by"])
        _step(tenant, item, event, "use", {"status": payload.get("status"), "fault": verdict.fault})
        tell.ring_item(tenant, item, "approval.updated")
    if verdict.fault is None:
        return
    severity, title = ticket.FAULTS[verdict.fault]
    detail: dict[str, Any] = {"approval_id": str(item.pk), "approved_digest": item.action_digest}
    if isinstance(executed, dict) and item.action:
        detail["executed_digest"] = ticket.executed_digest(executed, json.loads(item.action))
    if not verdict.uses:
        _step(tenant, item, event, "fault", {"fault": verdict.fault})
    _report(tenant, event, book, item, verdict.fault, severity, title, now, detail)
    tell.ring_item(tenant, item, "approval.updated")


def _item(event: StoredEvent, payload: dict[str, Any], named: str | None) -> Item | None:
    """The item a commit relies on, held: the one it names, else the last one about its action."""
    if named is not None:
        try:
            found = Item.objects.select_for_update().filter(pk=uuid.UUID(named)).first()
        except ValueError:
            found = None
        if found is not None:
            return found
    action_id = payload.get("action_id")
    if not isinstance(action_id, str):
        return None
    return (
        Item.objects.select_for_update()
        .filter(trace_id=event.trace_id, subject_type="action", subject_id=bounded(action_id))
        .order_by("-opened_at", "-number")
        .first()
    )


def _outside(tenant: Tenant, event: StoredEvent, named: str) -> bool:
    """Whether the trace itself brings evidence of an approval given elsewhere under that name."""
    found = log.trace_history(tenant, [event.trace_id], ["ApprovalRecorded"])[event.trace_id]
    return any((known.payload or {}).get("approval_id") == named for known in found)


def _step(tenant: Tenant, item: Item, event: StoredEvent, action: str, detail: dict[str, Any]) -> None:
    Step.objects.create(
        tenant_id=tenant.pk,
        item_id=item.pk,
        version=item.version,
        action=action,
        by=event.principal,
        by_label=event.actor_id,
        before=item.status,
        after=item.status,
        detail={"event_id": event.event_id, "log_seq": event.log_seq, **detail},
    )


def _report(
    tenant: Tenant,
    event: StoredEvent,
    book: review.Book,
    item: Item | None,
    cause: str,
    severity: str,
    title: str,
    now: datetime,
    detail: dict[str, Any],
) -> None:
    entity = None
    if item is not None:
        title = f"{title}: {item.title}"[:500]
        entity = review.primary_entity(item.entity_type, item.entity_id, item.entity_system)
    incidents.open_by_itself(
        tenant,
        book,
        source_key=f"commit:{event.event_id}",
        cause=cause,
        severity=severity,
        title=title,
        now=now,
        trace_id=event.trace_id,
        event_id=event.event_id,
        item_id=item.pk if item is not None else None,
        entity=entity,
        links=[("trace", item.trace_id)] if item is not None else (),
        detail={"log_seq": event.log_seq, "actor": event.actor_id, "principal": event.principal, **detail},
    )
