"""The job of an erasure, a step at a time. Every step may be done again: whoever dies leaves no half of one."""

from __future__ import annotations

import time
from typing import Any

import orjson
from django.db import connection

from decisiongraph.core import clock, jobs
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem
from decisiongraph.core.telemetry import bind, log
from projections import engine
from projections import services as readings
from projections.models import Generation
from replays.domain import erasure as life
from replays.models import ALL, Erasure, Replay
from replays.selectors import erasures as look
from replays.services.erasing import TASK, purpose
from replays.services.start import start_replay
from tenants.access import system_principal
from tenants.models import Tenant
from tenants.services import record_audit, vault
from traces import selectors as traces
from traces import services as events
from traces.domain.envelope import PLATFORM_PRODUCER, REVIEW_PREFIX, REVIEW_WORKFLOW

SLICE_SECONDS = 2.0
BATCH = 200
"""Bodies erased in one transaction."""
PATIENCE = "SET LOCAL statement_timeout = '10min'"
"""A look through all tables takes longer than a request may."""
SPARED = frozenset(
    {
        "traces_event", "traces_event_body", "traces_logseal", "traces_lognode", "traces_logcheckpoint",
        "tenants_signingkey", "tenants_apitoken", "tenants_membership", "tenants_socketticket",
        "replays_erasure", "projections_exportpiece", "projections_situationrow", "projections_opentext",
    }
)  # fmt: skip
"""Tables that are not rewritten: what only grows, what opens doors, what is deleted instead. The search looks
at them all the same."""


def run_erasure(tenant: Tenant, erasure_id: str, *, budget: float = SLICE_SECONDS) -> str:
    """Go on for a slice; the status afterwards. Whoever finds the row held goes away."""
    deadline = time.monotonic() + budget
    with bind(tenant=tenant.slug, erasure=erasure_id):
        while True:
            with tenant_tx(tenant):
                with connection.cursor() as cursor:
                    cursor.execute(PATIENCE)
                row = (
                    Erasure.objects.select_for_update(skip_locked=True)
                    .filter(pk=erasure_id, status__in=sorted(life.ACTIVE))
                    .first()
                )
                if row is None:
                    return ""
                moved = _survey(tenant, row) if row.status == "surveying" else _advance(tenant, row)
                row.moved_at = clock.now()
                row.save()
                if moved and row.status in life.ACTIVE and time.monotonic() >= deadline:
                    jobs.enqueue(TASK, tenant_id=tenant.pk, erasure_id=erasure_id)
                    return row.status
            if not moved or row.status not in life.ACTIVE:
                return row.status


def _advance(tenant: Tenant, row: Erasure) -> bool:
    """One piece of the current step; False while it waits for something."""
    step = row.step
    done = _STEPS[step](tenant, row)
    if row.status != "running":
        return True
    if done is None:
        return False
    if done:
        log.info("erasure.stepped", step=step)
        after = life.following(step)
        if after is None:
            _end(tenant, row, "completed")
        else:
            row.step, row.replay_id = after, None
    return True


def _texts(tenant: Tenant, row: Erasure) -> list[str]:
    """What must be nowhere, in every spelling."""
    assert row.wanted is not None  # only what is over has none
    return life.spellings(orjson.loads(vault.unseal(purpose(tenant), row.wanted)))


def _survey(tenant: Tenant, row: Erasure) -> bool:
    """Which texts to look for: those named, and what the payloads say and no other event does."""
    assert row.wanted is not None
    named = orjson.loads(vault.unseal(purpose(tenant), row.wanted))
    payloads = traces.events_at(tenant, row.events).values()
    said = {text for event in payloads for text in life.texts(event.payload) if life.telling(text)}
    kept, places = look.said_elsewhere(tenant, said, named, besides=row.events)
    wanted = sorted({*named, *(said - kept)})
    row.wanted, row.texts = vault.seal(purpose(tenant), orjson.dumps(wanted)), len(wanted)
    row.elsewhere, row.status = places, "waiting"
    return True


def _redact(tenant: Tenant, row: Erasure) -> bool:
    """Erase the next bodies, each with the event that says so, in one transaction."""
    if not row.copies:
        row.copies = look.copies(tenant, _texts(tenant, row), besides=row.events)
    positions = sorted({*row.events, *row.copies})
    waiting = [event for event in traces.events_at(tenant, positions).values() if event.payload is not None]
    waiting.sort(key=lambda event: event.log_seq)
    trace_id = f"{REVIEW_PREFIX}{row.pk}"
    if waiting:
        batch = waiting[:BATCH]
        found = [_opening(row, trace_id), *(_redaction(row, trace_id, event) for event in batch)]
        receipts = events.append(tenant, principal=system_principal(tenant), events=found, origin="platform")
        with connection.cursor() as cursor:
            for event, receipt in zip(batch, receipts[1:], strict=True):
                assert isinstance(receipt, events.Receipt)
                cursor.execute("SELECT erase_body(%s, %s)", [event.log_seq, receipt.log_seq])
        return False
    if positions:
        events.append(
            tenant,
            principal=system_principal(tenant),
            events=[_said(row, trace_id, "TraceFinished", {"outcome": "success"}, "finished")],
            origin="platform",
        )
    row.head = traces.head(tenant)
    readings.supersede_digests(tenant, since=min(positions, default=row.head), mark=str(row.pk))
    return True


def _said(
    row: Erasure, trace_id: str, event_type: str, payload: dict[str, Any], key: str, **more: Any
) -> dict[str, Any]:
    return {
        "trace_id": trace_id,
        "event_type": event_type,
        "source": {"producer_id": PLATFORM_PRODUCER, "system": PLATFORM_PRODUCER, "subsystem": "erasure"},
        "actor": {"actor_type": "system", "actor_id": "decisiongraph"},
        "idempotency_key": f"{trace_id}:{key}",
        "payload": payload,
        **more,
    }


def _opening(row: Erasure, trace_id: str) -> dict[str, Any]:
    payload = {
        "workflow": REVIEW_WORKFLOW,
        "title": f"Erasure of {len(row.events)} payloads",
        "primary_entity": {"entity_type": "erasure", "entity_id": str(row.pk)},
        "context": {"asked_by": row.asked_by, "confirmed_by": row.confirmed_by},
    }
    return _said(row, trace_id, "TraceStarted", payload, "started")


def _redaction(row: Erasure, trace_id: str, event: Any) -> dict[str, Any]:
    payload = {
        "subject": {"trace_id": event.trace_id, "event_id": event.event_id, "log_seq": event.log_seq},
        "reason": row.reason,
        "requested_by": {"actor_type": "person", "actor_id": row.asked_by},
    }
    return _said(
        row,
        trace_id,
        "EventRedacted",
        payload,
        f"redacted:{event.log_seq}",
        correlation_id=event.trace_id,
        causation_event_id=event.event_id,
    )


def _replayed(tenant: Tenant, row: Erasure, mode: str) -> Replay | None:
    """The replay this step waits for, once it is over; started when there is none."""
    if row.replay_id is not None:
        found = Replay.objects.filter(pk=row.replay_id).first()
        if found is not None and found.status in ("queued", "running"):
            return None
        if found is not None and found.status == "completed":
            return found
    options = {"accept_mismatch": True, "expects_change": True} if mode == "rebuild" else {}
    try:
        row.replay_id = start_replay(
            tenant,
            principal=system_principal(tenant),
            projection=ALL,
            mode=mode,
            reason=f"Erasure {row.pk}",
            **options,
        ).pk
    except Problem as problem:  # somebody else's replay is under way; it is looked again within seconds
        if problem.code != "replay.active":
            raise
    return None


def _rebuild(tenant: Tenant, row: Erasure) -> bool | None:
    """Make every projection anew from what the log still says, and let readers use it."""
    return True if _replayed(tenant, row, "rebuild") is not None else None


def _purge(tenant: Tenant, row: Erasure) -> bool:
    """Delete what the projections said before, row by row."""
    old = Generation.objects.filter(state=Generation.RETIRED).order_by("id").first()
    if old is None:
        return True
    engine.delete_some(tenant, old.projection, old.number)
    return False


def _scrub(tenant: Tenant, row: Erasure) -> bool:
    """Everything that repeated the texts beside the projections: rows of the workflow, messages, files."""
    wanted = _texts(tenant, row)
    readings.forget_exports(tenant)
    readings.forget_learned(tenant)
    spared = SPARED | {table.name for bound in engine.BOUND.values() for table in bound.tables.values()}
    with connection.cursor() as cursor:
        for table in look.tables():
            if table not in spared:
                cursor.execute("SELECT erase_text(%s, %s, %s)", [table, wanted, life.MARK])
    return True


def _search(tenant: Tenant, row: Erasure) -> bool:
    """Look through every column of every table; what is found ends it as incomplete, and is named."""
    row.left = look.found_in(tenant, _texts(tenant, row))
    if row.left:
        row.error = "The texts are still somewhere."
        _end(tenant, row, "incomplete")
    return True


def _verify(tenant: Tenant, row: Erasure) -> bool | None:
    """Rows made again from the log equal the live ones."""
    done = _replayed(tenant, row, "verify")
    if done is None:
        return None
    if done.verdict != "match":
        row.error = f"Replay and live rows differ after it: {done.verdict}."
        _end(tenant, row, "incomplete")
    return True


def _prove(tenant: Tenant, row: Erasure) -> bool | None:
    """Every event that lost its body is still proven to be in the log."""
    if traces.seal_state(tenant).waiting > 0:
        events.seal(tenant)
    for log_seq in (*row.events, *row.copies):
        if not traces.inclusion(tenant, log_seq=log_seq).holds:
            row.error = f"The proof of event {log_seq} does not hold."
            _end(tenant, row, "incomplete")
            break
    return True


_STEPS = {
    "redact": _redact,
    "rebuild": _rebuild,
    "purge": _purge,
    "scrub": _scrub,
    "search": _search,
    "verify": _verify,
    "prove": _prove,
}


def _end(tenant: Tenant, row: Erasure, status: str) -> None:
    row.status, row.finished_at = status, clock.now()
    if status == "completed":
        row.step, row.wanted = "", None  # nobody needs to know any more what it was
    record_audit(
        tenant,
        principal=system_principal(tenant),
        action=f"erasure.{status}",
        target=f"erasure:{row.pk}",
        reason=row.error,
        after={"events": len(row.events), "copies": len(row.copies), "left": row.left},
    )
    log.info("erasure.ended", status=status, events=len(row.events), copies=len(row.copies))
