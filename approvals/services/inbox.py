"""A person's own inbox: read marks and how they want to be told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from approvals.domain import notices
from approvals.models import Notification, Preference
from approvals.selectors.telling import reader
from decisiongraph.core import bus, clock
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import invalid
from tenants.access import Principal
from tenants.models import Tenant


def mark_read(tenant: Tenant, *, principal: Principal, ids: list[int] | None = None, until: int | None = None) -> int:
    """Mark lines as read: those named, or all up to one; how many were unread. Others' lines are left alone."""
    user = reader(principal)
    with tenant_tx(tenant):
        rows = Notification.objects.filter(user_id=user, read_at__isnull=True)
        if ids is not None:
            rows = rows.filter(pk__in=ids)
        if until is not None:
            rows = rows.filter(pk__lte=until)
        changed = rows.update(read_at=clock.now())
        if changed:
            bus.publish(tenant, "notifications", "notification.read")
    return changed


def choose_ways(tenant: Tenant, *, principal: Principal, ways: Mapping[Any, notices.Way]) -> None:
    """How this person wants to be told of each kind named."""
    user = reader(principal)
    for kind in ways:
        if kind not in notices.KINDS:
            said = f"Choose from: {', '.join(notices.KINDS)}."
            raise invalid(kind, "notification.kind_unknown", said, status=422)
    with tenant_tx(tenant):
        Preference.objects.bulk_create(
            [
                Preference(tenant_id=tenant.pk, user_id=user, kind=kind, inbox=way.inbox, email=way.email)
                for kind, way in ways.items()
            ],
            update_conflicts=True,
            unique_fields=["tenant", "user_id", "kind"],
            update_fields=["inbox", "email"],
        )
