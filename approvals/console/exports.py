"""Bundles to take away, from the page of an item or a trace."""

from __future__ import annotations

from typing import Any, Literal

from django.http import HttpResponse
from django.views.decorators.http import require_GET
from pydantic import Field

from approvals import services
from approvals.api.exports import download
from decisiongraph.core.api import Query, query_params
from tenants.access import console_view


class ExportQuery(Query):
    """In which form."""

    format: Literal["json", "html"] = "html"


class TraceQuery(ExportQuery):
    """Which trace, in which form."""

    trace_id: str = Field(max_length=400)


@console_view("read")
@require_GET
def item(request: Any, approval_id: str) -> HttpResponse:
    """Everything about an item as one signed file."""
    query = query_params(request, ExportQuery)
    return download(
        services.export_item(request.tenant, principal=request.principal, item_id=approval_id, format=query.format)
    )


@console_view("read")
@require_GET
def trace(request: Any) -> HttpResponse:
    """A trace and all that was decided about it as one signed file."""
    query = query_params(request, TraceQuery)
    return download(
        services.export_trace(request.tenant, principal=request.principal, trace_id=query.trace_id, format=query.format)
    )
