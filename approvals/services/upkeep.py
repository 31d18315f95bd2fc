"""Forgetting what is over: outbox, inbox lines, deliveries, keys. Never what was decided, and never the log."""

from __future__ import annotations

import time
from collections import Counter
from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.db import connection
from django.db.models import Model, QuerySet

from approvals.models import Attempt, Delivery, Notification, Once, Outbox
from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from tenants.models import Tenant

BATCH = 1_000
SLICE_SECONDS = 10.0


class Horizon(NamedTuple):
    """What lies before these moments may go."""

    outbox: datetime
    notification: datetime
    delivery: datetime
    once: datetime


def horizon(now: datetime) -> Horizon:
    """As the settings say it."""
    days = (settings.OUTBOX_DAYS, settings.NOTIFICATION_DAYS, settings.DELIVERY_DAYS, settings.IDEMPOTENCY_DAYS)
    return Horizon(*(now - timedelta(days=each) for each in days))


def forget(*, budget: float = SLICE_SECONDS, batch: int = BATCH) -> Counter[str]:
    """Delete what is old, tenant by tenant, in short transactions; how many rows of which table.

    What does not fit into the slice is found by the next one.
    """
    before = horizon(clock.now())
    with connection.cursor() as cursor:
        cursor.execute("SELECT dg_forgettable(%s, %s, %s, %s)", list(before))
        numbers = sorted(row[0] for row in cursor.fetchall())
    tenants = Tenant.objects.in_bulk(numbers) if numbers else {}
    until, gone = time.monotonic() + budget, Counter[str]()
    for number in numbers:
        while (tenant := tenants.get(number)) is not None and time.monotonic() < until:
            went = forget_of(tenant, before, batch)
            gone += went
            if not went:
                break
    return gone


def forget_of(tenant: Tenant, before: Horizon, batch: int = BATCH) -> Counter[str]:
    """One batch of every table of one tenant."""
    with tenant_tx(tenant):
        ended = list(
            Delivery.objects.exclude(state=Delivery.WAITING)
            .filter(created_at__lt=before.delivery)
            .values_list("pk", flat=True)[:batch]
        )
        return +Counter(
            outbox=_delete(Outbox.objects.filter(at__lt=before.outbox, handled_at__isnull=False), batch),
            notification=_delete(Notification.objects.filter(at__lt=before.notification), batch),
            attempt=Attempt.objects.filter(delivery_id__in=ended).delete()[0],
            delivery=Delivery.objects.filter(pk__in=ended).delete()[0],
            once=_delete(Once.objects.filter(at__lt=before.once), batch),
        )


def _delete(rows: QuerySet[Model], batch: int) -> int:
    found = list(rows.order_by("pk").values_list("pk", flat=True)[:batch])
    return rows.model._default_manager.filter(pk__in=found).delete()[0] if found else 0
