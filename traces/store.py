"""The SQL of the log: lock, look, append. Nothing else writes ``traces_event`` and its body.

``log_seq`` is 1, 2, 3, ... inside a tenant and commit order is sequence order, because every append
first takes the tenant's advisory lock, as a statement of its own (a statement's snapshot is taken
before it waits), and only then reads the last row. The primary key ``(tenant_id, log_seq)`` is the
real guarantee. The append is the last statement of a short transaction.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from django.db import connection

from decisiongraph.core.db import arrays, current_tenant_id, one_trip

LOCK_CLASS = 7
"""First half of the advisory lock key; the second is the tenant number."""


class NewEvent(NamedTuple):
    """One row to append, complete but for what the whole call shares."""

    log_seq: int
    event_id: str
    trace_id: str
    trace_seq: int
    event_type: str
    schema_version: int
    occurred_at: str
    occurred_ts: datetime
    producer_id: str
    system: str
    subsystem: str | None
    actor_type: str
    actor_id: str
    idempotency_key: str
    correlation_id: str | None
    causation_event_id: str | None
    tags: str
    """PostgreSQL array literal."""
    commitment: bytes
    leaf_hash: bytes
    payload: str
    salt: bytes
    payload_hash: bytes
    content_hmac: bytes


class KnownEvent(NamedTuple):
    """What is stored under an idempotency key."""

    log_seq: int
    event_id: str
    trace_id: str
    trace_seq: int
    leaf_hash: bytes


class Body(NamedTuple):
    """What is stored beside an event until it is erased."""

    salt: bytes
    payload_hash: bytes
    content_hmac: bytes


class TraceState(NamedTuple):
    """The last event of a trace."""

    last_seq: int
    finished: bool


class Head(NamedTuple):
    """The last event of the log."""

    log_seq: int
    recorded_at: datetime | None


class Seen(NamedTuple):
    """What the log knows of a call's keys, event ids and traces, once it is the call's turn."""

    head: Head
    known: dict[tuple[str, str], KnownEvent]
    """Stored events by (producer id, idempotency key)."""
    taken: set[str]
    """Event ids that exist."""
    traces: dict[str, TraceState]


_LOCK = "SELECT pg_advisory_xact_lock(%s, %s)"
_HEAD = "SELECT log_seq, recorded_at FROM traces_event WHERE tenant_id = %s ORDER BY log_seq DESC LIMIT 1"
# LIMIT keeps each look-up by itself, so that it can only be answered from the index of the key:
# joined, it may become a hash of the whole tenant. A single event is looked up by plain values: to
# plan, send and run that takes a third of the time.
_KNOWN_BY_KEY = """
SELECT k.producer_id, k.key, e.* FROM unnest(%b::text[], %b::text[]) AS k(producer_id, key)
CROSS JOIN LATERAL (
    SELECT e.log_seq, e.event_id, e.trace_id, e.trace_seq, e.leaf_hash FROM traces_event e
    WHERE e.tenant_id = %s AND e.producer_id = k.producer_id AND e.idempotency_key = k.key LIMIT 1
) AS e
"""
_KNOWN_ONE = """
SELECT producer_id, idempotency_key, log_seq, event_id, trace_id, trace_seq, leaf_hash
FROM traces_event WHERE producer_id = %s AND idempotency_key = %s AND tenant_id = %s
"""
_BODIES = """
SELECT log_seq, salt, payload_hash, content_hmac FROM traces_event_body
WHERE tenant_id = %s AND log_seq = ANY(%b::bigint[])
"""
_TAKEN_IDS = """
SELECT i.event_id FROM unnest(%b::text[]) AS i(event_id) CROSS JOIN LATERAL (
    SELECT 1 FROM traces_event e WHERE e.tenant_id = %s AND e.event_id = i.event_id LIMIT 1) AS e
"""
_TRACES = """
SELECT t.trace_id, last.trace_seq, last.event_type = 'TraceFinished'
FROM unnest(%b::text[]) AS t(trace_id) CROSS JOIN LATERAL (
    SELECT e.trace_seq, e.event_type FROM traces_event e
    WHERE e.tenant_id = %s AND e.trace_id = t.trace_id ORDER BY e.trace_seq DESC LIMIT 1) AS last
"""
_TRACE_ONE = """
SELECT trace_id, trace_seq, event_type = 'TraceFinished' FROM traces_event
WHERE trace_id = %s AND tenant_id = %s ORDER BY trace_seq DESC LIMIT 1
"""
# One statement writes both tables: one round trip, and no moment at which only one is written.
_ENVELOPE = """
    INSERT INTO traces_event (log_seq, event_id, trace_id, trace_seq, event_type, schema_version,
        occurred_at, occurred_ts, producer_id, system, subsystem, actor_type, actor_id,
        idempotency_key, correlation_id, causation_event_id, tags, commitment, leaf_hash,
        tenant_id, recorded_at, origin, principal)"""
_INSERT = f"""
WITH input AS (
    SELECT * FROM unnest(
        %b::bigint[], %b::text[], %b::text[], %b::int[], %b::text[], %b::int[], %b::text[],
        %b::timestamptz[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[],
        %b::text[], %b::text[], %b::text[], %b::bytea[], %b::bytea[], %b::text[], %b::bytea[],
        %b::bytea[], %b::bytea[]
    ) AS i(log_seq, event_id, trace_id, trace_seq, event_type, schema_version, occurred_at,
        occurred_ts, producer_id, system, subsystem, actor_type, actor_id, idempotency_key,
        correlation_id, causation_event_id, tags, commitment, leaf_hash, payload, salt,
        payload_hash, content_hmac)
), envelope AS ({_ENVELOPE}
    SELECT log_seq, event_id, trace_id, trace_seq, event_type, schema_version, occurred_at,
        occurred_ts, producer_id, system, subsystem, actor_type, actor_id, idempotency_key,
        correlation_id, causation_event_id, tags::text[], commitment, leaf_hash, %s, %s, %s, %s
    FROM input
)
INSERT INTO traces_event_body (tenant_id, log_seq, payload, salt, payload_hash, content_hmac)
SELECT %s, log_seq, payload, salt, payload_hash, content_hmac FROM input
"""
_INSERT_ONE = f"""
WITH envelope AS ({_ENVELOPE}
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %t::text[], %s, %s, %s, %s, %s, %s)
)
INSERT INTO traces_event_body (payload, salt, payload_hash, content_hmac, tenant_id, log_seq)
VALUES (%s, %s, %s, %s, %s, %s)
"""
_ENCODER: dict[str, Callable[[Iterable[Any]], arrays.Array]] = {
    "text[]": arrays.texts,
    "int[]": arrays.integers,
    "bigint[]": arrays.bigints,
    "timestamptz[]": arrays.instants,
    "bytea[]": arrays.byteas,
}
_ENCODERS = [_ENCODER[sql_type] for sql_type in re.findall(r"%b::(\S+\[\])", _INSERT)]
"""One per column of `_INSERT`, in its order."""
_ENVELOPE_COLUMNS = 19
"""How many of a row's first values belong to the envelope."""


def look(keys: Iterable[tuple[str, str]], event_ids: Iterable[str], trace_ids: Iterable[str]) -> Seen:
    """Wait for the tenant's turn, then say what is there. The turn lasts until the transaction ends.

    Everything is sent at once: from the moment the lock is ours other writers wait, so no reply is
    waited for in between. Each statement still has a snapshot of its own, taken after the lock.
    """
    tenant_id = current_tenant_id()
    pairs, ids, wanted = list(keys), list(event_ids), list(trace_ids)
    with connection.wrap_database_errors:
        with one_trip():
            arrays.cursor().execute(_LOCK, (LOCK_CLASS, tenant_id), prepare=True)
            head = arrays.cursor().execute(_HEAD, (tenant_id,), prepare=True)
            if len(pairs) == 1:
                known = arrays.cursor().execute(_KNOWN_ONE, (*pairs[0], tenant_id))
            else:
                producers, used = arrays.texts(p for p, _ in pairs), arrays.texts(k for _, k in pairs)
                known = arrays.cursor().execute(_KNOWN_BY_KEY, (producers, used, tenant_id))
            taken = arrays.cursor().execute(_TAKEN_IDS, (arrays.texts(ids), tenant_id)) if ids else None
            traces = _ask_traces(wanted)
        row = head.fetchone()
        return Seen(
            Head(*row) if row else Head(0, None),
            {(found[0], found[1]): KnownEvent(*found[2:]) for found in known.fetchall()},
            {found[0] for found in taken.fetchall()} if taken else set(),
            _trace_states(traces),
        )


def bodies(log_seqs: Iterable[int]) -> dict[int, Body]:
    """The bodies at these positions, as far as they are not erased."""
    wanted = list(log_seqs)
    if not wanted:
        return {}
    with connection.wrap_database_errors, arrays.cursor() as cursor:
        rows = cursor.execute(_BODIES, (current_tenant_id(), wanted)).fetchall()
    return {row[0]: Body(*row[1:]) for row in rows}


def traces(trace_ids: Iterable[str]) -> dict[str, TraceState]:
    """The state of those traces that exist."""
    with connection.wrap_database_errors:
        return _trace_states(_ask_traces(list(trace_ids)))


def _ask_traces(trace_ids: list[str]) -> psycopg.Cursor[Any]:
    if len(trace_ids) == 1:
        return arrays.cursor().execute(_TRACE_ONE, (trace_ids[0], current_tenant_id()))
    return arrays.cursor().execute(_TRACES, (arrays.texts(trace_ids), current_tenant_id()))


def _trace_states(cursor: psycopg.Cursor[Any]) -> dict[str, TraceState]:
    return {row[0]: TraceState(row[1], row[2]) for row in cursor.fetchall()}


def insert(rows: Sequence[NewEvent], *, recorded_at: datetime, origin: str, principal: str) -> None:
    """Append. The rows carry consecutive positions from the head that `lock` returned."""
    tenant_id = current_tenant_id()
    shared = (tenant_id, recorded_at, origin, principal)
    with connection.wrap_database_errors, arrays.cursor() as cursor:
        if len(rows) == 1:
            (row,) = rows
            envelope, body = row[:_ENVELOPE_COLUMNS], row[_ENVELOPE_COLUMNS:]
            cursor.execute(_INSERT_ONE, (*envelope, *shared, *body, tenant_id, row.log_seq), prepare=True)
        else:
            columns = [encode(column) for encode, column in zip(_ENCODERS, zip(*rows, strict=True), strict=True)]
            cursor.execute(_INSERT, (*columns, *shared, tenant_id), prepare=True)
