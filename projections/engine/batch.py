"""One batch of one projection: claim, read, fold, write, advance, in one transaction.

A crash anywhere leaves either the whole batch or nothing of it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db import connection

from decisiongraph.core.db import arrays, current_tenant_id, tenant_tx
from decisiongraph.core.telemetry import log, metrics, span
from projections.domain.digest import Buckets
from projections.domain.rule import Merge
from projections.domain.rules import RULES
from projections.engine.fold import Batch, Folded, Parked, count
from projections.engine.tables import BOUND, BoundRule, Change
from projections.engine.window import Window
from tenants.models import Tenant
from traces.domain.envelope import Said

if TYPE_CHECKING:
    from projections.engine.ahead import Ahead

HELD_BATCH = 500
"""Events folded while a comparison holds the live cursor."""
LIVE_BATCH = 2_000
"""Events of a live batch: a batch of 500 costs a quarter more per event, for the digest's 256 sums
are moved by each (102 against 80 us of processor, four projections of 1 KB events)."""
REBUILD_BATCH = 10_000


def _go_on(_place: str) -> None:
    """Nothing happens here."""


crash_point: Callable[[str], None] = _go_on
"""Called with the name of every place where a worker may die: ``claimed read folded rows buckets
cursor committed``. Tests put a function here that kills the process."""


class Claim(NamedTuple):
    """A held cursor row and what folding needs to know beside it."""

    generation: int
    cursor: int
    epoch: int
    parked: frozenset[str]
    skipped: frozenset[int]
    secret: bytes


class Step(NamedTuple):
    """What one batch did."""

    generation: int
    cursor: int
    events: int
    """0: there was nothing to do."""
    parked: int
    """Traces parked by this batch."""
    keys: dict[str, set[bytes]]
    """Hashes of the keys written, by table, when asked for."""


_CLAIM = """
SELECT c.generation, c.cursor, c.epoch,
    ARRAY(SELECT d.trace_id FROM projections_deadletter d WHERE d.tenant_id = c.tenant_id
          AND d.projection = c.projection AND d.generation = c.generation AND d.state = 'open'),
    ARRAY(SELECT s.log_seq FROM projections_skippedevent s WHERE s.tenant_id = c.tenant_id
          AND s.projection = c.projection),
    (SELECT k.secret FROM projections_digestkey k WHERE k.tenant_id = c.tenant_id)
FROM projections_checkpoint c
WHERE c.tenant_id = %s AND c.projection = %s AND {which}
FOR UPDATE OF c {how}
"""
_CLAIM_LIVE = _CLAIM.format(
    which="c.active AND (c.held_until IS NULL OR c.held_until < clock_timestamp())", how="SKIP LOCKED"
)
_HOLD_LIVE = _CLAIM.format(which="c.active", how="")
_HOLD_GENERATION = _CLAIM.format(which="c.generation = %s", how="")

_ADVANCE = """
UPDATE projections_checkpoint SET cursor = %s, failures = 0, last_error = '',
    rate = CASE WHEN clock_timestamp() - moved_at < interval '5 s' AND rate > 0
        THEN 0.7 * rate + 0.3 * %s / GREATEST(EXTRACT(EPOCH FROM clock_timestamp() - moved_at), 0.001)
        ELSE %s / GREATEST(%s::float8, 0.001) END,
    moved_at = clock_timestamp()
WHERE tenant_id = %s AND projection = %s AND generation = %s
"""
_SUMS = (
    "SELECT bucket, total FROM projections_digestbucket WHERE tenant_id = %s AND projection = %s "
    "AND generation = %s AND bucket = ANY(%s::smallint[])"
)
_SAVE_SUMS = (
    "INSERT INTO projections_digestbucket (tenant_id, projection, generation, bucket, total) "
    "SELECT %s::int, %s::text, %s::int, u.bucket, u.total "
    "FROM unnest(%b::bigint[], %b::bytea[]) AS u(bucket, total) "
    "ON CONFLICT (tenant_id, projection, generation, bucket) DO UPDATE SET total = EXCLUDED.total"
)
_PARK = (
    "INSERT INTO projections_deadletter (tenant_id, projection, generation, trace_id, log_seq, "
    "event_type, error, rule_version, waiting, attempts, state, created_at) "
    "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, 1, 'open', clock_timestamp())"
)
_WAIT = (
    "UPDATE projections_deadletter SET waiting = waiting + %s WHERE tenant_id = %s "
    "AND projection = %s AND generation = %s AND trace_id = %s AND state = 'open'"
)


def prepare(tenant: Tenant) -> None:
    """Make the rows every projection of a tenant starts with, unless they are there."""
    with tenant_tx(tenant), connection.cursor() as cursor:
        number = current_tenant_id()
        cursor.execute(
            "INSERT INTO projections_digestkey (tenant_id, secret) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            [number, secrets.token_bytes(32)],
        )
        for name, rule in RULES.items():
            cursor.execute(
                "INSERT INTO projections_generation (tenant_id, projection, number, state, "
                "rule_version, created_at, promoted_at) SELECT %s, %s, 1, 'active', %s, now(), now() "
                "WHERE NOT EXISTS (SELECT 1 FROM projections_generation "
                "WHERE tenant_id = %s AND projection = %s) ON CONFLICT DO NOTHING",
                [number, name, rule.version, number, name],
            )
            cursor.execute(
                "INSERT INTO projections_checkpoint (tenant_id, projection, generation, active, cursor, "
                "epoch, failures, last_error, moved_at, rate, scrub_bucket) "
                "SELECT %s, %s, 1, true, 0, 0, 0, '', now(), 0, 0 "
                "WHERE NOT EXISTS (SELECT 1 FROM projections_checkpoint "
                "WHERE tenant_id = %s AND projection = %s) ON CONFLICT DO NOTHING",
                [number, name, number, name],
            )


def _claim(statement: str, *arguments: Any) -> Claim | None:
    with arrays.cursor() as cursor:
        row = cursor.execute(statement, (current_tenant_id(), *arguments)).fetchone()
    if row is None:
        return None
    return Claim(row[0], row[1], row[2], frozenset(row[3]), frozenset(row[4]), bytes(row[5]))


def claim_live(projection: str) -> Claim | None:
    """The live cursor, locked; None when somebody else holds it."""
    return _claim(_CLAIM_LIVE, projection)


def ask_to_hold(tenant: Tenant, projection: str, seconds: float) -> None:
    """Keep live catch-up away from its cursor row for a moment, in a transaction of its own.

    A REPEATABLE READ transaction that had to wait for the row could not lock it any more: whoever
    held it has moved it. A holder that dies delays catch-up by ``seconds`` at most.
    """
    with tenant_tx(tenant), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE projections_checkpoint SET held_until = clock_timestamp() + %s * interval '1 s' "
            "WHERE tenant_id = %s AND projection = %s AND active",
            [seconds, current_tenant_id(), projection],
        )


def let_go(tenant: Tenant, projection: str) -> None:
    """Catch-up may go on."""
    with tenant_tx(tenant), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE projections_checkpoint SET held_until = NULL "
            "WHERE tenant_id = %s AND projection = %s AND held_until IS NOT NULL",
            [current_tenant_id(), projection],
        )


def hold_live(projection: str) -> Claim | None:
    """The live cursor, locked, waiting for whoever holds it. None: the projection has none."""
    return _claim(_HOLD_LIVE, projection)


def hold_generation(projection: str, generation: int) -> Claim | None:
    """The cursor of one generation, locked. None: it is gone."""
    return _claim(_HOLD_GENERATION, projection, generation)


class Ready(NamedTuple):
    """A batch that can be written."""

    events: Sequence[Said]
    folded: Folded
    columns: Mapping[str, Sequence[arrays.Array]] = MappingProxyType({})
    """`Folded.changes` as they are sent, of the tables where that was made already."""


def fold_batch(bound: BoundRule, claim: Claim, window: Window, events: Sequence[Said]) -> Folded:
    """What these events make under this claim. Reads, writes nothing."""
    batch = Batch(
        bound,
        claim.generation,
        secret=claim.secret,
        history=window.history,
        parked=claim.parked,
        skipped=claim.skipped,
    )
    return batch.fold(events)


def step(
    window: Window,
    bound: BoundRule,
    *,
    limit: int,
    until: int | None = None,
    generation: int | None = None,
    guard: Callable[[int], None] | None = None,
    collect: bool = False,
    ahead: Ahead | None = None,
) -> Step | None:
    """Fold the next batch. None when the cursor is held by somebody else, or is gone.

    Args:
        generation: of a rebuild; None for the live one.
        guard: called inside the transaction with the new cursor; raises to undo the batch.
        collect: report which keys were written.
        ahead: makes the next batch while this one is written.

    It does not wait for the disk, which is left to the appends: a crash loses the last batches whole,
    cursor and all, and they are folded again. A cut-over waits, and with it everything before.
    """
    started = time.perf_counter()
    kind = "live" if generation is None else "rebuild"
    seen = span("projection.batch", tenant=window.tenant.slug, projection=bound.name, kind=kind)
    with seen, connection.wrap_database_errors, tenant_tx(window.tenant, lazily=True):
        if generation is None:
            claim = claim_live(bound.name)
        else:
            claim = hold_generation(bound.name, generation)
        if claim is None:
            return None
        crash_point("claimed")
        made = None if ahead is None else ahead.take(claim, until)
        events = window.read(claim.cursor, limit, until) if made is None else made.events
        crash_point("read")
        if not events:
            if guard is not None:
                guard(claim.cursor)
            return Step(claim.generation, claim.cursor, 0, 0, {})
        ready = made or Ready(events, fold_batch(bound, claim, window, events))
        folded = ready.folded
        crash_point("folded")
        cursor = events[-1].log_seq
        if ahead is not None and len(events) == limit:
            aside = claim.parked | {item.event.trace_id for item in folded.parked}
            ahead.begin(claim._replace(cursor=cursor, parked=aside), limit, until)
        save(bound, claim.generation, folded, columns=ready.columns)
        park(bound, claim.generation, folded.parked, folded.waiting)
        advance(bound.name, claim.generation, cursor, len(events), time.perf_counter() - started)
        if guard is not None:
            guard(cursor)
        crash_point("cursor")
    crash_point("committed")
    seconds = time.perf_counter() - started
    metrics.slice_seconds.labels(bound.name, kind).observe(seconds)
    metrics.slice_events.labels(bound.name, kind).inc(len(events))
    for parked in folded.parked:
        metrics.dead_letters.labels(bound.name).inc()
        log.warning(
            "trace.parked",
            projection=bound.name,
            generation=claim.generation,
            trace_id=parked.event.trace_id,
            log_seq=parked.event.log_seq,
            error=parked.error,
        )
    log.info(
        "batch.folded",
        projection=bound.name,
        generation=claim.generation,
        kind=kind,
        events=len(events),
        cursor=cursor,
        seconds=round(seconds, 4),
    )
    keys = {}
    if collect:
        keys = {name: {change.key_sha for change in changes} for name, changes in folded.changes.items()}
    return Step(claim.generation, cursor, len(events), len(folded.parked), keys)


def save(
    bound: BoundRule,
    generation: int,
    folded: Folded,
    *,
    late: bool = False,
    columns: Mapping[str, Sequence[arrays.Array]] = MappingProxyType({}),
) -> None:
    """Write the rows of a batch and move the live digest with them.

    ``columns``: of `Ready`.
    ``late``: the events come before some that were folded already (a retried dead letter), so a
    row whose lowest event decides may have to give way.
    """
    new: dict[str, set[bytes] | None] = {}
    late_delta = Buckets()
    late_touched: set[int] = set()
    for name, changes in folded.changes.items():
        table = bound.tables[name]
        if late and changes and table.table.merge is Merge.FIRST:
            earlier = _give_way(bound, name, generation, changes, late_delta)
            late_touched |= {change.key_sha[0] for change in earlier}
        new[name] = table.write(generation, changes, columns.get(name))
    crash_point("rows")
    delta, touched = count(bound, folded, new)
    move_buckets(bound.name, generation, delta.combine(late_delta), touched | late_touched)
    crash_point("buckets")


def _give_way(bound: BoundRule, name: str, generation: int, changes: Sequence[Change], delta: Buckets) -> list[Change]:
    """Overwrite the rows that a later event made although one of these events comes before it."""
    table = bound.tables[name]
    stored = table.load(generation, [change.key for change in changes])
    earlier = [c for c in changes if c.key in stored and c.log_seq < stored[c.key].log_seq]
    table.overwrite(generation, earlier)
    for change in earlier:
        delta.remove(change.key_sha, stored[change.key].row_hash)
        delta.add(change.key_sha, change.row_hash)
    return earlier


def move_buckets(projection: str, generation: int, delta: Buckets, touched: Iterable[int]) -> None:
    """Add to the sums of these buckets."""
    wanted = sorted(touched)
    if not wanted:
        return
    tenant_id = current_tenant_id()
    sums = Buckets()
    with arrays.cursor() as cursor:
        cursor.execute(_SUMS, (tenant_id, projection, generation, wanted))
        for bucket, total in cursor:
            sums.sums[bucket] = int.from_bytes(total, "big")
        moved = sums.combine(delta)
        cursor.execute(
            _SAVE_SUMS,
            (
                tenant_id,
                projection,
                generation,
                arrays.bigints(wanted),
                arrays.byteas(moved.sums[bucket].to_bytes(32, "big") for bucket in wanted),
            ),
        )


def advance(projection: str, generation: int, position: int, events: int, seconds: float) -> None:
    """Move the cursor; whatever failed before is over."""
    with connection.cursor() as cursor:
        cursor.execute(
            _ADVANCE,
            [position, float(events), float(events), seconds, current_tenant_id(), projection, generation],
        )


def park(bound: BoundRule, generation: int, parked: Sequence[Parked], waiting: dict[str, int]) -> None:
    """Set traces aside, and count what waits behind those set aside before."""
    if not parked and not waiting:
        return
    tenant_id = current_tenant_id()
    with connection.cursor() as cursor:
        for item in parked:
            event = item.event
            cursor.execute(
                _PARK,
                [
                    tenant_id,
                    bound.name,
                    generation,
                    event.trace_id,
                    event.log_seq,
                    event.event_type,
                    item.error.replace("\x00", ""),
                    bound.rule.version,
                    item.waiting,
                ],
            )
        for trace_id, number in waiting.items():
            cursor.execute(_WAIT, [number, tenant_id, bound.name, generation, trace_id])


def bound_rules(projection: str | None) -> list[BoundRule]:
    """One projection, or all of them."""
    return list(BOUND.values()) if projection is None else [BOUND[projection]]
