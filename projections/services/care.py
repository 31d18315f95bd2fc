"""Dead letters, findings, the scrub, heartbeats.

Rows of read models themselves are written by `projections.engine` alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import connection, transaction
from django.db.models import F

from decisiongraph.core import bus, clock, jobs
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem, not_found
from decisiongraph.core.telemetry import bind, log, metrics
from projections import engine, selectors
from projections.domain.digest import BUCKETS
from projections.domain.rules import RULES
from projections.models import (
    Checkpoint,
    DeadLetter,
    Finding,
    SkippedEvent,
    WorkerHeartbeat,
)
from tenants.access import Principal
from tenants.models import Tenant
from tenants.services import record_audit

WATCH_LOCK = 11
"""First half of the advisory lock of `watch_staleness`; the second is the tenant number."""
NAMED_ROWS = 20
"""Differing rows that a finding names; the replay lists more."""


# --- following the log ------------------------------------------------------------------------------


REST = engine.Rest(one_by_one=0.15, burst=0.35)
"""Seconds between two passes over one tenant's log, as long as little is left to do."""


def catch_up(tenant: Tenant) -> engine.CaughtUp:
    """One slice of following the log; asks for another when lag is left."""
    done = engine.catch_up(tenant, rest=REST)
    if done.more:
        jobs.enqueue("projections.catch_up", tenant_id=tenant.pk)
    return done


def ask_catch_up(tenant: Tenant, *, principal: Principal, projection: str | None = None) -> None:
    """An operator wakes whoever follows the log, without waiting for the next tick."""
    principal.require("operate")
    if projection is not None and projection not in RULES:
        raise not_found("projection", projection)
    with tenant_tx(tenant):
        record_audit(
            tenant,
            principal=principal,
            action="projection.woken",
            target=f"projection:{projection or 'all'}",
        )
        jobs.enqueue("projections.catch_up", tenant_id=tenant.pk)


def tick() -> list[int]:
    """What beat does every second: wake whoever lags, and say who is stale. Answers the laggards."""
    beat("beat", kind="beat")
    with connection.cursor() as cursor:
        cursor.execute("SELECT dg_lagging(%s)", [len(RULES)])
        lagging = [row[0] for row in cursor.fetchall()]
    for tenant in Tenant.objects.filter(pk__in=lagging):
        jobs.enqueue("projections.catch_up", tenant_id=tenant.pk)
        watch_staleness(tenant)
    return lagging


def watch_staleness(tenant: Tenant) -> None:
    """Store a finding for every projection that became stale or failed; close those that recovered.

    One beat at a time per tenant: two would both find none open and store it twice.
    """
    with tenant_tx(tenant):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [WATCH_LOCK, tenant.pk])
            mine = cursor.fetchone()
        if not mine or not mine[0]:
            return
        seen = selectors.observations(tenant)
        states = {item.seen.name: item for item in seen}
        opened = set(
            Finding.objects.filter(kind=Finding.STALE, closed_at__isnull=True)
            .select_for_update()
            .values_list("projection", flat=True)
        )
        for name, item in states.items():
            late = item.state in ("stale", "failed")
            if late and name not in opened:
                store_finding(
                    tenant,
                    kind=Finding.STALE,
                    projection=name,
                    generation=item.generation,
                    log_seq=item.seen.cursor + 1,
                    detail={
                        "state": item.state,
                        "lag_events": item.seen.lag,
                        "lag_seconds": round(item.seen.lag_seconds, 3),
                        "last_error": item.last_error,
                    },
                )
                bus.publish(tenant, "projection_health", "projection.stale_detected")
            elif not late and name in opened:
                Finding.objects.filter(kind=Finding.STALE, projection=name, closed_at__isnull=True).update(
                    closed_at=clock.now()
                )
                bus.publish(tenant, "projection_health", "projection.cursor_advanced")


# --- findings --------------------------------------------------------------------------------------


def store_finding(
    tenant: Tenant,
    *,
    kind: str,
    projection: str,
    generation: int,
    log_seq: int,
    detail: Mapping[str, Any],
) -> Finding:
    """Store what was found, in the transaction that found it."""
    with tenant_tx(tenant):
        finding = Finding.objects.create(
            tenant_id=tenant.pk,
            kind=kind,
            projection=projection,
            generation=generation,
            log_seq=log_seq,
            detail=dict(detail),
        )
    metrics.findings.labels(kind).inc()
    log.warning("finding.stored", kind=kind, projection=projection, log_seq=log_seq)
    return finding


def close_findings(tenant: Tenant, *, projection: str, generation: int) -> None:
    """The generation whose rows were wrong is not read any more."""
    with tenant_tx(tenant):
        Finding.objects.filter(
            kind=Finding.MISMATCH,
            projection=projection,
            generation=generation,
            closed_at__isnull=True,
        ).update(closed_at=clock.now())


# --- the scrub -------------------------------------------------------------------------------------


def scrub_next() -> str | None:
    """Recompute one bucket of the projection that waited longest; its name, None without any."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT dg_least_scrubbed()")
        row = cursor.fetchone()
    tenant = Tenant.objects.filter(pk=row[0]).first() if row else None
    return scrub(tenant) if tenant is not None else None


def scrub(tenant: Tenant, *, projection: str | None = None, bucket: int | None = None) -> str | None:
    """Recompute one bucket of one live generation; a divergence becomes a finding."""
    with bind(tenant=tenant.slug), tenant_tx(tenant):
        held = Checkpoint.objects.select_for_update(skip_locked=True).filter(active=True, cursor__gt=0)
        if projection is not None:
            held = held.filter(projection=projection)
        checkpoint = held.order_by(F("scrubbed_at").asc(nulls_first=True), "id").first()
        if checkpoint is None or checkpoint.projection not in RULES:
            return None
        number = checkpoint.scrub_bucket if bucket is None else bucket
        claim = engine.hold_live(checkpoint.projection)
        assert claim is not None  # its row is locked by this transaction
        right, wrong = engine.scrub_bucket(checkpoint.projection, checkpoint.generation, number, claim.secret)
        checkpoint.scrub_bucket = (number + 1) % BUCKETS
        checkpoint.scrubbed_at = clock.now()
        checkpoint.save(update_fields=["scrub_bucket", "scrubbed_at"])
        if not right or wrong:
            _diverged(tenant, checkpoint, number, wrong)
    return checkpoint.projection


def _diverged(tenant: Tenant, checkpoint: Checkpoint, bucket: int, wrong: Iterable[engine.Mismatch]) -> None:
    rows = [row._asdict() for row in wrong]
    known = Finding.objects.filter(
        kind=Finding.MISMATCH,
        projection=checkpoint.projection,
        generation=checkpoint.generation,
        closed_at__isnull=True,
    )
    if any(finding.detail.get("bucket") == bucket for finding in known):
        return
    store_finding(
        tenant,
        kind=Finding.MISMATCH,
        projection=checkpoint.projection,
        generation=checkpoint.generation,
        log_seq=rows[0]["log_seq"] if rows else checkpoint.cursor,
        detail={
            "found_by": "scrub",
            "bucket": bucket,
            "rows": rows[:NAMED_ROWS],
            "row_count": len(rows),
            "cursor": checkpoint.cursor,
        },
    )
    bus.publish(tenant, "projection_health", "projection.digest_mismatch")


# --- dead letters -----------------------------------------------------------------------------------


def retry_dead_letter(tenant: Tenant, *, principal: Principal, ident: int) -> DeadLetter:
    """Fold a parked trace again. 409 when it is not open any more."""
    principal.require("operate")
    with bind(tenant=tenant.slug), tenant_tx(tenant):
        letter = _open_letter(ident)
        before = {"log_seq": letter.log_seq, "error": letter.error}
        healed = engine.refold(tenant, letter, closed_as=DeadLetter.RETRIED)
        record_audit(
            tenant,
            principal=principal,
            action="dead_letter.retried",
            target=f"dead_letter:{ident}",
            before=before,
            after={"state": letter.state, "log_seq": letter.log_seq},
        )
        log.info("dead_letter.retried", ident=ident, healed=healed, trace_id=letter.trace_id)
        bus.publish(tenant, "projection_health", "projection.cursor_advanced")
    return letter


def skip_dead_letter(tenant: Tenant, *, principal: Principal, ident: int, reason: str) -> DeadLetter:
    """Leave the failing event out of this projection for ever, and fold the rest of the trace."""
    principal.require("operate")
    if not reason.strip():
        raise Problem("dead_letter.reason_missing", 422, "Say in `reason` why the event may be left out.")
    with bind(tenant=tenant.slug), tenant_tx(tenant):
        letter = _open_letter(ident)
        skipped = letter.log_seq
        SkippedEvent.objects.get_or_create(
            tenant_id=tenant.pk,
            projection=letter.projection,
            log_seq=skipped,
            defaults={
                "trace_id": letter.trace_id,
                "reason": reason.strip()[:2000],
                "principal": principal.ident,
            },
        )
        engine.refold(tenant, letter, closed_as=DeadLetter.SKIPPED)
        record_audit(
            tenant,
            principal=principal,
            action="dead_letter.skipped",
            target=f"dead_letter:{ident}",
            reason=reason.strip(),
            before={"log_seq": skipped, "projection": letter.projection},
            after={"state": letter.state, "log_seq": letter.log_seq},
        )
        log.info("dead_letter.skipped", ident=ident, trace_id=letter.trace_id, log_seq=skipped)
        bus.publish(tenant, "projection_health", "projection.cursor_advanced")
    return letter


def _open_letter(ident: int) -> DeadLetter:
    letter = DeadLetter.objects.filter(pk=ident).first()
    if letter is None:
        raise not_found("dead_letter", str(ident))
    # the cursor row before the letter, in the order of a batch, or the two wait for each other
    if engine.hold_generation(letter.projection, letter.generation) is None:
        raise not_found("dead_letter", str(ident))
    letter = DeadLetter.objects.select_for_update().filter(pk=ident).first()
    if letter is None:
        raise not_found("dead_letter", str(ident))
    if letter.state != DeadLetter.OPEN:
        raise Problem("dead_letter.closed", 409, f"This dead letter was already {letter.state}; nothing is left to do.")
    return letter


# --- heartbeats ------------------------------------------------------------------------------------


def beat(
    name: str,
    *,
    kind: str = "worker",
    queues: str = "",
    pid: int = 0,
    current: str = "",
    current_since: Any = None,
    started_at: Any = None,
) -> None:
    """Say that a process is alive and what it does."""
    now = clock.now()
    with transaction.atomic():
        WorkerHeartbeat.objects.update_or_create(
            name=name,
            defaults={
                "kind": kind,
                "queues": queues,
                "pid": pid,
                "current": current,
                "current_since": current_since,
                "at": now,
            },
            create_defaults={
                "kind": kind,
                "queues": queues,
                "pid": pid,
                "current": current,
                "current_since": current_since,
                "at": now,
                "started_at": started_at or now,
            },
        )


def forget_silent_workers(*, older_than: Any) -> int:
    """Remove processes that ended long ago."""
    with transaction.atomic():
        return WorkerHeartbeat.objects.filter(at__lt=older_than).exclude(kind="beat").delete()[0]
