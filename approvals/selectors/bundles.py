"""Everything about one item or one trace, as it goes into a bundle."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from approvals.models import Incident, IncidentLink, Item
from approvals.selectors import incidents, items
from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem
from tenants import selectors as people
from tenants.models import AuditEntry, Tenant
from traces import selectors as log

MOST_EVENTS = 20_000
MOST_ITEMS = 500
MOST_AUDIT = 5_000
"""What does not fit is refused, never cut: a bundle is whole."""


def item_content(tenant: Tenant, item_id: str) -> dict[str, Any]:
    """One item: its subject's trace, its review trace, and everything around it. 404 when there is none."""
    with tenant_tx(tenant, isolation="REPEATABLE READ"):
        row = items.item(tenant, item_id)
        about = list(Incident.objects.filter(item_id=row.pk).order_by("opened_at", "id"))
        return _content(tenant, f"approval:{row.pk}", row.trace_id, [row], about)


def trace_content(tenant: Tenant, trace_id: str) -> dict[str, Any]:
    """One trace, and every item and incident about it. 404 when there is none."""
    with tenant_tx(tenant, isolation="REPEATABLE READ"):
        rows = list(Item.objects.filter(trace_id=trace_id).order_by("opened_at", "id")[: MOST_ITEMS + 1])
        _fits(len(rows), MOST_ITEMS, "approvals", "Export the approvals one by one.")
        linked = IncidentLink.objects.filter(kind="trace", ident=trace_id).values_list("incident_id", flat=True)
        about = Incident.objects.filter(trace_id=trace_id) | Incident.objects.filter(pk__in=list(linked))
        return _content(tenant, f"trace:{trace_id}", trace_id, rows, list(about.order_by("opened_at", "id")))


def _content(tenant: Tenant, subject: str, trace_id: str, rows: list[Item], about: list[Incident]) -> dict[str, Any]:
    reviews = [row.review_trace for row in rows]
    worked = [name for incident in about for name in incident.review_traces]
    targets = [f"approval:{row.pk}" for row in rows] + [f"incident:{incident.pk}" for incident in about]
    traces = [_trace(tenant, each) for each in dict.fromkeys([trace_id, *reviews, *worked])]
    if not traces[0]["events"]:
        log.trace_extent(tenant, trace_id)  # 404 in the log's own words
    return {
        "tenant": {"slug": tenant.slug, "name": tenant.name},
        "subject": subject,
        "exported_at": clock.rfc3339(clock.now()),
        "head": log.head(tenant),
        "traces": [trace for trace in traces if trace["events"]],
        "approvals": [_item(tenant, row) for row in rows],
        "incidents": [_incident(tenant, incident) for incident in about],
        "audit": _audit(tenant, targets),
    }


def _item(tenant: Tenant, row: Item) -> dict[str, Any]:
    whole = items.details(tenant, str(row.pk))
    for rows, words in ((whole.steps, "steps of an approval"), (whole.comments, "comments on an approval")):
        _fits(len(rows), items.MOST_ROWS - 1, words, "Page its parts instead.")
    found = items.details_json(whole)
    del found["allowed"], found["outside_approvals"]  # what the reader may do; events of the trace
    return found


def _incident(tenant: Tenant, row: Incident) -> dict[str, Any]:
    found = incidents.details_json(incidents.details(tenant, str(row.pk)))
    del found["allowed"]
    return found


def _trace(tenant: Tenant, trace_id: str) -> dict[str, Any]:
    events = log.read_log(tenant, after=0, limit=MOST_EVENTS + 1, trace_id=trace_id)
    _fits(len(events), MOST_EVENTS, "events in a trace", "Page GET /traces/{trace_id}/events instead.")
    proofs = log.proofs(tenant, [event.log_seq for event in events])
    return {
        "trace_id": trace_id,
        "events": [
            {
                **event.as_json(),
                "commitment": "sha256:" + proofs[event.log_seq].commitment.hex(),
                "salt": _hex(proofs[event.log_seq].salt),
            }
            for event in events
        ],
    }


def _fits(number: int, most: int, what: str, instead: str) -> None:
    if number > most:
        raise Problem("export.too_large", 422, f"A bundle holds at most {most:,} {what}. {instead}")


def _hex(raw: bytes | None) -> str | None:
    return None if raw is None else raw.hex()


def _audit(tenant: Tenant, targets: Iterable[str]) -> list[dict[str, Any]]:
    """The audit lines about these things, the oldest first. Not from which address: nobody's business outside."""
    found: list[AuditEntry] = people.audit_about(tenant, targets, limit=MOST_AUDIT + 1)
    _fits(len(found), MOST_AUDIT, "audit lines", "Page GET /audit instead.")
    return [
        {
            "at": clock.rfc3339(row.at),
            "actor": row.actor,
            "on_behalf_of": row.on_behalf_of or None,
            "action": row.action,
            "target": row.target,
            "reason": row.reason,
            "before": row.before,
            "after": row.after,
        }
        for row in found
    ]
