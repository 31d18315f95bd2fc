"""What producers sent and the platform would not take, so that somebody can mend it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from decisiongraph.core.api import Query, query_params
from decisiongraph.core.console import page
from decisiongraph.core.templatetags.dg.words import counted
from tenants.access import console_view
from traces import selectors as log


class RefusalsQuery(Query):
    """What of the page."""

    part: str | None = None


@console_view("read")
@require_GET
def refusals(request: Any) -> HttpResponse:
    """The last refused events, and how often each producer met each code."""
    query_params(request, RefusalsQuery)
    base = f"/t/{request.tenant.slug}"
    counts = log.refusal_counts(request.tenant)
    recent = [
        {
            "at": row.at,
            "producer": row.producer_id,
            "principal": row.principal,
            "code": row.code,
            "path": row.path,
            "detail": row.detail,
            "trace_id": row.trace_id,
            "url": f"{base}/traces/{quote(row.trace_id, safe='')}" if row.trace_id else "",
        }
        for row in log.recent_refusals(request.tenant)
    ]
    total = sum(row.count for row in counts)
    title = f"{counted(total, 'event')} {'was' if total == 1 else 'were'} refused" if total else "Nothing was refused"
    crumbs = [{"label": "Overview", "url": f"{base}/"}, {"label": "Refusals"}]
    context = page(request, "overview", crumbs=crumbs, counts=counts, recent=recent, title=title, total=total)
    return render(request, "projections/refusals.html" + ("#list" if request.GET.get("part") else ""), context)
