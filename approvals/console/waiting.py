"""What waits, for the frame, the Overview and the page of a trace. They embed these panels by address."""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from pydantic import Field

from approvals import selectors
from approvals.console import words
from approvals.console.inbox import MOST, scope
from decisiongraph.core import clock
from decisiongraph.core.api import Query, query_params
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.templatetags.dg.words import counted, duration, number
from tenants.access import Principal, console_view
from tenants.models import Tenant

SHOWN = 20


class WaitingQuery(Query):
    """Which of the panels."""

    part: Literal["counts", "figures", "attention", "trace", "found"] = "counts"
    trace_id: str = Field(default="", max_length=400)
    q: str = Field(default="", max_length=200)


@console_view("read")
@require_GET
def waiting(request: Any) -> HttpResponse:
    """Counts for the rail, figures and a list of what to do for the Overview, everything about one trace."""
    query = query_params(request, WaitingQuery)
    tenant: Tenant = request.tenant
    if query.part == "trace":
        return render(request, "approvals/waiting.html#trace", _about(tenant, query.trace_id))
    if query.part == "found":
        return render(request, "frame/palette_results.html", {"groups": _found(tenant, query.q.strip()), "more": True})
    with tenant_tx(tenant):
        summary = selectors.items.summary(tenant)
        incidents = selectors.incidents.counts(tenant)
        exceptions = selectors.items.open_exceptions(tenant)
    context = {
        "topics": f"{words.topic(tenant, 'approvals')} {words.topic(tenant, 'incidents')}",
        "waits": _short(summary.open),
        "late": bool(summary.overdue),
        "exceptions": _short(exceptions),
        "incidents": _short(sum(incidents.values())),
    }
    if query.part == "figures":
        context |= {"figures": _figures(tenant, summary, incidents, exceptions)}
    elif query.part == "attention":
        context |= {"items": _attention(tenant, request.principal, summary, incidents)}
    return render(request, f"approvals/waiting.html#{query.part}", context)


def _short(count: int) -> str:
    return "" if not count else str(count) if count < 1000 else "999+"


def _figures(
    tenant: Tenant, summary: selectors.items.Summary, incidents: dict[str, int], exceptions: int
) -> list[dict[str, Any]]:
    worst = next((name for name, count in incidents.items() if count), "")
    unresolved = sum(incidents.values())
    return [
        {
            "label": "Approvals",
            "value": number(summary.open),
            "unit": "waiting",
            "detail": f"{number(summary.overdue)} overdue" if summary.overdue else "none is late",
            "state": "overdue" if summary.overdue else "waiting" if summary.open else "fresh",
            "url": f"{words.base(tenant)}/approvals" + ("?status=overdue&view=all" if summary.overdue else ""),
        },
        {
            "label": "Incidents",
            "value": number(unresolved),
            "unit": "unresolved",
            "detail": f"the worst is {worst}" if worst else "nothing went wrong",
            "state": worst or "fresh",
            "url": f"{words.base(tenant)}/incidents",
        },
        {
            "label": "Exceptions",
            "value": number(exceptions),
            "unit": "undecided",
            "detail": "asked from policies" if exceptions else "none is asked for",
            "state": "waiting" if exceptions else "fresh",
            "url": f"{words.base(tenant)}/exceptions",
        },
        _timers(summary),
    ]


def _timers(summary: selectors.items.Summary) -> dict[str, Any]:
    """The invariant of the clock: no due timer is unfired."""
    if summary.timers_ok:
        detail = f"{counted(summary.timers_due, 'timer')} due this moment" if summary.timers_due else "none is unfired"
        return {"label": "Timers", "value": "on time", "detail": detail, "state": "fresh"}
    return {
        "label": "Timers",
        "value": number(summary.timers_due),
        "unit": "unfired",
        "detail": f"the oldest is {_late(summary)} late",
        "state": "stale",
        "url": "#workers",
    }


def _attention(
    tenant: Tenant, principal: Principal, summary: selectors.items.Summary, incidents: dict[str, int]
) -> list[dict[str, Any]]:
    """What people are asked, the worst first; what is asked of this person apart from what anybody may do."""
    found: list[dict[str, Any]] = []
    bad = sum(incidents.get(name, 0) for name in ("critical", "high"))
    if bad:
        found.append(
            {
                "state": "critical" if incidents.get("critical") else "high",
                "title": f"{counted(bad, 'incident')} of high severity {'is' if bad == 1 else 'are'} not resolved",
                "why": "Somebody has to look at what happened.",
                "action": {"label": "See incidents", "url": f"{words.base(tenant)}/incidents"},
            }
        )
    if summary.overdue and summary.oldest_overdue is not None:
        late = duration(float(int((clock.now() - summary.oldest_overdue).total_seconds())))
        found.append(
            {
                "state": "overdue",
                "title": f"{counted(summary.overdue, 'approval')} {'is' if summary.overdue == 1 else 'are'} overdue",
                "why": f"The oldest is {late} late; agents wait for it.",
                "action": {"label": "Decide", "url": f"{words.base(tenant)}/approvals?view=all&status=overdue"},
            }
        )
    if not summary.timers_ok:
        found.append(
            {
                "state": "stale",
                "title": f"{counted(summary.timers_due, 'timer')} did not fire in time",
                "why": f"The oldest is {_late(summary)} late. Reminders and escalations wait for beat.",
                "action": {"label": "See workers", "url": "#workers"},
            }
        )
    return found + _desks(tenant, principal, summary.open)


def _desks(tenant: Tenant, principal: Principal, waiting: int) -> list[dict[str, Any]]:
    """On whose desk what waits lies: yours, or that of whoever comes first, or other people's."""
    here = f"{words.base(tenant)}/approvals"
    if not waiting:
        return []
    mine = selectors.items.count(tenant, scope(principal, "mine"))
    found = []
    if mine:
        found.append(
            {
                "state": "waiting",
                "title": f"{_most(mine, 'approval')} {_wait(mine)} for you",
                "why": "On your desk, by name, sent back to you, or yours while a colleague is away.",
                "action": {"label": "See yours", "url": f"{here}?view=mine"},
            }
        )
    if not principal.may("review"):
        return found or [
            {
                "state": "waiting",
                "title": f"{counted(waiting, 'approval')} {_wait(waiting)} for reviewers",
                "why": "Nothing of it needs you: your role looks on and does not decide.",
                "action": {"label": "See inbox", "url": f"{here}?view=all"},
            }
        ]
    group = selectors.items.count(tenant, scope(principal, "group"))
    if group:
        found.append(
            {
                "state": "waiting",
                "title": f"{_most(group, 'approval')} {_wait(group)} for whoever reviews first",
                "why": "You are one of those who may" + ("." if mine else "; none is yours alone."),
                "action": {"label": "See group", "url": f"{here}?view=group"},
            }
        )
    if not found:
        found.append(
            {
                "state": "waiting",
                "title": f"{counted(waiting, 'approval')} {_wait(waiting)} for other people",
                "why": "Nothing waits for you.",
                "action": {"label": "See inbox", "url": f"{here}?view=all"},
            }
        )
    return found


def _wait(count: int) -> str:
    return "waits" if count == 1 else "wait"


def _most(count: int, thing: str) -> str:
    """A figure that was counted no further than `MOST`."""
    return counted(count, thing) if count < MOST else f"{number(MOST)} or more {thing}s"


def _late(summary: selectors.items.Summary) -> str:
    return duration(float(int(summary.timers_late_seconds)))


FOUND = 5


def _found(tenant: Tenant, text: str) -> list[dict[str, Any]]:
    """Groups of the palette: items and incidents by id and title."""
    if len(text) < 2:
        return []
    items = [
        {
            "label": words.title(row),
            "detail": f"{words.entity(row)}, {words.standing(row)}",
            "url": words.item_url(tenant, row.pk),
            "state": row.status,
        }
        for row in selectors.finding.items(tenant, text, limit=FOUND)
    ]
    incidents = [
        {
            "label": row.title,
            "detail": f"{row.severity}, {row.status}",
            "url": words.incident_url(tenant, row.pk),
            "state": row.status,
        }
        for row in selectors.finding.incidents(tenant, text, limit=FOUND)
    ]
    groups = [{"label": "Approvals", "items": items}, {"label": "Incidents", "items": incidents}]
    return [group for group in groups if group["items"]]


def _about(tenant: Tenant, trace_id: str) -> dict[str, Any]:
    """Items and incidents of a trace; of a review trace the item itself."""
    with tenant_tx(tenant):
        items = selectors.items.items_of_trace(tenant, trace_id, limit=SHOWN)
        items = [*selectors.items.reviewed_in(tenant, trace_id), *items]
        incidents = selectors.incidents.incidents(tenant, trace_id=trace_id, limit=SHOWN)[:SHOWN]
    return {
        "rows": [words.line(tenant, row) for row in items],
        "problems": [
            {
                "id": row.pk,
                "url": words.incident_url(tenant, row.pk),
                "title": row.title,
                "severity": row.severity,
                "status": row.status,
                "opened_at": row.opened_at,
                "cause": row.cause,
            }
            for row in incidents
        ],
        "trace_id": trace_id,
        "export_url": f"{words.base(tenant)}/exported-trace?{urlencode({'trace_id': trace_id})}",
        "ask_url": f"{words.base(tenant)}/exceptions?{urlencode({'trace_id': trace_id})}#ask",
        "report_url": f"{words.base(tenant)}/incidents?{urlencode({'trace_id': trace_id})}#report",
    }
