"""One slice of one replay: take the job, fold for a few seconds, give it back.

The job row says how far it is; a worker that dies is followed by another one once its lease is over,
and whatever it still tries to commit is refused by the fencing token.
"""

from __future__ import annotations

import os
import time
from contextlib import closing
from typing import Any

from django.db import DatabaseError, connection

from decisiongraph.core import jobs
from decisiongraph.core.db import current_tenant_id, tenant_tx
from decisiongraph.core.telemetry import bind, log
from projections import engine
from projections.domain.rules import RULES
from projections.selectors import queue_depths
from projections.topics import REPLAY_PROGRESS
from replays.domain import verdict as life
from replays.models import ALL, Replay
from replays.services import finish
from replays.services.start import announce, group_of, settle_parent
from tenants.models import Tenant

SLICE_SECONDS = 4.0
STRETCH = 8
"""So many times as long while nobody waits for the worker: given back, a job is as likely to go on in another
process, which has to read again what this one had read and folded ahead. The collector rests meanwhile."""
LEASE_SECONDS = 10
NEAR = 1_000
"""Events between the shadow and the live cursor below which the rest is folded while comparing."""
MAX_FAILURES = 5
SAMPLES = 30
SAMPLE_INTERVAL = 0.5

_CLAIM = """
UPDATE replays_replay SET fence = fence + 1, worker = %s,
    takeovers = takeovers + CASE WHEN lease_until IS NULL THEN 0 ELSE 1 END,
    status = 'running', started_at = COALESCE(started_at, clock_timestamp()),
    heartbeat_at = clock_timestamp(), lease_until = clock_timestamp() + %s * interval '1 s'
WHERE tenant_id = %s AND id = ANY(%s) AND status IN ('queued', 'running')
    AND (lease_until IS NULL OR lease_until < clock_timestamp())
RETURNING id, takeovers
"""
_HEARTBEAT = """
UPDATE replays_replay SET failures = CASE WHEN position = %s THEN failures ELSE 0 END,
    position = %s, target = GREATEST(target, %s), samples = %s,
    heartbeat_at = clock_timestamp(), lease_until = clock_timestamp() + %s * interval '1 s'
WHERE tenant_id = %s AND id = %s AND fence = %s AND status = 'running'
RETURNING cancel_requested
"""


class Fenced(RuntimeError):
    """Another worker took the job over; nothing of this one may be committed any more."""


class Job:
    """A claimed replay."""

    def __init__(self, tenant: Tenant, row: Replay) -> None:
        self.tenant = tenant
        self.row = row
        self.cancelled = row.cancel_requested
        self.ahead: engine.Ahead | None = None
        """Folds the next batch while this one is written, while the job has a reading of its own."""
        self._sampled_at = 0.0

    @property
    def projection(self) -> str:
        """Which projection it folds."""
        return self.row.projection

    def beat(self, position: int | None = None, *, lease: int = LEASE_SECONDS) -> None:
        """Write the position down and keep the job. Raises `Fenced` when it is somebody else's.

        Called inside the transaction of a batch, so the batch stands or falls with it.
        """
        row = self.row
        if position is not None:
            row.position = position
        now = time.time()
        if now - self._sampled_at >= SAMPLE_INTERVAL:
            self._sampled_at = now
            row.samples = [*row.samples, [round(now, 3), row.position]][-SAMPLES:]
        field: Any = Replay._meta.get_field("samples")
        with tenant_tx(self.tenant), connection.cursor() as cursor:
            cursor.execute(
                _HEARTBEAT,
                [
                    row.position,
                    row.position,
                    row.target,
                    field.get_prep_value(row.samples),
                    lease,
                    current_tenant_id(),
                    row.pk,
                    row.fence,
                ],
            )
            found = cursor.fetchone()
        if found is None:
            raise Fenced(str(row.pk))
        self.cancelled = self.cancelled or bool(found[0])


def run_slice(tenant: Tenant, replay_id: str, *, budget: float = SLICE_SECONDS) -> bool:
    """Work on a replay (and on the siblings that share its reading). True when anything was done."""
    claimed = claim(tenant, replay_id)
    if not claimed:
        return False
    first = claimed[0].row
    with bind(
        tenant=tenant.slug,
        replay_id=str(first.parent_id or first.pk),
        request_id=first.request_id,
        worker=first.worker,
    ):
        started = time.monotonic()
        before = sum(job.row.position for job in claimed)
        with engine.paused_collector():
            # The window is made and dropped in here, or the collector walks through its events at the end.
            claimed[0].ahead = ahead = _ahead_for(tenant, claimed)
            with closing(engine.Window(tenant, ahead=ahead is None)) as window:
                _work(tenant, claimed, window, started, budget)
            del window
        log.info(
            "replay.slice",
            projections=[job.projection for job in claimed],
            mode=first.mode,
            events=sum(job.row.position for job in claimed) - before,
            positions={job.projection: job.row.position for job in claimed},
            seconds=round(time.monotonic() - started, 3),
        )
    return True


def claim(tenant: Tenant, replay_id: str) -> list[Job]:
    """Take a job, with the siblings of its group; empty when somebody has it or it is over."""
    with tenant_tx(tenant):
        asked = Replay.objects.filter(pk=replay_id).first()
        if asked is None:
            return []
        if asked.projection == ALL:  # a worker died between the last child's end and this
            settle_parent(tenant, asked.pk)
            return []
        wanted = [asked.pk]
        if asked.parent_id is not None:
            children = Replay.objects.filter(parent_id=asked.parent_id, projection__in=group_of(asked.projection))
            wanted = list(children.values_list("pk", flat=True))
        worker = f"{os.uname().nodename}:{os.getpid()}"
        with connection.cursor() as cursor:
            cursor.execute(_CLAIM, [worker, LEASE_SECONDS, current_tenant_id(), wanted])
            taken = {row[0]: row[1] for row in cursor.fetchall()}
        if not taken:
            return []
        rows = {row.projection: row for row in Replay.objects.filter(pk__in=list(taken))}
        if asked.parent_id is not None:
            settle_parent(tenant, asked.parent_id)
    return [Job(tenant, rows[name]) for name in RULES if name in rows]


_ahead: engine.Ahead | None = None
"""Kept from slice to slice, so that the batch made beside the last write of one begins the next."""


def _ahead_for(tenant: Tenant, claimed: list[Job]) -> engine.Ahead | None:
    """A second thread for a job that has its reading to itself and a rule that allows it."""
    global _ahead
    job = claimed[0]
    bound = engine.BOUND[job.projection]
    if _ahead is not None and not _ahead.serves(tenant, bound):
        _ahead.close()
        _ahead = None
    if len(claimed) > 1 or job.row.mode == "catch_up" or not bound.folds_alone:
        return None
    if _ahead is None:
        _ahead = engine.Ahead(tenant, bound)
    return _ahead


def _work(tenant: Tenant, claimed: list[Job], window: engine.Window, started: float, budget: float) -> None:
    """Fold the jobs in step until they are over or the slice is."""
    open_jobs = list(claimed)
    told = 0.0
    deadline, latest = started + budget, started + STRETCH * budget
    while open_jobs:
        for job in list(open_jobs):
            if not _guarded(job, window):
                open_jobs.remove(job)
                if job.row.parent_id is not None:
                    # after the commit: in the snapshot of a cut-over the siblings may still be running
                    settle_parent(tenant, job.row.parent_id)
        now = time.monotonic()
        if open_jobs and now - told >= SAMPLE_INTERVAL:
            told = now
            announce(tenant, open_jobs[0].row, REPLAY_PROGRESS)
        if now >= deadline:
            if now >= latest or _others_wait():
                break
            deadline = now + SAMPLE_INTERVAL
    for job in open_jobs:
        _give_back(job)
    if open_jobs:
        jobs.enqueue("replays.run", tenant_id=tenant.pk, replay_id=str(open_jobs[0].row.pk))


def _others_wait() -> bool:
    """Whether there is other work for the workers of replays; also when nobody can say."""
    depths = queue_depths()
    return depths is None or depths["replay"] > 0


def _guarded(job: Job, window: engine.Window) -> bool:
    """One batch of one job; False when the job leaves this slice."""
    try:
        return _advance(job, window)
    except Fenced:
        log.warning("replay.fenced", projection=job.projection, fence=job.row.fence)
        return False
    except DatabaseError as error:
        _failed(job, f"{type(error).__name__}: {error}", final=False)
        return False
    except Exception as error:
        log.exception("replay.broke", projection=job.projection)
        _failed(job, f"{type(error).__name__}: {error}", final=True)
        return False


def _advance(job: Job, window: engine.Window) -> bool:
    """Fold one batch, or compare and end. False when the job is over."""
    row = job.row
    if job.cancelled:
        finish.end(job.tenant, row, "cancelled")
        return False
    if row.mode == "catch_up":
        return _catch_up(job)
    if row.generation is None:
        _begin(job)
    bound = engine.BOUND[job.projection]
    if row.until_log_seq is not None:
        goal, near = row.until_log_seq, 0
    else:
        _, cursors = engine.positions(job.tenant)
        goal, near = cursors[job.projection], NEAR
    row.target = max(row.target, goal) if row.until_log_seq is None else goal
    if goal - row.position > near:
        done = engine.step(
            window,
            bound,
            limit=engine.REBUILD_BATCH,
            until=goal,
            generation=row.generation,
            guard=job.beat,
            ahead=job.ahead,
        )
        if done is None:
            raise Fenced(str(row.pk))
        if done.events:
            return True
    if row.until_log_seq is not None:
        finish.compare_with_record(job)
    else:
        finish.compare(job, window)
    return row.status == "running"


def _catch_up(job: Job) -> bool:
    row = job.row
    done = engine.catch_up(job.tenant, job.projection, budget=1.0, until=row.target)
    _, cursors = engine.positions(job.tenant)
    job.beat(min(cursors[job.projection], row.target))
    if row.position >= row.target:
        finish.end(job.tenant, row, "completed")
        return False
    if done.failed:
        raise DatabaseError("a batch of the live projection failed; its health says why")
    if not done.events:
        time.sleep(0.05)  # another worker holds the cursor and moves it
    return True


def _begin(job: Job) -> None:
    """Make the shadow generation. Whoever took over from a dead worker finds it in the row."""
    row = job.row
    with tenant_tx(job.tenant):
        job.beat()
        live = engine.hold_live(job.projection)
        if live is None:
            engine.prepare(job.tenant)
            live = engine.hold_live(job.projection)
        assert live is not None  # prepared in this transaction
        row.generation = engine.begin(job.tenant, job.projection)
        row.live_generation = live.generation
        row.live_epoch = live.epoch
        row.rule_version = engine.BOUND[job.projection].rule.version
        row.position = 0
        row.save(update_fields=["generation", "live_generation", "live_epoch", "rule_version", "position"])
    log.info("replay.began", projection=job.projection, generation=row.generation, target=row.target)


def _give_back(job: Job) -> None:
    with tenant_tx(job.tenant):
        Replay.objects.filter(pk=job.row.pk, fence=job.row.fence, status="running").update(lease_until=None)


def _failed(job: Job, error: str, *, final: bool) -> None:
    """Count a failure; the fifth in a row ends the replay, the others are tried again."""
    row = job.row
    error = error.replace("\x00", "")[:2000]
    log.error("replay.failed", projection=job.projection, error=error, failures=row.failures + 1)
    try:
        with tenant_tx(job.tenant):
            current = Replay.objects.select_for_update().filter(pk=row.pk, fence=row.fence).first()
            if current is None or current.status not in life.ACTIVE:
                return
            current.failures += 1
            current.error = error
            current.lease_until = None
            current.save(update_fields=["failures", "error", "lease_until"])
            if final or current.failures >= MAX_FAILURES:
                finish.end(job.tenant, current, "failed", error=error)
    except DatabaseError as second:  # the lease runs out and somebody else tries
        log.error("replay.failure_unrecorded", error=str(second))
