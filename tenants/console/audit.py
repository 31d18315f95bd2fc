"""The audit log: searched on a page, taken away as a file."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlencode

from django.http import HttpResponse, StreamingHttpResponse
from django.views.decorators.http import require_GET
from pydantic import Field

from decisiongraph.core import clock
from decisiongraph.core.api import ListQuery, decode_cursor, encode_cursor, query_params
from decisiongraph.core.clock import Moment
from tenants import selectors, services
from tenants.access import console_view
from tenants.api.shapes import FORMATS, exported
from tenants.console.frame import show
from tenants.models import AuditEntry, Tenant

FAMILIES = (
    ("member.", "Members"),
    ("token.", "Tokens"),
    ("webhook.", "Webhooks"),
    ("approval.", "Approvals"),
    ("incident.", "Incidents"),
    ("sla.", "Service levels"),
    ("replay.", "Replays"),
    ("projection.", "Projections"),
    ("log.", "Log"),
    ("erasure.", "Erasures"),
    ("dead_letter.", "Parked traces"),
    ("permission.", "Permissions refused"),
    ("action.", "Actions refused"),
    ("login.", "Sign-ins"),
    ("session.", "Sessions"),
    ("factor.", "Second factors"),
    ("audit.", "Exports"),
    ("user.", "Accounts"),
    ("tenant.", "Tenant"),
)
"""Families of audited actions, as the filter offers them."""
REFUSALS = {
    "permission.refused": "permission refused",
    "action.refused": "action refused",
    "login.refused": "sign-in refused",
    "login.throttled": "sign-ins throttled",
}
SPANS = (("", "Any time"), ("1", "Last 24 h"), ("7", "Last 7 days"), ("30", "Last 30 days"), ("90", "Last 90 days"))
FILTERS = ("action", "actor", "target", "text", "days", "after", "before")


class AuditPageQuery(ListQuery):
    """Filters of the audit page; empty fields of its form are no filters."""

    limit: int = Field(default=50, ge=1, le=500)
    action: str = Field(default="", max_length=100)
    actor: str = Field(default="", max_length=300)
    target: str = Field(default="", max_length=300)
    text: str = Field(default="", max_length=200)
    """Anywhere in who, what and why."""
    days: Literal["", "1", "7", "30", "90"] = ""
    after: Moment | None = None
    before: Moment | None = None

    def since(self) -> datetime | None:
        """The earliest moment asked for."""
        return clock.now() - timedelta(days=int(self.days)) if self.days else self.after


@console_view("admin")
@require_GET
def audit(request: Any) -> HttpResponse:
    """The audit log with search."""
    query = query_params(request, AuditPageQuery)
    rows = _audit_rows(request.tenant, query, query.limit)
    kept = _kept(query)
    older = encode_cursor(rows[query.limit - 1].pk) if len(rows) > query.limit else None
    return show(
        request,
        "tenants/audit.html",
        "audit",
        entries=[_entry(request.tenant, row) for row in rows[: query.limit]],
        query=query,
        families=FAMILIES,
        spans=SPANS,
        filters=urlencode(kept),
        filtered=bool(kept),
        older=urlencode(kept | {"cursor": older}) if older else "",
        later_page=query.cursor is not None,
    )


def _entry(tenant: Tenant, row: AuditEntry) -> dict[str, Any]:
    """A line in words: who, what, what changed from what, why."""
    before, after = row.before or {}, row.after or {}
    changes = [
        (name.replace("_", " "), _said(before.get(name)), _said(after.get(name)))
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    ]
    kind, _, ident = row.target.partition(":")
    return {
        "row": row,
        "family": row.action.partition(".")[0].replace("_", " "),
        "verb": row.action.partition(".")[2].replace("_", " "),
        "refused": REFUSALS.get(row.action, ""),
        "changes": changes,
        "url": f"/t/{tenant.slug}/replays/{ident}" if kind == "replay" else "",
    }


def _said(value: Any) -> str:
    if value is None or value == "" or value == []:
        return ""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


@console_view("admin")
@require_GET
def audit_export(request: Any, format: str) -> StreamingHttpResponse:
    """The filtered audit log as a file, whole and in pieces; the export is itself audited first."""
    query = query_params(request, AuditPageQuery)
    services.record_audit(
        request.tenant,
        principal=request.principal,
        action="audit.exported",
        after={"format": format} | _kept(query),
    )
    lines = exported(request.tenant, format, _filters(query))
    response = StreamingHttpResponse(lines, content_type=FORMATS[format])
    response["Content-Disposition"] = f'attachment; filename="audit-{request.tenant.slug}.{format}"'
    return response


def _audit_rows(tenant: Tenant, query: AuditPageQuery, limit: int) -> list[AuditEntry]:
    at = decode_cursor(query.cursor, int)
    return selectors.audit_entries(tenant, before_id=max(0, at[0]) if at else None, limit=limit, **_filters(query))


def _filters(query: AuditPageQuery) -> dict[str, Any]:
    return {
        "action": query.action,
        "actor": query.actor,
        "target": query.target,
        "text": query.text,
        "since": query.since(),
        "until": query.before,
    }


def _kept(query: AuditPageQuery) -> dict[str, Any]:
    return {name: value for name, value in query.model_dump(mode="json").items() if value and name in FILTERS}
