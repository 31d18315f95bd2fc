"""The views of the replays."""

from __future__ import annotations

from typing import Any, Literal

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_POST
from pydantic import Field

from decisiongraph.core.api import Query, decode_cursor, query_params
from decisiongraph.core.console import moved, page, toasted
from decisiongraph.core.templatetags.dg.words import number
from projections import selectors as projections
from projections.selectors import PROJECTIONS
from replays import selectors, services
from replays.console.listing import figure, listing
from replays.console.verdict import detail
from replays.console.words import MODES, url_of
from replays.models import ALL
from tenants.access import console_view
from tenants.services import reauth


class ReplaysQuery(Query):
    """What of the list, and what the start form holds when it opens."""

    part: Literal["figure", "list"] | None = None
    cursor: str | None = Field(default=None, max_length=400)
    projection: str = Field(default="", max_length=100)
    mode: str = Field(default="", max_length=20)
    until_log_seq: str = Field(default="", max_length=20)


@console_view("read")
@require_GET
def replays(request: Any) -> HttpResponse:
    """Running replays, the form to start one, and everything that ran before."""
    query = query_params(request, ReplaysQuery)
    if query.part == "figure":
        return render(request, "replays/replays.html#figure", {"figure": figure(request)})
    context = listing(request, query.cursor)
    if query.part == "list":
        return render(request, "replays/replays.html#list", context)
    form = {
        "projection": query.projection if query.projection in (*PROJECTIONS, ALL) else PROJECTIONS[0],
        "mode": query.mode if query.mode in MODES else "verify",
        "until_log_seq": query.until_log_seq,
    }
    return _page(request, context | _form(request, form))


def _page(request: Any, context: dict[str, Any], status: int = 200) -> HttpResponse:
    crumbs = [{"label": request.tenant.slug, "url": f"/t/{request.tenant.slug}/"}, {"label": "Replays"}]
    return render(request, "replays/replays.html", page(request, "replays", crumbs=crumbs, **context), status=status)


@console_view("operate")
@require_POST
def start(request: Any) -> HttpResponse:
    """Queue a replay. What is wrong with the form is said beside its field."""
    form = {name: request.POST.get(name, "").strip() for name in ("projection", "mode", "until_log_seq", "reason")}
    accept = request.POST.get("accept_mismatch") == "yes"
    errors = _wrong(request, form)
    if errors:
        part = bool(request.headers.get("HX-Request"))
        context = _form(request, form, errors)
        if part:
            return render(request, "replays/replays.html#start", context, status=422)
        return _page(request, listing(request, None) | context, 422)
    if form["mode"] == "rebuild":
        reauth.demand(request)
    until = form["until_log_seq"] if form["mode"] == "verify" else ""
    row = services.start_replay(
        request.tenant,
        principal=request.principal,
        projection=form["projection"],
        mode=form["mode"],
        reason=form["reason"],
        until_log_seq=int(until) if until else None,
        accept_mismatch=accept,
    )
    return moved(request, url_of(request, row))


@console_view("operate")
@require_POST
def cancel(request: Any, replay_id: str) -> HttpResponse:
    """Ask a replay to stop."""
    row = selectors.replay(request.tenant, replay_id).row
    services.cancel_replay(request.tenant, principal=request.principal, replay_id=str(row.pk))
    return toasted(request, "It stops after the batch it is in. The live rows stay as they are.", url_of(request, row))


class ReplayQuery(Query):
    """What of one replay."""

    part: Literal["replay"] | None = None
    after: str | None = Field(default=None, max_length=400)


@console_view("read")
@require_GET
def replay(request: Any, replay_id: str) -> HttpResponse:
    """One replay: its progress while it runs, then its verdict and every differing row."""
    query = query_params(request, ReplayQuery)
    view = selectors.replay(request.tenant, replay_id)
    context = detail(request, view, decode_cursor(query.after, str, int))
    label = f"{MODES[view.row.mode]} {view.row.projection}"
    crumbs = [{"label": "Replays", "url": f"/t/{request.tenant.slug}/replays"}, {"label": label}]
    template = "replays/replay.html" + ("#replay" if query.part else "")
    return render(request, template, page(request, "replays", crumbs=crumbs, **context))


def _wrong(request: Any, form: dict[str, str]) -> dict[str, str]:
    errors: dict[str, str] = {}
    if form["projection"] not in (*PROJECTIONS, ALL):
        errors["projection"] = "Choose a projection of the list."
    if form["mode"] not in MODES:
        errors["mode"] = "Choose what to do."
    if not form["reason"]:
        errors["reason"] = "Say why; it is kept with the replay and in the audit log."
    elif len(form["reason"]) > 2000:
        errors["reason"] = "Say it in 2,000 characters."
    until = form["until_log_seq"]
    head = projections.health(request.tenant).head if until else 0
    if form["mode"] == "verify" and until and not (until.isascii() and until.isdigit() and int(until[:16]) <= head):
        errors["until_log_seq"] = f"Give a whole number up to {number(head)}."
    if form["mode"] == "rebuild" and request.POST.get("confirm", "").strip() != form["projection"]:
        errors["confirm"] = "Type the name of the projection to confirm."
    return errors


def _form(request: Any, form: dict[str, str], errors: dict[str, str] | None = None) -> dict[str, Any]:
    return {"form": form, "errors": errors or {}, "choices": [*PROJECTIONS, ALL]}
