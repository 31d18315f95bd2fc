"""What the Overview reads beyond the projections' health: arrivals, producers, processes, findings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection

from decisiongraph.core import clock
from decisiongraph.core.db import current_tenant_id, tenant_tx
from projections.domain.agenda import Mismatch, Sender, rhythm
from projections.models import Finding, WorkerHeartbeat
from projections.selectors.health import SILENT_AFTER, ProjectionHealth
from tenants.models import Tenant
from traces.models import Producer, RefusalCount

WATCHED = 15
"""Minutes in which refusals count as a burst."""
SPARK = 20
"""Minutes of a producer's small chart."""
PRODUCERS = 200
FORGOTTEN_AFTER = timedelta(minutes=10)
"""A process that ended longer ago is not shown any more."""

_FLOW = """
SELECT date_bin(%(step)s::interval, minute, %(start)s::timestamptz), sum(events), sum(refused)
FROM traces_producerminute
WHERE tenant_id = %(tenant)s AND minute >= %(start)s AND minute <= %(end)s
GROUP BY 1
"""
_LATELY = """
SELECT producer_id, minute, events, refused FROM traces_producerminute
WHERE tenant_id = %s AND minute > %s AND minute <= %s
"""
_HABITS = """
SELECT producer_id, array_agg(DISTINCT floor(extract(epoch FROM %s - minute) / 60)::int)
FROM traces_producerminute
WHERE tenant_id = %s AND minute > %s AND minute <= %s AND events > 0
GROUP BY producer_id
"""


class Flow(NamedTuple):
    """Events that arrived, in steps of equal length, oldest first; the last step is not over yet."""

    start: datetime
    step: int
    """Minutes."""
    accepted: list[int]
    refused: list[int]
    end: datetime

    def per_minute(self, counts: Sequence[int]) -> list[float]:
        """Counts as a rate, so that ranges can be compared."""
        return [count / self.step for count in counts]


def flow(tenant: Tenant, *, minutes: int, step: int) -> Flow:
    """How many events arrived and how many were refused during the last ``minutes``."""
    end = clock.now()
    floor = end.replace(second=0, microsecond=0)
    # Steps end with the running minute, so that "now" is the last bar whatever the range.
    start = floor - timedelta(minutes=minutes - 1)
    size = minutes // step
    accepted, refused = [0] * size, [0] * size
    with tenant_tx(tenant), connection.cursor() as cursor:
        values: dict[str, Any] = {"tenant": current_tenant_id(), "start": start, "end": end, "step": f"{step} minutes"}
        cursor.execute(_FLOW, values)
        for moment, events, bad in cursor.fetchall():
            index = int((moment - start).total_seconds() // (60 * step))
            if 0 <= index < size:
                accepted[index], refused[index] = int(events), int(bad)
    return Flow(start, step, accepted, refused, end)


class ProducerRow(NamedTuple):
    """One producer as the Overview shows it."""

    sender: Sender
    system: str
    state: str
    minutes: list[int]
    """Events in each of the last `SPARK` minutes, oldest first; the last one is not over yet."""
    refused_hour: int
    per_minute: float
    """Mean of the last five whole minutes."""


def producer_rows(tenant: Tenant) -> list[ProducerRow]:
    """Every producer with its rhythm: silent ones first, then the busiest."""
    now = clock.now()
    floor = now.replace(second=0, microsecond=0)
    lately: dict[str, dict[int, tuple[int, int]]] = defaultdict(dict)
    with tenant_tx(tenant), connection.cursor() as cursor:
        number = current_tenant_id()
        cursor.execute(_LATELY, [number, now - timedelta(hours=1), now])
        for name, minute, events, refused in cursor.fetchall():
            lately[name][int((floor - minute).total_seconds() // 60)] = (events, refused)
        cursor.execute(_HABITS, [floor, number, now - timedelta(days=1), now])
        habits = {name: tuple(sorted(minutes)) for name, minutes in cursor.fetchall()}
        known = list(Producer.objects.order_by("-last_at", "producer_id")[:PRODUCERS])
    rows = [_producer_row(each, lately.get(each.producer_id, {}), habits, now) for each in known]
    order = {"silent": 0, "sending": 1, "quiet": 2}
    return sorted(rows, key=lambda row: (order[row.state], -row.per_minute, row.sender.last_seconds))


def _producer_row(
    producer: Producer,
    lately: dict[int, tuple[int, int]],
    habits: dict[str, tuple[int, ...]],
    now: datetime,
) -> ProducerRow:
    sender = Sender(
        name=producer.producer_id,
        active_minutes=habits.get(producer.producer_id, ()),
        last_seconds=max(0.0, (now - producer.last_at).total_seconds()),
        last_at=producer.last_at,
        sent_lately=sum(events for ago, (events, _) in lately.items() if ago <= WATCHED),
        refused_lately=sum(refused for ago, (_, refused) in lately.items() if ago <= WATCHED),
    )
    return ProducerRow(
        sender=sender,
        system=producer.system,
        state=rhythm(sender),
        minutes=[lately.get(ago, (0, 0))[0] for ago in range(SPARK - 1, -1, -1)],
        refused_hour=sum(refused for _, refused in lately.values()),
        per_minute=sum(lately.get(ago, (0, 0))[0] for ago in range(1, 6)) / 5,
    )


def refusal_codes(tenant: Tenant) -> dict[str, str]:
    """Producer -> the code it was refused with last."""
    with tenant_tx(tenant):
        rows = RefusalCount.objects.order_by("last_at").values_list("producer_id", "code")
        return dict(rows[:500])


class Process(NamedTuple):
    """A background process, or the clock, as the Overview shows it."""

    name: str
    kind: str
    queues: frozenset[str]
    alive: bool
    current: str
    current_seconds: float | None
    seen_at: datetime


def processes() -> list[Process]:
    """Processes heard of lately, by heartbeat rows: true also while the broker is away.

    One that ended and was replaced by a younger one on the same queues is not news.
    """
    now = clock.now()
    rows = list(WorkerHeartbeat.objects.filter(at__gt=now - FORGOTTEN_AFTER).order_by("kind", "queues", "name"))
    alive = [row for row in rows if now - row.at < SILENT_AFTER]
    shown = []
    for row in rows:
        living = row in alive
        replaced = any(other.queues == row.queues and other.started_at >= row.at for other in alive)
        if living or not replaced:
            shown.append(
                Process(
                    name=row.name,
                    kind=row.kind,
                    queues=frozenset(filter(None, row.queues.split(","))),
                    alive=living,
                    current=row.current,
                    current_seconds=(now - row.current_since).total_seconds() if row.current_since else None,
                    seen_at=row.at,
                )
            )
    return shown


def mismatches(tenant: Tenant, projections: Sequence[ProjectionHealth]) -> list[Mismatch]:
    """Open findings about generations that readers see, one per projection."""
    live = {item.seen.name: item.generation for item in projections}
    with tenant_tx(tenant):
        rows = list(Finding.objects.filter(kind=Finding.MISMATCH, closed_at__isnull=True).order_by("id")[:200])
    found: dict[str, Mismatch] = {}
    for row in rows:
        if live.get(row.projection) != row.generation:
            continue
        detail = row.detail or {}
        one = Mismatch(
            projection=row.projection,
            rows=int(detail.get("row_count") or sum((detail.get("counts") or {}).values())),
            found_by="the scrub" if detail.get("found_by") == "scrub" else "a replay",
            position=int(detail.get("cursor") or row.log_seq),
            since=row.created_at,
            replay=str(detail.get("replay_id") or ""),
        )
        known = found.get(row.projection)
        # A replay names every row; the scrub names one bucket. The newest replay knows best.
        if known is None or one.replay:
            found[row.projection] = one
    return list(found.values())
