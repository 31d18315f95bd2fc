"""Telling: the outbox row and the live doorbells, both in the caller's transaction."""

from __future__ import annotations

from typing import Any

from approvals.models import Incident, Item, Outbox
from approvals.services.review import Book
from decisiongraph.core import bus, clock, jobs
from tenants.models import Tenant

DELIVER = "approvals.deliver"
"""The task that hands out the outbox; beat starts it every second as well."""


def about_item(tenant: Tenant, item: Item, message: str, *, actor: str, book: Book | None = None, **more: Any) -> None:
    """Something happened to an item. ``more`` is small JSON for whoever delivers it.

    With a ``book`` the row is inserted when that is written, together with others.
    """
    row = Outbox(
        tenant_id=tenant.pk,
        message=message,
        kind="approval",
        ident=str(item.pk),
        actor=actor,
        data={
            "approval_id": str(item.pk),
            "trace_id": item.trace_id,
            "subject_type": item.subject_type,
            "subject_id": item.subject_id,
            "title": item.title[:300],
            "priority": item.priority,
            "status": item.status,
            "version": item.version,
            "assignee": item.assignee,
            "holder": item.holder,
            "opened_by": item.opened_by,
            "due_at": clock.rfc3339(item.due_at) if item.due_at is not None else None,
            **more,
        },
    )
    if book is not None:
        book.keep(row)
    else:
        row.save(force_insert=True)
    jobs.enqueue(DELIVER)
    ring_item(tenant, item, message)


def ring_item(tenant: Tenant, item: Item, message: str) -> None:
    """Only the doorbells: open pages look again."""
    bus.publish(tenant, "approvals", message)
    bus.publish(tenant, "approval", message, ident=str(item.pk))


def about_incident(tenant: Tenant, incident: Incident, message: str, *, actor: str, **more: Any) -> None:
    """Something happened to an incident."""
    Outbox.objects.create(
        tenant_id=tenant.pk,
        message=message,
        kind="incident",
        ident=str(incident.pk),
        actor=actor,
        data={
            "incident_id": str(incident.pk),
            "cause": incident.cause,
            "title": incident.title[:300],
            "severity": incident.severity,
            "status": incident.status,
            "version": incident.version,
            "assignee": incident.assignee,
            "trace_id": incident.trace_id,
            "approval_id": str(incident.item_id) if incident.item_id else None,
            **more,
        },
    )
    jobs.enqueue(DELIVER)
    bus.publish(tenant, "incidents", message)
    bus.publish(tenant, "incident", message, ident=str(incident.pk))
