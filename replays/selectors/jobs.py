"""Reads of the replays."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

from decisiongraph.core import clock
from decisiongraph.core import health as core_health
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import not_found
from decisiongraph.core.telemetry import scrape
from projections import selectors as projections
from replays.domain import verdict as life
from replays.models import ALL, Replay, ReplayDifference
from tenants.models import Tenant
from traces import selectors as traces

STALLED_AFTER = 5.0
"""Seconds without a heartbeat after which a running job shows as stalled; its lease is over soon after."""
RATE_AGES_AFTER = 5.0


class ReplayView(NamedTuple):
    """A replay as an operator sees it."""

    row: Replay
    status: life.ShownState
    position: int
    target: int
    rate: float | None
    """Events per second over the last seconds, None when nothing is known."""
    eta_seconds: float | None
    children: tuple[ReplayView, ...]
    """Of an ``all`` replay, in the order of the projections."""

    @property
    def progress(self) -> float:
        """Share done, 0 to 1."""
        return life.progress(self.position, self.target)

    def as_json(self) -> dict[str, Any]:
        """The shape of SEMANTICS 10, and what a finished one found."""
        row = self.row
        return {
            "id": str(row.pk),
            "projection": row.projection,
            "mode": row.mode,
            "status": self.status,
            "position": self.position,
            "target": self.target,
            "progress": round(self.progress, 4),
            "rate": None if self.rate is None else round(self.rate, 1),
            "eta_seconds": None if self.eta_seconds is None else round(self.eta_seconds, 1),
            "verdict": row.verdict,
            "promoted": row.promoted,
            "until_log_seq": row.until_log_seq,
            "compared_at": row.compared_at,
            "differences": {
                "changed": row.changed,
                "missing": row.missing,
                "surplus": row.surplus,
                "total": row.differences,
            },
            "digests": {
                "live": row.live_digest,
                "rebuilt": row.rebuilt_digest,
                "canonical": row.canonical_digest,
            },
            "reason": row.reason,
            "requested_by": row.requested_by,
            "request_id": row.request_id,
            "parent_id": str(row.parent_id) if row.parent_id else None,
            "created_at": clock.rfc3339(row.created_at),
            "started_at": _time(row.started_at),
            "finished_at": _time(row.finished_at),
            "error": row.error or None,
            "children": [child.as_json() for child in self.children],
        }


def _time(moment: datetime | None) -> str | None:
    return clock.rfc3339(moment) if moment is not None else None


def _view(row: Replay, children: Sequence[Replay], now: datetime) -> ReplayView:
    if row.projection != ALL:
        return _single(row, now)
    views = tuple(_single(child, now) for child in children)
    running = [view for view in views if view.status in ("running", "stalled")]
    count = max(1, len(views))
    rates = [view.rate for view in running if view.rate is not None]
    etas = [view.eta_seconds for view in running if view.eta_seconds is not None]
    status: life.ShownState = row.status  # type: ignore[assignment]
    if status == "running" and running and all(view.status == "stalled" for view in running):
        status = "stalled"
    target = max((view.target for view in views), default=row.target)
    done = sum(view.progress for view in views) / count
    return ReplayView(
        row,
        status,
        target if row.status == "completed" else int(target * done),
        target,
        min(rates, default=None),
        max(etas, default=None) if len(etas) == len(running) else None,
        views,
    )


def _single(row: Replay, now: datetime) -> ReplayView:
    age = (now - row.heartbeat_at).total_seconds() if row.heartbeat_at is not None else None
    status = life.shown_state(row.status, age, STALLED_AFTER)  # type: ignore[arg-type]
    speed = None
    if row.status == "running" and (age is None or age < RATE_AGES_AFTER):
        speed = life.rate([life.Sample(float(at), int(position)) for at, position in row.samples])
    eta = life.eta_seconds(row.position, row.target, speed) if row.status == "running" else None
    return ReplayView(row, status, row.position, row.target, speed, eta, ())


def _views(rows: Sequence[Replay]) -> list[ReplayView]:
    parents = [row.pk for row in rows if row.projection == ALL]
    children: dict[uuid.UUID, list[Replay]] = {}
    order = {name: index for index, name in enumerate(projections.PROJECTIONS)}
    if parents:
        found = Replay.objects.filter(parent_id__in=parents)
        for child in sorted(found, key=lambda row: order.get(row.projection, 99)):
            assert child.parent_id is not None
            children.setdefault(child.parent_id, []).append(child)
    now = clock.now()
    return [_view(row, children.get(row.pk, []), now) for row in rows]


def replays(
    tenant: Tenant,
    *,
    limit: int = 100,
    before: tuple[datetime, uuid.UUID] | None = None,
    active_only: bool = False,
) -> list[ReplayView]:
    """Replays, newest first; children stand inside their parent."""
    with tenant_tx(tenant):
        found = Replay.objects.filter(parent_id__isnull=True)
        if active_only:
            found = found.filter(status__in=sorted(life.ACTIVE))
        if before is not None:
            found = found.filter(created_at__lte=before[0]).exclude(created_at=before[0], pk__gte=before[1])
        return _views(list(found.order_by("-created_at", "-pk")[:limit]))


def replay(tenant: Tenant, replay_id: str) -> ReplayView:
    """One replay. 404 when there is none."""
    number = _uuid(replay_id)
    with tenant_tx(tenant):
        row = Replay.objects.filter(pk=number).first()
        if row is None:
            raise not_found("replay", replay_id)
        return _views([row])[0]


def _uuid(replay_id: str) -> uuid.UUID:
    try:
        return uuid.UUID(replay_id)
    except ValueError:
        raise not_found("replay", replay_id[:100]) from None


class DifferenceView(NamedTuple):
    """A differing row with the event that made it."""

    row: ReplayDifference
    projection: str
    event_id: str | None
    event_type: str | None
    trace_id: str | None
    trace_seq: int | None

    def as_json(self) -> dict[str, Any]:
        """As the API shows it."""
        row = self.row
        return {
            "projection": self.projection,
            "table": row.table,
            "key": row.key,
            "kind": row.kind,
            "log_seq": row.log_seq,
            "event": {
                "event_id": self.event_id,
                "event_type": self.event_type,
                "trace_id": self.trace_id,
                "trace_seq": self.trace_seq,
            }
            if self.event_id is not None
            else None,
            "columns": row.columns,
            "live": row.live,
            "expected": row.expected,
        }


def differences(
    tenant: Tenant, replay_id: str, *, after: tuple[str, int] | None = None, limit: int = 100
) -> list[DifferenceView]:
    """Differing rows of a replay (of all its children), up to ``limit + 1``, after (child, ordinal)."""
    with tenant_tx(tenant):
        top = replay(tenant, replay_id)
        jobs = [view.row for view in top.children] or [top.row]
        found: list[tuple[str, ReplayDifference]] = []
        skipping = after is not None
        for job in jobs:
            start = -1
            if skipping and after is not None:
                if str(job.pk) != after[0]:
                    continue
                skipping, start = False, after[1]
            rows = ReplayDifference.objects.filter(replay_id=job.pk, ordinal__gt=start)
            found += [(job.projection, row) for row in rows.order_by("ordinal")[: limit + 1 - len(found)]]
            if len(found) > limit:
                break
        events = traces.events_at(tenant, sorted({row.log_seq for _, row in found}))
    views = []
    for projection, row in found:
        event = events.get(row.log_seq)
        views.append(
            DifferenceView(
                row,
                projection,
                event.event_id if event else None,
                event.event_type if event else None,
                event.trace_id if event else None,
                event.trace_seq if event else None,
            )
        )
    return views


def health(tenant: Tenant) -> dict[str, Any]:
    """The answer of ``GET /projections/health``: projections, replays that are not over, checks of other apps."""
    running = [view.as_json() for view in replays(tenant, active_only=True, limit=20)]
    checks = core_health.tenant_checks(tenant)
    return {**projections.health(tenant).as_json(), "replays": running, "checks": checks}


def measures() -> Mapping[str, scrape.Values]:
    """What monitoring reads at every scrape: replays not over, of all tenants."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT state, number FROM dg_active_replays(%s)", [STALLED_AFTER])
        found = dict(cursor.fetchall())
    return {scrape.REPLAYS.name: [((state,), found.get(state, 0)) for state in ("queued", "running", "stalled")]}
