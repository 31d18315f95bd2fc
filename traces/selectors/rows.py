"""How rows of the log become events, in the fewest steps: a replay reads tens of thousands a second."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import orjson
import psycopg
from django.db import connection

from tenants.models import Tenant
from traces.domain.envelope import Entry, StoredEvent

_ENVELOPE = (
    "e.log_seq, e.event_id, e.trace_id, e.trace_seq, e.event_type, e.schema_version, "
    "e.occurred_at, e.recorded_at, e.producer_id, e.system, e.subsystem, e.actor_type, "
    "e.actor_id, e.idempotency_key, e.correlation_id, e.causation_event_id, e.tags, e.origin, "
    "e.principal, e.leaf_hash"
)
COLUMNS = f"{_ENVELOPE}, b.payload_hash, b.payload"
"""What `events` reads, of an event ``e`` and its body ``b``."""
# Each body is looked up by itself: joined, the planner may read or hash all bodies of the tenant.
BODY = """
LEFT JOIN LATERAL (
    SELECT payload_hash, payload FROM traces_event_body
    WHERE tenant_id = e.tenant_id AND log_seq = e.log_seq LIMIT 1
) AS b ON true
"""
FROM = f"SELECT {COLUMNS} FROM traces_event e {BODY} WHERE e.tenant_id = %s"
"""Events of one tenant with their bodies, to be narrowed by ``AND``."""
# A piece of the log: two ranges, put together where they are read. Bodies looked up one by
# one cost the database as much again; joined by range, a tenant that is newer than its statistics got a
# nested loop over both ranges, four million comparisons for 2,000 events.
_PIECE = (
    f"SELECT {_ENVELOPE} FROM traces_event e "
    "WHERE e.tenant_id = %s AND e.log_seq > %s AND e.log_seq <= %s ORDER BY e.log_seq"
)
_BODIES = (
    "SELECT log_seq, payload_hash, payload FROM traces_event_body "
    "WHERE tenant_id = %s AND log_seq > %s AND log_seq <= %s"
)

# The same for whoever folds it, who needs less than half of the columns: a rebuild reads everything twice.
_ENTRIES = (
    f"SELECT {', '.join('e.' + name for name in Entry._fields[:-1])} FROM traces_event e "
    "WHERE e.tenant_id = %s AND e.log_seq > %s AND e.log_seq <= %s ORDER BY e.log_seq"
)
_PAYLOADS = "SELECT log_seq, payload FROM traces_event_body WHERE tenant_id = %s AND log_seq > %s AND log_seq <= %s"

_Body = tuple[bytes | None, str | None]
"""Hash and text of a payload; nothing once it was erased."""


def events(sql: str, arguments: Sequence[Any]) -> list[StoredEvent]:
    """The rows of a statement that asks for `COLUMNS` as stored events."""
    with _cursor() as cursor:
        rows = cursor.execute(sql, arguments).fetchall()
    return _stored(rows, [row[20:] for row in rows])


def piece(tenant: Tenant, after: int, until: int, *, loads: Callable[[str], Any] = orjson.loads) -> list[StoredEvent]:
    """The events with ``after < log_seq <= until``."""
    with _cursor() as cursor:
        place = (tenant.pk, after, until)
        rows = cursor.execute(_PIECE, place).fetchall()
        bodies = {row[0]: row[1:] for row in cursor.execute(_BODIES, place)}
    erased: _Body = None, None
    return _stored(rows, [bodies.get(row[0], erased) for row in rows], loads)


def entries(tenant: Tenant, after: int, until: int) -> list[Entry]:
    """What the events with ``after < log_seq <= until`` say."""
    with _cursor() as cursor:
        place = (tenant.pk, after, until)
        rows = cursor.execute(_ENTRIES, place).fetchall()
        payloads: dict[int, str | None] = dict(cursor.execute(_PAYLOADS, place).fetchall())
    loads, made = orjson.loads, tuple.__new__
    found: list[Entry] = []
    for row in rows:
        payload = payloads.get(row[0])
        found.append(made(Entry, (*row, None if payload is None else loads(payload))))
    return found


@contextmanager
def _cursor() -> Iterator[psycopg.Cursor[Any]]:
    """The driver's own: Django's costs as much again per row."""
    connection.ensure_connection()
    raw: psycopg.Connection[Any] = connection.connection
    with connection.wrap_database_errors, psycopg.Cursor(raw) as cursor:
        cursor.format = psycopg.pq.Format.BINARY
        yield cursor


def _stored(
    rows: Sequence[Sequence[Any]], bodies: Sequence[_Body], loads: Callable[[str], Any] = orjson.loads
) -> list[StoredEvent]:
    moment, recorded_at = None, ""
    found: list[StoredEvent] = []
    made = tuple.__new__  # the class itself takes its 22 fields one by one, in twice the time
    for row, (payload_hash, payload) in zip(rows, bodies, strict=True):
        if row[7] != moment:  # what was appended by one call has one moment
            moment = row[7]
            recorded_at = moment.isoformat(timespec="microseconds")[:26] + "Z"
        found.append(
            made(
                StoredEvent,
                (
                    *row[:7],
                    recorded_at,
                    *row[8:16],
                    tuple(row[16]),
                    row[17],
                    row[18],
                    "sha256:" + row[19].hex(),
                    None if payload_hash is None else "sha256:" + payload_hash.hex(),
                    None if payload is None else loads(payload),
                ),
            )
        )
    return found
