"""Service levels: which one applies, and what there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from approvals.domain.sla import STANDARD, Match, Policy
from approvals.models import ProducerWatch, SlaPolicy
from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from tenants.models import Tenant

STANDARD_NAME = "standard"
"""Name of what holds where no policy of the tenant applies."""


def policies(tenant: Tenant, *, after: str = "", limit: int = 500) -> list[SlaPolicy]:
    """Policies by name, up to ``limit + 1``."""
    with tenant_tx(tenant):
        return list(SlaPolicy.objects.filter(name__gt=after).order_by("name")[: limit + 1])


def policy(tenant: Tenant, policy_id: str) -> SlaPolicy | None:
    """One policy; None when there is none, or the id is no id."""
    with tenant_tx(tenant):
        return SlaPolicy.objects.filter(pk=policy_id).first()


class Level(NamedTuple):
    """An active policy, ready to be asked."""

    name: str
    match: Match
    policy: Policy


def active(tenant: Tenant) -> list[Level]:
    """The policies that can apply, the most particular first; of equally particular ones the first by name."""
    with tenant_tx(tenant):
        rows = list(SlaPolicy.objects.filter(active=True).order_by("name")[:1000])
    levels = [Level(row.name, Match.model_validate(row.applies), Policy.model_validate(row.definition)) for row in rows]
    return sorted(levels, key=lambda level: -level.match.weight)


def applicable(levels: Sequence[Level], subject: Mapping[str, Any]) -> tuple[str, Policy]:
    """Name and content of the policy for a subject: the first that fits. Without any, the standard one."""
    for level in levels:
        if level.match.fits(subject):
            return level.name, level.policy
    return STANDARD_NAME, STANDARD


def as_json(row: SlaPolicy) -> dict[str, Any]:
    """A policy as the API answers it."""
    return {
        "id": str(row.pk),
        "name": row.name,
        "applies": row.applies,
        "definition": row.definition,
        "active": row.active,
        "version": row.version,
        "created_at": clock.rfc3339(row.created_at),
        "updated_at": clock.rfc3339(row.updated_at),
        "updated_by": row.updated_by,
    }


def watches(tenant: Tenant) -> list[dict[str, Any]]:
    """How long producers may be silent, by producer."""
    with tenant_tx(tenant):
        rows = list(ProducerWatch.objects.order_by("producer_id")[:500])
    return [
        {
            "producer_id": row.producer_id,
            "seconds": row.seconds,
            "set_by": row.set_by,
            "set_at": clock.rfc3339(row.set_at),
        }
        for row in rows
    ]
