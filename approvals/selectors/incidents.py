"""Reads of incidents."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Count, Q

from approvals.domain import incident as rules
from approvals.models import Incident, IncidentEntry, IncidentLink
from approvals.selectors.items import rfc
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import not_found
from tenants.models import Tenant


def incidents(
    tenant: Tenant,
    *,
    status: str = "",
    severity: str = "",
    assignee: str = "",
    cause: str = "",
    trace_id: str = "",
    before: tuple[datetime, uuid.UUID] | None = None,
    limit: int = 100,
) -> list[Incident]:
    """Incidents, the newest first, up to ``limit + 1``. Status ``unresolved`` stands for all but resolved."""
    with tenant_tx(tenant):
        rows = Incident.objects.all()
        if status == "unresolved":
            rows = rows.exclude(status="resolved")
        elif status:
            rows = rows.filter(status=status)
        for name, value in (("severity", severity), ("assignee", assignee), ("cause", cause)):
            if value:
                rows = rows.filter(**{name: value})
        if trace_id:
            linked = IncidentLink.objects.filter(kind="trace", ident=trace_id).values("incident_id")
            rows = rows.filter(Q(trace_id=trace_id) | Q(id__in=linked))
        if before is not None:
            rows = rows.filter(opened_at__lte=before[0]).filter(
                Q(opened_at__lt=before[0]) | Q(opened_at=before[0], id__lt=before[1])
            )
        return list(rows.order_by("-opened_at", "-id")[: limit + 1])


def incident(tenant: Tenant, incident_id: str) -> Incident:
    """One incident. 404 when there is none."""
    try:
        ident = uuid.UUID(incident_id)
    except ValueError:
        raise not_found("incident", incident_id) from None
    with tenant_tx(tenant):
        found = Incident.objects.filter(pk=ident).first()
    if found is None:
        raise not_found("incident", incident_id)
    return found


class Details(NamedTuple):
    """One incident with its timeline and links."""

    incident: Incident
    timeline: list[IncidentEntry]
    links: list[IncidentLink]


def details(tenant: Tenant, incident_id: str) -> Details:
    """One incident with everything. 404 when there is none."""
    with tenant_tx(tenant):
        row = incident(tenant, incident_id)
        return Details(
            row,
            list(IncidentEntry.objects.filter(incident_id=row.pk).order_by("id")[:2000]),
            list(IncidentLink.objects.filter(incident_id=row.pk).order_by("id")[:500]),
        )


def counts(tenant: Tenant) -> dict[str, int]:
    """Unresolved incidents by severity, the worst first."""
    with tenant_tx(tenant):
        rows = dict(
            Incident.objects.exclude(status="resolved")
            .values_list("severity")
            .annotate(number=Count("id"))
            .values_list("severity", "number")
        )
    return {name: rows.get(name, 0) for name in reversed(rules.SEVERITIES)}


def incident_json(row: Incident) -> dict[str, Any]:
    """An incident in a list."""
    return {
        "id": str(row.pk),
        "review_trace_id": row.review_trace,
        "cause": row.cause,
        "title": row.title,
        "severity": row.severity,
        "status": row.status,
        "version": row.version,
        "assignee": row.assignee or None,
        "assignee_label": row.assignee_label or None,
        "trace_id": row.trace_id,
        "event_id": row.event_id,
        "approval_id": str(row.item_id) if row.item_id else None,
        "opened_by": row.opened_by,
        "opened_at": rfc(row.opened_at),
        "acknowledged_at": rfc(row.acknowledged_at),
        "mitigated_at": rfc(row.mitigated_at),
        "resolved_at": rfc(row.resolved_at),
        "resolution": row.resolution or None,
        "reopened": row.reopened,
        "changed_at": rfc(row.changed_at),
        "changed_by": row.changed_by or None,
    }


def details_json(found: Details) -> dict[str, Any]:
    """One incident with everything."""
    return {
        **incident_json(found.incident),
        "timeline": [
            {
                "id": entry.pk,
                "kind": entry.kind,
                "by": entry.by,
                "by_label": entry.by_label,
                "text": entry.text,
                "detail": entry.detail,
                "at": rfc(entry.at),
            }
            for entry in found.timeline
        ],
        "links": [{"kind": link.kind, "id": link.ident, "at": rfc(link.at)} for link in found.links],
        "allowed": list(rules.allowed(found.incident.status)),
    }
