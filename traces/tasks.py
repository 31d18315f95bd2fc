"""Background work of the log."""

from celery import shared_task
from django.db import connection

from tenants.models import Tenant
from traces import services


@shared_task(name="traces.roll_up")
def roll_up() -> None:
    """Bring every tenant's producer figures up to its log."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT traces_rollup_lagging()")
        numbers = [row[0] for row in cursor.fetchall()]
    for tenant in Tenant.objects.filter(pk__in=numbers):
        services.roll_up(tenant)
