"""What is new since somebody was last on a page."""

from __future__ import annotations

from datetime import datetime, timedelta

from approvals.models import Visit
from approvals.selectors.telling import reader
from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from tenants.access import Principal
from tenants.models import Tenant

PAUSE = timedelta(minutes=15)
"""Whoever was away for so long begins another visit."""
NOTED = timedelta(minutes=1)
"""A page that refreshes itself is noted so often at most."""


def visit(tenant: Tenant, *, principal: Principal, page: str) -> datetime | None:
    """Note that a person reads a page; the end of their visit before, None on the first.

    Two windows of the same person may meet here: both read the same, and the later moment stays.
    """
    user, now = reader(principal), clock.now()
    with tenant_tx(tenant):
        row = Visit.objects.filter(user_id=user, page=page).first()
        if row is None:
            made = Visit(tenant_id=tenant.pk, user_id=user, page=page, at=now)
            Visit.objects.bulk_create([made], ignore_conflicts=True)
            return None
        if now - row.at > PAUSE:
            row.before = row.at
        if now - row.at > NOTED:
            Visit.objects.filter(pk=row.pk).update(at=now, before=row.before)
    return row.before
