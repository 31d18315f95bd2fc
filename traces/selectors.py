"""Reading the log. Always readable, whatever the projections do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson
import psycopg
from django.db import connection

from decisiongraph.core import clock
from decisiongraph.core.db import current_tenant_id, tenant_tx
from decisiongraph.core.errors import not_found
from tenants.models import Tenant
from traces import store
from traces.domain.envelope import StoredEvent
from traces.models import Producer, ProducerMinute, Refusal, RefusalCount

_COLUMNS = (
    "e.log_seq, e.event_id, e.trace_id, e.trace_seq, e.event_type, e.schema_version, "
    "e.occurred_at, e.recorded_at, e.producer_id, e.system, e.subsystem, e.actor_type, "
    "e.actor_id, e.idempotency_key, e.correlation_id, e.causation_event_id, e.tags, e.origin, "
    "e.principal, e.leaf_hash, b.payload_hash, b.payload"
)
_FROM = (
    f"SELECT {_COLUMNS} FROM traces_event e LEFT JOIN traces_event_body b "
    "ON b.tenant_id = e.tenant_id AND b.log_seq = e.log_seq WHERE e.tenant_id = %s"
)


def _events(sql: str, arguments: Sequence[Any]) -> list[StoredEvent]:
    """Rows as stored events. The driver's own cursor: a replay reads tens of thousands a second."""
    connection.ensure_connection()
    raw: psycopg.Connection[Any] = connection.connection
    with connection.wrap_database_errors, psycopg.Cursor(raw) as cursor:
        cursor.format = psycopg.pq.Format.BINARY
        rows = cursor.execute(sql, arguments).fetchall()
    loads = orjson.loads
    return [
        StoredEvent(
            *row[:7],
            row[7].strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            *row[8:16],
            tuple(row[16]),
            row[17],
            row[18],
            "sha256:" + row[19].hex(),
            None if row[20] is None else "sha256:" + row[20].hex(),
            None if row[21] is None else loads(row[21]),
        )
        for row in rows
    ]


def head(tenant: Tenant) -> int:
    """The last position of the log; 0 when it is empty."""
    with tenant_tx(tenant), connection.cursor() as cursor:
        cursor.execute(
            "SELECT log_seq FROM traces_event WHERE tenant_id = %s ORDER BY log_seq DESC LIMIT 1",
            [current_tenant_id()],
        )
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def read_log(
    tenant: Tenant,
    *,
    after: int,
    limit: int,
    until: int | None = None,
    event_type: str | None = None,
    trace_id: str | None = None,
) -> list[StoredEvent]:
    """Up to ``limit`` events with ``log_seq > after`` (and ``<= until``), in log order.

    With ``event_type`` or ``trace_id`` only those; the order and the meaning of ``after`` stay.
    """
    sql, arguments = _FROM + " AND e.log_seq > %s", [tenant.pk, after]
    if until is not None:
        sql, arguments = sql + " AND e.log_seq <= %s", [*arguments, until]
    if event_type is not None:
        sql, arguments = sql + " AND e.event_type = %s", [*arguments, event_type]
    if trace_id is not None:
        sql, arguments = sql + " AND e.trace_id = %s", [*arguments, trace_id]
    with tenant_tx(tenant):
        return _events(sql + " ORDER BY e.log_seq LIMIT %s", [*arguments, limit])


def read_trace(
    tenant: Tenant, trace_id: str, *, after_seq: int = -1, limit: int = 500
) -> list[StoredEvent]:
    """A trace's events with ``trace_seq > after_seq`` in trace order; empty when there is none."""
    with tenant_tx(tenant):
        return _events(
            _FROM + " AND e.trace_id = %s AND e.trace_seq > %s ORDER BY e.trace_seq LIMIT %s",
            [tenant.pk, trace_id, after_seq, limit],
        )


def trace_history(
    tenant: Tenant, trace_ids: Iterable[str], event_types: Iterable[str]
) -> dict[str, list[StoredEvent]]:
    """The events of these types of each of these traces, in trace order."""
    found: dict[str, list[StoredEvent]] = {trace_id: [] for trace_id in trace_ids}
    with tenant_tx(tenant):
        events = _events(
            _FROM + " AND e.trace_id = ANY(%s) AND e.event_type = ANY(%s) ORDER BY e.log_seq",
            [tenant.pk, list(found), list(event_types)],
        )
    for event in events:
        found[event.trace_id].append(event)
    return found


def event_at(tenant: Tenant, log_seq: int) -> StoredEvent:
    """The event at a position of the log. 404 when there is none."""
    with tenant_tx(tenant):
        found = _events(_FROM + " AND e.log_seq = %s", [tenant.pk, log_seq])
    if not found:
        raise not_found("event", str(log_seq))
    return found[0]


def event_by_id(tenant: Tenant, event_id: str) -> StoredEvent | None:
    """The event with this id, if the tenant has one."""
    with tenant_tx(tenant):
        found = _events(_FROM + " AND e.event_id = %s", [tenant.pk, event_id])
    return found[0] if found else None


def trace_states(tenant: Tenant, trace_ids: Sequence[str]) -> dict[str, tuple[int, bool]]:
    """(last ``trace_seq``, finished) of those traces that exist."""
    with tenant_tx(tenant):
        return {trace_id: tuple(state) for trace_id, state in store.traces(trace_ids).items()}


# --- what the operator sees of ingestion ----------------------------------------------------------


def recent_refusals(tenant: Tenant, *, limit: int = 100) -> list[Refusal]:
    """The last refused events, newest first."""
    with tenant_tx(tenant):
        return list(Refusal.objects.order_by("-id")[:limit])


def refusal_counts(tenant: Tenant) -> list[RefusalCount]:
    """How often each producer, token and code was refused, most often first."""
    with tenant_tx(tenant):
        return list(RefusalCount.objects.order_by("-count", "producer_id", "code")[:500])


def producers(tenant: Tenant) -> list[Producer]:
    """Every producer the roll-up has seen, last heard first."""
    with tenant_tx(tenant):
        return list(Producer.objects.order_by("-last_at", "producer_id")[:200])


def producer_minutes(tenant: Tenant, *, minutes: int, until: datetime | None = None) -> list[ProducerMinute]:
    """Events and refusals per producer and minute of the last ``minutes`` minutes."""
    end = until or clock.now()
    with tenant_tx(tenant):
        return list(
            ProducerMinute.objects.filter(
                minute__gt=end - timedelta(minutes=minutes), minute__lte=end
            ).order_by("minute", "producer_id")
        )
