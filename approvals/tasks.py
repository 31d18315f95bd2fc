"""Background work of the human workflow."""

from __future__ import annotations

from celery import shared_task

from approvals import services
from tenants.models import Tenant


@shared_task(name="approvals.follow")
def follow(tenant_id: int) -> None:
    """Follow one tenant's log for a slice."""
    tenant = Tenant.objects.filter(pk=tenant_id).first()
    if tenant is not None:
        services.follow(tenant)


@shared_task(name="approvals.deliver")
def deliver() -> None:
    """Note new checkpoints, hand out what the outbox holds, then try what is due."""
    services.tell_checkpoints()
    services.raise_faults()
    services.hand_out()
    services.deliver()


@shared_task(name="approvals.tick")
def tick() -> None:
    """Fire what is due; wake whoever is behind."""
    services.sweep()
    services.wake()


@shared_task(name="approvals.forget")
def forget() -> None:
    """Delete what is over and old."""
    services.forget()
