"""Waiting for a decision, without holding the server's threads."""

from __future__ import annotations

import threading
import time

from django.conf import settings

from approvals.models import Item
from approvals.selectors.items import item, ticket
from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem
from tenants.models import Tenant

LONGEST_WAIT_MS = 30_000
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.25

_waiters = threading.BoundedSemaphore(max(1, settings.DB_POOL_SIZE // 4))
"""Waits hold at most a quarter of a process's threads; beyond that they are answered at once."""


def decided_ticket(tenant: Tenant, item_id: str, *, wait_ms: int = 0) -> Item:
    """The item, as soon as its ticket is no longer pending or the wait is over.

    Raises 404, and 503 ``approval.too_many_waiting`` when a wait was asked for and there is no room.
    """
    row = item(tenant, item_id)
    if wait_ms <= 0 or ticket(row).state(clock.now()) != "pending":
        return row
    if not _waiters.acquire(blocking=False):
        raise Problem(
            "approval.too_many_waiting",
            503,
            "Too many requests are waiting for decisions. Ask again in a moment, or without `wait_ms`.",
            headers={"Retry-After": "1"},
        )
    try:
        deadline, pause = time.monotonic() + wait_ms / 1000, FIRST_PAUSE
        while (left := deadline - time.monotonic()) > 0:
            time.sleep(min(pause, left))
            with tenant_tx(tenant):
                version = Item.objects.filter(pk=row.pk).values_list("status", "version").first()
            if version is not None and version != (row.status, row.version):
                row = item(tenant, item_id)
                if ticket(row).state(clock.now()) != "pending":
                    break
            pause = min(pause * 1.5, LONGEST_PAUSE)
    finally:
        _waiters.release()
    return row
