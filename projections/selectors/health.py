"""How the projections of a tenant do: states, lag, digests, dead letters, workers, queues."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection
from redis import RedisError

from decisiongraph.core import clock
from decisiongraph.core.bus import broker
from decisiongraph.core.db import current_tenant_id, tenant_tx
from projections import engine
from projections.domain.digest import Buckets
from projections.domain.health import (
    Observation,
    State,
    Thresholds,
    hero_line,
    projection_state,
    worst,
)
from projections.domain.rules import RULES
from projections.models import DeadLetter, Finding, WorkerHeartbeat
from tenants.models import Tenant

QUEUES = ("project", "replay", "timers", "deliver", "learn", "default")
SILENT_AFTER = timedelta(seconds=15)
"""A process whose last heartbeat is older is not alive."""
RATE_AGES_AFTER = 10.0
"""Seconds after which the rate of the last batch says nothing any more."""

_OBSERVE = """
SELECT c.projection, c.generation, c.cursor, c.failures, c.last_error, c.last_error_at, c.moved_at,
    c.rate, h.log_seq, clock_timestamp(),
    COALESCE((SELECT g.rule_version FROM projections_generation g WHERE g.tenant_id = c.tenant_id
              AND g.projection = c.projection AND g.number = c.generation), 0),
    (SELECT count(*) FROM projections_deadletter d WHERE d.tenant_id = c.tenant_id
     AND d.projection = c.projection AND d.generation = c.generation AND d.state = 'open'),
    (SELECT e.recorded_at FROM traces_event e WHERE e.tenant_id = c.tenant_id
     AND e.log_seq = c.cursor + 1),
    ARRAY(SELECT b.bucket FROM projections_digestbucket b WHERE b.tenant_id = c.tenant_id
          AND b.projection = c.projection AND b.generation = c.generation ORDER BY b.bucket),
    ARRAY(SELECT b.total FROM projections_digestbucket b WHERE b.tenant_id = c.tenant_id
          AND b.projection = c.projection AND b.generation = c.generation ORDER BY b.bucket)
FROM projections_checkpoint c
CROSS JOIN (SELECT COALESCE((SELECT log_seq FROM traces_event WHERE tenant_id = %s
            ORDER BY log_seq DESC LIMIT 1), 0) AS log_seq) h
WHERE c.tenant_id = %s AND c.active
"""


class ProjectionHealth(NamedTuple):
    """One projection as the console and the API show it."""

    seen: Observation
    state: State
    generation: int
    rule_version: int
    """Of the rule that made the live generation."""
    wanted_rule_version: int
    """Of the rule that runs now; a rebuild makes the two equal."""
    rate: float
    """Events per second, 0 when nothing moved lately."""
    last_error: str
    last_error_at: datetime | None
    updated_at: datetime
    digest: str
    """The live digest."""

    def as_json(self) -> dict[str, Any]:
        """The shape of SEMANTICS 10."""
        return {
            "name": self.seen.name,
            "state": self.state,
            "cursor": self.seen.cursor,
            "lag_events": self.seen.lag,
            "lag_seconds": round(self.seen.lag_seconds, 3),
            "rate": round(self.rate, 1),
            "generation": self.generation,
            "rule_version": self.rule_version,
            "dead_letters": self.seen.dead_letters,
            "last_error": self.last_error or None,
            "digest": self.digest,
            "updated_at": clock.rfc3339(self.updated_at),
        }


def thresholds() -> Thresholds:
    """When lag becomes stale, by the settings."""
    return Thresholds(
        unmoved_seconds=float(settings.STALE_UNMOVED_SECONDS),
        lag_seconds=float(settings.STALE_LAG_SECONDS),
    )


def observations(tenant: Tenant) -> list[ProjectionHealth]:
    """Every projection in the console's order, from one snapshot."""
    with tenant_tx(tenant):
        rows = _rows()
        if len(rows) < len(RULES):
            engine.prepare(tenant)
            rows = _rows()
    limits = thresholds()
    return [_health(name, rows[name], limits) for name in RULES if name in rows]


def _rows() -> dict[str, tuple[Any, ...]]:
    with connection.cursor() as cursor:
        number = current_tenant_id()
        cursor.execute(_OBSERVE, [number, number])
        return {row[0]: row[1:] for row in cursor.fetchall()}


def _health(name: str, row: tuple[Any, ...], limits: Thresholds) -> ProjectionHealth:
    (generation, cursor, failures, last_error, last_error_at, moved_at, rate, head, now) = row[:9]
    rule_version, dead_letters, waiting_since, numbers, totals = row[9:]
    unmoved = max(0.0, (now - moved_at).total_seconds())
    seen = Observation(
        name=name,
        cursor=cursor,
        head=head,
        failures=failures,
        dead_letters=dead_letters,
        unmoved_seconds=unmoved,
        lag_seconds=max(0.0, (now - waiting_since).total_seconds()) if waiting_since else 0.0,
    )
    sums = Buckets()
    for number, total in zip(numbers, totals, strict=True):
        sums.sums[number] = int.from_bytes(total, "big")
    return ProjectionHealth(
        seen=seen,
        state=projection_state(seen, limits),
        generation=generation,
        rule_version=rule_version,
        wanted_rule_version=RULES[name].version,
        rate=rate if unmoved < RATE_AGES_AFTER else 0.0,
        last_error=last_error,
        last_error_at=last_error_at,
        updated_at=moved_at,
        digest=sums.digest(),
    )


class TenantHealth(NamedTuple):
    """A tenant's projections at one moment."""

    tenant: str
    head: int
    state: State
    hero: str
    """In words: what needs attention first."""
    projections: list[ProjectionHealth]

    def as_json(self) -> dict[str, Any]:
        """The shape of SEMANTICS 10, without the running replays (a higher floor knows those)."""
        return {
            "tenant": self.tenant,
            "head": self.head,
            "state": self.state,
            "projections": [item.as_json() for item in self.projections],
        }


def health(tenant: Tenant) -> TenantHealth:
    """The state of a tenant: the worst of its projections, and why."""
    found = observations(tenant)
    return TenantHealth(
        tenant=tenant.slug,
        head=max((item.seen.head for item in found), default=0),
        state=worst(item.state for item in found),
        hero=hero_line([item.seen for item in found], thresholds()),
        projections=found,
    )


# --- dead letters and findings ------------------------------------------------------------------------


def dead_letters(
    tenant: Tenant,
    *,
    projection: str | None = None,
    state: str | None = DeadLetter.OPEN,
    before: int | None = None,
    limit: int = 100,
) -> list[DeadLetter]:
    """Dead letters of live generations, newest first, up to ``limit + 1``."""
    with tenant_tx(tenant):
        active = {item.seen.name: item.generation for item in observations(tenant)}
        found = DeadLetter.objects.order_by("-id")
        if projection is not None:
            found = found.filter(projection=projection)
        if state is not None:
            found = found.filter(state=state)
        if before is not None:
            found = found.filter(id__lt=before)
        rows = found[: limit + 1 + 1000]
        live = [row for row in rows if active.get(row.projection) == row.generation]
        return live[: limit + 1]


def dead_letter_json(letter: DeadLetter) -> dict[str, Any]:
    """A dead letter as the API shows it."""
    return {
        "id": letter.pk,
        "projection": letter.projection,
        "trace_id": letter.trace_id,
        "log_seq": letter.log_seq,
        "event_type": letter.event_type,
        "error": letter.error,
        "rule_version": letter.rule_version,
        "waiting": letter.waiting,
        "attempts": letter.attempts,
        "state": letter.state,
        "created_at": clock.rfc3339(letter.created_at),
        "closed_at": clock.rfc3339(letter.closed_at) if letter.closed_at else None,
    }


def findings(tenant: Tenant, *, after: int = 0, open_only: bool = False, limit: int = 100) -> list[Finding]:
    """Findings in the order they were stored, after an id."""
    with tenant_tx(tenant):
        found = Finding.objects.filter(id__gt=after).order_by("id")
        if open_only:
            found = found.filter(closed_at__isnull=True)
        return list(found[:limit])


# --- the machinery behind ------------------------------------------------------------------------------


class Worker(NamedTuple):
    """A background process as the Overview shows it."""

    name: str
    kind: str
    queues: str
    alive: bool
    current: str
    current_seconds: float | None
    seen_at: datetime


def workers() -> list[Worker]:
    """Every background process heard of lately, and the beat; by heartbeat rows, not by the broker."""
    now = clock.now()
    return [
        Worker(
            name=row.name,
            kind=row.kind,
            queues=row.queues,
            alive=now - row.at < SILENT_AFTER,
            current=row.current,
            current_seconds=(now - row.current_since).total_seconds() if row.current_since else None,
            seen_at=row.at,
        )
        for row in WorkerHeartbeat.objects.order_by("kind", "name")
    ]


def queue_depths() -> dict[str, int] | None:
    """Messages waiting per queue; None when the broker does not answer within 200 ms."""
    try:
        client = broker(settings.REDIS_URL, seconds=0.2)
        try:
            return {name: int(client.llen(name)) for name in QUEUES}
        finally:
            client.close()
    except (RedisError, OSError):
        return None
