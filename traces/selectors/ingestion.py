"""What an operator sees of ingestion: who sends, how much, and what was refused."""

from __future__ import annotations

from datetime import datetime, timedelta

from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from tenants.models import Tenant
from traces.models import Producer, ProducerMinute, Refusal, RefusalCount


def recent_refusals(tenant: Tenant, *, limit: int = 100) -> list[Refusal]:
    """The last refused events, newest first."""
    with tenant_tx(tenant):
        return list(Refusal.objects.order_by("-id")[:limit])


def refusal_counts(tenant: Tenant) -> list[RefusalCount]:
    """How often each producer, token and code was refused, most often first."""
    with tenant_tx(tenant):
        return list(RefusalCount.objects.order_by("-count", "producer_id", "code")[:500])


def producers(tenant: Tenant) -> list[Producer]:
    """Every producer the roll-up has seen, last heard first."""
    with tenant_tx(tenant):
        return list(Producer.objects.order_by("-last_at", "producer_id")[:200])


def producer_minutes(tenant: Tenant, *, minutes: int, until: datetime | None = None) -> list[ProducerMinute]:
    """Events and refusals per producer and minute of the last ``minutes`` minutes."""
    end = until or clock.now()
    with tenant_tx(tenant):
        return list(
            ProducerMinute.objects.filter(minute__gt=end - timedelta(minutes=minutes), minute__lte=end).order_by(
                "minute", "producer_id"
            )
        )
