"""A person's inbox, the bell in the frame, and how they want to be told."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from approvals import services
from approvals.domain import notices
from approvals.models import Notification
from approvals.selectors import telling
from decisiongraph.core.api import ListQuery, Query, decode_cursor, encode_cursor, query_params
from decisiongraph.core.console import moved, page
from decisiongraph.core.errors import Problem
from tenants.access import console_view
from tenants.console import SECTIONS

WORDS: dict[str, str] = {
    "asked": "Asked of you",
    "pressing": "Pressing",
    "decided": "Decided",
    "said": "Said",
    "incident": "Incident",
}
STATES: dict[str, str] = {
    "asked": "requested",
    "pressing": "escalated",
    "decided": "approved",
    "said": "active",
    "incident": "open",
}
PLACES = {"approval": "approvals", "incident": "incidents"}


class InboxQuery(ListQuery):
    """Which lines."""

    limit: int = 50
    unread: bool = False
    part: str = ""


@console_view("read")
@require_GET
def inbox(request: Any) -> HttpResponse:
    """The newest first; every line leads to what it is about."""
    query = query_params(request, InboxQuery)
    at = decode_cursor(query.cursor, int)
    limit = min(query.limit, 100)
    rows = telling.notifications(
        request.tenant, request.principal, unread=query.unread, before=at[0] if at else None, limit=limit
    )
    base = f"/t/{request.tenant.slug}/notifications"
    kept = {"unread": "true"} if query.unread else {}
    older = encode_cursor(rows[limit - 1].pk) if len(rows) > limit else ""
    return render(
        request,
        "approvals/notifications.html#list" if query.part == "list" else "approvals/notifications.html",
        page(
            request,
            "notifications",
            crumbs=[{"label": "Notifications", "url": base}],
            lines=[_line(request, row) for row in rows[:limit]],
            newest=rows[0].pk if rows else 0,
            unread=telling.unread(request.tenant, request.principal),
            only_unread=query.unread,
            here=f"{base}?{urlencode(kept | ({'cursor': query.cursor} if query.cursor else {}) | {'part': 'list'})}",
            older=f"{base}?{urlencode(kept | {'cursor': older})}" if older else "",
            first_page=query.cursor is None,
            base=base,
        ),
    )


def _line(request: Any, row: Notification) -> dict[str, Any]:
    return {
        "row": row,
        "word": WORDS.get(row.kind, row.kind),
        "state": STATES.get(row.kind, "active"),
        "who": row.actor if ":" in row.actor else "DecisionGraph",
        "url": f"/t/{request.tenant.slug}/{PLACES.get(row.subject, 'approvals')}/{row.ident}",
    }


@console_view("read")
@require_GET
def bell(request: Any) -> HttpResponse:
    """The bell in the frame, with the number of unread lines."""
    query_params(request, Query)
    unread = telling.unread(request.tenant, request.principal)
    return render(request, "approvals/bell.html", {"unread": unread, "most": telling.SHOWN_UNREAD - 1})


@console_view("read")
@require_POST
def read(request: Any) -> HttpResponse:
    """Mark one line as read, or all up to the newest that was shown."""
    texts = {name: request.POST.get(name, "") for name in ("id", "until")}
    numbers = {name: int(text) for name, text in texts.items() if text.isascii() and text.isdigit() and len(text) < 17}
    if not numbers:
        raise Problem("notification.not_found", 404, "Say which line, or up to which.")
    services.mark_read(
        request.tenant,
        principal=request.principal,
        ids=[numbers["id"]] if "id" in numbers else None,
        until=numbers.get("until"),
    )
    return moved(request, f"/t/{request.tenant.slug}/notifications")


@console_view("read")
@require_http_methods(["GET", "POST"])
def preferences(request: Any) -> HttpResponse:
    """How you are told, kind by kind."""
    base = f"/t/{request.tenant.slug}/settings"
    if request.method == "POST":
        chosen = set(request.POST.getlist("way"))
        ways = {kind: notices.Way(f"{kind}.inbox" in chosen, f"{kind}.email" in chosen) for kind in notices.KINDS}
        services.choose_ways(request.tenant, principal=request.principal, ways=ways)
        return moved(request, f"{base}/notifications", "This is how you are told from now on.")
    held = telling.ways(request.tenant, request.principal)
    crumbs = [{"label": "Settings", "url": base}, {"label": "Notifications", "url": f"{base}/notifications"}]
    return render(
        request,
        "approvals/preferences.html",
        page(
            request,
            "settings",
            crumbs=crumbs,
            tabs=[(key, label, f"{base}/{key}") for key, label in SECTIONS],
            part="notifications",
            kinds=[(kind, WORDS[kind], meaning, held[kind]) for kind, meaning in notices.KINDS.items()],
            email=request.user.email,
        ),
    )
