"""From outbox rows to what is told to whom: inbox rows, mails, webhook deliveries, in one transaction.

Rows are claimed ``SKIP LOCKED`` and marked handled in the transaction that writes what follows from
them, so each is fanned out exactly once, whoever dies and however many workers there are.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.db import connection

from approvals.domain import hooks, notices
from approvals.models import Comment, Delivery, Endpoint, IncidentEntry, Notification, Outbox, Preference, Vote
from approvals.services import tell
from decisiongraph.core import bus, clock, jobs
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.telemetry import log
from tenants import selectors as people
from tenants.models import Membership, Tenant

BATCH = 200
SLICE_SECONDS = 2.0
TASK = tell.DELIVER


def hand_out(*, budget: float = SLICE_SECONDS) -> int:
    """Fan out what waits, tenant by tenant; the number of outbox rows handled."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT dg_unsent_outbox()")
        numbers = [row[0] for row in cursor.fetchall()]
    tenants = Tenant.objects.in_bulk(numbers) if numbers else {}
    until, handled = time.monotonic() + budget, 0
    for number in numbers:
        tenant = tenants.get(number)
        while tenant is not None and time.monotonic() < until:
            try:
                done = fan_out(tenant)
            except Exception as error:  # what one tenant's rows break must not keep the others waiting
                log.error("outbox.failed", tenant=tenant.slug, error=f"{type(error).__name__}: {error}"[:300])
                break
            handled += done
            if done < BATCH:
                break
    return handled


def fan_out(tenant: Tenant) -> int:
    """One batch of one tenant's outbox."""
    with tenant_tx(tenant):
        rows = list(
            Outbox.objects.select_for_update(skip_locked=True).filter(handled_at__isnull=True).order_by("id")[:BATCH]
        )
        if not rows:
            return 0
        now = clock.now()
        _notify(tenant, rows)
        _call(tenant, rows)
        Outbox.objects.filter(pk__in=[row.pk for row in rows]).update(handled_at=now)
        jobs.enqueue(TASK)
    return len(rows)


# --- people -------------------------------------------------------------------------------------------


def _notify(tenant: Tenant, rows: list[Outbox]) -> None:
    members, users = _members(tenant)
    involved = _involved(rows)
    wishes = _wishes(tenant)
    lines, mails = [], []
    for row in rows:
        found = notices.notice(
            row.message, row.data, actor=row.actor, members=members, involved=involved.get((row.kind, row.ident), ())
        )
        if found is None:
            continue
        for ident in found.to:
            user = users[ident]
            way = notices.way(found.kind, wishes.get(user.pk, {}))
            if way.inbox:
                lines.append(_line(tenant, row, found, user.pk))
            if way.email:
                mails.append(_mail(tenant, row, found, user.pk))
    Notification.objects.bulk_create(lines, ignore_conflicts=True)
    Delivery.objects.bulk_create(mails, ignore_conflicts=True)
    if lines:
        bus.publish(tenant, "notifications", "notification.arrived")


def _members(tenant: Tenant) -> tuple[list[notices.Member], dict[str, Any]]:
    rows = list(
        Membership.objects.select_related("user").filter(status=Membership.ACTIVE, user__is_active=True).order_by("pk")
    )
    members = [notices.Member(f"user:{row.user.email}", row.role, people.permissions(tenant, row.user)) for row in rows]
    return members, {f"user:{row.user.email}": row.user for row in rows}


def _involved(rows: Iterable[Outbox]) -> dict[tuple[str, str], set[str]]:
    """Who has said or decided something about each subject before."""
    found: dict[tuple[str, str], set[str]] = {}
    items = {row.ident for row in rows if row.kind == "approval"}
    for model in (Comment.objects.values_list("item_id", "by"), Vote.objects.values_list("item_id", "voter")):
        for ident, who in model.filter(item_id__in=items).distinct():
            found.setdefault(("approval", str(ident)), set()).add(who)
    incidents = {row.ident for row in rows if row.kind == "incident"}
    entries = IncidentEntry.objects.filter(incident_id__in=incidents).values_list("incident_id", "by")
    for ident, who in entries.distinct():
        found.setdefault(("incident", str(ident)), set()).add(who)
    return found


def _wishes(tenant: Tenant) -> dict[int, dict[str, notices.Way]]:
    found: dict[int, dict[str, notices.Way]] = {}
    for row in Preference.objects.all():
        found.setdefault(row.user_id, {})[row.kind] = notices.Way(row.inbox, row.email)
    return found


def _line(tenant: Tenant, row: Outbox, found: notices.Notice, user: int) -> Notification:
    return Notification(
        tenant_id=tenant.pk,
        user_id=user,
        outbox_id=row.pk,
        kind=found.kind,
        message=row.message,
        subject=row.kind,
        ident=row.ident,
        title=found.title,
        text=found.text,
        actor=row.actor,
        at=row.at,
    )


def _mail(tenant: Tenant, row: Outbox, found: notices.Notice, user: int) -> Delivery:
    place = "approvals" if row.kind == "approval" else "incidents"
    address = f"{settings.PUBLIC_URL}/t/{tenant.slug}/{place}/{row.ident}"
    ways = f"{settings.PUBLIC_URL}/t/{tenant.slug}/settings/notifications"
    subject = " ".join(f"[{tenant.slug}] {found.title}".split())[:200]
    return Delivery(
        id=uuid.uuid4(),
        tenant_id=tenant.pk,
        channel=Delivery.EMAIL,
        outbox_id=row.pk,
        target=str(user),
        message=row.message,
        subject=subject,
        body=f"{found.text}\n\n{found.title}\n{address}\n\nYou are told because {notices.KINDS[found.kind]}. "
        f"Choose what you are told: {ways}\n",
        next_at=clock.now(),
    )


# --- programs -----------------------------------------------------------------------------------------


def _call(tenant: Tenant, rows: list[Outbox]) -> None:
    endpoints = list(Endpoint.objects.filter(enabled=True))
    calls = [
        call(tenant, endpoint, row)
        for row in rows
        for endpoint in endpoints
        if hooks.wants(endpoint.messages, row.message)
    ]
    Delivery.objects.bulk_create(calls, ignore_conflicts=True)


def call(tenant: Tenant, endpoint: Endpoint, row: Outbox) -> Delivery:
    """One message for one endpoint, not yet stored."""
    data = {"tenant": tenant.slug, "kind": row.kind, "id": row.ident, "actor": row.actor, **row.data}
    return Delivery(
        id=uuid.uuid4(),
        tenant_id=tenant.pk,
        channel=Delivery.WEBHOOK,
        outbox_id=row.pk,
        target=str(endpoint.pk),
        message=row.message,
        body=hooks.body(row.message, clock.rfc3339(row.at), data),
        next_at=clock.now(),
    )
