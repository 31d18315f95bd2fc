"""The live page: the end of the log, newest first, as it grows."""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import quote, urlencode

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_GET
from pydantic import Field

from decisiongraph.core.api import Query, query_params
from decisiongraph.core.bus import public_topic
from decisiongraph.core.console import page
from decisiongraph.core.db import tenant_tx
from tenants.access import console_view
from tenants.models import Tenant
from traces import selectors
from traces.domain.envelope import INGEST_TYPES, PLATFORM_TYPES, StoredEvent
from traces.domain.labels import face

ROWS = 60
"""Events shown at once; the page never grows beyond."""
FILTERS = ("type", "producer", "trace")


class StreamQuery(Query):
    """The state of the page."""

    type: str = Field(default="", max_length=100)
    producer: str = Field(default="", max_length=200)
    trace: str = Field(default="", max_length=200)
    before: int | None = Field(default=None, ge=1, le=2**53)
    """Older than this position of the log: a look back, which is not live."""
    seen: int | None = Field(default=None, ge=0, le=2**53)
    """The newest position the reader has seen, sent when the page asks for what came since."""
    part: Literal["stream"] | None = None
    theme: str = ""


@console_view("read")
@require_GET
def live(request: Any) -> HttpResponse:
    """The event stream; ``part=stream`` answers only its rows."""
    query = query_params(request, StreamQuery)
    shown = _stream(request.tenant, query)
    if query.part == "stream":
        response = render(request, "traces/live.html#stream", shown)
    else:
        crumbs = [{"label": request.tenant.slug, "url": f"/t/{request.tenant.slug}/"}, {"label": "Live", "url": ""}]
        shown |= {"types": (*INGEST_TYPES, *PLATFORM_TYPES), "query": query, "crumbs": crumbs}
        shown |= {"producers": [row.producer_id for row in selectors.producers(request.tenant)]}
        response = render(request, "traces/live.html", page(request, "live", **shown))
    patch_vary_headers(response, ("HX-Request",))
    return response


def _stream(tenant: Tenant, query: StreamQuery) -> dict[str, Any]:
    with tenant_tx(tenant):
        head = selectors.head(tenant)
        events = selectors.latest_events(
            tenant,
            limit=ROWS + 1,
            before=query.before,
            event_type=query.type or None,
            producer_id=query.producer or None,
            trace_id=query.trace or None,
        )
    more, events = len(events) > ROWS, events[:ROWS]
    filters = {name: getattr(query, name) for name in FILTERS if getattr(query, name)}
    base = f"/t/{tenant.slug}/live"

    def address(**changes: Any) -> str:
        values = {name: value for name, value in {**filters, **changes}.items() if value is not None}
        return f"{base}?{urlencode(values)}" if values else base

    newest = max((event.log_seq for event in events), default=0)
    oldest = min((event.log_seq for event in events), default=0)
    # What passed between two looks and is not on the page: said, never swallowed.
    missed = bool(query.seen and more and oldest > query.seen + 1)
    return {
        "rows": [_row(tenant, event) for event in events],
        "head": head,
        "is_live": query.before is None,
        "topic": public_topic(tenant.slug, "traces"),
        "part_url": address(part="stream", seen=newest or None),
        "missed_url": address(before=oldest) if missed else "",
        "missed_from": (query.seen or 0) + 1,
        "missed_to": oldest - 1,
        "older_url": address(before=oldest) if more else "",
        "newest_url": address(),
        "chips": [{"label": name, "value": value, "url": address(**{name: None})} for name, value in filters.items()],
        "reach": selectors.STREAM_REACH if (query.type or query.producer) and not query.trace else 0,
        "short": not more,
    }


def _row(tenant: Tenant, event: StoredEvent) -> dict[str, Any]:
    return {
        "log_seq": event.log_seq,
        "event_type": event.event_type,
        "payload": event.payload,
        "detail": face(event).detail,
        "trace_id": event.trace_id,
        "url": f"/t/{tenant.slug}/traces/{quote(event.trace_id, safe='')}?event={event.trace_seq}",
        "producer_id": event.producer_id,
        "recorded_at": event.recorded_at,
    }
