"""Saved views, columns and exports: the buttons of the trace list."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode

from django.http import HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_POST

from decisiongraph.core.console import moved, toasted
from projections import selectors, services
from projections.api.lists import download
from projections.domain import columns as choices
from projections.models import SavedView, TraceExport
from tenants.access import console_view

SHOWN = 2
"""Exports of a person that the page shows."""


def listing(request: Any) -> str:
    """The address of the list."""
    return f"/t/{request.tenant.slug}/traces"


@console_view("read")
@require_POST
def save_view(request: Any) -> HttpResponse:
    """Keep the search of the page."""
    view = services.save_view(
        request.tenant,
        principal=request.principal,
        name=request.POST.get("name", ""),
        query=request.POST.get("q", ""),
        sort=request.POST.get("sort") or "-last",
        columns=_named(request),
        shared=request.POST.get("shared") == "on",
    )
    said = f"Saved as “{view.name}”" + (" for everybody." if view.shared else ".")
    return moved(request, view_url(request.tenant.slug, view), said)


def view_url(slug: str, view: SavedView) -> str:
    """The address of the list as a view keeps it."""
    sort = "" if view.sort == "-last" else view.sort
    given = {"q": view.query, "sort": sort, "columns": choices.text_of(view.columns)}
    text = urlencode({name: value for name, value in given.items() if value})
    return f"/t/{slug}/traces" + (f"?{text}" if text else "")


def _named(request: Any) -> list[str]:
    return [name for name in request.POST.get("columns", "").split(",") if name]


@console_view("read")
@require_POST
def choose_columns(request: Any) -> HttpResponse:
    """Remember the columns that are ticked, and show the list in them."""
    forget = request.POST.get("reset") == "1"
    columns = services.choose_columns(
        request.tenant, principal=request.principal, columns=None if forget else request.POST.getlist("column")
    )
    shown = dict(parse_qsl(request.POST.get("at", "")))
    shown.pop("columns", None)
    if forget:
        return moved(request, listing(request) + (f"?{urlencode(shown)}" if shown else ""))
    shown["columns"] = choices.text_of(columns)
    if request.headers.get("HX-Request"):
        shown["part"] = "list"
    return HttpResponseRedirect(f"{listing(request)}?{urlencode(shown)}")


@console_view("read")
@require_POST
def delete_view(request: Any, view_id: int) -> HttpResponse:
    """Forget a view."""
    services.delete_view(request.tenant, principal=request.principal, ident=view_id)
    return moved(request, listing(request), "The view is deleted.")


@console_view("read")
@require_POST
def start_export(request: Any) -> HttpResponse:
    """Export what the page lists."""
    text = request.POST.get("q", "")
    format, _, shown = request.POST.get("format", "").partition("-")
    services.start_export(
        request.tenant,
        principal=request.principal,
        format=format,
        query=text,
        columns=choices.cells_of(_named(request)) if shown == "shown" else (),
    )
    if request.headers.get("HX-Request"):
        return exports(request)
    query = urlencode({"q": text}) if text else ""
    return moved(request, f"{listing(request)}?{query}#exports", "The export has begun.")


def exports(request: Any) -> HttpResponse:
    """The panel of this person's exports; asks again by itself while one is under way."""
    rows = selectors.exports(request.tenant, by=request.principal.ident, limit=SHOWN)[:SHOWN]
    return render(request, "components/exports.html", panel(request, rows))


def panel(request: Any, rows: Sequence[TraceExport]) -> dict[str, Any]:
    """What the panel shows."""
    base = f"/t/{request.tenant.slug}/exports"
    return {
        "exports_url": base,
        "exports_active": any(row.status in TraceExport.ACTIVE for row in rows),
        "exports": [
            {
                "id": str(row.pk),
                "format": row.format.upper(),
                "query": row.query,
                "status": row.status,
                "active": row.status in TraceExport.ACTIVE,
                "ready": row.status == TraceExport.COMPLETED,
                "done": row.done,
                "total": row.total,
                "share": min(100, 100 * row.done // row.total) if row.total else 0,
                "size": row.size,
                "error": row.error,
                "created_at": row.created_at,
                "expires_at": row.expires_at,
                "url": f"{base}/{row.pk}",
            }
            for row in rows
        ],
    }


@console_view("read")
@require_GET
def exports_panel(request: Any) -> HttpResponse:
    """Progress."""
    return exports(request)


@console_view("read")
@require_POST
def cancel_export(request: Any, export_id: uuid.UUID) -> HttpResponse:
    """Stop one."""
    services.cancel_export(request.tenant, principal=request.principal, ident=export_id)
    if request.headers.get("HX-Request"):
        return exports(request)
    return toasted(request, "The export is cancelled.", listing(request))


@console_view("read")
@require_GET
def export_file(request: Any, export_id: uuid.UUID) -> HttpResponseBase:
    """The file."""
    return download(request.tenant, export_id)
