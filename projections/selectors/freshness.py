"""Reading a projection: cursor, head and rows from one snapshot, and waiting for one's own write."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from django.conf import settings
from django.db import connection

from decisiongraph.core.db import UnscopedQuery, current_tenant_id, tenant_tx
from decisiongraph.core.errors import Problem
from projections.models import Checkpoint, DeadLetter
from tenants.models import Tenant
from traces import selectors as log

FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.1
"""Seconds between two looks at the cursor while waiting."""
RETRY_AFTER = {"Retry-After": "1"}

_waiters = threading.BoundedSemaphore(max(1, settings.DB_POOL_SIZE // 4))
"""Waits hold at most a quarter of a process's threads; the others keep answering."""

_SNAPSHOT = """
SELECT c.generation, c.cursor,
    COALESCE((SELECT e.log_seq FROM traces_event e WHERE e.tenant_id = c.tenant_id
              ORDER BY e.log_seq DESC LIMIT 1), 0),
    ARRAY(SELECT d.trace_id FROM projections_deadletter d WHERE d.tenant_id = c.tenant_id
          AND d.projection = c.projection AND d.generation = c.generation AND d.state = 'open'
          ORDER BY d.log_seq),
    COALESCE((SELECT min(d.log_seq) FROM projections_deadletter d WHERE d.tenant_id = c.tenant_id
              AND d.projection = c.projection AND d.generation = c.generation AND d.state = 'open'), 0)
FROM projections_checkpoint c
WHERE c.tenant_id = %s AND c.projection = %s AND c.active
"""


class Reading(NamedTuple):
    """What a reader of one projection stands on. Valid inside the transaction that made it."""

    projection: str
    generation: int
    cursor: int
    head: int
    parked: tuple[str, ...]
    """Traces set aside by dead letters, in log order."""
    parked_from: int
    """``log_seq`` of the first event that waits, 0 without one."""

    @property
    def lag(self) -> int:
        """Events not applied yet."""
        return max(0, self.head - self.cursor)

    def covers_parked(self, trace_id: str | None = None) -> bool:
        """Whether a read of this trace (None: of any trace) covers a parked one."""
        return bool(self.parked) if trace_id is None else trace_id in self.parked

    def headers(self, trace_id: str | None = None) -> dict[str, str]:
        """The freshness headers of an answer; of one trace, or of many."""
        found = {
            "X-Log-Head": str(self.head),
            "X-Projection-Cursor": str(self.cursor),
            "X-Projection-Lag": str(self.lag),
        }
        if self.covers_parked(trace_id):
            found["X-Projection-Parked"] = str(1 if trace_id is not None else len(self.parked))
        return found


@contextmanager
def snapshot(tenant: Tenant) -> Iterator[None]:
    """A transaction in which every statement sees the same state.

    Inside a transaction of the caller it is the caller's that decides.
    """
    try:
        current_tenant_id()
    except UnscopedQuery:
        with tenant_tx(tenant, isolation="REPEATABLE READ"):
            yield
    else:
        with tenant_tx(tenant):
            yield


def _look(tenant: Tenant, projection: str) -> Reading:
    with connection.cursor() as cursor:
        cursor.execute(_SNAPSHOT, [current_tenant_id(), projection])
        row = cursor.fetchone()
    if row is None:
        return Reading(projection, 0, 0, 0, (), 0)
    return Reading(projection, row[0], row[1], row[2], tuple(row[3]), row[4])


@contextmanager
def reading(
    tenant: Tenant,
    projection: str,
    *,
    min_log_seq: int | None = None,
    wait_ms: int = 0,
    trace_id: str | None = None,
) -> Iterator[Reading]:
    """One snapshot of a projection: rows read inside belong to the ``cursor`` of the reading.

    Waits up to ``wait_ms`` for the cursor to reach ``min_log_seq``. Raises 409
    ``projection.behind`` when it does not, 409 ``projection.parked`` when it did but an event up to
    there was set aside (of this trace, when one is named).
    """
    if min_log_seq is not None:
        wait_for(tenant, projection, min_log_seq, wait_ms)
    with snapshot(tenant):
        seen = _look(tenant, projection)
        if seen.generation == 0:  # nothing was folded yet
            seen = seen._replace(head=log.head(tenant))
        if min_log_seq is not None and (
            seen.covers_parked(trace_id)
            and seen.parked_from <= min_log_seq
            and (trace_id is None or _parked_at(seen, trace_id) <= min_log_seq)
        ):
            raise Problem(
                "projection.parked",
                409,
                f"{projection} set aside event {seen.parked_from} of trace {seen.parked[0]!r}, so it "
                "cannot promise this read. Retry or skip the dead letter; the log itself is readable.",
                headers=seen.headers(trace_id),
            )
        yield seen


def _parked_at(seen: Reading, trace_id: str) -> int:
    found = (
        DeadLetter.objects.filter(
            projection=seen.projection,
            generation=seen.generation,
            trace_id=trace_id,
            state=DeadLetter.OPEN,
        )
        .values_list("log_seq", flat=True)
        .first()
    )
    return found if found is not None else 2**63 - 1


def wait_for(tenant: Tenant, projection: str, position: int, wait_ms: int) -> None:
    """Wait until a live cursor reaches a position of the log; 409 when it does not."""
    if _cursor(tenant, projection) >= position:
        return
    waited = False
    if wait_ms > 0 and _waiters.acquire(blocking=False):
        waited = True
        try:
            if _poll(tenant, projection, position, time.monotonic() + wait_ms / 1000):
                return
        finally:
            _waiters.release()
    cursor = _cursor(tenant, projection)
    if cursor >= position:
        return
    words = "after waiting" if waited else "and this read did not wait"
    raise Problem(
        "projection.behind",
        409,
        f"{projection} stands at event {cursor}, event {position} is not applied yet, {words}. "
        "Send the request again, or ask with `wait_ms` (at most 5000).",
        headers={**RETRY_AFTER, "X-Projection-Cursor": str(cursor)},
        extra={"cursor": cursor, "min_log_seq": position},
    )


def _cursor(tenant: Tenant, projection: str) -> int:
    with tenant_tx(tenant):
        found = Checkpoint.objects.filter(projection=projection, active=True).values_list("cursor", flat=True).first()
    return found or 0


def _poll(tenant: Tenant, projection: str, position: int, deadline: float) -> bool:
    pause = FIRST_PAUSE
    while (left := deadline - time.monotonic()) > 0:
        time.sleep(min(pause, left))
        if _cursor(tenant, projection) >= position:
            return True
        pause = min(pause * 1.5, LONGEST_PAUSE)
    return False
