"""Items and incidents by a few typed characters, for the palette."""

from __future__ import annotations

import re
import uuid
from datetime import datetime

from django.db.models import Q

from approvals.domain import workflow
from approvals.models import Incident, Item
from decisiongraph.core.db import tenant_tx
from tenants.models import Tenant

LATEST = 2000
"""Titles are looked through in so many of the latest; ids in all."""
WORDS = 8
LARGE = ("action", "evidence", "sla")


def opened_since(tenant: Tenant, moment: datetime, *, but: str, most: int = 100) -> int:
    """How many undecided items opened after a moment, without one's own, counted up to ``most``."""
    with tenant_tx(tenant):
        rows = Item.objects.filter(opened_at__gt=moment, status__in=workflow.OPEN).exclude(opened_by=but)
        return rows.order_by()[:most].count()


def items(tenant: Tenant, text: str, *, limit: int) -> list[Item]:
    """Items whose id begins like this, or whose title, subject or entity has all of these words; undecided first."""
    with tenant_tx(tenant):
        span = _span(text)
        if span is not None:
            found = list(Item.objects.filter(pk__range=span).order_by("pk").defer(*LARGE)[:limit])
            if found:
                return found
        latest = Item.objects.order_by("-opened_at", "-id").values("pk")[:LATEST]
        rows = Item.objects.filter(pk__in=latest)
        for word in text.split()[:WORDS]:
            rows = rows.filter(Q(title__icontains=word) | Q(subject_id__icontains=word) | Q(entity_id__icontains=word))
        found = list(rows.order_by("-opened_at", "-id").defer(*LARGE)[: 5 * limit])
    return sorted(found, key=lambda row: not row.open)[:limit]


def incidents(tenant: Tenant, text: str, *, limit: int) -> list[Incident]:
    """Incidents whose id begins like this, or whose title has all of these words; unresolved first."""
    with tenant_tx(tenant):
        span = _span(text)
        if span is not None:
            found = list(Incident.objects.filter(pk__range=span).order_by("pk")[:limit])
            if found:
                return found
        latest = Incident.objects.order_by("-opened_at", "-id").values("pk")[:LATEST]
        rows = Incident.objects.filter(pk__in=latest)
        for word in text.split()[:WORDS]:
            rows = rows.filter(title__icontains=word)
        found = list(rows.order_by("-opened_at", "-id")[: 5 * limit])
    return sorted(found, key=lambda row: row.status == "resolved")[:limit]


def _span(text: str) -> tuple[uuid.UUID, uuid.UUID] | None:
    """The ids that begin with a text, when it can be the beginning of one."""
    bare = text.strip().lower().removeprefix("review:").replace("-", "")
    if not re.fullmatch(r"[0-9a-f]{6,32}", bare):
        return None
    return uuid.UUID(bare.ljust(32, "0")), uuid.UUID(bare.ljust(32, "f"))
