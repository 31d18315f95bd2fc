"""The trace list: a search bar that completes to filters, a page of rows, and what came since."""

from __future__ import annotations

import shlex
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal, NamedTuple
from urllib.parse import quote, urlencode

from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_GET
from pydantic import Field, field_validator

from decisiongraph.core import clock
from decisiongraph.core.api import Query, decode_cursor, encode_cursor, query_params
from decisiongraph.core.bus import public_topic
from decisiongraph.core.console import page
from decisiongraph.core.errors import Problem
from projections import selectors
from projections.models import TraceSummary, moment
from projections.selectors import Reading, TraceFilter
from tenants.access import console_view
from tenants.models import Tenant
from traces import selectors as log

ROWS = 50
ARRIVALS = 999
"""New and moved traces are counted up to here."""

FAR = 100
"""Events behind the log from which the list says so: a few are always on their way."""

KEYS = ("workflow", "outcome", "status", "entity", "policy", "actor", "after", "before", "range", "kind")
"""What the search bar completes: ``key:value``."""
OUTCOMES = ("success", "failure", "abandoned")
STATUSES = ("open", "finished")
RANGES = {
    "1h": (timedelta(hours=1), "Last hour"),
    "24h": (timedelta(days=1), "Last 24 hours"),
    "7d": (timedelta(days=7), "Last 7 days"),
    "30d": (timedelta(days=30), "Last 30 days"),
}
SORTS = {
    "-last": "Moved last",
    "last": "Moved longest ago",
    "-started": "Started last",
    "started": "Started first",
}
KINDS = {"decision": "Decisions", "review": "Reviews", "all": "Decisions and reviews"}


class TracesQuery(Query):
    """Everything a link to the list says. Empty fields of its form are no filters."""

    q: str = Field(default="", max_length=400)
    workflow: str = Field(default="", max_length=200)
    outcome: Literal["", "success", "failure", "abandoned"] = ""
    status: Literal["", "open", "finished"] = ""
    entity: str = Field(default="", max_length=500)
    policy: str = Field(default="", max_length=500)
    actor: str = Field(default="", max_length=300)
    after: str = Field(default="", max_length=40)
    before: str = Field(default="", max_length=40)
    range: Literal["", "1h", "24h", "7d", "30d"] = ""
    kind: Literal["", "decision", "review", "all"] = ""
    sort: Literal["", "-last", "last", "-started", "started"] = ""
    cursor: str | None = Field(default=None, max_length=1000)
    part: Literal["list", "news", "names"] | None = None
    since: int | None = Field(default=None, ge=0, le=2**53)
    """The position of the projection when the page was read."""
    theme: str = ""

    @field_validator("after", "before")
    @classmethod
    def _a_time(cls, text: str) -> str:
        if text and instant(text) is None:
            raise ValueError("write a day like 2026-03-14 or a time like 2026-03-14T09:30")
        return text


def instant(text: str) -> datetime | None:
    """A day or a time, in UTC unless it says otherwise; None when it is neither."""
    try:
        if len(text) == 10:
            return datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


class Typed(NamedTuple):
    """What a person typed into the search bar."""

    filters: dict[str, str]
    rest: str


def typed(text: str) -> Typed:
    """``workflow:renewal outcome:failure "free text"`` taken apart; unknown keys are free text."""
    try:
        words = shlex.split(text, posix=True)
    except ValueError:
        words = text.split()
    filters: dict[str, str] = {}
    rest: list[str] = []
    for word in words:
        key, colon, value = word.partition(":")
        if colon and value and key in KEYS and key not in filters:
            filters[key] = value
        else:
            rest.append(word)
    return Typed(filters, " ".join(rest))


@console_view("read")
@require_GET
def traces(request: Any) -> HttpResponse:
    """The list; ``part=list`` answers its rows, ``part=news`` what came since."""
    tenant: Tenant = request.tenant
    base = f"/t/{tenant.slug}/traces"
    found = typed(request.GET.get("q", ""))
    if found.filters:
        # What was typed becomes part of the address, so that the page can be sent as a link.
        kept = {name: value for name, value in request.GET.items() if value and name not in ("q", "cursor")}
        if found.rest:
            kept["q"] = found.rest
        return HttpResponseRedirect(f"{base}?{urlencode(kept | found.filters)}")
    query = query_params(request, TracesQuery)
    wanted = _filter(query)
    if query.part == "names":
        # What completes the search bar, asked for when somebody begins to type.
        shown = {"workflows": selectors.workflows(tenant), "outcomes": OUTCOMES, "statuses": STATUSES}
        response = render(request, "projections/traces.html#names", shown)
    elif query.part == "news":
        response = render(request, "projections/traces.html#news", _news(tenant, query, wanted))
    else:
        shown = _list(tenant, query, wanted)
        if query.part == "list":
            response = render(request, "projections/traces.html#list", shown)
        else:
            crumbs = [{"label": tenant.slug, "url": f"/t/{tenant.slug}/"}, {"label": "Traces", "url": base}]
            shown |= _form(tenant, query) | {"crumbs": crumbs}
            response = render(request, "projections/traces.html", page(request, "traces", **shown))
    patch_vary_headers(response, ("HX-Request",))
    return response


def _filter(query: TracesQuery) -> TraceFilter:
    after = instant(query.after) if query.after else None
    if query.range:
        begin = clock.now() - RANGES[query.range][0]
        after = max(after, begin) if after else begin
    entity: tuple[str, str] | None = None
    if query.entity:
        kind, slash, ident = query.entity.partition("/")
        if not slash or not kind or not ident:
            raise Problem("query.invalid_parameter", 400, "Write an entity as type/id, for example account/acct-1.")
        entity = (kind, ident)
    return TraceFilter(
        workflow=query.workflow or None,
        outcome=query.outcome or None,
        status=query.status or None,
        entity=entity,
        policy=query.policy or None,
        actor=query.actor or None,
        after=after,
        before=instant(query.before) if query.before else None,
        q=query.q.strip() or None,
        kind=None if query.kind == "all" else query.kind or "decision",
    )


def _address(tenant: Tenant, query: TracesQuery, **changes: Any) -> str:
    names = ("q", *KEYS, "sort")
    values = {name: getattr(query, name) for name in names} | changes
    text = urlencode({name: value for name, value in values.items() if value not in ("", None)})
    return f"/t/{tenant.slug}/traces" + (f"?{text}" if text else "")


def _list(tenant: Tenant, query: TracesQuery, wanted: TraceFilter) -> dict[str, Any]:
    sort = query.sort or "-last"
    falls_on_time = sort.endswith("started")
    position = None
    if query.cursor is not None:
        at = decode_cursor(query.cursor, str if falls_on_time else int, int)
        assert at is not None
        first = _cursor_time(at[0]) if falls_on_time else at[0]
        position = (first, at[1])
    found = selectors.trace_list(tenant, wanted, sort=sort, position=position, limit=ROWS)
    rows, more = found.rows[:ROWS], len(found.rows) > ROWS
    next_url = ""
    if more:
        value, tie = selectors.trace_position(rows[-1], sort)
        text = value.isoformat() if isinstance(value, datetime) else value
        next_url = _address(tenant, query, cursor=encode_cursor(text, tie))
    reading = found.reading
    filtered = any(getattr(query, name) for name in ("q", *KEYS))
    exact = ""
    if not rows and wanted.q and log.trace_states(tenant, [wanted.q]):
        exact = f"/t/{tenant.slug}/traces/{quote(wanted.q, safe='')}"
    return {
        "exact_url": exact,
        "traces": [_row(tenant, row, reading) for row in rows],
        "next_url": next_url,
        "first_url": _address(tenant, query) if query.cursor else "",
        "far": FAR,
        "first_page": query.cursor is None,
        "filtered": filtered,
        "clear_url": f"/t/{tenant.slug}/traces",
        "head": reading.head,
        "reading": reading,
        "parked": list(reading.parked[:3]),
        "topic": public_topic(tenant.slug, "projection_health"),
        **_fresh(tenant, query, reading.cursor),
    }


def _cursor_time(text: str) -> datetime:
    found = instant(text)
    if found is None:
        raise Problem("cursor.malformed", 400, "The cursor is not one this list gave out. Start again without it.")
    return found


def _news(tenant: Tenant, query: TracesQuery, wanted: TraceFilter) -> dict[str, Any]:
    """How many matching traces began or moved after the position the page was read at."""
    began, moved, reading = selectors.trace_arrivals(tenant, wanted, since=query.since or 0, limit=ARRIVALS)
    return {
        "began": began,
        "moved": moved,
        "most": ARRIVALS,
        "far": FAR,
        "topic": public_topic(tenant.slug, "projection_health"),
        "reading": reading,
        "first_page": query.cursor is None,
        **_fresh(tenant, query, query.since or 0),
    }


def _fresh(tenant: Tenant, query: TracesQuery, since: int) -> dict[str, str]:
    """Addresses of the newest rows and of the question what came after a position."""
    return {
        "fresh_url": _address(tenant, query),
        "list_url": _address(tenant, query, part="list"),
        "news_url": _address(tenant, query, part="news", since=since, cursor=query.cursor),
    }


def _row(tenant: Tenant, row: TraceSummary, reading: Reading) -> dict[str, Any]:
    begin, end = moment(row.started_at), moment(row.finished_at or row.last_event_at)
    lasted = max(0.0, (end - begin).total_seconds()) if begin and end else None
    entity = f"{row.primary_entity_type}/{row.primary_entity_id}" if row.primary_entity_type else ""
    listing = f"/t/{tenant.slug}/traces"
    waiting = row.open_exceptions + row.open_approvals
    return {
        "trace_id": row.key,
        "url": f"{listing}/{quote(row.key, safe='')}",
        "title": row.title,
        "workflow": row.workflow or "not said",
        "entity": entity or "not said",
        "entity_url": f"{listing}?{urlencode({'entity': entity})}" if entity else "",
        "status": "waiting" if row.status == "open" and waiting else row.status,
        "outcome": row.outcome,
        "event_count": row.event_count,
        "last_policy": row.last_policy_decision,
        "duration": lasted if row.status == "finished" else None,
        "last_at": row.last_event_at,
        "parked": reading.covers_parked(row.key),
    }


def _form(tenant: Tenant, query: TracesQuery) -> dict[str, Any]:
    words = {"outcome": "outcome", "status": "status", "range": "started"}
    chips = []
    for name in KEYS:
        value = getattr(query, name)
        if value:
            label = RANGES[value][1] if name == "range" else KINDS[value] if name == "kind" else value
            chips.append({"label": words.get(name, name), "value": label, "url": _address(tenant, query, **{name: ""})})
    if query.q:
        chips.append({"label": "text", "value": query.q, "url": _address(tenant, query, q="")})
    return {
        "query": query,
        "chips": chips,
        "outcomes": OUTCOMES,
        "statuses": STATUSES,
        "ranges": [(key, label) for key, (_, label) in RANGES.items()],
        "sorts": list(SORTS.items()),
        "kinds": list(KINDS.items()),
        "sort": query.sort or "-last",
        "names_url": f"/t/{tenant.slug}/traces?part=names",
        "detailed": any(getattr(query, name) for name in ("entity", "policy", "actor", "after", "before", "kind")),
    }
