"""Erasures, for people: ask, see where the texts are, confirm as the second person, see what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import quote

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_POST

from decisiongraph.core.api import Query, query_params
from decisiongraph.core.console import moved, page
from decisiongraph.core.errors import Problem, not_found
from decisiongraph.core.templatetags.dg.words import counted, number
from replays import selectors, services
from replays.domain import erasure as life
from replays.models import Erasure
from tenants.access import console_view
from tenants.console import SECTIONS
from tenants.services import reauth
from traces import selectors as log

TYPED = "erase"
"""What the second person types."""
LOOKED_AT = 200
"""Positions of an erasure whose traces are looked up."""
SPANS, TRACES = 6, 3
"""Runs of positions and traces named at most."""

STATES = {
    "surveying": ("running", "Looking"),
    "waiting": ("waiting", "Waits for a second person"),
    "running": ("running", "Erasing"),
    "completed": ("completed", "Completed"),
    "incomplete": ("failed", "Incomplete"),
    "withdrawn": ("withdrawn", "Taken back"),
}
STEP_WORDS = {
    "redact": "erasing payloads",
    "rebuild": "rebuilding projections",
    "purge": "deleting the old rows",
    "scrub": "cleaning everything beside them",
    "search": "searching every table",
    "verify": "comparing replay with live",
    "prove": "checking the proofs",
}


class ErasuresQuery(Query):
    """Which part of the page."""

    part: Literal["list"] | None = None


@console_view("admin")
@require_GET
def erasures(request: Any) -> HttpResponse:
    """Every erasure of the tenant, and the form to ask for one."""
    query = query_params(request, ErasuresQuery)
    template = "replays/erasures.html#list" if query.part == "list" else "replays/erasures.html"
    return _page(request, template)


@console_view("admin")
@require_POST
def ask_erasure(request: Any) -> HttpResponse:
    """Ask; nothing is erased before another person has confirmed."""
    reauth.demand(request)
    form = {name: request.POST.get(name, "").strip() for name in ("trace_id", "events", "texts", "reason")}
    services.ask_erasure(
        request.tenant,
        principal=request.principal,
        trace_id=form["trace_id"],
        events=_positions(form["events"]),
        texts=form["texts"].splitlines(),
        reason=form["reason"],
    )
    said = "Asked. Another admin has to confirm it here."
    return moved(request, f"/t/{request.tenant.slug}/settings/erasures", said)


@console_view("admin")
@require_POST
def act_on_erasure(request: Any, erasure_id: str, action: str) -> HttpResponse:
    """Confirm, take back, search again."""
    service = {
        "confirm": services.confirm_erasure,
        "withdraw": services.withdraw_erasure,
        "retry": services.retry_erasure,
    }.get(action)
    if service is None:
        raise not_found("page")
    if action == "confirm" and request.POST.get("confirm", "").strip() != TYPED:
        raise Problem("erasure.not_confirmed", 422, f"Type {TYPED} to confirm.")
    reauth.demand(request)
    row = service(request.tenant, principal=request.principal, erasure_id=erasure_id)
    said = {"confirm": "It begins now.", "withdraw": "Taken back.", "retry": "It is searched again."}[action]
    return moved(request, f"/t/{request.tenant.slug}/settings/erasures", f"{STATES[row.status][1]}. {said}")


def _positions(text: str) -> list[int]:
    """``12, 15-17`` as positions."""
    found: list[int] = []
    for part in text.replace(",", " ").split():
        low, _, high = part.partition("-")
        if not (low.isascii() and low.isdigit() and (not high or (high.isascii() and high.isdigit()))):
            raise Problem("erasure.no_events", 422, f"Write positions of the log like 12, 15-17, not {part!r}.")
        first, last = int(low), int(high or low)
        if last - first >= services.MOST_EVENTS:
            raise Problem("erasure.no_events", 422, f"Name at most {services.MOST_EVENTS:,} events.")
        found += range(first, last + 1)
    return found


def _page(request: Any, template: str) -> HttpResponse:
    rows = selectors.newest_erasures(request.tenant, limit=50)
    traces = log.traces_at(request.tenant, [at for row in rows for at in row.events[:LOOKED_AT]])
    base = f"/t/{request.tenant.slug}/settings"
    crumbs = [{"label": "Settings", "url": base}, {"label": "Erasure", "url": f"{base}/erasures"}]
    tabs = [(key, label, f"{base}/{key}") for key, label in SECTIONS]
    context: dict[str, Any] = {
        "erasures": [_shown(request, row, traces) for row in rows],
        "open": any(row.status in life.OPEN for row in rows),
        "busy": any(row.status in life.ACTIVE for row in rows),
        "hero": _hero(rows),
        "here": f"{base}/erasures",
    }
    response = render(
        request, template, page(request, "settings", crumbs=crumbs, tabs=tabs, part="erasures", **context)
    )
    response["Cache-Control"] = "no-store"
    return response


def _shown(request: Any, row: Erasure, traces: Mapping[int, str]) -> dict[str, Any]:
    own = request.principal.user_id == row.asked_user
    spans = life.spans(row.events)
    found = list(dict.fromkeys(traces[at] for at in row.events[:LOOKED_AT] if at in traces))
    base = f"/t/{request.tenant.slug}/traces"
    return {
        "row": row,
        "spans": [number(low) if low == high else f"{number(low)} to {number(high)}" for low, high in spans[:SPANS]],
        "more_spans": max(0, len(spans) - SPANS),
        "traces": [(trace_id, f"{base}/{quote(trace_id, safe='')}") for trace_id in found[:TRACES]],
        "more_traces": max(0, len(found) - TRACES) if len(row.events) <= LOOKED_AT else 0,
        "state": STATES[row.status],
        "step": STEP_WORDS.get(row.step, "") if row.status == "running" else "",
        "at": life.STEPS.index(row.step) if row.status == "running" else 0,
        "steps": len(life.STEPS),
        "may_confirm": row.status == "waiting" and not own and not row.elsewhere,
        "own": own and row.status == "waiting",
    }


def _hero(rows: list[Erasure]) -> dict[str, str]:
    first = next((row for row in rows if row.status in life.OPEN), None)
    if first is not None:
        return {
            "state": STATES[first.status][0],
            "title": f"{STATES[first.status][1]}: {counted(len(first.events), 'payload')}",
            "text": "Envelopes, hashes and proofs stay. What was said goes, wherever the platform has repeated it.",
        }
    wrong = next((row for row in rows[:1] if row.status == "incomplete"), None)
    if wrong is not None:
        text = "The search still found something. Remove it by hand, then search again."
        return {"state": "failed", "title": "The last erasure is incomplete", "text": text}
    done = sum(row.status == "completed" for row in rows)
    return {
        "state": "active" if done else "idle",
        "title": f"{counted(done, 'erasure')} completed" if done else "Nothing was ever erased here",
        "text": "One admin asks, another confirms. Backups and what was delivered to others are out of its reach.",
    }
