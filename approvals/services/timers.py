"""Timers: what is due happens once, within seconds, however many beats there are.

A beat asks for due ids across tenants by one index (O(due), not O(open)) and fires each in a
transaction of its own, in which the timer's row says that it has been fired.
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import NamedTuple

from django.db import DatabaseError, connection

from approvals.domain.workflow import OPEN
from approvals.models import Item, Step, Timer
from approvals.services import acts, incidents, people, review, tell
from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem
from decisiongraph.core.telemetry import log, metrics
from tenants.models import Tenant

MOST = 500
SLICE_SECONDS = 2.0


class Swept(NamedTuple):
    """What one sweep did."""

    due: int
    fired: int


def sweep(*, budget: float = SLICE_SECONDS, most: int = MOST) -> Swept:
    """Fire what is due, the longest overdue first. What is left waits for the next tick."""
    now = clock.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT tenant_id, timer_id FROM dg_due_timers(%s, %s)", [now, most])
        due = cursor.fetchall()
    tenants = Tenant.objects.in_bulk({row[0] for row in due}) if due else {}
    deadline, fired = time.monotonic() + budget, 0
    for tenant_id, timer_id in due:
        if time.monotonic() > deadline:
            break
        tenant = tenants.get(tenant_id)
        if tenant is None:
            continue
        try:
            fired += fire(tenant, timer_id)
        except (Problem, DatabaseError) as error:  # it stays due, and the next tick tries again
            log.error(
                "timer.failed", tenant=tenant.slug, timer=timer_id, error=f"{type(error).__name__}: {error}"[:300]
            )
    return Swept(len(due), fired)


def fire(tenant: Tenant, timer_id: int) -> bool:
    """Fire one timer, unless somebody else does, did, or its item is over.

    The item is locked before the timer, as everywhere: a decision cancels timers while it holds the item.
    """
    with tenant_tx(tenant):
        known = Timer.objects.filter(pk=timer_id, state=Timer.WAITING).first()
        if known is None:
            return False
        item = Item.objects.select_for_update(skip_locked=True).filter(pk=known.item_id).first()
        if item is None:
            return False
        now = clock.now()
        timer = (
            Timer.objects.select_for_update(skip_locked=True)
            .filter(pk=timer_id, state=Timer.WAITING, due_at__lte=now)
            .first()
        )
        if timer is None:
            return False
        if item.status not in OPEN:
            timer.state = Timer.CANCELLED
            timer.save(update_fields=["state"])
            return False
        timer.state, timer.fired_at = Timer.FIRED, now
        timer.save(update_fields=["state", "fired_at"])
        _happen(tenant, item, timer, now)
    lateness = max(0.0, (now - timer.due_at).total_seconds())
    metrics.timer_lateness.labels(timer.kind).observe(lateness)
    log.info("timer.fired", tenant=tenant.slug, approval=str(item.pk), kind=timer.kind, late=round(lateness, 3))
    return True


def _happen(tenant: Tenant, item: Item, timer: Timer, now: datetime) -> None:
    principal = people.platform(tenant)
    if timer.kind == "escalation":
        levels = item.sla.get("escalations") or []
        to = levels[timer.level - 1]["to"] if timer.level <= len(levels) else "role:admin"
        acts.escalate_by_timer(tenant, item_id=str(item.pk), principal=principal, to=to, level=timer.level)
        return
    if timer.kind == "expiry":
        acts.expire(tenant, item_id=str(item.pk), principal=principal)
        return
    book = review.Book(tenant, principal)
    action = {"reminder": "remind", "risk": "risk", "deadline": "breach"}[timer.kind]
    due = clock.rfc3339(item.due_at) if item.due_at is not None else ""
    Step.objects.create(
        tenant_id=tenant.pk,
        item_id=item.pk,
        version=item.version,
        action=action,
        by=principal.ident,
        by_label=principal.label,
        before=item.status,
        after=item.status,
        detail={"due_at": due, "timer": timer.kind},
        at=now,
    )
    review.step(book, item, action, "", {"due_at": due}, key=f"timer-{timer.kind}-{timer.level}")
    tell.about_item(tenant, item, "approval.updated", actor=principal.ident, action=action)
    if timer.kind == "deadline" and item.sla.get("incident_on_breach", True):
        incidents.open_by_itself(
            tenant,
            book,
            source_key=f"sla:{item.pk}",
            cause="sla.breached",
            severity="high" if item.priority in ("high", "urgent") else "medium",
            title=f"Not decided in time: {item.title}"[:500],
            now=now,
            trace_id=item.trace_id,
            event_id=item.event_id,
            item_id=item.pk,
            entity=review.primary_entity(item.entity_type, item.entity_id, item.entity_system),
            detail={"due_at": due, "sla": item.sla_name},
        )
    book.write()
