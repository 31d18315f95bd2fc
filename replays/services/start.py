"""Starting and cancelling: what a person asks for."""

from __future__ import annotations

import uuid

from django.db import IntegrityError, transaction
from structlog.contextvars import get_contextvars

from decisiongraph.core import bus, clock, jobs
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem, invalid, not_found
from decisiongraph.core.telemetry import log, metrics
from projections.domain.rules import RULES
from projections.topics import REPLAY_FINISHED, REPLAY_STARTED
from replays.domain import verdict as life
from replays.models import ALL, Replay
from tenants.access import Principal
from tenants.models import Tenant
from tenants.services import record_audit
from traces import selectors as traces

GROUPS: tuple[frozenset[str], ...] = (
    frozenset({"context_graph"}),
    frozenset({"trace_summary", "policy_evaluations", "precedent_index"}),
)
"""Children of an ``all`` replay that one worker folds in step, so that they share one reading of the
log. The graph makes as many rows as the others together and runs beside them."""


def start_replay(
    tenant: Tenant,
    *,
    principal: Principal,
    projection: str,
    mode: str,
    reason: str,
    until_log_seq: int | None = None,
    accept_mismatch: bool = False,
    expects_change: bool = False,
) -> Replay:
    """Queue a replay of one projection, or of ``all`` as a parent with one child each.

    ``expects_change`` says that payloads were erased: rows that differ are no finding then.

    Raises 409 ``replay.active`` while another replay of a projection concerned is not over.
    """
    principal.require("operate")
    _check(projection, mode, reason, until_log_seq)
    if accept_mismatch:
        principal.require("admin")
        if mode != "rebuild":
            raise invalid(
                "accept_mismatch",
                "replay.invalid_option",
                "Only a rebuild promotes anything; leave `accept_mismatch` out.",
                status=422,
            )
    with tenant_tx(tenant):
        head = traces.head(tenant)
        if until_log_seq is not None and until_log_seq > head:
            raise invalid(
                "until_log_seq",
                "replay.beyond_head",
                f"The log ends at event {head}; choose a position up to there.",
                status=422,
            )
        first = Replay(
            tenant_id=tenant.pk,
            projection=projection,
            mode=mode,
            until_log_seq=until_log_seq,
            reason=reason.strip(),
            accept_mismatch=accept_mismatch,
            expects_change=expects_change,
            requested_by=principal.ident,
            request_id=str(get_contextvars().get("request_id", "")),
            target=head if until_log_seq is None else until_log_seq,
        )
        rows = [first]
        if projection == ALL:
            rows += [_child(first, name) for name in RULES]
        try:
            with transaction.atomic():
                Replay.objects.bulk_create(rows)
        except IntegrityError:
            raise _already_active(projection) from None
        record_audit(
            tenant,
            principal=principal,
            action="replay.started",
            target=f"replay:{first.pk}",
            reason=reason.strip(),
            after={"projection": projection, "mode": mode, "until_log_seq": until_log_seq},
        )
        log.info(
            "replay.queued",
            tenant=tenant.slug,
            replay_id=str(first.pk),
            projection=projection,
            mode=mode,
            target=first.target,
        )
        announce(tenant, first, REPLAY_STARTED)
        # one task per group: whoever takes one child takes its siblings, and tasks that find nothing
        # to do would only make the workers look wanted
        for row in {group_of(row.projection): row for row in rows if row.projection != ALL}.values():
            jobs.enqueue("replays.run", tenant_id=tenant.pk, replay_id=str(row.pk))
    return first


def group_of(projection: str) -> frozenset[str]:
    """The projections that are folded together with this one."""
    return next((names for names in GROUPS if projection in names), frozenset((projection,)))


def _check(projection: str, mode: str, reason: str, until_log_seq: int | None) -> None:
    if projection != ALL and projection not in RULES:
        known = ", ".join((*RULES, ALL))
        raise invalid("projection", "replay.unknown_projection", f"Choose one of: {known}.", status=422)
    if mode not in Replay.MODES:
        known = ", ".join(Replay.MODES)
        raise invalid("mode", "replay.unknown_mode", f"Choose one of: {known}.", status=422)
    if until_log_seq is not None and mode != "verify":
        raise invalid(
            "until_log_seq",
            "replay.invalid_option",
            "A position to stop at goes only with the mode verify.",
            status=422,
        )
    if not reason.strip():
        raise invalid("reason", "replay.reason_missing", "Say why this replay is run.", status=422)


def _child(parent: Replay, projection: str) -> Replay:
    return Replay(
        tenant_id=parent.tenant_id,
        projection=projection,
        mode=parent.mode,
        parent_id=parent.pk,
        until_log_seq=parent.until_log_seq,
        reason=parent.reason,
        accept_mismatch=parent.accept_mismatch,
        expects_change=parent.expects_change,
        requested_by=parent.requested_by,
        request_id=parent.request_id,
        target=parent.target,
    )


def _already_active(projection: str) -> Problem:
    wanted = list(RULES) if projection == ALL else [projection]
    other = Replay.objects.filter(projection__in=[*wanted, ALL], status__in=sorted(life.ACTIVE)).first()
    named = f" ({other.mode} of {other.projection}, {other.pk})" if other is not None else ""
    return Problem(
        "replay.active",
        409,
        f"Another replay is not over yet{named}. Wait for it, or cancel it first.",
        extra={"replay_id": str(other.parent_id or other.pk)} if other is not None else {},
    )


def cancel_replay(tenant: Tenant, *, principal: Principal, replay_id: str) -> Replay:
    """Ask a replay to stop. The live generation stays as it is. Asking again changes nothing.

    A queued job is cancelled at once, a running one by its worker after the batch it is in.
    """
    principal.require("operate")
    with tenant_tx(tenant):
        found = Replay.objects.filter(pk=replay_id).first()
        if found is None:
            raise not_found("replay", replay_id)
        top = found.parent_id or found.pk
        rows = list(Replay.objects.select_for_update().filter(pk__in=_family(top)).order_by("created_at", "pk"))
        parent = next(row for row in rows if row.pk == top)
        if parent.status not in life.ACTIVE:
            raise Problem("replay.over", 409, f"This replay is {parent.status} already; there is nothing to cancel.")
        for row in rows:
            if row.status not in life.ACTIVE or row.projection == ALL:
                continue
            row.cancel_requested = True
            if row.lease_until is None or row.lease_until < clock.now():
                jobs.enqueue("replays.run", tenant_id=tenant.pk, replay_id=str(row.pk))
            if row.status == "queued":
                row.status = life.transition("queued", "cancelled")
                row.finished_at = clock.now()
                metrics.replays.labels(row.mode, "cancelled").inc()
            row.save(update_fields=["cancel_requested", "status", "finished_at"])
        Replay.objects.filter(pk=top).update(cancel_requested=True)
        if not parent.cancel_requested:
            record_audit(tenant, principal=principal, action="replay.cancelled", target=f"replay:{top}")
            log.info("replay.cancel_requested", tenant=tenant.slug, replay_id=str(top))
        settle_parent(tenant, top)
        found = Replay.objects.get(pk=top)
        announce(tenant, found, REPLAY_FINISHED)
    return found


def _family(top: uuid.UUID) -> list[uuid.UUID]:
    return [top, *Replay.objects.filter(parent_id=top).values_list("pk", flat=True)]


_WORST = ("mismatch", "incomparable", "match")


def settle_parent(tenant: Tenant, parent_id: uuid.UUID) -> None:
    """Let the parent of an ``all`` replay follow its children. A job without children is its own."""
    with tenant_tx(tenant):
        parent = Replay.objects.select_for_update().filter(pk=parent_id, projection=ALL).first()
        if parent is None or parent.status not in life.ACTIVE:
            return
        children = list(Replay.objects.filter(parent_id=parent_id))
        states = {child.status for child in children}
        if states <= {"queued"} or (parent.status == "running" and states & life.ACTIVE):
            return
        if parent.status == "queued":
            parent.status = life.transition("queued", "running")
            parent.started_at = clock.now()
        if not states & life.ACTIVE:
            outcome: life.State = "completed"
            if "failed" in states:
                outcome = "failed"
            elif "cancelled" in states:
                outcome = "cancelled"
            parent.status = life.transition("running", outcome)
            parent.finished_at = clock.now()
            parent.error = "; ".join(f"{c.projection}: {c.error}" for c in children if c.error)[:2000]
            found = {child.verdict for child in children}
            if outcome == "completed":
                parent.verdict = next((name for name in _WORST if name in found), None)
            parent.promoted = all(child.promoted for child in children)
            for count in ("changed", "missing", "surplus"):
                setattr(parent, count, sum(getattr(child, count) for child in children))
            log.info(
                "replay.finished",
                tenant=tenant.slug,
                replay_id=str(parent.pk),
                projection=ALL,
                mode=parent.mode,
                status=parent.status,
                verdict=parent.verdict,
            )
        parent.save()
        announce(tenant, parent, REPLAY_FINISHED if parent.finished_at else REPLAY_STARTED)
        if parent.finished_at:
            jobs.enqueue("replays.sweep", tenant_id=tenant.pk)


def announce(tenant: Tenant, replay: Replay, message: str) -> None:
    """Ring the bell of every topic that shows this replay."""
    bus.publish(tenant, "replays", message)
    bus.publish(tenant, "projection_health", message)
    bus.publish(tenant, "replay", message, ident=str(replay.pk))
    if replay.parent_id is not None:
        bus.publish(tenant, "replay", message, ident=str(replay.parent_id))
