"""Pages of the replays: start one, watch it, read what it found."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from urllib.parse import quote

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST
from pydantic import Field

from decisiongraph.core import clock
from decisiongraph.core.api import Query, decode_cursor, encode_cursor, query_params
from decisiongraph.core.console import moved, page, toasted
from decisiongraph.core.errors import invalid
from decisiongraph.core.templatetags.dg.words import counted, duration, number, percent
from projections import selectors as projections
from projections.domain.digest import key_sha
from projections.selectors import PROJECTIONS
from replays import selectors, services
from replays.domain import verdict as life
from replays.models import ALL, Replay
from replays.selectors import DifferenceView, ReplayView
from tenants.access import console_view

MODES = {"verify": "verify", "catch_up": "catch up", "rebuild": "rebuild"}
"""Mode -> its word."""
SHOWN, SHOWN_ROWS, SHOWN_FIELDS = 20, 20, 12
LONGEST_VALUE = 400
"""Characters of one value of a differing row; the API has the whole."""


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
        return render(request, "replays/replays.html#figure", {"figure": _figure(request)})
    context = _list(request, query.cursor)
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
        return _page(request, _list(request, None) | context, 422)
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
    return moved(request, _url(request, row))


@console_view("operate")
@require_POST
def cancel(request: Any, replay_id: str) -> HttpResponse:
    """Ask a replay to stop."""
    row = selectors.replay(request.tenant, replay_id).row
    services.cancel_replay(request.tenant, principal=request.principal, replay_id=str(row.pk))
    return toasted(request, "It stops after the batch it is in. The live rows stay as they are.", _url(request, row))


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
    context = _detail(request, view, decode_cursor(query.after, str, int))
    label = f"{MODES[view.row.mode]} {view.row.projection}"
    crumbs = [{"label": "Replays", "url": f"/t/{request.tenant.slug}/replays"}, {"label": label}]
    template = "replays/replay.html" + ("#replay" if query.part else "")
    return render(request, template, page(request, "replays", crumbs=crumbs, **context))


# --- the list ----------------------------------------------------------------------------------------


def _list(request: Any, cursor: str | None) -> dict[str, Any]:
    before = _position(cursor)
    active = selectors.replays(request.tenant, active_only=True, limit=SHOWN)
    found = selectors.replays(request.tenant, limit=SHOWN + 1 + len(active), before=before)
    over = [view for view in found if view.row.status not in life.ACTIVE]
    following = None
    if len(over) > SHOWN:
        last = over[SHOWN - 1].row
        following = encode_cursor(last.created_at.isoformat(), str(last.pk))
    return {
        "hero": _hero(active, over if before is None else []),
        "running": [_running(request, view) for view in active],
        "replays": [_line(request, view) for view in over[:SHOWN]],
        "first_page": before is None,
        "older": following,
        "at": cursor or "",
    }


def _position(cursor: str | None) -> tuple[datetime, uuid.UUID] | None:
    found = decode_cursor(cursor, str, str)
    if found is None:
        return None
    try:
        at, ident = datetime.fromisoformat(found[0]), uuid.UUID(found[1])
    except ValueError:
        raise invalid("cursor", "cursor.malformed", "Start again at the newest replays.") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC), ident


def _hero(active: Sequence[ReplayView], over: Sequence[ReplayView]) -> dict[str, str]:
    if active:
        first = active[0]
        said = f"{MODES[first.row.mode].capitalize()} of {first.row.projection} is {_status(first)}"
        title = said if len(active) == 1 else f"{said}, and {counted(len(active) - 1, 'more replay')} with it"
        text = f"{percent(first.progress)} done, {_left(first)}. Cancelling leaves the live rows as they are."
        return {"state": _status(first), "title": title, "text": text}
    if not over:
        return {
            "state": "queued",
            "title": "No replay has run yet",
            "text": "A replay folds the log again. A verify compares that with what readers see and changes nothing.",
        }
    last = over[0]
    what = f"{MODES[last.row.mode]} of {last.row.projection}"
    said = last.row.verdict or last.row.status
    ends = {
        "match": f"The last {what} agrees with the log",
        "mismatch": f"The last {what} disagrees with the log",
        "incomparable": f"The last {what} could not be compared",
        "failed": f"The last {what} failed",
        "cancelled": f"The last {what} was cancelled",
        "completed": f"The last {what} is complete",
    }
    return {"state": said, "title": ends.get(said, f"The last {what} is over"), "text": "No replay is running."}


def _figure(request: Any) -> dict[str, Any]:
    active = selectors.replays(request.tenant, active_only=True, limit=SHOWN)
    first = active[0] if active else None
    detail = f"{MODES[first.row.mode]}, {percent(first.progress)}, {_left(first)}" if first else "no rows are rebuilt"
    return {
        "label": "Replays",
        "value": number(len(active)),
        "unit": "running",
        "detail": detail,
        "state": _status(first) if first else "idle",
        "url": f"/t/{request.tenant.slug}/replays" if len(active) != 1 or not first else _url(request, first.row),
    }


def _line(request: Any, view: ReplayView) -> dict[str, Any]:
    row = view.row
    took = (row.finished_at - (row.started_at or row.created_at)).total_seconds() if row.finished_at else None
    return {
        "id": row.pk,
        "url": _url(request, row),
        "mode": MODES[row.mode],
        "projection": row.projection,
        "created_at": row.created_at,
        "requested_by": person(row.requested_by),
        "status": view.status,
        "verdict": row.verdict,
        "promoted": row.promoted,
        "events": view.position,
        "took": took,
    }


# --- the form ----------------------------------------------------------------------------------------


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


# --- one replay --------------------------------------------------------------------------------------


def _detail(request: Any, view: ReplayView, after: tuple[Any, ...] | None) -> dict[str, Any]:
    row = view.row
    active = row.status in life.ACTIVE
    context: dict[str, Any] = {
        "replay": _running(request, view),
        "active": active,
        "verdict_hero": _verdict(view),
        "children": [_running(request, child) | {"found": _found(child)} for child in view.children],
        "facts": _facts(view),
        "digests": [(name, value) for name, value in _digests(row) if value],
        "row": row,
        "sums": _found(view),
    }
    if not active and _total(view):
        context |= _rows(request, view, after)
    if not active and row.verdict == "mismatch" and not row.promoted and request.principal.may("operate"):
        context["promote"] = _promote(request)
    return context


def _promote(request: Any) -> dict[str, Any]:
    action = {"label": "Promote anyway", "dialog": "promote", "kind": "danger"}
    if request.principal.may("admin"):
        return action
    return action | {"why_not": "Only an admin may replace what readers see with rows that were found to differ."}


def _total(view: ReplayView) -> int:
    return sum(child.row.differences for child in view.children) if view.children else view.row.differences


def _rows(request: Any, view: ReplayView, after: tuple[Any, ...] | None) -> dict[str, Any]:
    at = None if after is None else (after[0], after[1])
    found = selectors.differences(request.tenant, str(view.row.pk), after=at, limit=SHOWN_ROWS)
    shown = found[:SHOWN_ROWS]
    following = encode_cursor(str(shown[-1].row.replay_id), shown[-1].row.ordinal) if len(found) > SHOWN_ROWS else None
    generations = {child.row.pk: child.row.live_generation for child in view.children} or {
        view.row.pk: view.row.live_generation
    }
    return {
        "differences": [_difference(request, each, generations.get(each.row.replay_id)) for each in shown],
        "differing": sorted({key_sha(each.row.key)[0] for each in shown}),
        "following": following,
        "later_page": at is not None,
    }


def _difference(request: Any, found: DifferenceView, generation: int | None) -> dict[str, Any]:
    row, base = found.row, f"/t/{request.tenant.slug}"
    names = list(row.columns) or sorted(row.expected or row.live or {})
    live, rebuilt = row.live or {}, row.expected or {}
    if row.kind != "changed":
        names.sort(key=lambda name: (live.get(name, rebuilt.get(name)) in (None, "", [], {}), name))
    hidden = len(names) - SHOWN_FIELDS
    fields = [
        {"name": name, "live": _value(live.get(name)), "rebuilt": _value(rebuilt.get(name)), "same": False}
        for name in names[:SHOWN_FIELDS]
    ]
    words = {"missing": "only in the log", "surplus": "only in the live copy"}
    trace = quote(found.trace_id, safe="") if found.trace_id else ""
    return {
        "key": row.key,
        "url": f"{base}/traces/{quote(row.key, safe='')}" if row.table == "trace_summary" else "",
        "kind": row.kind,
        "summary": words.get(row.kind, counted(len(row.columns), "field")),
        "table": f"{found.projection}, {row.table}",
        "log_seq": row.log_seq,
        "event_type": found.event_type or "",
        "event_url": f"{base}/traces/{trace}?event={found.trace_seq}" if trace else "",
        "generation": number(generation),
        "fields": fields,
        "hidden": max(0, hidden),
    }


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "…"


def _found(view: ReplayView) -> str:
    """What a comparison counted, in words."""
    rows = [child.row for child in view.children] or [view.row]
    counts = {
        "changed": sum(row.changed for row in rows),
        "missing from the live copy": sum(row.missing for row in rows),
        "only in the live copy": sum(row.surplus for row in rows),
    }
    return ", ".join(f"{number(count)} {words}" for words, count in counts.items() if count)


def _verdict(view: ReplayView) -> dict[str, str]:
    row, what = view.row, f"{MODES[view.row.mode]} of {view.row.projection}"
    status = _status(view)
    if row.status in life.ACTIVE:
        title = f"{what.capitalize()} is {status}" if status != "queued" else f"{what.capitalize()} waits for a worker"
        text = f"{percent(view.progress)} done, {_left(view)}."
        return {"state": status, "title": title, "text": text}
    if row.status == "failed":
        text = f"{row.error or 'No reason was recorded.'} The live rows are as they were."
        return {"state": "failed", "title": f"{what.capitalize()} failed", "text": text}
    if row.status == "cancelled":
        text = f"It stopped at event {number(view.position)}. The live rows are as they were."
        return {"state": "cancelled", "title": f"{what.capitalize()} was cancelled", "text": text}
    at = f" at event {number(row.compared_at)}" if row.compared_at is not None else ""
    if row.verdict == "mismatch":
        total = _total(view)
        differ = "differs" if total == 1 else "differ"
        title = f"Mismatch: {counted(total, 'row')} of {row.projection} {differ} from the log"
        fate = "The rebuilt rows were promoted by an admin." if row.promoted else "The rebuilt rows were not promoted."
        if row.live_digest is not None and row.live_digest == row.rebuilt_digest:
            fate += " The kept digests agree, so these rows were changed past the platform."
        return {"state": "mismatch", "title": title, "text": f"Compared{at}: {_found(view) or 'only the sums'}. {fate}"}
    if row.verdict == "incomparable":
        fate = " The rebuilt rows were promoted." if row.promoted else ""
        why = "Live and rebuilt rows were made by different rules, or nothing is recorded at that position."
        return {"state": "incomparable", "title": f"{what.capitalize()} could not compare", "text": why + fate}
    if row.verdict == "match":
        fate = " Readers see the rebuilt generation now." if row.promoted else " Nothing had to change."
        title = f"Match: every row of {row.projection} is what the log says"
        if row.projection == ALL:
            title = "Match: every row of every projection is what the log says"
        return {"state": "match", "title": title, "text": f"Compared{at or ' at the live cursors'}.{fate}"}
    return {"state": "completed", "title": f"{what.capitalize()} is complete", "text": "The cursor stands at the head."}


def _facts(view: ReplayView) -> list[dict[str, Any]]:
    row = view.row
    took = (row.finished_at - (row.started_at or row.created_at)).total_seconds() if row.finished_at else None
    facts: list[dict[str, Any]] = [
        {"label": "Requested by", "value": person(row.requested_by)},
        {"label": "Requested", "moment": row.created_at},
    ]
    if took is not None:
        speed = view.position / took if took > 0 else 0
        facts.append({"label": "Took", "value": duration(took), "detail": f"{number(round(speed))} events/s"})
        facts.append({"label": "Events", "value": number(view.position)})
    if row.until_log_seq is not None:
        facts.append({"label": "Until", "value": f"event {number(row.until_log_seq)}"})
    if row.live_generation is not None:
        detail = f"rebuilt as {row.generation}" if row.generation is not None else ""
        facts.append({"label": "Live generation", "value": number(row.live_generation), "detail": detail})
    if row.rule_version is not None:
        old = row.live_rule_version
        detail = f"live rows by v{old}" if old not in (None, row.rule_version) else ""
        facts.append({"label": "Rules", "value": f"v{row.rule_version}", "detail": detail})
    if row.held_seconds is not None:
        facts.append({"label": "Catch-up waited", "value": duration(row.held_seconds)})
    if row.takeovers:
        facts.append({"label": "Taken over", "value": counted(row.takeovers, "time")})
    return facts


def _digests(row: Replay) -> list[tuple[str, str | None]]:
    return [
        ("Live", row.live_digest),
        ("Rebuilt", row.rebuilt_digest),
        ("Canonical", row.canonical_digest),
    ]


# --- words -------------------------------------------------------------------------------------------


def _running(request: Any, view: ReplayView) -> dict[str, Any]:
    row = view.row
    active = row.status in life.ACTIVE
    found = {
        "id": row.pk,
        "url": _url(request, row) if not row.parent_id else "",
        "mode": row.mode,
        "word": MODES[row.mode],
        "projection": row.projection,
        "status": _status(view),
        "position": view.position,
        "target": view.target,
        "share": view.progress,
        "rate": None if view.rate is None else round(view.rate),
        "eta_seconds": None if view.eta_seconds is None else max(1, round(view.eta_seconds)),
        "ends_at": clock.now() + timedelta(seconds=view.eta_seconds) if view.eta_seconds else None,
        "started_at": row.started_at,
        "worker": row.worker,
        "reason": row.reason,
        "requested_by": person(row.requested_by),
        "created_at": row.created_at,
        "verdict": row.verdict,
    }
    if active and not row.parent_id and not row.cancel_requested and request.principal.may("operate"):
        url = reverse("console-replay-cancel", args=[request.tenant.slug, row.pk])
        found["cancel"] = {"label": "Cancel", "url": url, "method": "post", "kind": "danger"}
    return found


def _status(view: ReplayView) -> str:
    if view.row.cancel_requested and view.row.status in life.ACTIVE:
        return "cancelling"
    return view.status


def _left(view: ReplayView) -> str:
    if view.status == "queued":
        return "waiting for a free worker"
    if view.status == "stalled":
        return "its worker is silent and another one takes over"
    if view.eta_seconds is None:
        return "time left unknown"
    return f"{duration(max(1, round(view.eta_seconds)))} left"


def person(ident: str) -> str:
    """Who asked, as people say it: an e-mail address, ``token abcd1234``, ``the platform``."""
    kind, _, name = ident.partition(":")
    return name if kind == "user" else f"token {name}" if kind == "token" else "the platform"


def _url(request: Any, row: Replay) -> str:
    return reverse("console-replay", args=[request.tenant.slug, row.parent_id or row.pk])
