"""The inbox in figures, and whether the clock keeps up."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

from approvals.selectors.items.shapes import rfc
from decisiongraph.core import clock
from decisiongraph.core.db import current_tenant_id, tenant_tx
from tenants.models import Tenant

MOST_LATE = 5.0
"""Seconds: one timer may wait for the next tick, none longer."""


def timers_json(due: int, late_seconds: float) -> dict[str, bool | int | float]:
    """The invariant "no due timer is unfired", and by how much it fails."""
    return {"ok": late_seconds <= MOST_LATE, "due_unfired": due, "latest_seconds": round(late_seconds, 3)}


class Summary(NamedTuple):
    """The inbox in figures, and whether the clock keeps up."""

    open: int
    overdue: int
    by_status: dict[str, int]
    oldest_overdue: datetime | None
    timers_due: int
    """Timers of this tenant that are due and not fired."""
    timers_late_seconds: float
    """By how much the worst of them is late, 0 without one."""

    @property
    def timers_ok(self) -> bool:
        """Whether no due timer is unfired: one may wait for the next tick, none longer than five seconds."""
        return self.timers_late_seconds <= MOST_LATE

    def as_json(self) -> dict[str, Any]:
        """As the API and the topic `approvals` answer it."""
        return {
            "open": self.open,
            "overdue": self.overdue,
            "by_status": self.by_status,
            "oldest_overdue": rfc(self.oldest_overdue),
            "timers": timers_json(self.timers_due, self.timers_late_seconds),
        }


_FIGURES = """
SELECT i.status, count(*), count(*) FILTER (WHERE i.sort_at < %s), min(i.sort_at) FILTER (WHERE i.sort_at < %s)
FROM approvals_item i
WHERE i.tenant_id = %s AND i.status IN ('requested', 'in_review', 'changes_requested', 'escalated')
GROUP BY i.status
"""


def summary(tenant: Tenant) -> Summary:
    """What waits, what is late, and whether timers fire."""
    now = clock.now()
    with tenant_tx(tenant), connection.cursor() as cursor:
        cursor.execute(_FIGURES, [now, now, current_tenant_id()])
        rows = cursor.fetchall()
        due, late = _late_timers(now)
    return Summary(
        open=sum(row[1] for row in rows),
        overdue=sum(row[2] for row in rows),
        by_status={row[0]: row[1] for row in rows},
        oldest_overdue=min((row[3] for row in rows if row[3] is not None), default=None),
        timers_due=due,
        timers_late_seconds=late,
    )


def _late_timers(now: datetime) -> tuple[int, float]:
    """Timers of the tenant that are due and not fired, and by how many seconds the worst is late."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), min(due_at) FROM approvals_timer WHERE tenant_id = %s AND state = 'waiting' "
            "AND due_at <= %s",
            [current_tenant_id(), now],
        )
        row = cursor.fetchone()
    return _late(row, now)


def _late(row: tuple[int, datetime | None] | None, now: datetime) -> tuple[int, float]:
    if row is None or row[1] is None:
        return 0, 0.0
    return row[0], (now - row[1]).total_seconds()


def timers_of(tenant: Tenant) -> dict[str, bool | int | float]:
    """Whether no due timer of a tenant is unfired."""
    with tenant_tx(tenant):
        return timers_json(*_late_timers(clock.now()))


def timers_everywhere() -> dict[str, bool | int | float]:
    """Whether no due timer of any tenant is unfired: figures only, nobody's rows."""
    now = clock.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT due, oldest FROM dg_timer_backlog(%s)", [now])
        return timers_json(*_late(cursor.fetchone(), now))
