"""Files of the trace list: asked for, written piece by piece in the background, kept for a day."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson
from django.db import connection

from decisiongraph.core import clock, jobs
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem, invalid, not_found
from decisiongraph.core.telemetry import bind, log
from projections import selectors
from projections.domain import query as language
from projections.domain import table
from projections.models import ExportPiece, TraceExport, TraceSummary
from projections.selectors import TraceFilter
from tenants.access import Principal
from tenants.models import Tenant
from tenants.services import record_audit

PIECE = 500
"""Traces per piece."""
SLICE_SECONDS = 2.0
MOST_ROWS = 1_000_000
MOST_ACTIVE = 3
"""Exports a tenant may have under way."""
KEPT = timedelta(hours=24)
SILENT = timedelta(seconds=5)
"""After that a job nobody moves is given to another worker."""
TASK = "projections.export_traces"
ORDER = "started"
"""By start: a trace that moves while the file is written keeps its place."""


def start_export(
    tenant: Tenant, *, principal: Principal, format: str, query: str, columns: Sequence[str] = ()
) -> TraceExport:
    """Ask for a file of what a search finds; a CSV file holds all columns or some. Audited.

    Raises 400 ``query.malformed``, 409 ``export.limit_reached``, 422 ``export.unknown_format`` or
    ``export.columns_invalid``.
    """
    principal.require("read")
    if format not in TraceExport.FORMATS:
        known = ", ".join(TraceExport.FORMATS)
        raise invalid("format", "export.unknown_format", f"Choose one of: {known}.", status=422)
    columns = _checked_columns(format, columns)
    text = language.text_of(selectors.checked(query))
    with tenant_tx(tenant):
        if TraceExport.objects.filter(status__in=TraceExport.ACTIVE).count() >= MOST_ACTIVE:
            raise Problem(
                "export.limit_reached",
                409,
                f"{MOST_ACTIVE} exports of this tenant are under way. Wait for one, or cancel it.",
            )
        made = TraceExport.objects.create(
            tenant_id=tenant.pk,
            requested_by=principal.ident,
            format=format,
            query=text,
            columns=columns,
            expires_at=clock.now() + KEPT,
        )
        record_audit(
            tenant,
            principal=principal,
            action="export.started",
            target=f"export:{made.pk}",
            after={"format": format, "query": text, **({"columns": columns} if columns else {})},
        )
        jobs.enqueue(TASK, tenant_id=tenant.pk, export_id=str(made.pk))
    return made


def _checked_columns(format: str, columns: Sequence[str]) -> list[str]:
    """Those of a file in the order asked for, each once."""
    if columns and format != TraceExport.CSV:
        detail = "Columns are for CSV: every line of NDJSON is the whole trace."
        raise invalid("columns", "export.columns_invalid", detail, status=422)
    if unknown := [name for name in columns if name not in table.COLUMNS]:
        detail = f"There is no column {unknown[0]!r}. Choose from: {', '.join(table.COLUMNS)}."
        raise invalid("columns", "export.columns_invalid", detail, status=422)
    return list(dict.fromkeys(columns))


def cancel_export(tenant: Tenant, *, principal: Principal, ident: uuid.UUID) -> TraceExport:
    """Stop an export: its own, or with ``operate`` anybody's. What was written is deleted.

    Waits for the piece that is being written. 409 ``export.over`` when it has ended.
    """
    principal.require("read")
    with tenant_tx(tenant):
        found = TraceExport.objects.select_for_update().filter(pk=ident).first()
        if found is None:
            raise not_found("export", str(ident))
        if found.requested_by != principal.ident:
            principal.require("operate")
        if found.status not in TraceExport.ACTIVE:
            raise Problem("export.over", 409, f"This export is {found.status} already; there is nothing to cancel.")
        _end(found, TraceExport.CANCELLED)
        record_audit(tenant, principal=principal, action="export.cancelled", target=f"export:{found.pk}")
    return found


def run_export(tenant: Tenant, export_id: str) -> None:
    """Write pieces for a slice; asks for another when there is more."""
    until = time.monotonic() + SLICE_SECONDS
    with bind(tenant=tenant.slug):
        while time.monotonic() < until:
            if not _write_piece(tenant, export_id):
                return
        with tenant_tx(tenant):
            jobs.enqueue(TASK, tenant_id=tenant.pk, export_id=export_id)


def _write_piece(tenant: Tenant, export_id: str) -> bool:
    """One piece and the position behind it, in one transaction; whether there may be more."""
    refused = ""
    try:
        with tenant_tx(tenant):
            export = (
                TraceExport.objects.select_for_update(skip_locked=True)
                .filter(pk=export_id, status__in=TraceExport.ACTIVE)
                .first()
            )
            if export is None:  # over, or another worker is at it
                return False
            return _continue(tenant, export)
    except Problem as problem:
        refused = problem.detail
    with tenant_tx(tenant):
        export = TraceExport.objects.select_for_update().filter(pk=export_id, status__in=TraceExport.ACTIVE).first()
        if export is not None:
            export.error = refused
            _end(export, TraceExport.FAILED)
    return False


def _continue(tenant: Tenant, export: TraceExport) -> bool:
    wanted = TraceFilter.of(language.parse(export.query).query, now=export.created_at)
    if export.status == TraceExport.QUEUED:
        export.status = TraceExport.RUNNING
        export.total = sum(selectors.trace_counts(tenant, wanted).values())
    position = None
    if export.position is not None:
        position = (datetime.fromisoformat(export.position[0]), export.position[1])
    rows = selectors.trace_list(tenant, wanted, sort=ORDER, position=position, limit=PIECE).rows
    more = len(rows) > PIECE
    rows = rows[: min(PIECE, MOST_ROWS - export.done)]
    body = _written(export, rows)
    if body:
        ExportPiece.objects.create(tenant_id=tenant.pk, export_id=export.pk, number=export.pieces, body=body)
        export.pieces += 1
    export.done += len(rows)
    export.size += len(body)
    export.moved_at = clock.now()
    if rows:
        start, tie = selectors.trace_position(rows[-1], ORDER)
        export.position = [start.isoformat(), tie]
    if not more or export.done >= MOST_ROWS:
        if more:
            export.error = f"The file ends after {MOST_ROWS:,} traces; export shorter times for the rest."
        _end(export, TraceExport.COMPLETED)
        return False
    export.save()
    return True


def _written(export: TraceExport, rows: list[TraceSummary]) -> bytes:
    traces: list[dict[str, Any]] = [selectors.trace_json(row) for row in rows]
    if export.format == "ndjson":
        return b"".join(orjson.dumps(trace, option=orjson.OPT_APPEND_NEWLINE) for trace in traces)
    columns = export.columns or table.COLUMNS
    head = [columns] if export.pieces == 0 else []
    return table.lines([*head, *(table.row_of(trace, columns) for trace in traces)]).encode()


def _end(export: TraceExport, status: str) -> None:
    export.status = status
    export.finished_at = clock.now()
    if status == TraceExport.COMPLETED:
        export.expires_at = clock.now() + KEPT
    else:
        ExportPiece.objects.filter(export_id=export.pk).delete()
    export.save()
    log.info("export.ended", export_id=str(export.pk), status=status, done=export.done, error=export.error)


def forget_exports(tenant: Tenant) -> int:
    """Delete every file of the tenant and stop those under way: something they may hold was erased."""
    with tenant_tx(tenant):
        for export in TraceExport.objects.select_for_update().filter(status__in=TraceExport.ACTIVE):
            _end(export, TraceExport.CANCELLED)
        TraceExport.objects.filter(status=TraceExport.COMPLETED).update(status=TraceExport.EXPIRED)
        return ExportPiece.objects.all().delete()[0]


def tend_exports() -> int:
    """Wake jobs nobody moves, and delete files whose day is over; how many needed it."""
    now = clock.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT tenant_id, export_id FROM dg_due_exports(%s, %s)", [now - SILENT, now])
        due = cursor.fetchall()
    for tenant in Tenant.objects.filter(pk__in={number for number, _ in due}):
        with tenant_tx(tenant):
            for number, ident in due:
                if number == tenant.pk:
                    _tend(tenant, ident, now)
    return len(due)


def _tend(tenant: Tenant, ident: uuid.UUID, now: datetime) -> None:
    export = TraceExport.objects.select_for_update(skip_locked=True).filter(pk=ident).first()
    if export is None:
        return
    if export.status in TraceExport.ACTIVE:
        jobs.enqueue(TASK, tenant_id=tenant.pk, export_id=str(ident))
    elif export.status == TraceExport.COMPLETED and export.expires_at <= now:
        export.status = TraceExport.EXPIRED
        export.save(update_fields=["status"])
        ExportPiece.objects.filter(export_id=ident).delete()
