"""The trace list: a search bar that completes to filters, a page of rows, and what came since."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote, urlencode

from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_GET
from pydantic import Field, ValidationInfo, field_validator

from decisiongraph.core import clock
from decisiongraph.core.api import Query, decode_cursor, encode_cursor, query_params
from decisiongraph.core.bus import public_topic
from decisiongraph.core.console import page
from decisiongraph.core.errors import Problem
from projections import selectors
from projections.console.lists import SHOWN, panel
from projections.domain import query as language
from projections.domain.query import (
    MAX_LENGTH,
    NAMES,
    OUTCOMES,
    STATUSES,
    Parsed,
    instant,
    parse,
    text_of,
    texts_of,
    wrong_value,
)
from projections.models import SavedView, TraceSummary, moment
from projections.selectors import Reading, TraceFilter
from tenants.access import console_view
from tenants.models import Tenant
from traces import selectors as log

ROWS = 50
ARRIVALS = 999
"""New and moved traces are counted up to here."""

FAR = 100
"""Events behind the log from which the list says so: a few are always on their way."""

KEYS = tuple(NAMES)
"""The filters of an address, as the search bar names them."""
RANGE_WORDS = {"1h": "Last hour", "24h": "Last 24 hours", "7d": "Last 7 days", "30d": "Last 30 days"}
SORTS = {
    "-last": "Moved last",
    "last": "Moved longest ago",
    "-started": "Started last",
    "started": "Started first",
}
KINDS = {"decision": "Decisions", "review": "Reviews", "all": "Decisions and reviews"}


class TracesQuery(Query):
    """Everything a link to the list says. Empty fields of its form are no filters."""

    q: str = Field(default="", max_length=MAX_LENGTH)
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
    part: Literal["list", "news"] | None = None
    since: int | None = Field(default=None, ge=0, le=2**53)
    """The position of the projection when the page was read."""
    theme: str = ""

    @field_validator("entity", "actor", "after", "before")
    @classmethod
    def _a_value(cls, text: str, info: ValidationInfo) -> str:
        if text and (wrong := wrong_value(str(info.field_name), text)):
            raise ValueError(wrong)
        return text


class CompletionQuery(Query):
    """What stands before the cursor."""

    part: Literal["complete"]
    q: str = Field(default="", max_length=MAX_LENGTH)


@console_view("read")
@require_GET
def traces(request: Any) -> HttpResponse:
    """The list; ``part=list`` answers its rows, ``part=news`` what came since."""
    tenant: Tenant = request.tenant
    base = f"/t/{tenant.slug}/traces"
    text = request.GET.get("q", "")
    if request.GET.get("part") == "complete":
        return _completed(request, tenant, text)
    parsed = parse(text)
    if not parsed.faults and parsed.query.filters:
        # What was typed becomes part of the address, so that the page can be sent as a link.
        kept = {name: value for name, value in request.GET.items() if value and name not in ("q", "cursor")}
        if parsed.query.texts:
            kept["q"] = texts_of(parsed.query.texts)
        return HttpResponseRedirect(f"{base}?{urlencode(kept | dict(parsed.query.filters))}")
    if parsed.faults:
        return _refused(request, tenant, text, parsed)
    query = query_params(request, TracesQuery)
    wanted = _filter(query, parsed.query)
    if query.part == "news":
        response = render(request, "projections/traces.html#news", _news(tenant, query, wanted))
    else:
        shown = _list(tenant, query, wanted)
        if query.part == "list":
            response = render(request, "projections/traces.html#list", shown)
        else:
            shown |= _form(request, query, parsed.query) | _crumbs(tenant)
            response = render(request, "projections/traces.html", page(request, "traces", **shown))
    patch_vary_headers(response, ("HX-Request",))
    return response


def _view(tenant: Tenant, request: Any, view: SavedView) -> dict[str, Any]:
    sort = "" if view.sort == "-last" else view.sort
    given = {name: value for name, value in (("q", view.query), ("sort", sort)) if value}
    base = f"/t/{tenant.slug}"
    return {
        "name": view.name,
        "shared": view.shared,
        "url": f"{base}/traces" + (f"?{urlencode(given)}" if given else ""),
        "query": view.query,
        "delete_url": f"{base}/views/{view.pk}/delete" if not view.shared or request.principal.may("operate") else "",
    }


def _crumbs(tenant: Tenant) -> dict[str, Any]:
    base = f"/t/{tenant.slug}/"
    return {"crumbs": [{"label": tenant.slug, "url": base}, {"label": "Traces", "url": base + "traces"}]}


def _completed(request: Any, tenant: Tenant, text: str) -> HttpResponse:
    """What may follow the text before the cursor."""
    checked = query_params(request, CompletionQuery)
    shown = {"suggestions": selectors.suggestions(tenant, checked.q, now=clock.now())}
    return render(request, "components/completion.html", shown)


def _refused(request: Any, tenant: Tenant, text: str, parsed: Parsed) -> HttpResponse:
    """The page with what is wrong marked under the bar, and nothing listed."""
    first = parsed.faults[0]
    marked = {"before": text[: first.start], "part": text[first.start : first.end], "after": text[first.end :]}
    values = {name: value for name, value in request.GET.items() if name in TracesQuery.model_fields and name != "q"}
    query = query_params(request, TracesQuery) if len(text) <= MAX_LENGTH else TracesQuery.model_validate(values)
    shown = (
        _form(request, query, parsed.query)
        | _crumbs(tenant)
        | {"faults": parsed.faults, "marked": marked, "typed": text}
    )
    return render(request, "projections/traces.html", page(request, "traces", **shown), status=400)


def _whole(query: TracesQuery, typed: language.Query) -> language.Query:
    """The filters of the address and the texts of the bar as one query."""
    return typed._replace(filters=tuple((name, value) for name in NAMES if (value := getattr(query, name))))


def _filter(query: TracesQuery, typed: language.Query) -> TraceFilter:
    return TraceFilter.of(_whole(query, typed), now=clock.now())


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
    ident = wanted.texts[0].text if len(wanted.texts) == 1 else ""
    if not rows and ident and log.trace_states(tenant, [ident]):
        exact = f"/t/{tenant.slug}/traces/{quote(ident, safe='')}"
    return {
        "exact_url": exact,
        "found": found.found if wanted.texts and rows else "",
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


def _form(request: Any, query: TracesQuery, typed: language.Query) -> dict[str, Any]:
    tenant: Tenant = request.tenant
    views, exports = selectors.kept(tenant, request.principal, limit=SHOWN)
    words = {"outcome": "outcome", "status": "status", "range": "started"}
    chips = []
    for name in KEYS:
        value = getattr(query, name)
        if value:
            label = RANGE_WORDS[value] if name == "range" else KINDS[value] if name == "kind" else value
            chips.append({"label": words.get(name, name), "value": label, "url": _address(tenant, query, **{name: ""})})
    if query.q:
        chips.append({"label": "text", "value": query.q, "url": _address(tenant, query, q="")})
    return {
        "query": query,
        "chips": chips,
        "outcomes": OUTCOMES,
        "statuses": STATUSES,
        "ranges": list(RANGE_WORDS.items()),
        "sorts": list(SORTS.items()),
        "kinds": list(KINDS.items()),
        "sort": query.sort or "-last",
        "query_text": text_of(_whole(query, typed)),
        "views": [_view(tenant, request, view) for view in views],
        **panel(request, exports),
        "complete_url": f"/t/{tenant.slug}/traces?part=complete",
    }
