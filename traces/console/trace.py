"""The page of one trace: its story, its history in three readings, the event under the glass.

A trace of any length opens at once: only a window of its events is read and drawn, the window that
holds the selected event; the others follow as one scrolls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple
from urllib.parse import quote, urlencode

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.http import require_GET
from pydantic import Field

from decisiongraph.core.api import Query, query_params
from decisiongraph.core.bus import public_topic
from decisiongraph.core.console import page
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import not_found
from decisiongraph.core.templatetags.dg.words import clock_time, visible
from tenants.access import console_view
from tenants.models import Tenant
from traces import selectors
from traces.console.inspector import inspect
from traces.console.picture import picture
from traces.domain import story as stories
from traces.domain.envelope import StoredEvent
from traces.domain.labels import face
from traces.domain.moment import instant
from traces.domain.timeline import Timeline, build
from traces.domain.verdict import raw_json

WINDOW = 200
"""Events drawn at once."""
RAW_WINDOW = 40
RAW_TEXT = 32 * 1024
"""Raw reading: events, and characters of JSON, shown at once; a longer event is cut and says so."""
RAW_LEAST = 2_000
"""Characters that the last event of a raw window gets even so."""
MILESTONES = 100
"""Decisions that the story of a longer trace is told from: the latest ones."""


class TraceQuery(Query):
    """The state of the page: everything a link to it says."""

    event: int | Literal["last"] | None = None
    """``trace_seq`` of the event under the glass."""
    view: Literal["timeline", "list", "json"] = "timeline"
    scale: Literal["fold", "true"] = "fold"
    tab: Literal["payload", "envelope", "receipt"] = "payload"
    part: Literal["head", "window", "inspector"] | None = None
    """Only this part of the page, for htmx."""
    start: int | None = Field(default=None, ge=0, le=2**31 - 1)
    """First event of the window asked for."""
    way: Literal["up", "down"] = "down"
    theme: str = ""


class Stretch(NamedTuple):
    """Consecutive events of a trace."""

    events: list[StoredEvent]
    """With one event before the first, when there is one."""
    lead: int
    """1 with that event, else 0."""
    start: int
    more: bool
    """There are later events."""

    @property
    def own(self) -> list[StoredEvent]:
        """Without the one before."""
        return self.events[self.lead :]

    @property
    def whole(self) -> bool:
        """It is the whole trace."""
        return not self.start and not self.more


class Address:
    """Addresses below one trace's page, keeping the state of the page."""

    def __init__(self, slug: str, trace_id: str, query: TraceQuery) -> None:
        self.base = f"/t/{slug}/traces/{quote(trace_id, safe='')}"
        self.kept = {
            name: getattr(query, name)
            for name, default in (("view", "timeline"), ("scale", "fold"))
            if getattr(query, name) != default
        }

    def __call__(self, seq: int | str | None, *, tab: str = "payload", **changes: Any) -> str:
        """The page with this event under the glass; ``changes`` replace or (None) drop parameters."""
        values: dict[str, Any] = {} if seq is None else {"event": seq}
        if tab != "payload":
            values["tab"] = tab
        values |= self.kept | changes
        text = urlencode({name: value for name, value in values.items() if value is not None})
        return f"{self.base}?{text}" if text else self.base


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
            shown = _head(request, trace_id, stretch, timeline, link)
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
    found = selectors.read_trace(tenant, trace_id, after_seq=start - 1 - lead, limit=limit + lead + 1)
    if len(found) <= lead and not (query.part == "window" and found):
        raise not_found("trace" if not start else "event", trace_id if not start else f"{trace_id} {start}")
    return Stretch(found[: limit + lead], lead, start, len(found) > limit + lead)


def _page(request: Any, trace_id: str, query: TraceQuery, link: Address) -> HttpResponse:
    tenant: Tenant = request.tenant
    size = RAW_WINDOW if query.view == "json" else WINDOW
    wanted = query.event
    if wanted == "last":
        wanted = selectors.trace_extent(tenant, trace_id).size - 1
    if wanted is not None and not 0 <= wanted < 2**31:
        raise not_found("event", f"{trace_id} {wanted}")
    stretch = _read(tenant, trace_id, query, 0)
    if wanted is not None and wanted >= size:
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
    shown = _head(request, trace_id, stretch, timeline, link, at=event.trace_seq)
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


def _head(
    request: Any,
    trace_id: str,
    stretch: Stretch,
    timeline: Timeline | None,
    link: Address,
    at: int | None = None,
) -> dict[str, Any]:
    """The story, the facts, and whether the page is live."""
    tenant: Tenant = request.tenant
    if timeline is not None:
        own = stretch.own
        counts: Mapping[str, int] = Counter(event.event_type for event in own)
        known = [event for event in own if event.event_type in stories.MILESTONES]
        material = stories.Material(own[0], own[-1], known, counts, timeline.people_ms)
    else:
        extent = selectors.trace_extent(tenant, trace_id)
        known = selectors.trace_milestones(tenant, trace_id, stories.MILESTONES, limit=MILESTONES)
        material = stories.Material(extent.first, extent.last, known, extent.counts, None)
    story = stories.tell(material)
    deep = f"{settings.PUBLIC_URL}{link(at)}"
    copy = {
        "label": "Copy hand-off",
        "icon": "copy",
        "clip": stories.hand_off(trace_id, story, material, deep),
        "copied": "Copied: what, who, policy, decision, outcome, link.",
    }
    return {
        "trace_id": trace_id,
        "story": story,
        "story_text": format_html_join("", "{}", ((_span(span),) for span in story.spans)),
        "title_word": story.title or trace_id,
        "facts": _facts(tenant, story),
        "hero_actions": [copy],
        "live_topic": "" if story.finished else public_topic(tenant.slug, "trace", trace_id),
        "head_url": link(at, part="head"),
        "span": _between(material.first, material.last),
    }


def _span(span: stories.Span) -> SafeString:
    return format_html("<b>{}</b>", visible(span.text)) if span.strong else visible(span.text)


def _facts(tenant: Tenant, story: stories.Story) -> list[dict[str, Any]]:
    facts: list[dict[str, Any]] = [
        {"label": fact.label, "value": fact.value, "detail": fact.detail, "state": fact.state} for fact in story.facts
    ]
    listing = f"/t/{tenant.slug}/traces"
    workflow: dict[str, Any] = {"label": "Workflow", "value": story.workflow or "not said"}
    if story.workflow:
        workflow["url"] = f"{listing}?{urlencode({'workflow': story.workflow})}"
    entity: dict[str, Any] = {"label": "Entity", "value": "not said"}
    if story.entity_type and story.entity_id:
        entity["value"] = f"{story.entity_type} {story.entity_id}"
        entity["url"] = f"{listing}?{urlencode({'entity': f'{story.entity_type}/{story.entity_id}'})}"
        entity["detail"] = f"{story.entity_system or 'local'}, see all its traces"
    facts[1:1] = [workflow, entity]
    return facts


def _between(first: StoredEvent, last: StoredEvent) -> str:
    """``2026-03-14 09:41:07.112 to 10:22:40.655``, with the second date where it differs."""
    begin, end = instant(first.occurred_at), instant(last.occurred_at)
    if begin is None or end is None:
        return ""
    if begin == end:
        return f"{begin:%Y-%m-%d} {clock_time(begin, 3)}"
    if begin.date() == end.date():
        return f"{begin:%Y-%m-%d} {clock_time(begin, 3)} to {clock_time(end, 3)}"
    return f"{begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}"


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
        "window_live": "" if more or ended else public_topic(tenant.slug, "trace", trace_id),
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

    return inspect(tenant, event, tab=query.tab, last=last, link=link, elsewhere=elsewhere)


def _inspector_part(request: Any, trace_id: str, query: TraceQuery, link: Address) -> HttpResponse:
    extent = selectors.trace_extent(request.tenant, trace_id)
    wanted = extent.size - 1 if query.event in (None, "last") else int(query.event or 0)
    if not 0 <= wanted < extent.size:
        raise not_found("event", f"{trace_id} {wanted}")
    event = selectors.trace_event(request.tenant, trace_id, wanted)
    shown = _inspector(request.tenant, event, query, link, last=extent.size - 1)
    return render(request, "traces/trace.html#inspector", shown)
