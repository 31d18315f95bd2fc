"""The Overview: is this tenant healthy, what needs attention first, who sends, who works."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from decisiongraph.core import clock
from decisiongraph.core.api import Query, query_params
from decisiongraph.core.console import page
from decisiongraph.core.templatetags.dg.words import counted, duration, number, relative
from projections import selectors
from projections.console.projections import BARELY_BEHIND, rows
from projections.domain import agenda
from projections.selectors import overview as reads
from projections.selectors.health import TenantHealth, queue_depths
from projections.selectors.overview import Process, ProducerRow
from tenants.access import console_view

Part = Literal["health", "minutes", "projections", "producers", "workers"]

RANGES: dict[str, tuple[int, int, str]] = {
    "1h": (60, 1, "the last hour"),
    "6h": (360, 5, "the last 6 hours"),
    "24h": (1440, 20, "the last 24 hours"),
}
"""Range -> minutes, minutes per bar, words."""

SHOWN_PRODUCERS = 8


class OverviewQuery(Query):
    """What of the page, and how much."""

    part: Part | None = None
    range: Literal["1h", "6h", "24h"] = "1h"
    producers: Literal["some", "all"] = "some"


class Look:
    """One look at the tenant: every reading at most once, whichever parts ask for it."""

    def __init__(self, request: Any, query: OverviewQuery) -> None:
        self.request, self.query = request, query
        self.tenant = request.tenant
        self.base = f"/t/{self.tenant.slug}"
        self._known: dict[str, Any] = {}

    def once(self, name: str, read: Callable[[], Any]) -> Any:
        """The reading, made when first asked for."""
        if name not in self._known:
            self._known[name] = read()
        return self._known[name]

    @property
    def health(self) -> TenantHealth:
        """States and lag of the projections."""
        found: TenantHealth = self.once("health", lambda: selectors.health(self.tenant))
        return found

    @property
    def mismatches(self) -> list[agenda.Mismatch]:
        """Open findings about what readers see."""
        found: list[agenda.Mismatch] = self.once(
            "mismatches", lambda: reads.mismatches(self.tenant, self.health.projections)
        )
        return found

    @property
    def producers(self) -> list[ProducerRow]:
        """Who sends."""
        found: list[ProducerRow] = self.once("producers", lambda: reads.producer_rows(self.tenant))
        return found

    @property
    def processes(self) -> list[Process]:
        """Who works."""
        found: list[Process] = self.once("processes", reads.processes)
        return found

    @property
    def queues(self) -> dict[str, int] | None:
        """Waiting messages; None while the broker is away."""
        found: dict[str, int] | None = self.once("queues", queue_depths)
        return found


@console_view("read")
@require_GET
def overview(request: Any) -> HttpResponse:
    """The page, or one of its live parts."""
    query = query_params(request, OverviewQuery)
    look = Look(request, query)
    names = [query.part] if query.part else list(PARTS)
    context: dict[str, Any] = {"range": query.range, "producers_shown": query.producers}
    for name in names:
        context |= PARTS[name](look)
    template = "projections/overview.html" + (f"#{query.part}" if query.part else "")
    crumbs = [{"label": look.tenant.slug, "url": f"{look.base}/"}, {"label": "Overview"}]
    return render(request, template, page(request, "overview", crumbs=crumbs, **context))


# --- hero, agenda, figures ----------------------------------------------------------------------------


def _items(look: Look) -> list[agenda.Item]:
    found = [agenda.mismatch_item(each) for each in look.mismatches]
    for item in look.health.projections:
        since = item.last_error_at if item.state == "failed" else item.updated_at
        found += agenda.health_items(item.seen, item.state, item.last_error, since)
    codes = look.once("codes", lambda: reads.refusal_codes(look.tenant)) if look.producers else {}
    for row in look.producers:
        found += agenda.sender_items(row.sender, reads.WATCHED, codes.get(row.sender.name, ""))
    beat = next((each for each in look.processes if each.kind == "beat"), None)
    folders = [each for each in look.processes if "project" in each.queues]
    found += agenda.machinery_items(
        folding=sum(each.alive for each in folders),
        beat_at=beat.seen_at if beat else None,
        beat_alive=bool(beat and beat.alive),
        broker=look.queues is not None,
        worker_at=max((each.seen_at for each in folders), default=None),
    )
    return agenda.ranked(found)


def _action(look: Look, item: agenda.Item) -> dict[str, Any]:
    operates = look.request.principal.may("operate")
    if item.kind == "mismatch" and item.ident:
        return {"label": "See rows", "url": f"{look.base}/replays/{item.ident}"}
    if item.kind == "mismatch" and operates:
        return {"label": "Verify", "url": f"{look.base}/replays?projection={item.subject}&mode=verify#start"}
    if item.kind == "stale" and operates:
        url = reverse("console-catch-up", args=[look.tenant.slug])
        return {"label": "Catch up", "url": url, "method": "post", "fields": {"projection": item.subject}}
    if item.kind == "refusals":
        return {"label": "See refusals", "url": reverse("console-refusals", args=[look.tenant.slug])}
    if item.kind == "parked":
        return {"label": "See parked", "url": f"{look.base}/projections#parked"}
    if item.kind == "silent":
        return {"label": "See producer", "url": "#producers"}
    if item.kind in ("workers", "beat", "broker"):
        return {"label": "See workers", "url": "#workers"}
    return {"label": "See details", "url": f"{look.base}/projections"}


def _health(look: Look) -> dict[str, Any]:
    health, items = look.health, _items(look)
    worst_lag = max((p.seen.lag_seconds for p in health.projections), default=0.0)
    barely = health.state == "catching_up" and worst_lag < BARELY_BEHIND
    calm = "Everything is current" if barely or health.head else health.hero
    if health.state == "catching_up" and not barely:
        calm = health.hero
    lines = []
    for index, item in enumerate(items):
        action = _action(look, item)
        if index == 0:
            action["kind"] = "primary"
        lines.append(
            {
                "state": agenda.LOOKS[item.kind],
                "title": item.title,
                "why": item.why,
                "since": item.since,
                "action": action,
            }
        )
    title = agenda.headline(items, calm).rstrip(".")
    state = lines[0]["state"] if lines else "fresh" if barely else health.state
    text = _safe_words(look, items)
    link = f"{settings.PUBLIC_URL.rstrip('/')}{look.base}/"
    told = [f"{look.tenant.slug}: {title}.", text, *(f"- {i.title} {i.why}" for i in items), link]
    copied = {"label": "Copy hand-off", "clip": "\n".join(told), "copied": "Hand-off copied.", "icon": "copy"}
    return {
        "hero": {"state": state, "title": title, "text": text, "actions": [copied]},
        "agenda": lines,
        "figures": _figures(look),
        "head": health.head,
    }


def _safe_words(look: Look, items: list[agenda.Item]) -> str:
    """What is true besides the headline: the log, the other views, the arrivals."""
    health = look.health
    if not health.head:
        return "The log is ready for its first event; projections, workers and live updates are waiting for it."
    said = ["Everything accepted is safe in the log."]
    troubled = {item.subject for item in items if item.kind in ("mismatch", "failed", "stale", "parked")}
    current = len(health.projections) - len(troubled)
    if troubled and current:
        said.append(f"{counted(current, 'other projection').capitalize()} {'is' if current == 1 else 'are'} current.")
    elif not troubled and not any(item.kind == "workers" for item in items):
        said.append(f"All {len(health.projections)} projections follow it up to event {number(health.head)}.")
    arrived = sum(row.minutes[-2] for row in look.producers) if look.producers else 0
    last = min((row.sender.last_seconds for row in look.producers), default=None)
    if arrived:
        said.append(f"{counted(arrived, 'event')} arrived in the last whole minute.")
    elif last is not None and last > 120:
        said.append(f"No event has arrived for {duration(float(int(last)))}.")
    return " ".join(said)


def _figures(look: Look) -> list[dict[str, Any]]:
    health = look.health
    behind = max(health.projections, key=lambda p: (p.seen.lag, p.seen.lag_seconds), default=None)
    oldest = max((p.seen.lag_seconds for p in health.projections), default=0.0)
    lag = behind.seen.lag if behind else 0
    parked = sum(p.seen.dead_letters for p in health.projections)
    flow = look.once("hour", lambda: reads.flow(look.tenant, minutes=60, step=1))
    refused, accepted = sum(flow.refused), sum(flow.accepted)
    alive = sum(p.alive for p in look.processes if p.kind != "beat")
    gone = sum(not p.alive for p in look.processes)
    busy = sum(1 for p in look.processes if p.alive and p.current)
    depth = None if look.queues is None else sum(look.queues.values())
    return [
        {
            "label": "Worst lag",
            "value": number(lag),
            "unit": "event" if lag == 1 else "events",
            "detail": behind.seen.name if behind and lag else "every projection at the head",
            "state": behind.state if behind and lag else "fresh",
            "url": f"{look.base}/projections",
        },
        {
            "label": "Freshness",
            "value": f"{max(oldest, 0.1):.1f}" if 0 < oldest < 60 else duration(float(int(oldest))) if oldest else "0",
            "unit": "s" if oldest < 60 else "",
            "detail": "oldest event that waits" if oldest else "what is sent is readable",
            "state": "fresh" if oldest < BARELY_BEHIND else health.state,
        },
        {
            "label": "Refused",
            "value": number(refused),
            "unit": f"of {number(accepted + refused)}",
            "detail": "events in the last hour",
            "state": "fresh" if not refused else "degraded",
            "url": reverse("console-refusals", args=[look.tenant.slug]),
        },
        {"replays": True},
        {
            "label": "Parked",
            "value": number(parked),
            "unit": "trace" if parked == 1 else "traces",
            "detail": "set aside by a rule" if parked else "no rule failed",
            "state": "parked" if parked else "fresh",
            "url": f"{look.base}/projections#parked",
        },
        {
            "label": "Workers",
            "value": number(alive),
            "unit": "alive" + (f", {gone} lost" if gone else ""),
            "detail": "the broker is away" if depth is None else f"{busy} busy, {counted(depth, 'job')} waiting",
            "state": "lost" if gone or not alive else "alive",
            "url": "#workers",
        },
    ]


# --- the other parts ----------------------------------------------------------------------------------


def _minutes(look: Look) -> dict[str, Any]:
    minutes, step, words = RANGES[look.query.range]
    found = reads.flow(look.tenant, minutes=minutes, step=step)
    look.once("hour", lambda: found if minutes == 60 else reads.flow(look.tenant, minutes=60, step=1))
    accepted, refused = found.per_minute(found.accepted), found.per_minute(found.refused)
    whole = accepted[:-1]
    mean = sum(whole) / len(whole)
    quarter = (found.end - found.start) / 4
    labels = [(found.start + quarter * index).strftime("%H:%M") for index in range(4)] + ["now"]
    last = "in the last minute" if step == 1 else f"a minute in the last {step}"
    meta = f"{number(round(whole[-1], 1))} {last}, {number(round(mean, 1))} on average, UTC"
    bad = sum(found.refused)
    return {
        "minutes": {
            "accepted": accepted,
            "refused": refused,
            "labels": labels,
            "title": f"Events per minute over {words}: {meta}, highest {number(round(max(accepted), 1))}",
            "meta": meta,
            "note": f"{counted(sum(found.accepted), 'event')}, {number(bad)} refused in {words}",
        },
        "ranges": [("1h", "1 h"), ("6h", "6 h"), ("24h", "24 h")],
    }


def _projections(look: Look) -> dict[str, Any]:
    health = look.health
    parked = (
        selectors.dead_letters(look.tenant, limit=1) if any(p.seen.dead_letters for p in health.projections) else []
    )
    return {"projections": rows(look.request, health, look.mismatches), "head": health.head, "parked": parked[:1]}


def _producers(look: Look) -> dict[str, Any]:
    found = look.producers
    shown = found if look.query.producers == "all" else found[:SHOWN_PRODUCERS]
    silent = sum(1 for row in found if row.state == "silent")
    return {
        "producers": [
            {
                "name": row.sender.name,
                "system": row.system,
                "state": row.state,
                "per_minute": round(row.per_minute, 1 if row.per_minute < 10 else None),
                "minutes": row.minutes,
                "refused": row.refused_hour,
                "last_at": row.sender.last_at,
            }
            for row in shown
        ],
        "producers_meta": f"{len(found)} known, {silent} silent" if found else "",
        "producers_more": len(found) - len(shown),
    }


QUEUE_WORDS = {"project": "fold", "replay": "replay", "learn": "learn"}
SLICE_WORDS = {
    "projections.catch_up": "folding",
    "projections.scrub": "checking digests",
    "projections.tick": "looking who lags",
    "projections.learn": "learning situations",
    "projections.learn_all": "looking what was finished",
    "traces.roll_up": "counting arrivals",
    "replays.tick": "looking for waiting replays",
    "replays.run": "replaying",
    "replays.sweep": "clearing away",
}
"""Tasks in words; a heartbeat row names the task and the number of its tenant."""


def _doing(current: str, tenant_id: int) -> str:
    """What a worker does, without saying for which other tenant."""
    task, _, number = current.partition(" tenant ")
    words = SLICE_WORDS.get(task, task.replace(".", " ").replace("_", " "))
    if not number:
        return words
    return f"{words}, this tenant" if number == str(tenant_id) else f"{words}, another tenant"


def _workers(look: Look) -> dict[str, Any]:
    counters: dict[str, int] = {}
    shown = []
    for each in look.processes:
        role = next((word for queue, word in QUEUE_WORDS.items() if queue in each.queues), "worker")
        if each.kind == "beat":
            name, state, doing = "beat", "alive" if each.alive else "lost", "wakes whoever lags"
        else:
            counters[role] = counters.get(role, 0) + 1
            name = f"{role}-{counters[role]}"
            state = "lost" if not each.alive else "working" if each.current else "idle"
            doing = "" if not each.alive else _doing(each.current, look.tenant.pk)
        shown.append({"name": name, "state": state, "doing": doing, "beat_at": each.seen_at})
    alive = sum(p.alive for p in look.processes if p.kind != "beat")
    beat = next((p for p in look.processes if p.kind == "beat"), None)
    ticked = "beat never heard" if beat is None else f"beat {_ago(beat)}"
    waiting = {name: depth for name, depth in (look.queues or {}).items() if depth}
    return {
        "workers": shown,
        "workers_meta": f"{alive} alive, {ticked}",
        "queues": None if look.queues is None else waiting,
    }


def _ago(process: Process) -> str:
    return relative(process.seen_at, clock.now())


PARTS: dict[str, Callable[[Look], dict[str, Any]]] = {
    "minutes": _minutes,
    "health": _health,
    "projections": _projections,
    "producers": _producers,
    "workers": _workers,
}
"""Live parts of the page, each the name of its template partial."""
