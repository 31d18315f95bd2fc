"""Events of the log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from django.db import connection

from decisiongraph.core.db import current_tenant_id, tenant_tx
from decisiongraph.core.errors import not_found
from tenants.models import Tenant
from traces import store
from traces.domain.envelope import Entry, StoredEvent
from traces.selectors import rows

LAST = 2**31 - 1
"""No event of a trace comes after this ``trace_seq``."""

# OFFSET keeps each trace a look-up of its own, answered from the index of traces.
_HISTORY = f"""
SELECT {rows.COLUMNS} FROM unnest(%s::text[]) AS t(trace_id) CROSS JOIN LATERAL (
    SELECT * FROM traces_event e
    WHERE e.tenant_id = %s AND e.trace_id = t.trace_id AND e.event_type = ANY(%s) AND e.trace_seq < %s OFFSET 0
) AS e {rows.BODY} ORDER BY e.log_seq
"""

_TYPES = f"""
SELECT {rows.COLUMNS} FROM (
    SELECT x.* FROM unnest(%s::text[]) AS t(event_type) CROSS JOIN LATERAL (
        SELECT * FROM traces_event i WHERE i.tenant_id = %s AND i.event_type = t.event_type
            AND i.log_seq > %s AND i.log_seq <= %s ORDER BY i.log_seq LIMIT %s
    ) AS x ORDER BY x.log_seq LIMIT %s
) AS e {rows.BODY} ORDER BY e.log_seq
"""


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
    if event_type is None and trace_id is None:
        # No holes: the next ``limit`` events end at a position that is known beforehand.
        end = after + limit if until is None else min(until, after + limit)
        with tenant_tx(tenant):
            return rows.piece(tenant, after, end)
    sql = rows.FROM + " AND e.log_seq > %s"
    arguments: list[Any] = [tenant.pk, after]
    if until is not None:
        sql, arguments = sql + " AND e.log_seq <= %s", [*arguments, until]
    if event_type is not None:
        sql, arguments = sql + " AND e.event_type = %s", [*arguments, event_type]
    # Inside a trace both orders are one; asked for this one the trace's own index answers, whatever
    # the planner thinks of how many events a trace has.
    order = "e.log_seq"
    if trace_id is not None:
        sql, arguments, order = sql + " AND e.trace_id = %s", [*arguments, trace_id], "e.trace_seq"
    with tenant_tx(tenant):
        return rows.events(f"{sql} ORDER BY {order} LIMIT %s", [*arguments, limit])


def read_said(tenant: Tenant, *, after: int, limit: int, until: int | None = None) -> list[Entry]:
    """`read_log` for whoever folds it: what the events say, and nothing else of them."""
    # No holes: see `read_log`.
    end = after + limit if until is None else min(until, after + limit)
    with tenant_tx(tenant):
        return rows.entries(tenant, after, end)


def read_envelopes(tenant: Tenant, *, after: int, until: int) -> list[StoredEvent]:
    """The events with ``after < log_seq <= until`` without their payloads: readable even where one is damaged."""
    with tenant_tx(tenant):
        return rows.piece(tenant, after, until, loads=lambda _: None)


def read_types(tenant: Tenant, event_types: Iterable[str], *, after: int, until: int, limit: int) -> list[StoredEvent]:
    """Up to ``limit`` events of these types with ``after < log_seq <= until``, in log order.

    Each type is a walk of its own along the index of types: what a follower does not care for costs it
    nothing, however much of it there is.
    """
    with tenant_tx(tenant):
        return rows.events(_TYPES, [list(event_types), tenant.pk, after, until, limit, limit])


def read_trace(
    tenant: Tenant, trace_id: str, *, after_seq: int = -1, limit: int = 500, until: int = LAST
) -> list[StoredEvent]:
    """A trace's events with ``after_seq < trace_seq <= until`` in trace order; empty when there is none."""
    with tenant_tx(tenant):
        return rows.events(
            rows.FROM + " AND e.trace_id = %s AND e.trace_seq > %s AND e.trace_seq <= %s ORDER BY e.trace_seq LIMIT %s",
            [tenant.pk, trace_id, after_seq, until, limit],
        )


def trace_history(
    tenant: Tenant, trace_ids: Iterable[str], event_types: Iterable[str], *, below: int = LAST
) -> dict[str, list[StoredEvent]]:
    """The events of these types of each of these traces, in trace order; with ``trace_seq < below`` only."""
    found: dict[str, list[StoredEvent]] = {trace_id: [] for trace_id in trace_ids}
    with tenant_tx(tenant):
        events = rows.events(
            _HISTORY,
            [list(found), tenant.pk, list(event_types), below],
        )
    for event in events:
        found[event.trace_id].append(event)
    return found


def event_at(tenant: Tenant, log_seq: int) -> StoredEvent:
    """The event at a position of the log. 404 when there is none."""
    with tenant_tx(tenant):
        found = rows.events(rows.FROM + " AND e.log_seq = %s", [tenant.pk, log_seq])
    if not found:
        raise not_found("event", str(log_seq))
    return found[0]


def events_at(tenant: Tenant, log_seqs: Sequence[int]) -> dict[int, StoredEvent]:
    """The events at these positions that exist."""
    with tenant_tx(tenant):
        found = rows.events(rows.FROM + " AND e.log_seq = ANY(%s)", [tenant.pk, list(log_seqs)])
    return {event.log_seq: event for event in found}


def event_by_id(tenant: Tenant, event_id: str) -> StoredEvent | None:
    """The event with this id, if the tenant has one."""
    with tenant_tx(tenant):
        found = rows.events(rows.FROM + " AND e.event_id = %s", [tenant.pk, event_id])
    return found[0] if found else None


def trace_states(tenant: Tenant, trace_ids: Sequence[str]) -> dict[str, tuple[int, bool]]:
    """(last ``trace_seq``, finished) of those traces that exist."""
    with tenant_tx(tenant):
        return {trace_id: (state.last_seq, state.finished) for trace_id, state in store.traces(trace_ids).items()}


# --- what the console shows of one trace and of the stream -------------------------------------------

STREAM_REACH = 20_000
"""How far back a filtered look at the end of the log goes: a rare type must not read all of it."""


COMPARED = 2_000
"""Events of a trace that a comparison reads."""


class Extent(NamedTuple):
    """How large a trace is and where it begins and ends."""

    first: StoredEvent
    last: StoredEvent
    counts: dict[str, int]
    """Events by type."""

    @property
    def size(self) -> int:
        """Number of events."""
        return sum(self.counts.values())


class Proof(NamedTuple):
    """What an event's hashes are checked against."""

    commitment: bytes
    salt: bytes | None
    """None once the body was erased."""
    canonical: bytes | None
    """The stored payload, the very bytes that were hashed."""


def trace_extent(tenant: Tenant, trace_id: str, *, until: int = LAST) -> Extent:
    """Size and ends of a trace, as it was after event ``until``. 404 when there is none."""
    with tenant_tx(tenant):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT event_type, count(*) FROM traces_event WHERE tenant_id = %s AND trace_id = %s "
                "AND trace_seq <= %s GROUP BY event_type",
                [current_tenant_id(), trace_id, until],
            )
            counts = {str(row[0]): int(row[1]) for row in cursor.fetchall()}
        if not counts:
            raise not_found("trace", trace_id)
        last = sum(counts.values()) - 1
        ends = rows.events(
            rows.FROM + " AND e.trace_id = %s AND e.trace_seq = ANY(%s) ORDER BY e.trace_seq",
            [tenant.pk, trace_id, [0, last]],
        )
    return Extent(ends[0], ends[-1], counts)


def last_seq(tenant: Tenant, trace_id: str) -> int:
    """``trace_seq`` of the last event of a trace. 404 when there is none."""
    found = trace_states(tenant, [trace_id]).get(trace_id)
    if found is None:
        raise not_found("trace", trace_id)
    return found[0]


def trace_milestones(
    tenant: Tenant, trace_id: str, event_types: Iterable[str], *, limit: int, until: int = LAST
) -> list[StoredEvent]:
    """The last ``limit`` events of these types in a trace up to event ``until``, in trace order."""
    with tenant_tx(tenant):
        found = rows.events(
            rows.FROM + " AND e.trace_id = %s AND e.event_type = ANY(%s) AND e.trace_seq <= %s "
            "ORDER BY e.trace_seq DESC LIMIT %s",
            [tenant.pk, trace_id, list(event_types), until, limit],
        )
    return found[::-1]


def trace_event(tenant: Tenant, trace_id: str, trace_seq: int) -> StoredEvent:
    """One event of a trace. 404 when there is none."""
    with tenant_tx(tenant):
        found = rows.events(rows.FROM + " AND e.trace_id = %s AND e.trace_seq = %s", [tenant.pk, trace_id, trace_seq])
    if not found:
        raise not_found("event", f"{trace_id} {trace_seq}")
    return found[0]


def trace_actions(tenant: Tenant, trace_id: str, action_id: str, *, until: int = LAST) -> list[StoredEvent]:
    """The proposals and commits of one action up to event ``until``, in trace order. 404 when the trace has none."""
    with tenant_tx(tenant):
        found = rows.events(
            rows.FROM + " AND e.trace_id = %s AND e.event_type IN ('ActionProposed', 'ActionCommitted') "
            "AND e.trace_seq <= %s AND b.payload::jsonb ->> 'action_id' = %s ORDER BY e.trace_seq",
            [tenant.pk, trace_id, until, action_id],
        )
        if not found:
            trace_extent(tenant, trace_id)
            raise not_found("action", f"{trace_id} {action_id}")
    return found


def whole_trace(tenant: Tenant, trace_id: str) -> list[StoredEvent]:
    """The events of a trace, at most `COMPARED`, in trace order. 404 when there is none."""
    found = read_trace(tenant, trace_id, limit=COMPARED)
    if not found:
        raise not_found("trace", trace_id)
    return found


def effects(tenant: Tenant, event: StoredEvent, *, limit: int = 4, until: int = LAST) -> list[StoredEvent]:
    """Later events of the same trace, up to event ``until``, that name this one as their cause."""
    with tenant_tx(tenant):
        return rows.events(
            rows.FROM + " AND e.trace_id = %s AND e.trace_seq > %s AND e.trace_seq <= %s AND e.causation_event_id = %s "
            "ORDER BY e.trace_seq LIMIT %s",
            [tenant.pk, event.trace_id, event.trace_seq, until, event.event_id, limit],
        )


def alike_before(tenant: Tenant, event: StoredEvent) -> StoredEvent | None:
    """The event of the same type that came before this one in its trace."""
    with tenant_tx(tenant):
        found = rows.events(
            rows.FROM
            + " AND e.trace_id = %s AND e.trace_seq < %s AND e.event_type = %s ORDER BY e.trace_seq DESC LIMIT 1",
            [tenant.pk, event.trace_id, event.trace_seq, event.event_type],
        )
    return found[0] if found else None


def correlated(tenant: Tenant, event: StoredEvent, *, limit: int = 5) -> list[StoredEvent]:
    """Events of other traces with the same ``correlation_id``, among the `STREAM_REACH` positions around this one."""
    if event.correlation_id is None:
        return []
    near = STREAM_REACH // 2
    with tenant_tx(tenant):
        return rows.events(
            rows.FROM + " AND e.log_seq > %s AND e.log_seq <= %s AND e.correlation_id = %s AND e.trace_id <> %s "
            "ORDER BY e.log_seq LIMIT %s",
            [tenant.pk, event.log_seq - near, event.log_seq + near, event.correlation_id, event.trace_id, limit],
        )


def proof(tenant: Tenant, log_seq: int) -> Proof:
    """What the hashes of an event are made of. 404 when there is no such event."""
    with tenant_tx(tenant), connection.cursor() as cursor:
        cursor.execute(
            "SELECT e.commitment, b.salt, b.payload FROM traces_event e LEFT JOIN traces_event_body b "
            "ON b.tenant_id = e.tenant_id AND b.log_seq = e.log_seq WHERE e.tenant_id = %s AND e.log_seq = %s",
            [current_tenant_id(), log_seq],
        )
        row = cursor.fetchone()
    if row is None:
        raise not_found("event", str(log_seq))
    salt = None if row[1] is None else bytes(row[1])
    return Proof(bytes(row[0]), salt, None if row[2] is None else row[2].encode())


def latest_events(
    tenant: Tenant,
    *,
    limit: int,
    before: int | None = None,
    event_type: str | None = None,
    producer_id: str | None = None,
    trace_id: str | None = None,
) -> list[StoredEvent]:
    """The newest events (of those with ``log_seq < before``), newest first.

    With a filter at most `STREAM_REACH` positions of the log are looked at, all of a trace's.
    """
    with tenant_tx(tenant):
        end = before if before is not None else head(tenant) + 1
        sql = rows.FROM + " AND e.log_seq < %s"
        arguments: list[Any] = [tenant.pk, end]
        if trace_id is not None:
            sql, arguments = sql + " AND e.trace_id = %s", [*arguments, trace_id]
        elif event_type is not None or producer_id is not None:
            sql, arguments = sql + " AND e.log_seq >= %s", [*arguments, end - STREAM_REACH]
        if event_type is not None:
            sql, arguments = sql + " AND e.event_type = %s", [*arguments, event_type]
        if producer_id is not None:
            sql, arguments = sql + " AND e.producer_id = %s", [*arguments, producer_id]
        return rows.events(sql + " ORDER BY e.log_seq DESC LIMIT %s", [*arguments, limit])


def trace_ids_from(tenant: Tenant, prefix: str, *, limit: int) -> list[str]:
    """Trace ids that begin with a text, in order."""
    if not prefix:
        return []
    # the next code point after the last one; surrogates are none
    following = {0xD7FF: 0xE000, 0x10FFFF: 0x10FFFF}.get(ord(prefix[-1]), ord(prefix[-1]) + 1)
    beyond = prefix[:-1] + chr(following)
    with tenant_tx(tenant), connection.cursor() as cursor:
        cursor.execute(
            "SELECT trace_id FROM traces_event WHERE tenant_id = %s AND trace_seq = 0 "
            'AND trace_id COLLATE "C" >= %s AND trace_id COLLATE "C" < %s '
            'ORDER BY trace_id COLLATE "C" LIMIT %s',
            [current_tenant_id(), prefix, beyond, limit],
        )
        return [str(row[0]) for row in cursor.fetchall()]


def proofs(tenant: Tenant, log_seqs: Sequence[int]) -> dict[int, Proof]:
    """What the hashes of several events are made of, by position."""
    with tenant_tx(tenant), connection.cursor() as cursor:
        cursor.execute(
            "SELECT e.log_seq, e.commitment, b.salt, b.payload FROM unnest(%s::bigint[]) AS s(log_seq) "
            "JOIN traces_event e ON e.tenant_id = %s AND e.log_seq = s.log_seq "
            "LEFT JOIN traces_event_body b ON b.tenant_id = e.tenant_id AND b.log_seq = e.log_seq",
            [list(log_seqs), current_tenant_id()],
        )
        found = cursor.fetchall()
    return {
        row[0]: Proof(
            bytes(row[1]), None if row[2] is None else bytes(row[2]), None if row[3] is None else row[3].encode()
        )
        for row in found
    }
