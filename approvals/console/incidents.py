"""Incidents: what went wrong, who works on it, everything that happened, in order."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Literal

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_POST
from pydantic import Field

from approvals import selectors, services
from approvals.console import words
from approvals.console.inbox import place
from approvals.domain import incident as rules
from approvals.models import Incident, IncidentEntry, IncidentLink
from decisiongraph.core.api import Query, encode_cursor, query_params
from decisiongraph.core.console import moved, page, toasted
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem, invalid
from decisiongraph.core.templatetags.dg.words import counted
from tenants.access import Principal, console_view
from tenants.models import Tenant
from traces import selectors as log

SHOWN, LINES = 50, 200
STATUSES = (
    ("unresolved", "Unresolved"),
    *((name, name.capitalize()) for name in rules.STATES),
    ("all", "All states"),
)
KNOWN = frozenset(name for name, _word in STATUSES)
WORKERS = ("operate", "review", "admin")
"""Permissions, any of which lets somebody work on incidents."""
DID = {
    "opened": "opened it",
    "acknowledge": "acknowledged it",
    "mitigate": "mitigated it",
    "resolve": "resolved it",
    "reopen": "opened it again",
    "assign": "assigned it",
    "rate": "changed its severity",
    "link": "linked",
    "comment": "commented",
}
MARKS = {
    "opened": ("bad", "bad"),
    "reopen": ("bad", "bad"),
    "acknowledge": ("human-open", "human"),
    "mitigate": ("run", "run"),
    "resolve": ("ok", "ok"),
}
DONE = {
    "acknowledge": "Acknowledged: others see that somebody looks at it.",
    "mitigate": "Mitigated.",
    "resolve": "Resolved.",
    "reopen": "Opened again.",
    "assign": "Assigned.",
    "rate": "The severity is changed.",
    "link": "Linked.",
    "comment": "Your comment is in the timeline.",
}


class IncidentsQuery(Query):
    """What of the list, and what the form holds when it opens."""

    part: Literal["list"] | None = None
    status: str = Field(default="unresolved", max_length=20)
    severity: Literal["", "low", "medium", "high", "critical"] = ""
    mine: Literal["", "yes"] = ""
    trace_id: str = Field(default="", max_length=400)
    cursor: str | None = Field(default=None, max_length=400)


@console_view("read")
@require_GET
def incidents(request: Any) -> HttpResponse:
    """What needs people, the newest first."""
    query = query_params(request, IncidentsQuery)
    if query.status not in KNOWN:
        raise invalid("status", "incident.unknown_status", f"Choose one of: {', '.join(sorted(KNOWN))}.")
    with tenant_tx(request.tenant):
        context = _listing(request, query) | {"hero": _hero(request.tenant)}
        if query.part:
            return render(request, "approvals/incidents.html#list", context | {"swapped": True})
    return _page(request, context | {"form": {"trace_id": query.trace_id, "severity": "medium"}, "errors": {}})


def _page(request: Any, context: dict[str, Any], status: int = 200) -> HttpResponse:
    crumbs = [{"label": request.tenant.slug, "url": f"/t/{request.tenant.slug}/"}, {"label": "Incidents"}]
    context |= {"crumbs": crumbs, "severities": rules.SEVERITIES, "key": uuid.uuid4().hex}
    return render(request, "approvals/incidents.html", page(request, "incidents", **context), status=status)


def _works(principal: Principal) -> bool:
    return any(principal.may(name) for name in WORKERS)


def _listing(request: Any, query: IncidentsQuery) -> dict[str, Any]:
    tenant = request.tenant
    found = place(query.cursor)
    rows = selectors.incidents.incidents(
        tenant,
        status="" if query.status == "all" else query.status,
        severity=query.severity,
        assignee=request.principal.ident if query.mine else "",
        before=None if found is None else (found.sort_at, found.ident),
        limit=SHOWN,
    )
    here = f"{words.base(tenant)}/incidents"
    kept = {"status": query.status, "severity": query.severity, "mine": query.mine}
    following = ""
    if len(rows) > SHOWN:
        last = rows[SHOWN - 1]
        following = words.query(**kept, cursor=encode_cursor(last.opened_at.isoformat(), str(last.pk)))
    return {
        "incidents": [_line(tenant, row) for row in rows[:SHOWN]],
        "statuses": STATUSES,
        "severities": rules.SEVERITIES,
        "works": _works(request.principal),
        "status": query.status,
        "severity": query.severity,
        "mine": query.mine,
        "next_url": f"{here}?{following}" if following else "",
        "first_url": f"{here}?{words.query(**kept)}" if query.cursor else "",
        "list_url": f"{here}?{words.query(**kept, part='list', cursor=query.cursor or '')}",
        "topic": words.topic(tenant, "incidents"),
    }


def _line(tenant: Tenant, row: Incident) -> dict[str, Any]:
    return {
        "id": row.pk,
        "url": words.incident_url(tenant, row.pk),
        "title": row.title,
        "cause": row.cause,
        "severity": row.severity,
        "status": row.status,
        "assignee": row.assignee_label or (words.who(row.assignee) if row.assignee else ""),
        "trace_id": row.trace_id or "",
        "trace_url": words.trace_url(tenant, row.trace_id) if row.trace_id else "",
        "opened_at": row.opened_at,
    }


def _hero(tenant: Tenant) -> dict[str, str]:
    counts = selectors.incidents.counts(tenant)
    total = sum(counts.values())
    if not total:
        return {
            "state": "fresh",
            "title": "No incident is unresolved",
            "text": "They open by themselves: for a commit without approval, a missed deadline, rows that differ "
            "from the log, a producer that is silent. People report the rest.",
        }
    worst = next(name for name, count in counts.items() if count)
    said = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    title = f"{counted(total, 'incident')} {'is' if total == 1 else 'are'} not resolved"
    return {"state": worst, "title": title, "text": f"{said.capitalize()}. Nothing of a timeline is ever rewritten."}


@console_view("read")
@require_POST
def report(request: Any) -> HttpResponse:
    """Report an incident by hand."""
    form = {name: request.POST.get(name, "").strip() for name in ("title", "severity", "text", "trace_id")}
    errors: dict[str, str] = {}
    if not form["title"]:
        errors["title"] = "Say in one line what happened."
    if form["severity"] not in rules.SEVERITIES:
        errors["severity"] = "Choose a severity."
    if len(form["text"]) > 10_000:
        errors["text"] = "Say it in 10,000 characters."
    if form["trace_id"] and not log.read_trace(request.tenant, form["trace_id"], limit=1):
        errors["trace_id"] = "There is no such trace."
    if errors:
        context = {
            "form": form,
            "errors": errors,
            "works": True,
            "severities": rules.SEVERITIES,
            "key": uuid.uuid4().hex,
        }
        if request.headers.get("HX-Request"):
            return render(request, "approvals/incidents.html#report", context, status=422)
        with tenant_tx(request.tenant):
            whole = _listing(request, IncidentsQuery()) | {"hero": _hero(request.tenant)}
        return _page(request, whole | context, 422)
    row = services.open_incident(
        request.tenant,
        principal=request.principal,
        title=form["title"],
        severity=form["severity"],
        text=form["text"],
        trace_id=form["trace_id"] or None,
        key=request.POST.get("key") or None,
    )
    return moved(request, words.incident_url(request.tenant, row.pk), "The incident is open.")


# --- one incident ---------------------------------------------------------------------------------------


class IncidentQuery(Query):
    """What of the page."""

    part: Literal["incident"] | None = None


@console_view("read")
@require_GET
def incident(request: Any, incident_id: str) -> HttpResponse:
    """One incident with its timeline."""
    query = query_params(request, IncidentQuery)
    tenant = request.tenant
    with tenant_tx(tenant):
        found = selectors.incidents.details(tenant, incident_id)
        context = _one(request, found)
    if query.part:
        return render(request, "approvals/incident.html#incident", context)
    crumbs = [{"label": "Incidents", "url": f"{words.base(tenant)}/incidents"}, {"label": found.incident.title}]
    return render(request, "approvals/incident.html", page(request, "incidents", crumbs=crumbs, **context))


def _one(request: Any, found: selectors.incidents.Details) -> dict[str, Any]:
    tenant, row, names = request.tenant, found.incident, request.people
    works = _works(request.principal)
    allowed = rules.allowed(row.status) if works else ()
    assignee = row.assignee_label or words.who(row.assignee, names) if row.assignee else "nobody"
    return {
        "incident": row,
        "sentence": f"{row.severity.capitalize()}, {row.status}: {row.title}",
        "lead": _lead(row, assignee),
        "url": words.incident_url(tenant, row.pk),
        "topic": words.topic(tenant, "incident", str(row.pk)),
        "facts": [
            {"label": "State", "state": row.status},
            {"label": "Severity", "state": row.severity},
            {"label": "Assignee", "value": assignee},
            {"label": "Cause", "value": row.cause},
            {"label": "Opened", "moment": row.opened_at, "detail": f"by {words.who(row.opened_by, names)}"},
            _reached(row),
        ],
        "allowed": allowed,
        "works": works,
        "severities": rules.SEVERITIES,
        "desks": [("", "Nobody")] + [(f"user:{m.user.email}", m.user.label) for m in words.members(tenant)]
        if works
        else [],
        "links": [_link(tenant, link) for link in found.links],
        "kinds": rules.LINKS,
        "timeline": [_entry(entry, names) for entry in reversed(found.timeline[-LINES:])],
        "key": uuid.uuid4().hex,
    }


def _lead(row: Incident, assignee: str) -> str:
    if row.status == "resolved":
        return f"How it ended: {row.resolution}"
    text = f"{'Nobody works' if not row.assignee else assignee + ' works'} on it."
    return f"{text} It was opened again {counted(row.reopened, 'time')}." if row.reopened else text


def _reached(row: Incident) -> dict[str, Any]:
    for label, moment in (
        ("Resolved", row.resolved_at),
        ("Mitigated", row.mitigated_at),
        ("Acknowledged", row.acknowledged_at),
    ):
        if moment is not None and row.status != "open":
            return {"label": label, "moment": moment}
    return {"label": "Acknowledged", "value": "not yet"}


def _link(tenant: Tenant, link: IncidentLink) -> dict[str, str]:
    urls = {
        "trace": words.trace_url(tenant, link.ident),
        "approval": words.item_url(tenant, link.ident),
        "incident": words.incident_url(tenant, link.ident),
        "replay": f"{words.base(tenant)}/replays/{words.quote(link.ident, safe='')}",
    }
    return {"kind": link.kind, "ident": link.ident, "url": urls.get(link.kind, "")}


SAID = {
    "actor": "Carried out by",
    "log_seq": "Event in the log",
    "principal": "Sent by",
    "approval_id": "Approval",
    "approved_digest": "Approved",
    "executed_digest": "Carried out",
    "due_at": "Was due",
    "sla": "Service level",
}
"""Name of a detail -> what people call it."""


def _entry(entry: IncidentEntry, names: Mapping[str, str]) -> dict[str, Any]:
    detail = entry.detail or {}
    more = ""
    if entry.kind == "assign":
        more = f"to {words.who(str(detail.get('assignee') or ''), names)}"
    elif entry.kind == "rate":
        more = f"from {detail.get('before')} to {detail.get('after')}"
    elif entry.kind == "link":
        more = f"{detail.get('kind')} {detail.get('ident')}"
    return {
        "at": entry.at,
        "who": entry.by_label or words.who(entry.by),
        "did": DID.get(entry.kind, entry.kind),
        "more": more,
        "said": entry.text,
        "mark": MARKS.get(entry.kind, ("idle", "idle")),
        "detail": {
            SAID.get(name, name.replace("_", " ").capitalize()): value
            for name, value in detail.items()
            if name not in ("before", "after", "assignee")
        }
        if entry.kind == "opened"
        else {},
    }


@console_view("read")
@require_POST
def work(request: Any, incident_id: str, action: str) -> HttpResponse:
    """Acknowledge, assign, mitigate, resolve, reopen, rate, link or comment."""
    if action not in rules.TABLE:
        raise Problem("page.not_found", 404, "There is no page at this address.")
    version, assignee = request.POST.get("version", ""), request.POST.get("assignee", "")
    names = {f"user:{member.user.email}": member.user.label for member in words.members(request.tenant)}
    if action == "assign" and assignee and assignee not in names:
        raise invalid("assignee", "incident.assignee_unknown", "Choose an active member.", status=422)
    kind, ident = request.POST.get("kind", ""), request.POST.get("ident", "").strip()
    if action == "link" and (kind not in rules.LINKS or not 1 <= len(ident) <= 400):
        raise invalid("link", "incident.link_invalid", "Say what it is linked to, and its id.", status=422)
    if action == "rate" and request.POST.get("severity") not in rules.SEVERITIES:
        raise invalid("severity", "incident.unknown_severity", "Choose a severity.", status=422)
    row = services.act_on_incident(
        request.tenant,
        principal=request.principal,
        incident_id=incident_id,
        action=action,
        version=int(version) if rules.TABLE[action].versioned and version.isdigit() and len(version) < 10 else None,
        text=request.POST.get("text", ""),
        assignee=assignee,
        assignee_label=names.get(assignee, ""),
        severity=request.POST.get("severity", "") if action == "rate" else "",
        link=(kind, ident) if action == "link" else None,
        key=request.POST.get("key") or None,
    )
    return toasted(request, DONE[action], words.incident_url(request.tenant, row.pk))
