"""The page of one trace: its story, its history in three readings, the event under the glass.

A trace of any length opens at once: only a window of its events is read and drawn, the window that
holds the selected event; the others follow as one scrolls.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_GET

from decisiongraph.core.api import query_params
from decisiongraph.core.bus import public_topic
from decisiongraph.core.console import page
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import not_found
from tenants.access import console_view
from tenants.models import Tenant
from traces import selectors
from traces.console.head import head
from traces.console.inspector import inspect
from traces.console.picture import picture
from traces.console.state import Address, Stretch, TraceQuery
from traces.domain import story as stories
from traces.domain.envelope import StoredEvent
from traces.domain.labels import face
from traces.domain.timeline import build
from traces.domain.verdict import raw_json

WINDOW = 200
"""Events drawn at once."""
RAW_WINDOW = 40
RAW_TEXT = 32 * 1024
"""Raw reading: events, and characters of JSON, shown at once; a longer event is cut and says so."""
RAW_LEAST = 2_000
"""Characters that the last event of a raw window gets even so."""


@console_view("read")
@require_GET
def trace(request: Any, trace_id: str) -> HttpResponse:
    """One trace. The same address answers htmx with the part it asks for."""
    query = query_params(request, TraceQuery)
    tenant: Tenant = request.tenant
    link = Address(tenant.slug, trace_id, query)
    with tenant_tx(tenant):
        if query.part == "inspector" or request.headers.get("HX-Target") == "inspector":
            response = _inspector_part(request, trace_id, query, link)
        elif query.part == "head":
            stretch = _read(tenant, trace_id, query, 0)
            timeline = build(stretch.events) if stretch.whole else None
            shown = head(request, trace_id, stretch, timeline, query, link)
            response = render(request, "traces/trace.html#head", shown | {"refresh": True})
        elif query.part == "window":
            stretch = _read(tenant, trace_id, query, query.start or 0)
            shown = _window(tenant, trace_id, stretch, query, link, at=_number(query.event))
            response = render(request, "traces/trace.html#window", shown)
        else:
            response = _page(request, trace_id, query, link)
    # One address, several answers: a browser that goes back must not find a part in its cache.
    patch_vary_headers(response, ("HX-Request", "HX-Target"))
    return response


@console_view("read")
@require_GET
def event_json(request: Any, trace_id: str, seq: int) -> HttpResponse:
    """One stored event as JSON, whole, as the API shows it."""
    event = selectors.trace_event(request.tenant, trace_id, seq)
    return HttpResponse(raw_json(event.as_json()), content_type="application/json; charset=utf-8")


def _number(event: int | str | None) -> int | None:
    return event if isinstance(event, int) else None


def _read(tenant: Tenant, trace_id: str, query: TraceQuery, start: int) -> Stretch:
    """A window of the trace from ``start``. 404 when there is no such trace or window."""
    limit = RAW_WINDOW if query.view == "json" and query.part != "head" else WINDOW
    lead = 1 if start else 0
    found = selectors.read_trace(
        tenant, trace_id, after_seq=start - 1 - lead, limit=limit + lead + 1, until=query.until
    )
    if len(found) <= lead and not (query.part == "window" and found):
        raise not_found("trace" if not start else "event", trace_id if not start else f"{trace_id} {start}")
    return Stretch(found[: limit + lead], lead, start, len(found) > limit + lead)


def _page(request: Any, trace_id: str, query: TraceQuery, link: Address) -> HttpResponse:
    tenant: Tenant = request.tenant
    size = RAW_WINDOW if query.view == "json" else WINDOW
    wanted = query.event
    if wanted == "last":
        wanted = selectors.trace_extent(tenant, trace_id, until=query.until).size - 1
    if wanted is not None and not 0 <= wanted <= query.until:
        raise not_found("event", f"{trace_id} {wanted}")
    stretch = _read(tenant, trace_id, query, 0)
    if wanted is not None and wanted >= size:
        selectors.trace_event(tenant, trace_id, wanted)  # 404 by its own number
        window = _read(tenant, trace_id, query, wanted - wanted % size)
    else:
        window = stretch
    if query.view == "json" and wanted is not None and wanted - window.start >= len(_raw(window.own, wanted, link)):
        window = _read(tenant, trace_id, query, wanted)
    timeline = build(stretch.events) if stretch.whole else None
    if wanted is None:
        event = _telling(window.own)
    else:
        event = next((e for e in window.own if e.trace_seq == wanted), None) or selectors.trace_event(
            tenant, trace_id, wanted
        )
    shown = head(request, trace_id, stretch, timeline, query, link, at=event.trace_seq)
    shown |= _window(tenant, trace_id, window, query, link, at=event.trace_seq)
    shown |= _inspector(tenant, event, query, link, last=shown["story"].event_count - 1)
    crumbs = [{"label": "Traces", "url": f"/t/{tenant.slug}/traces"}, {"label": trace_id, "url": link.base}]
    readings = [
        (name, label, link(event.trace_seq, tab=query.tab, view=None if name == "timeline" else name))
        for name, label in (("timeline", "Timeline"), ("list", "List"), ("json", "JSON"))
    ]
    scales = [
        (name, label, link(event.trace_seq, tab=query.tab, scale=None if name == "fold" else name))
        for name, label in (("fold", "Fold gaps"), ("true", "To scale"))
    ]
    return render(
        request,
        "traces/trace.html",
        page(
            request,
            "traces",
            crumbs=crumbs,
            head=selectors.head(tenant),
            readings=readings,
            scales=scales,
            scale=query.scale,
            last_url=link("last"),
            tall=window.more or window.start > 0 or len(window.own) > 40,
            **shown,
        ),
    )


def _telling(events: list[StoredEvent]) -> StoredEvent:
    """The event one would look at first: what stopped the decision, else its end."""
    for event in reversed(events):
        payload = event.payload or {}
        if event.event_type == "PolicyEvaluated" and payload.get("decision") in ("deny", "require_exception"):
            return event
        if event.event_type == "ActionCommitted" and payload.get("status") == "failure":
            return event
    return events[-1]


def _window(
    tenant: Tenant, trace_id: str, stretch: Stretch, query: TraceQuery, link: Address, *, at: int | None
) -> dict[str, Any]:
    """One window of the history in the reading asked for, and the ways to the next ones."""
    own = stretch.own
    raw: list[dict[str, Any]] = []
    more = stretch.more
    if query.view == "json":
        raw = _raw(own, at, link)
        more = more or len(raw) < len(own)
        own = own[: len(raw)]
    size = RAW_WINDOW if query.view == "json" else WINDOW
    following = own[-1].trace_seq + 1 if own else stretch.start
    ended = bool(own) and own[-1].event_type == "TraceFinished"
    shown: dict[str, Any] = {
        "view": query.view,
        "window_id": f"w-{stretch.start}",
        "window_first": stretch.start,
        "window_last": following - 1,
        "window_live": "" if more or ended or query.as_of is not None else public_topic(tenant.slug, "trace", trace_id),
        "window_url": link(at, part="window", start=stretch.start),
        "continued": bool(stretch.start),
    }
    if more and query.way == "down":
        shown["later"] = {"url": link(following), "part": link(at, part="window", start=following), "first": following}
    if stretch.start and (query.part is None or query.way == "up"):
        first = max(0, stretch.start - size)
        shown["earlier"] = {
            "url": link(first),
            "part": link(at, part="window", start=first, way="up"),
            "first": first,
            "last": stretch.start - 1,
        }
    if query.view == "json":
        shown["raw"] = raw
    elif query.view == "list":
        shown["rows"] = _rows(stretch, at, link)
    else:
        timeline = build(stretch.events, fold=query.scale == "fold", lead=stretch.lead)
        shown["line"] = picture(timeline, at=at, link=link)
    return shown


def _raw(events: list[StoredEvent], at: int | None, link: Address) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = []
    left = RAW_TEXT
    for event in events:
        if left <= 0:
            break
        text = raw_json(event.as_json())
        room = max(left, RAW_LEAST)
        left -= len(text)
        shown.append(
            {
                "event": event,
                "url": link(event.trace_seq),
                "text": text[:room],
                "cut": max(0, len(text) - room),
                "whole_url": f"{link.base}/events/{event.trace_seq}.json",
                "current": event.trace_seq == at,
            }
        )
    return shown


def _rows(stretch: Stretch, at: int | None, link: Address) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    before = stretch.events[0] if stretch.lead else None
    for event in stretch.own:
        shown = face(event)
        rows.append(
            {
                "event": event,
                "url": link(event.trace_seq),
                "detail": shown.detail,
                "delta": None if before is None else stories.elapsed(before, event) / 1000,
                "current": event.trace_seq == at,
            }
        )
        before = event
    return rows


def _inspector(tenant: Tenant, event: StoredEvent, query: TraceQuery, link: Address, *, last: int) -> dict[str, Any]:
    def elsewhere(other: StoredEvent) -> str:
        return f"/t/{tenant.slug}/traces/{quote(other.trace_id, safe='')}?event={other.trace_seq}"

    return inspect(tenant, event, query, last=last, link=link, elsewhere=elsewhere)


def _inspector_part(request: Any, trace_id: str, query: TraceQuery, link: Address) -> HttpResponse:
    extent = selectors.trace_extent(request.tenant, trace_id, until=query.until)
    wanted = extent.size - 1 if query.event in (None, "last") else int(query.event or 0)
    if not 0 <= wanted < extent.size:
        raise not_found("event", f"{trace_id} {wanted}")
    event = selectors.trace_event(request.tenant, trace_id, wanted)
    shown = _inspector(request.tenant, event, query, link, last=extent.size - 1)
    return render(request, "traces/trace.html#inspector", shown)
