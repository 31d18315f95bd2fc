"""Background work of the replays."""

from __future__ import annotations

from celery import shared_task

from replays import services
from tenants.models import Tenant


@shared_task(name="replays.run")
def run(tenant_id: int, replay_id: str) -> None:
    """Work on one replay for a slice."""
    tenant = Tenant.objects.filter(pk=tenant_id).first()
    if tenant is not None:
        services.run_slice(tenant, replay_id)


@shared_task(name="replays.sweep")
def sweep(tenant_id: int) -> None:
    """Delete what lost."""
    tenant = Tenant.objects.filter(pk=tenant_id).first()
    if tenant is not None:
        services.sweep(tenant)


@shared_task(name="replays.erase")
def erase(tenant_id: int, erasure_id: str) -> None:
    """Go on with one erasure for a slice."""
    tenant = Tenant.objects.filter(pk=tenant_id).first()
    if tenant is not None:
        services.run_erasure(tenant, erasure_id)


@shared_task(name="replays.tick")
def tick() -> None:
    """Wake workers for jobs nobody has."""
    services.tick()
