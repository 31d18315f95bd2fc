"""How a replay ends: compare, flip or not, say so; then clear away what lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from django.db import OperationalError
from django.db.models import Q

from decisiongraph.core import bus, clock, jobs
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.telemetry import log, metrics
from projections import engine
from projections.models import Finding, Generation, RecordedDigest
from projections.services import close_findings, store_finding
from projections.topics import DIGEST_MISMATCH, REPLAY_FINISHED
from replays.domain import verdict as life
from replays.models import Replay, ReplayDifference
from replays.services.start import announce
from tenants.models import Tenant

if TYPE_CHECKING:
    from replays.services.run import Job

HOLD_SECONDS = 5.0
"""How long live catch-up stays away for a comparison whose worker dies."""
ATTEMPTS = 5
FOLLOW_ROUNDS = 10
"""Batches folded between looking for suspects and taking the lock; a log that grows faster than that
is caught while it is held."""
NAMED_ROWS = 20
"""Differing rows that a finding names."""
CANONICAL_LEASE = 120
"""Seconds the job is kept while its rows are read in one go."""


def compare(job: Job, window: engine.Window) -> None:
    """Compare the rebuilt generation with the live one at one position, and end the replay.

    First without any lock: which keys differ at this moment. Rows that are equal now stay equal
    unless an event touches them, and those keys are known. So under the lock only the suspects and
    the touched rows are looked at, and live catch-up waits for milliseconds, not for a full scan.
    """
    row = job.row
    assert row.generation is not None
    assert row.live_generation is not None
    bound = engine.BOUND[job.projection]
    keys = engine.suspects(
        job.tenant,
        job.projection,
        row.live_generation,
        row.generation,
        chunks=4 if row.position > 20_000 else 1,
        beat=job.beat,
    )
    _follow(job, window, keys)
    for attempt in range(1, ATTEMPTS + 1):
        engine.ask_to_hold(job.tenant, job.projection, HOLD_SECONDS)
        try:
            ended = _compare_held(job, bound, window, keys)
        except OperationalError as error:
            # somebody moved the row between the snapshot and the lock: look again
            log.info("replay.compare_again", attempt=attempt, error=type(error.__cause__).__name__)
            engine.let_go(job.tenant, job.projection)
            if attempt == ATTEMPTS:
                raise
            continue
        engine.let_go(job.tenant, job.projection)
        if not ended:
            _start_over(job)
        return


def _follow(job: Job, window: engine.Window, keys: engine.Keys) -> None:
    """Fold what the live generation applied meanwhile, so that little is left to do under the lock."""
    bound = engine.BOUND[job.projection]
    for _ in range(FOLLOW_ROUNDS):
        _, cursors = engine.positions(job.tenant)
        goal = cursors[job.projection]
        if goal - job.row.position <= engine.HELD_BATCH:
            return
        done = engine.step(
            window,
            bound,
            limit=engine.LIVE_BATCH,
            until=goal,
            generation=job.row.generation,
            guard=job.beat,
            collect=True,
        )
        if done is None or not done.events:
            return
        engine.merge_keys(keys, done.keys)


def _compare_held(job: Job, bound: engine.BoundRule, window: engine.Window, keys: engine.Keys) -> bool:
    """The comparison itself; False when the replay has to start over."""
    row = job.row
    position_before = row.position
    began = time.perf_counter()
    touched: engine.Keys = {}
    try:
        with tenant_tx(job.tenant, isolation="REPEATABLE READ"):
            job.beat()
            if job.cancelled:
                end(job.tenant, row, "cancelled")
                return True
            live = engine.hold_live(job.projection)
            if live is None or (live.generation, live.epoch) != (row.live_generation, row.live_epoch):
                return False
            while row.position < live.cursor:
                done = engine.step(
                    window,
                    bound,
                    limit=engine.LIVE_BATCH,
                    until=live.cursor,
                    generation=row.generation,
                    guard=job.beat,
                    collect=True,
                )
                if done is None or not done.events:
                    return False
                engine.merge_keys(touched, done.keys)
            engine.merge_keys(touched, keys)
            _judge(job, bound, touched)
            row.held_seconds = round(time.perf_counter() - began, 4)
            end(job.tenant, row, "completed")
    except BaseException:
        row.position = position_before
        row.status = "running"
        row.finished_at = None
        raise
    return True


def _judge(job: Job, bound: engine.BoundRule, keys: engine.Keys) -> None:
    """List the differing rows, say the verdict, flip when it allows."""
    row = job.row
    assert row.generation is not None
    assert row.live_generation is not None
    found = life.Differences()
    for name in sorted(bound.tables):
        shas = keys.get(name, set())
        if shas:
            table = bound.tables[name]
            found.add_bucket(_stored(table, row.live_generation, shas), _stored(table, row.generation, shas))
    live_sums = engine.buckets(job.projection, row.live_generation)
    rebuilt_sums = engine.buckets(job.projection, row.generation)
    live_generation = Generation.objects.get(projection=job.projection, number=row.live_generation)
    row.live_rule_version = live_generation.rule_version
    row.live_digest, row.rebuilt_digest = live_sums.digest(), rebuilt_sums.digest()
    row.compared_at = row.position
    row.changed, row.missing, row.surplus = (
        found.counts["changed"],
        found.counts["missing"],
        found.counts["surplus"],
    )
    # rows that differ while the sums agree were changed behind the engine's back
    content_equal = found.total == 0 and live_sums == rebuilt_sums
    row.verdict = life.verdict(
        live_rule_version=live_generation.rule_version,
        rule_version=row.rule_version or 0,
        live_digest=row.rebuilt_digest if content_equal else f"differs from {row.rebuilt_digest}",
        rebuilt_digest=row.rebuilt_digest,
    )
    if row.expects_change and row.verdict == "mismatch":
        row.verdict = "incomparable"  # the log itself says less now; what the rows said is not kept beside them
    else:
        _store(job.tenant, row, found)
    if row.verdict == "mismatch":
        _report(job.tenant, row, found, live_sums == rebuilt_sums)
    row.promoted = row.mode == "rebuild" and (row.verdict != "mismatch" or row.accept_mismatch)
    if row.promoted:
        engine.promote(
            job.tenant,
            job.projection,
            old=row.live_generation,
            new=row.generation,
            at=clock.now(),
        )
        close_findings(job.tenant, projection=job.projection, generation=row.live_generation)
    else:
        engine.retire(job.tenant, job.projection, row.generation)


def _stored(table: engine.BoundTable, generation: int, shas: set[bytes]) -> Iterator[life.Stored]:
    for found in engine.rows_of(table, generation, shas):
        yield life.Stored(table.table, found.key, found.log_seq, found.row)


def _store(tenant: Tenant, row: Replay, found: life.Differences) -> None:
    ReplayDifference.objects.bulk_create(
        ReplayDifference(
            tenant_id=tenant.pk,
            replay_id=row.pk,
            ordinal=ordinal,
            table=item.table,
            key=item.key,
            kind=item.kind,
            log_seq=item.log_seq,
            columns=list(item.columns),
            live=item.live,
            expected=item.expected,
        )
        for ordinal, item in enumerate(found.rows)
    )


def _report(tenant: Tenant, row: Replay, found: life.Differences, sums_agree: bool) -> None:
    """A mismatch is a finding, in the transaction that found it."""
    store_finding(
        tenant,
        kind=Finding.MISMATCH,
        projection=row.projection,
        generation=row.live_generation or 0,
        log_seq=found.rows[0].log_seq if found.rows else row.position,
        detail={
            "found_by": "replay",
            "replay_id": str(row.parent_id or row.pk),
            "cursor": row.position,
            "counts": dict(found.counts),
            "sums_agree": sums_agree,
            "rows": [
                {"table": item.table, "key": item.key, "kind": item.kind, "log_seq": item.log_seq}
                for item in found.rows[:NAMED_ROWS]
            ],
        },
    )
    bus.publish(tenant, "projection_health", DIGEST_MISMATCH)
    bus.publish(tenant, "replay", DIGEST_MISMATCH, ident=str(row.parent_id or row.pk))


def _start_over(job: Job) -> None:
    """The live generation changed under the replay (a dead letter was retried or skipped, or another
    generation was promoted): what was rebuilt may lack that, so rebuild again."""
    row = job.row
    log.info("replay.starts_over", projection=job.projection, generation=row.generation)
    with tenant_tx(job.tenant):
        job.beat(0)
        if row.generation is not None:
            engine.retire(job.tenant, job.projection, row.generation)
        row.generation = None
        row.samples = []
        row.save(update_fields=["generation", "samples"])


def compare_with_record(job: Job) -> None:
    """``until_log_seq``: compare the shadow with a canonical digest recorded at that position."""
    row = job.row
    assert row.generation is not None
    job.beat(lease=CANONICAL_LEASE)
    with tenant_tx(job.tenant, isolation="REPEATABLE READ"):
        row.canonical_digest = engine.canonical(job.projection, row.generation)
    with tenant_tx(job.tenant):
        job.beat()
        known = list(
            RecordedDigest.objects.filter(kind="canonical", name=job.projection, cursor=row.position).order_by("-id")[
                :20
            ]
        )
        same_rule = [item for item in known if item.rule_version == row.rule_version]
        row.compared_at = row.position
        row.rebuilt_digest = row.canonical_digest
        row.live_digest = same_rule[0].digest if same_rule else None
        row.live_rule_version = same_rule[0].rule_version if same_rule else (known[0].rule_version if known else None)
        row.verdict = life.verdict(
            live_rule_version=row.live_rule_version or row.rule_version or 0,
            rule_version=row.rule_version or 0,
            live_digest=row.live_digest,
            rebuilt_digest=row.canonical_digest,
        )
        if row.verdict == "mismatch":
            _report(job.tenant, row, life.Differences(), True)
        engine.retire(job.tenant, job.projection, row.generation)
        end(job.tenant, row, "completed")


def end(tenant: Tenant, row: Replay, status: life.State, *, error: str = "") -> None:
    """Write the last state of a job down, with everything found. Its fencing token must be the newest."""
    with tenant_tx(tenant):
        current = Replay.objects.select_for_update().filter(pk=row.pk).first()
        if current is None or current.fence != row.fence or current.status not in life.ACTIVE:
            return
        row.status = life.transition(current.status, status)
        row.finished_at = clock.now()
        row.lease_until = None
        row.error = error
        row.cancel_requested = current.cancel_requested
        row.heartbeat_at = clock.now()
        if status != "completed" and row.generation is not None:
            engine.retire(tenant, row.projection, row.generation)
        row.save()
        outcome = row.verdict or status
        metrics.replays.labels(row.mode, outcome).inc()
        log.info(
            "replay.finished",
            tenant=tenant.slug,
            replay_id=str(row.parent_id or row.pk),
            request_id=row.request_id,
            projection=row.projection,
            mode=row.mode,
            status=status,
            verdict=row.verdict,
            position=row.position,
            differences=row.differences,
            promoted=row.promoted,
            held_seconds=row.held_seconds,
            seconds=round((row.finished_at - row.created_at).total_seconds(), 3),
        )
        announce(tenant, row, REPLAY_FINISHED)
        if row.generation is not None:
            jobs.enqueue("replays.sweep", tenant_id=tenant.pk)


# --- afterwards ---------------------------------------------------------------------------------------


def sweep(tenant: Tenant, *, budget: float = 2.0) -> bool:
    """Settle what won, then delete retired generations in batches; first their canonical digest goes on record.

    True when something is left to do. One worker at a time per tenant: whoever finds the oldest
    retired generation held leaves, so that replays never wait behind the clearing away. While a
    replay of the tenant is at work everybody leaves: what lost can wait, who asked for it cannot.
    """
    deadline = time.monotonic() + budget
    while True:
        with tenant_tx(tenant):
            if Replay.objects.filter(status="running").exists():
                return False
            generation = Generation.objects.filter(state=Generation.RETIRED).order_by("id").first()
        engine.settle(tenant)
        if generation is None:
            return False
        if not record_loser(tenant, generation):
            return False
        while not engine.delete_some(tenant, generation.projection, generation.number):
            with tenant_tx(tenant):
                held = not Generation.objects.filter(pk=generation.pk, state=Generation.RETIRED).exists()
            if held:
                break
            if time.monotonic() >= deadline:
                jobs.enqueue("replays.sweep", tenant_id=tenant.pk)
                return True
        if time.monotonic() >= deadline:
            jobs.enqueue("replays.sweep", tenant_id=tenant.pk)
            return True


def record_loser(tenant: Tenant, generation: Generation) -> bool:
    """The generation that lost stands still at the compared position: its canonical digest is also
    that of the winner when both were equal. False when another worker is at it."""
    with tenant_tx(tenant, isolation="REPEATABLE READ"):
        held = Generation.objects.select_for_update(skip_locked=True).filter(pk=generation.pk, state=Generation.RETIRED)
        if held.first() is None:
            return False
        row = (
            Replay.objects.filter(
                projection=generation.projection,
                status="completed",
                verdict="match",
                until_log_seq__isnull=True,
                canonical_digest__isnull=True,
                compared_at__isnull=False,
            )
            .filter(
                Q(promoted=False, generation=generation.number) | Q(promoted=True, live_generation=generation.number)
            )
            .order_by("-created_at")
            .first()
        )
        if row is None or row.compared_at is None:
            return True
        digest = engine.canonical(generation.projection, generation.number)
        Replay.objects.filter(pk=row.pk).update(canonical_digest=digest)
        engine.record_digests(
            tenant,
            [
                RecordedDigest(
                    kind="canonical",
                    name=generation.projection,
                    generation=generation.number,
                    cursor=row.compared_at,
                    rule_version=row.rule_version or 0,
                    digest=digest,
                )
            ],
        )
        announce(tenant, row, REPLAY_FINISHED)
    return True
