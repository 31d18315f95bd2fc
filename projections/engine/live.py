"""Following the log: catch up until the lag is 0 or the slice is over."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from django.db import DatabaseError, connection

from decisiongraph.core import bus
from decisiongraph.core.db import current_tenant_id, tenant_tx
from decisiongraph.core.telemetry import bind, log, metrics
from projections.domain.rules import RULES
from projections.engine.batch import (
    LIVE_BATCH,
    bound_rules,
    prepare,
    step,
)
from projections.engine.window import Window
from tenants.models import Tenant

SLICE_SECONDS = 2.0
"""A worker gives one tenant this long before it looks at the next one."""
BURST, FAR = 500, 6 * LIVE_BATCH
"""Events that wait: from the first on somebody writes in batches, from the second on there is no rest."""
NEWS_INTERVAL = 0.25
"""Seconds between two ``projection.cursor_advanced`` of one slice."""

_POSITIONS = """
SELECT c.projection, c.cursor, h.log_seq, EXTRACT(EPOCH FROM clock_timestamp() - c.moved_at)::float8
FROM projections_checkpoint c
CROSS JOIN (SELECT COALESCE((SELECT log_seq FROM traces_event WHERE tenant_id = %s
            ORDER BY log_seq DESC LIMIT 1), 0) AS log_seq) h
WHERE c.tenant_id = %s AND c.active
"""

_MOVES = """
SELECT clock_timestamp() - moved_at < interval '1 s' FROM projections_checkpoint
WHERE tenant_id = %s AND projection = %s AND active
"""


class CaughtUp(NamedTuple):
    """What a slice did."""

    events: int
    """Events folded, summed over projections."""
    more: bool
    """Whether lag was left, or may have been, when the slice was over."""
    failed: bool
    """Whether a batch failed; it is tried again by the next slice."""


class Rest(NamedTuple):
    """Seconds between two passes over one tenant's log.

    Every pass costs the same again, and appends one by one would call for one each. While a client
    writes at full speed, whoever folds beside it takes half of the machine from it: then passes are
    fewer and larger, and the rest of the work is done when the burst is over (measured: docs/benchmarks.md).
    """

    one_by_one: float
    """While less than `BURST` events wait."""
    burst: float
    """While more wait, up to `FAR`; whoever is farther behind does not rest."""

    def after(self, waiting: int) -> float:
        """How long the next pass is left for later when so many events wait."""
        if waiting >= FAR:
            return 0.0
        return self.burst if waiting >= BURST else self.one_by_one


@contextmanager
def paused_collector() -> Iterator[None]:
    """No garbage collection while batches are folded.

    A batch makes a hundred thousand objects that die by reference count; walking through them for
    cycles that are not there took a third of a rebuild.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class _Positions(NamedTuple):
    head: int
    cursors: dict[str, int]
    rested: float
    """Seconds since the last of the cursors moved."""


def positions(tenant: Tenant) -> tuple[int, dict[str, int]]:
    """Head of the log and live cursors, in one snapshot. Prepares a tenant that is new."""
    return _positions(tenant)[:2]


def _positions(tenant: Tenant) -> _Positions:
    for attempt in (1, 2):
        with tenant_tx(tenant), connection.cursor() as cursor:
            number = current_tenant_id()
            cursor.execute(_POSITIONS, [number, number])
            rows = cursor.fetchall()
        if len(rows) >= len(RULES) or attempt == 2:
            break
        prepare(tenant)
    return _Positions(
        max((row[2] for row in rows), default=0),
        {row[0]: row[1] for row in rows if row[0] in RULES},
        min((row[3] for row in rows), default=0.0),
    )


def catch_up(
    tenant: Tenant,
    projection: str | None = None,
    *,
    budget: float = SLICE_SECONDS,
    batch: int | None = None,
    until: int | None = None,
    rest: Rest | None = None,
) -> CaughtUp:
    """Fold what the log holds beyond the live cursors.

    Whoever finds a cursor held by somebody who gets on leaves the rest to them, who have read the same
    events already, and says that there is more, so that somebody looks again. Far behind, two are
    faster than one, and a holder may be dead: then the next projection is taken. ``batch`` fixes the
    batch size (tests).

    ``rest``: how long after the last pass what came since is left for later.
    """
    deadline = time.monotonic() + budget
    chosen = bound_rules(projection)
    done, failed, news_at = 0, False, 0.0
    failures: set[str] = set()
    with bind(tenant=tenant.slug), paused_collector():
        window = Window(tenant)
        while True:
            head, cursors, rested = _positions(tenant)
            waiting = head - min(cursors.values(), default=head)
            if rest is not None and not done and 0 <= rested < rest.after(waiting):
                more = waiting > 0
                break
            if until is not None:
                head = min(head, until)
            behind = [bound for bound in chosen if bound.name not in failures and cursors.get(bound.name, head) < head]
            moved, near, held = 0, True, False
            for bound in sorted(behind, key=lambda bound: cursors[bound.name]):
                lag = head - cursors[bound.name]
                limit = batch or LIVE_BATCH
                near = near and lag <= limit
                try:
                    result = step(window, bound, limit=limit, until=until)
                except DatabaseError as error:
                    failed = True
                    failures.add(bound.name)
                    record_failure(tenant, bound.name, error)
                    continue
                if result is not None:
                    moved += result.events
                elif near and _moves(tenant, bound.name):
                    held = True
                    break
            done += moved
            now = time.monotonic()
            if moved and now - news_at >= NEWS_INTERVAL:
                news_at = now
                bus.publish(tenant, "projection_health", "projection.cursor_advanced")
            if not moved or near:
                # What came meanwhile has asked for a pass of its own. To look again at once would
                # make a batch of every two events, and leave the appends half of the machine.
                more = held
                break
            if now >= deadline:
                more = True
                break
        if done:
            bus.publish(tenant, "projection_health", "projection.cursor_advanced")
        del window  # before the collector wakes: it would walk through thousands of events
    return CaughtUp(done, more, failed)


def _moves(tenant: Tenant, projection: str) -> bool:
    """Whether the live cursor moved within the last second."""
    with tenant_tx(tenant), connection.cursor() as cursor:
        cursor.execute(_MOVES, [current_tenant_id(), projection])
        row = cursor.fetchone()
    return row is not None and bool(row[0])


def record_failure(tenant: Tenant, projection: str, error: BaseException) -> None:
    """Count a failed batch of the live generation. The batch itself is undone already."""
    words = f"{type(error).__name__}: {error}".replace("\x00", "")[:2000]
    metrics.slice_failures.labels(projection).inc()
    log.error("batch.failed", projection=projection, error=words)
    try:
        with tenant_tx(tenant), connection.cursor() as cursor:
            cursor.execute(
                "UPDATE projections_checkpoint SET failures = failures + 1, last_error = %s, "
                "last_error_at = clock_timestamp() WHERE tenant_id = %s AND projection = %s AND active",
                [words, current_tenant_id(), projection],
            )
        bus.publish(tenant, "projection_health", "projection.cursor_advanced")
    except DatabaseError as second:  # the database is away: nothing can be written down either
        log.error("failure.unrecorded", projection=projection, error=str(second))
