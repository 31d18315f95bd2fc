"""Background work of the log."""

from celery import shared_task
from django.db import connection

from tenants.models import Tenant
from traces import services


def _tenants(question: str) -> list[Tenant]:
    """The tenants that a function of the database names."""
    with connection.cursor() as cursor:
        cursor.execute(question)
        numbers = [row[0] for row in cursor.fetchall()]
    return list(Tenant.objects.filter(pk__in=numbers)) if numbers else []


@shared_task(name="traces.roll_up")
def roll_up() -> None:
    """Bring every tenant's producer figures up to its log."""
    for tenant in _tenants("SELECT traces_rollup_lagging()"):
        services.roll_up(tenant)


@shared_task(name="traces.seal")
def seal(tenant_id: int) -> None:
    """Bring one tenant's tree up to its log."""
    tenant = Tenant.objects.filter(pk=tenant_id).first()
    if tenant is not None:
        services.seal(tenant)


@shared_task(name="traces.seal_all")
def seal_all() -> None:
    """Bring every tenant's tree up to its log, then hand checkpoints outside."""
    for tenant in _tenants("SELECT traces_unsealed()"):
        services.seal(tenant)
    services.push_checkpoints()
