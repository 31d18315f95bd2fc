"""Saved views, chosen columns and exports."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Q

from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem, not_found
from projections.models import ColumnChoice, ExportPiece, SavedView, TraceExport
from tenants.access import Principal
from tenants.models import Tenant


def saved_views(
    tenant: Tenant, principal: Principal, *, after: tuple[str, int] | None = None, limit: int = 200
) -> list[SavedView]:
    """One's own views and the shared ones by name, up to ``limit + 1``."""
    with tenant_tx(tenant):
        found = SavedView.objects.filter(Q(shared=True) | Q(owner=principal.ident))
        if after is not None:
            found = found.filter(Q(name__gt=after[0]) | Q(name=after[0], pk__gt=after[1]))
        return list(found.order_by("name", "pk")[: limit + 1])


def chosen_columns(tenant: Tenant, principal: Principal) -> list[str]:
    """The columns of the trace list somebody chose; none when they never did."""
    with tenant_tx(tenant):
        found = ColumnChoice.objects.filter(owner=principal.ident).values_list("columns", flat=True).first()
    return list(found or ())


class Kept(NamedTuple):
    """What somebody keeps of the trace list."""

    columns: list[str]
    views: list[SavedView]
    exports: list[TraceExport]


def kept(tenant: Tenant, principal: Principal, *, limit: int) -> Kept:
    """What the trace list shows beside its rows: columns, views, and the last exports one asked for."""
    with tenant_tx(tenant):
        return Kept(
            chosen_columns(tenant, principal),
            saved_views(tenant, principal),
            exports(tenant, by=principal.ident, limit=limit)[:limit],
        )


def view_json(view: SavedView, principal: Principal) -> dict[str, Any]:
    """A view as the API shows it."""
    return {
        "id": view.pk,
        "name": view.name,
        "query": view.query,
        "sort": view.sort,
        "columns": view.columns,
        "shared": view.shared,
        "own": view.owner == principal.ident,
        "created_at": view.created_at,
    }


def exports(
    tenant: Tenant, *, before: tuple[datetime, uuid.UUID] | None = None, limit: int = 100, by: str | None = None
) -> list[TraceExport]:
    """Exports of the tenant, the newest first, up to ``limit + 1``; ``by``: of one principal."""
    with tenant_tx(tenant):
        found = TraceExport.objects.all()
        if by is not None:
            found = found.filter(requested_by=by)
        if before is not None:
            found = found.filter(Q(created_at__lt=before[0]) | Q(created_at=before[0], pk__gt=before[1]))
        return list(found.order_by("-created_at", "pk")[: limit + 1])


def export(tenant: Tenant, ident: uuid.UUID) -> TraceExport:
    """One export. 404 when there is none."""
    with tenant_tx(tenant):
        found = TraceExport.objects.filter(pk=ident).first()
    if found is None:
        raise not_found("export", str(ident))
    return found


def export_file(tenant: Tenant, ident: uuid.UUID) -> tuple[TraceExport, Iterator[bytes]]:
    """A finished export and its bytes, a piece at a time. 404; 409 ``export.not_ready``; 410 ``export.expired``."""
    found = export(tenant, ident)
    if found.status == TraceExport.EXPIRED:
        raise Problem("export.expired", 410, "Files are kept for 24 hours. Export again.")
    if found.status != TraceExport.COMPLETED:
        raise Problem("export.not_ready", 409, f"This export is {found.status}: there is no file to fetch.")
    return found, _pieces(tenant, found)


def _pieces(tenant: Tenant, found: TraceExport) -> Iterator[bytes]:
    for number in range(found.pieces):
        # a transaction per piece: a slow reader must not hold one
        with tenant_tx(tenant):
            body = ExportPiece.objects.filter(export_id=found.pk, number=number).values_list("body", flat=True).first()
        if body is None:
            raise RuntimeError("the file was deleted while it was read")
        yield bytes(body)


def export_json(found: TraceExport) -> dict[str, Any]:
    """An export as the API shows it."""
    return {
        "id": str(found.pk),
        "format": found.format,
        "query": found.query,
        "columns": found.columns,
        "status": found.status,
        "total": found.total,
        "done": found.done,
        "size": found.size,
        "error": found.error or None,
        "requested_by": found.requested_by,
        "created_at": found.created_at,
        "finished_at": found.finished_at,
        "expires_at": found.expires_at,
    }
