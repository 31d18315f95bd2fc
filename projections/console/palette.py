"""The command palette: pages, traces and entities by what one types, and actions one may do."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from pydantic import Field

from decisiongraph.core.api import Query, query_params
from decisiongraph.core.console import NAV
from projections import selectors
from projections.domain.query import MAX_TEXTS, Text
from projections.models import TraceSummary
from projections.selectors import TraceFilter
from tenants.access import console_view
from tenants.models import Tenant
from traces import selectors as log
from traces.domain.envelope import REVIEW_PREFIX

FOUND = 6
"""Traces shown at most."""


class PaletteQuery(Query):
    """What was typed."""

    q: str = Field(default="", max_length=200)


class Action(NamedTuple):
    """Something a person may do from anywhere."""

    label: str
    detail: str
    path: str
    """Below ``/t/{slug}/``."""
    icon: str
    permission: str
    words: str
    """What else one may type to find it."""


ACTIONS: tuple[Action, ...] = (
    Action("Start a replay", "verify, catch up or rebuild", "replays", "replays", "operate", "verify rebuild check"),
    Action(
        "Parked traces", "retry or skip what a rule refused", "projections#parked", "projections", "operate", "dead"
    ),
    Action("Decide what waits", "approvals of my group", "approvals?view=group", "approvals", "review", "reject"),
    Action("Overdue approvals", "the oldest first", "approvals?view=all&status=overdue", "approvals", "read", "late"),
    Action("Ask for an exception", "from a policy", "exceptions#ask", "exceptions", "read", "request waiver"),
    Action("Report an incident", "something went wrong", "incidents#report", "incidents", "read", "problem open"),
    Action("Service levels", "deadlines, escalations, try on the past", "settings/sla", "approvals", "read", "sla"),
    Action("Refused events", "what producers sent in vain", "refusals", "incidents", "read", "errors ingest"),
    Action("Create a token", "for an agent or a service", "settings/tokens", "key", "admin", "api secret"),
    Action("Invite a member", "by a one-time link", "settings/members", "people", "admin", "user person role"),
    Action("Read the audit log", "who did what", "settings/audit", "audit", "admin", "history"),
)


@console_view("read")
@require_GET
def palette(request: Any) -> HttpResponse:
    """Results as HTML; without a text the pages and actions."""
    text = query_params(request, PaletteQuery).q.strip()
    base = f"/t/{request.tenant.slug}/"
    pages = _pages(base, text)
    groups = [
        {"label": "Traces", "items": _traces(request.tenant, text)},
        {"label": "Go to", "items": pages},
        {"label": "Do", "items": _actions(request, base, text)},
    ]
    if any(page["label"].lower().startswith(text.lower()) for page in pages):
        groups[:2] = groups[1::-1]  # who types the beginning of a page's name means it, not a word of some title
    shown = {"groups": [group for group in groups if group["items"]], "q": text}
    return render(request, "frame/palette_results.html", shown)


def _matches(text: str, *names: str) -> bool:
    return all(any(word in name.lower() for name in names) for word in text.lower().split())


def _pages(base: str, text: str) -> list[dict[str, str]]:
    return [
        {"label": item.label, "url": base + item.path, "icon": item.icon, "hint": f"g {item.key[0]}"}
        for item in NAV
        if _matches(text, item.label)
    ]


def _actions(request: Any, base: str, text: str) -> list[dict[str, str]]:
    return [
        {"label": each.label, "detail": each.detail, "url": base + each.path, "icon": each.icon}
        for each in ACTIONS
        if request.principal.may(each.permission) and _matches(text, each.label, each.words)
    ]


def _traces(tenant: Tenant, text: str) -> list[dict[str, Any]]:
    """By beginning of the id from the log, which is never behind; then by title from the projection."""
    if len(text) < 2:
        return []
    listing = f"/t/{tenant.slug}/traces"
    ids = log.trace_ids_from(tenant, text, limit=FOUND)
    rows = {row.key: row for row in selectors.trace_rows(tenant, ids)}
    found = [_trace(listing, ident, rows.get(ident)) for ident in ids]
    if len(found) < FOUND:
        # whoever looks for an approval means the approval, not the trace its events lie in
        shown = None if text.startswith(REVIEW_PREFIX) else "decision"
        wanted = TraceFilter(texts=tuple(Text(word, False) for word in text.split()[:MAX_TEXTS]), kind=shown)
        for row in selectors.trace_list(tenant, wanted, limit=FOUND).rows:
            if row.key not in ids and len(found) < FOUND:
                found.append(_trace(listing, row.key, row))
    kind, slash, ident = text.partition("/")
    if kind and slash and ident:
        entity = {"label": f"Traces of {text}", "icon": "traces", "url": f"{listing}?{urlencode({'entity': text})}"}
        found.append(entity)
    elif len(found) >= FOUND:
        found.append(
            {"label": f"All traces with “{text}”", "icon": "search", "url": f"{listing}?{urlencode({'q': text})}"}
        )
    return found


def _trace(listing: str, ident: str, row: TraceSummary | None) -> dict[str, Any]:
    item = {"label": ident, "url": f"{listing}/{quote(ident, safe='')}", "state": "open", "detail": ""}
    if row is not None:
        item |= {"detail": row.title or row.workflow or "", "state": row.outcome or row.status}
    return item
