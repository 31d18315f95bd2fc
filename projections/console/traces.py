"""The trace list: a search bar that completes to filters, a page of rows, and what came since."""

from __future__ import annotations

from collections.abc import Sequence
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
from decisiongraph.core.errors import Problem, invalid
from projections import selectors
from projections.console.lists import SHOWN, panel, view_url
from projections.domain import columns as choices
from projections.domain import query as language
from projections.domain.query import (
    MAX_LENGTH,
    NAMES,
    OUTCOMES,
    STATUSES,
    Parsed,
    empty_range,
    instant,
    parse,
    text_of,
    texts_of,
    wrong_value,
)
from projections.models import SavedView, TraceSummary, moment
from projections.selectors import Kept, Reading, TraceFilter
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
    columns: str = Field(default="", max_length=300)
    """Names with commas between; empty: what the person chose, else the usual ones."""
    live: Literal["", "1"] = ""
    """Rows that match come in by themselves."""
    cursor: str | None = Field(default=None, max_length=1000)
    part: Literal["list", "news"] | None = None
    since: int | None = Field(default=None, ge=0, le=2**53)
    """The position of the projection when the page was read."""
    theme: str = ""

    @field_validator("columns")
    @classmethod
    def _known_columns(cls, text: str) -> str:
        return choices.text_of(choices.from_text(text)) if text else ""

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
    if wrong := empty_range({name: getattr(query, name) for name in ("after", "before")}):
        if query.part is not None:
            raise invalid("before", "query.empty_range", wrong)
        return _unsearched(request, tenant, query, parsed, "Nothing was searched.", wrong, 400)
    wanted = _filter(query, parsed.query)
    if query.part == "news":
        response = render(request, "projections/traces.html#news", _news(tenant, query, wanted))
    else:
        named = choices.from_text(query.columns) if query.columns else ()
        if query.part == "list":
            if query.since is not None and not _came(tenant, query, wanted):
                return HttpResponse(status=204)  # what is on the page is still what there is
            columns = named or selectors.chosen_columns(tenant, request.principal)
            response = render(request, "projections/traces.html#list", _list(tenant, query, wanted, columns))
            # another choice of columns, or live tail on or off, is another address
            response["HX-Replace-Url"] = _address(tenant, query, cursor=query.cursor)
        else:
            beside = selectors.kept(tenant, request.principal, limit=SHOWN)
            try:
                shown = _list(tenant, query, wanted, named or beside.columns)
            except Problem as problem:
                if problem.code != "search.too_broad":
                    raise
                said = problem.detail
                return _unsearched(request, tenant, query, parsed, "The search was stopped.", said, problem.status)
            shown |= _form(request, query, parsed.query, beside) | _crumbs(tenant)
            response = render(request, "projections/traces.html", page(request, "traces", **shown))
    patch_vary_headers(response, ("HX-Request",))
    return response


def _view(tenant: Tenant, request: Any, view: SavedView) -> dict[str, Any]:
    base = f"/t/{tenant.slug}"
    return {
        "name": view.name,
        "shared": view.shared,
        "url": view_url(tenant.slug, view),
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
        _form(request, query, parsed.query, selectors.kept(tenant, request.principal, limit=SHOWN))
        | _crumbs(tenant)
        | {"faults": parsed.faults, "marked": marked, "typed": text}
    )
    return render(request, "projections/traces.html", page(request, "traces", **shown), status=400)


def _unsearched(
    request: Any, tenant: Tenant, query: TracesQuery, parsed: Parsed, title: str, said: str, status: int
) -> HttpResponse:
    """The page with the search in its bar, its filters as chips, and why nothing is listed."""
    shown = _form(request, query, parsed.query, selectors.kept(tenant, request.principal, limit=SHOWN))
    shown |= _crumbs(tenant) | {"chips": _chips(tenant, query), "clear_url": _clear(tenant, query)}
    shown |= {"unsearched": title, "said": said}
    return render(request, "projections/traces.html", page(request, "traces", **shown), status=status)


def _whole(query: TracesQuery, typed: language.Query) -> language.Query:
    """The filters of the address and the texts of the bar as one query."""
    return typed._replace(filters=tuple((name, value) for name in NAMES if (value := getattr(query, name))))


def _filter(query: TracesQuery, typed: language.Query) -> TraceFilter:
    return TraceFilter.of(_whole(query, typed), now=clock.now())


def _address(tenant: Tenant, query: TracesQuery, **changes: Any) -> str:
    names = ("q", *KEYS, "sort", "columns", "live")
    values = {name: getattr(query, name) for name in names} | changes
    text = urlencode({name: value for name, value in values.items() if value not in ("", None)})
    return f"/t/{tenant.slug}/traces" + (f"?{text}" if text else "")


def _list(tenant: Tenant, query: TracesQuery, wanted: TraceFilter, columns: Sequence[str]) -> dict[str, Any]:
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
    # Read again whole although nothing came: what the page says of its state, and rows that may leave by themselves.
    restless = reading.lag > FAR or reading.parked or wanted.status == "open"
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
        "chips": _chips(tenant, query),
        "clear_url": _clear(tenant, query),
        **_reading_in(tenant, query, columns, follows=query.cursor is None and sort.startswith("-")),
        "head": reading.head,
        "reading": reading,
        "parked": list(reading.parked[:3]),
        "topic": public_topic(tenant.slug, "projection_health"),
        **_fresh(tenant, query, reading.cursor),
        "tail_url": _address(tenant, query, part="list", since=None if restless else reading.cursor),
    }


def _chips(tenant: Tenant, query: TracesQuery) -> list[dict[str, str]]:
    """The filters in force, each with the address without it."""
    words = {"outcome": "outcome", "status": "status", "range": "started"}
    chips = []
    for name in KEYS:
        value = getattr(query, name)
        if value:
            label = RANGE_WORDS[value] if name == "range" else KINDS[value] if name == "kind" else value
            chips.append({"label": words.get(name, name), "value": label, "url": _address(tenant, query, **{name: ""})})
    if query.q:
        chips.append({"label": "text", "value": query.q, "url": _address(tenant, query, q="")})
    return chips


def _clear(tenant: Tenant, query: TracesQuery) -> str:
    """The address without its filters."""
    return _address(tenant, TracesQuery(columns=query.columns, live=query.live))


def _reading_in(tenant: Tenant, query: TracesQuery, columns: Sequence[str], *, follows: bool) -> dict[str, Any]:
    """The columns of the list and whether rows come in by themselves; ``follows``: the newest stand on top."""
    shown = tuple(columns) or choices.DEFAULT
    live = query.live == "1"
    other = _address(tenant, query, live="" if live else "1", cursor=query.cursor)
    return {
        "columns": shown,
        "query": query,
        "sort_words": SORTS[query.sort or "-last"],
        "columns_text": choices.text_of(shown),
        "all_shown": shown != choices.DEFAULT,
        "live": live,
        "follows": follows,
        "following": live and follows,
        "live_url": other,
        "live_part": other + ("&" if "?" in other else "?") + "part=list",
        "at": _address(tenant, query, cursor=query.cursor).partition("?")[2],
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


def _came(tenant: Tenant, query: TracesQuery, wanted: TraceFilter) -> bool:
    """Whether a list read at ``since`` would be another one now."""
    began, moved, reading = selectors.trace_arrivals(tenant, wanted, since=query.since or 0, limit=1)
    return bool(began or moved) or reading.lag > FAR


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
        "started_at": row.started_at,
        "actors": row.actors,
        "waiting": waiting,
        "actions": row.actions_committed,
        "failed": row.actions_failed,
        "summary": row.summary or "",
        "parked": reading.covers_parked(row.key),
    }


def _form(request: Any, query: TracesQuery, typed: language.Query, kept: Kept) -> dict[str, Any]:
    tenant: Tenant = request.tenant
    return {
        "query": query,
        "outcomes": OUTCOMES,
        "statuses": STATUSES,
        "ranges": list(RANGE_WORDS.items()),
        "sorts": list(SORTS.items()),
        "kinds": list(KINDS.items()),
        "sort": query.sort or "-last",
        "query_text": text_of(_whole(query, typed)),
        "all_columns": [(name, known.label, name == choices.FIXED) for name, known in choices.COLUMNS.items()],
        "columns_url": f"/t/{tenant.slug}/columns",
        "views": [_view(tenant, request, view) for view in kept.views],
        **panel(request, kept.exports),
        "complete_url": f"/t/{tenant.slug}/traces?part=complete",
    }
