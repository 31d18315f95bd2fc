"""The page of the projections: how far each has come, what it set aside, and what can be done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal
from urllib.parse import quote

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from decisiongraph.core.api import Query, query_params
from decisiongraph.core.console import page, toasted
from decisiongraph.core.templatetags.dg.words import counted, number
from projections import selectors, services
from projections.domain.agenda import Mismatch
from projections.domain.health import STATES
from projections.domain.rules import RULES
from projections.models import DeadLetter
from projections.selectors import overview as reads
from projections.selectors.health import ProjectionHealth, TenantHealth
from tenants.access import console_view

WINDOW = 10_000
"""Events that the bar of a cursor spans."""
SHOWN_LETTERS = 50
BARELY_BEHIND = 3.0
"""Seconds of lag that a live system always has for a moment; no news."""


class ProjectionsQuery(Query):
    """What of the page."""

    part: Literal["table", "parked"] | None = None


@console_view("read")
@require_GET
def projections(request: Any) -> HttpResponse:
    """The page, or one of its live parts."""
    query = query_params(request, ProjectionsQuery)
    health = selectors.health(request.tenant)
    context: dict[str, Any] = {"head": health.head}
    if query.part != "parked":
        found = reads.mismatches(request.tenant, health.projections)
        context |= {"projections": rows(request, health, found), "hero": _hero(health, found)}
    if query.part != "table":
        context |= _parked(request)
    crumbs = [{"label": request.tenant.slug, "url": f"/t/{request.tenant.slug}/"}, {"label": "Projections"}]
    template = "projections/projections.html" + (f"#{query.part}" if query.part else "")
    return render(request, template, page(request, "projections", crumbs=crumbs, **context))


@console_view("operate")
@require_POST
def catch_up(request: Any) -> HttpResponse:
    """Wake whoever follows the log."""
    name = request.POST.get("projection") or None
    services.ask_catch_up(request.tenant, principal=request.principal, projection=name)
    return toasted(request, f"Catching up {name or 'every projection'}.", f"/t/{request.tenant.slug}/projections")


@console_view("operate")
@require_POST
def retry(request: Any, ident: int) -> HttpResponse:
    """Fold a parked trace again."""
    letter = services.retry_dead_letter(request.tenant, principal=request.principal, ident=ident)
    if letter.state == DeadLetter.OPEN:
        said, tone = f"Trace {letter.trace_id} failed again and stays parked.", "warn"
    else:
        said, tone = f"Trace {letter.trace_id} is folded; {letter.projection} is complete for it.", "ok"
    return toasted(request, said, f"/t/{request.tenant.slug}/projections#parked", tone)


@console_view("operate")
@require_POST
def skip(request: Any, ident: int) -> HttpResponse:
    """Leave one event out of a projection, for a reason."""
    letter = services.skip_dead_letter(
        request.tenant, principal=request.principal, ident=ident, reason=request.POST.get("reason", "")
    )
    said = f"The event is left out of {letter.projection}, now and in every rebuild."
    return toasted(request, said, f"/t/{request.tenant.slug}/projections#parked")


def rows(request: Any, health: TenantHealth, mismatches: Sequence[Mismatch]) -> list[dict[str, Any]]:
    """The table, worst first: wrong rows, then the health's own order."""
    wrong = {found.projection: found for found in mismatches}

    def rank(item: ProjectionHealth) -> tuple[bool, int, int]:
        # A live system is always behind for a moment; rows that change places each second help nobody.
        state = "fresh" if item.state == "catching_up" and item.seen.lag_seconds < BARELY_BEHIND else item.state
        return (item.seen.name not in wrong, STATES.index(state), list(RULES).index(item.seen.name))

    return [_row(request, item, wrong.get(item.seen.name)) for item in sorted(health.projections, key=rank)]


def _row(request: Any, item: ProjectionHealth, wrong: Mismatch | None) -> dict[str, Any]:
    name, base = item.seen.name, f"/t/{request.tenant.slug}"
    detail = ""
    if wrong:
        detail = f"otherwise {item.state.replace('_', ' ')}"
    elif item.rule_version != item.wanted_rule_version:
        detail = f"rules v{item.wanted_rule_version} wait for a rebuild"
    action, menu = _actions(request, item, wrong)
    return {
        "name": name,
        "state": "mismatch" if wrong else item.state,
        "state_word": "Rows differ" if wrong else "",
        "state_detail": detail,
        "cursor": item.seen.cursor,
        "bar": max(0.0, 100 - 100 * item.seen.lag / WINDOW),
        "lag_events": item.seen.lag,
        "lag_seconds": round(item.seen.lag_seconds, 1),
        "rate": round(item.rate, 1),
        "generation": item.generation,
        "rule_version": item.rule_version,
        "digest": item.digest.removeprefix("sha256:"),
        "last_error": item.last_error or (f"Differs since {number(wrong.position)}" if wrong else ""),
        "dead_letters": item.seen.dead_letters,
        "action": action,
        "actions": menu,
        "url": f"{base}/projections",
    }


def _actions(
    request: Any, item: ProjectionHealth, wrong: Mismatch | None
) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """The one action that helps now, and the menu; nothing but links for somebody who may not operate."""
    base, name = f"/t/{request.tenant.slug}", item.seen.name
    see = {"label": "See rows", "url": f"{base}/replays/{wrong.replay}"} if wrong and wrong.replay else None
    if not request.principal.may("operate"):
        return see, []
    form = f"{base}/replays?projection={quote(name)}&mode="
    wake: dict[str, Any] = {
        "label": "Catch up",
        "url": reverse("console-catch-up", args=[request.tenant.slug]),
        "method": "post",
        "fields": {"projection": name},
        "vals": f'{{"projection": "{name}"}}',
    }
    verify = {"label": "Verify", "url": f"{form}verify#start"}
    rebuild = {"label": "Rebuild", "url": f"{form}rebuild#start", "kind": "danger"}
    if see or wrong:
        first = see or verify
    elif item.state in ("stale", "failed"):
        first = wake
    elif item.state == "degraded":
        first = {"label": "See parked", "url": f"{base}/projections#parked"}
    elif item.rule_version != item.wanted_rule_version:
        first = {"label": "Rebuild", "url": f"{form}rebuild#start"}
    else:
        first = verify
    return first, [each for each in (wake, verify, rebuild) if each["label"] != first["label"]]


def _hero(health: TenantHealth, mismatches: Sequence[Mismatch]) -> dict[str, str]:
    if mismatches:
        names = ", ".join(found.projection for found in mismatches)
        return {
            "state": "mismatch",
            "title": f"Rows of {names} differ from the log",
            "text": "The log itself is untouched. A verify names each row and its event; an admin may promote.",
        }
    behind = max((p.seen.lag_seconds for p in health.projections), default=0.0)
    if health.state == "catching_up" and behind < BARELY_BEHIND:
        said = "Every projection follows the log"
        text = f"The newest of {counted(health.head, 'event')} are being folded right now."
        return {"state": "fresh", "title": said, "text": text}
    text = {
        "failed": "Batches fail one after another; the last error is in the table. Readers see the rows as they were.",
        "stale": "Events are accepted and safe in the log; what readers see is older than it should be.",
        "degraded": "Parked traces are listed below with the error of the rule; every other trace goes on.",
        "catching_up": "Nothing to do: it folds what the log holds beyond the cursor.",
        "fresh": "Their rows are what the log says: digests move with every change and are checked bucket by bucket.",
    }[health.state]
    return {"state": health.state, "title": health.hero.rstrip("."), "text": text}


def _parked(request: Any) -> dict[str, Any]:
    found = selectors.dead_letters(request.tenant, limit=SHOWN_LETTERS)
    letters = [
        {
            "id": letter.pk,
            "projection": letter.projection,
            "trace_id": letter.trace_id,
            "url": f"/t/{request.tenant.slug}/traces/{quote(letter.trace_id, safe='')}",
            "log_seq": letter.log_seq,
            "event_type": letter.event_type,
            "error": letter.error,
            "waiting": letter.waiting,
            "attempts": letter.attempts,
            "created_at": letter.created_at,
        }
        for letter in found[:SHOWN_LETTERS]
    ]
    return {"letters": letters, "letters_more": len(found) > SHOWN_LETTERS}
