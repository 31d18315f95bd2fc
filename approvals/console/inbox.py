"""The inbox: mine, my group's, all; whole as a page, narrow beside an item; and what waits in figures."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from pydantic import Field

from approvals import selectors, services
from approvals.console import words
from approvals.domain import workflow
from approvals.models import Item
from approvals.models.items import NEVER
from approvals.selectors.items import Place, Wanted
from decisiongraph.core import clock
from decisiongraph.core.api import Query, decode_cursor, encode_cursor, query_params
from decisiongraph.core.console import page
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import invalid
from decisiongraph.core.templatetags.dg.words import counted, duration, number
from tenants.access import Principal, console_view
from tenants.models import Tenant

View = Literal["mine", "group", "all"]
VIEWS: tuple[tuple[View, str], ...] = (("mine", "Mine"), ("group", "My group"), ("all", "All"))
STATUSES = (
    ("open", "Undecided"),
    ("overdue", "Overdue"),
    *((name, name.replace("_", " ").capitalize()) for name in workflow.STATES),
    ("all", "All states"),
)
KNOWN = frozenset(name for name, _word in STATUSES)
SHOWN, BESIDE = 50, 25
"""Items of a page, and of the pane beside an item."""
MOST = 1000
"""Figures of the tabs are counted up to this."""


class InboxQuery(Query):
    """What of the inbox."""

    part: Literal["list", "pane"] | None = None
    view: Literal["", "mine", "group", "all"] = ""
    status: str = Field(default="open", max_length=20)
    kind: str = Field(default="", max_length=200)
    at: str = Field(default="", max_length=40)
    cursor: str | None = Field(default=None, max_length=400)


@console_view("read")
@require_GET
def inbox(request: Any) -> HttpResponse:
    """What waits for a decision, the most urgent first."""
    query = query_params(request, InboxQuery)
    if query.status not in KNOWN:
        raise invalid("status", "approval.unknown_status", f"Choose one of: {', '.join(sorted(KNOWN))}.")
    tenant: Tenant = request.tenant
    with tenant_tx(tenant):
        if query.part == "pane":
            return render(request, "approvals/inbox.html#pane", pane(request, query.at, query.view))
        since = services.visit(tenant, principal=request.principal, page="approvals")
        context = _listing(request, query, since) | {"hero": _hero(tenant, request.principal, since)}
        if query.part == "list":
            return render(request, "approvals/inbox.html#list", context)
    crumbs = [{"label": tenant.slug, "url": f"/t/{tenant.slug}/"}, {"label": "Approvals"}]
    return render(request, "approvals/inbox.html", page(request, "approvals", crumbs=crumbs, **context))


def scope(principal: Principal, view: str) -> Wanted:
    """What `selectors.items.inbox` is asked for a view."""
    if view == "mine":
        return Wanted(mine=principal.ident)
    if view == "group":
        return Wanted(free_for=words.roles_of(principal.permissions) or ["role:nobody"])
    return Wanted()


def _first_view(tenant: Tenant, principal: Principal) -> View:
    """Where somebody begins: their own desk, else their group's, else everything."""
    if not principal.may("review"):
        return "all"
    for view in ("mine", "group"):
        if selectors.items.count(tenant, scope(principal, view), most=1):
            return view
    return "all"


def place(cursor: str | None) -> Place | None:
    found = decode_cursor(cursor, datetime, uuid.UUID)
    return Place(*found) if found else None


def _listing(request: Any, query: InboxQuery, since: datetime | None) -> dict[str, Any]:
    tenant, principal = request.tenant, request.principal
    view = query.view or _first_view(tenant, principal)
    overdue = query.status == "overdue"
    found = selectors.items.inbox(
        tenant,
        scope(principal, view)._replace(
            status="open" if overdue else query.status,
            overdue=True if overdue else None,
            subject_type=query.kind,
        ),
        after=place(query.cursor),
        limit=SHOWN,
    )
    said = {"view": view, "status": query.status, "kind": query.kind}
    kept = {name: value for name, value in said.items() if value and (name, value) != ("status", "open")}
    here = f"{words.base(tenant)}/approvals"
    following = ""
    if len(found) > SHOWN:
        last = found[SHOWN - 1]
        following = urlencode(kept | {"cursor": encode_cursor(last.sort_at.isoformat(), str(last.pk))})
    rows = found[:SHOWN]
    groups = list(grouped(tenant, rows)) if query.status in ("open", "overdue") else [("", _lines(tenant, rows))]
    _mark_news(groups, rows, principal, since)
    return {
        "view": view,
        "status": query.status,
        "kind": query.kind,
        "statuses": STATUSES,
        "views": [
            (name, word, f"{here}?{urlencode(kept | {'view': name})}", _counted(tenant, principal, name))
            for name, word in VIEWS
        ],
        "groups": groups,
        "shown": len(rows),
        "chooses": principal.may("read"),
        "desks": words.desks(tenant, nobody=True) if principal.may("review") else [],
        "many_url": f"{here}/many",
        "key": uuid.uuid4().hex,
        "first_url": f"{here}?{urlencode(kept)}" if query.cursor else "",
        "next_url": f"{here}?{following}" if following else "",
        "list_url": f"{here}?{urlencode(kept | {'part': 'list'} | ({'cursor': query.cursor} if query.cursor else {}))}",
        "topic": words.topic(tenant, "approvals"),
    }


def _counted(tenant: Tenant, principal: Principal, view: str) -> str:
    found = selectors.items.count(tenant, scope(principal, view), most=MOST)
    return number(found) if found < MOST else f"{number(MOST - 1)}+"


def _mark_news(
    groups: list[tuple[str, list[dict[str, Any]]]], rows: Sequence[Item], me: Principal, since: datetime | None
) -> None:
    """Say on each line what others did with it since the last visit."""
    if since is None:
        return
    changed = {str(row.pk): row for row in rows if row.changed_at > since and row.changed_by != me.ident}
    for _heading, lines in groups:
        for line in lines:
            row = changed.get(line["id"])
            if row is not None:
                line["news"] = "new" if row.opened_at > since else "changed"


def _lines(tenant: Tenant, rows: Sequence[Item]) -> list[dict[str, Any]]:
    return [words.line(tenant, row) for row in rows]


def grouped(tenant: Tenant, rows: Sequence[Item]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Undecided items under headings, in the order they come (by deadline)."""
    now = clock.now()
    day = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    heads = (("Overdue", now), ("Due today, UTC", day), ("Later", NEVER))
    at = 0
    for head, until in heads:
        some = []
        while at < len(rows) and rows[at].sort_at < until:
            some.append(rows[at])
            at += 1
        if some:
            yield head, _lines(tenant, some)
    if at < len(rows):
        yield "Without a deadline", _lines(tenant, rows[at:])


def pane(request: Any, current: str, view: str = "") -> dict[str, Any]:
    """The narrow inbox beside an item; ``current`` is marked."""
    tenant, principal = request.tenant, request.principal
    chosen, rows = _beside(tenant, principal, current, view)
    here = f"{words.base(tenant)}/approvals"
    return {
        "pane_groups": list(grouped(tenant, rows[:BESIDE])),
        "pane_view": chosen,
        "pane_views": [
            (name, word, f"{here}?{urlencode({'part': 'pane', 'view': name, 'at': current})}") for name, word in VIEWS
        ],
        "pane_url": f"{here}?{urlencode({'part': 'pane', 'view': chosen, 'at': current})}",
        "pane_more": len(rows) > BESIDE,
        "pane_all": f"{here}?{urlencode({'view': chosen})}",
        "current": current,
        "pane_topic": words.topic(tenant, "approvals"),
    }


def _beside(tenant: Tenant, principal: Principal, current: str, view: str) -> tuple[str, list[Item]]:
    """The view asked for, else the first that holds the current item, and its items."""
    asked = [view] if view else [name for name, _word in VIEWS if principal.may("review") or name == "all"]
    rows: list[Item] = []
    for name in asked:
        rows = selectors.items.inbox(tenant, scope(principal, name), limit=BESIDE)
        if any(str(row.pk) == current for row in rows):
            return name, rows
    return asked[-1], rows


def _hero(tenant: Tenant, principal: Principal, since: datetime | None) -> dict[str, str]:
    summary = selectors.items.summary(tenant)
    text = "Overdue ones stand first. Whoever asked never decides; the first decision at the version shown counts."
    if since is not None:
        text = f"{_news(tenant, principal, since)} {text}"
    if not summary.timers_ok:
        text = f"Timers are late by {duration(float(int(summary.timers_late_seconds)))}: is beat alive? {text}"
    if not summary.open:
        return {"state": "fresh", "title": "Nothing waits for a decision", "text": text}
    waits = f"{counted(summary.open, 'item')} {'waits' if summary.open == 1 else 'wait'} for a decision"
    if not summary.overdue or summary.oldest_overdue is None:
        return {"state": "waiting", "title": waits, "text": f"None is late. {text}"}
    late = duration(float(int((clock.now() - summary.oldest_overdue).total_seconds())))
    title = f"{waits}, {number(summary.overdue)} overdue"
    return {"state": "overdue", "title": title, "text": f"The oldest is {late} late. {text}"}


MOST_NEW = 100


def _news(tenant: Tenant, principal: Principal, since: datetime) -> str:
    """``3 are new since your last visit, 2 h ago.``"""
    found = selectors.finding.opened_since(tenant, since, but=principal.ident, most=MOST_NEW)
    ago = duration(float(int((clock.now() - since).total_seconds())))
    if not found:
        return f"Nothing new was asked since your last visit, {ago} ago."
    count = f"{MOST_NEW} or more" if found >= MOST_NEW else number(found)
    return f"{count} {'is' if found == 1 else 'are'} new since your last visit, {ago} ago."
