"""Writing service levels, and how long a producer may be silent."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import IntegrityError, transaction

from approvals.domain.sla import Match, Policy
from approvals.models import ProducerWatch, SlaPolicy
from approvals.selectors.policies import STANDARD_NAME
from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem, invalid, not_found
from tenants.access import Principal
from tenants.models import Tenant
from tenants.services import record_audit

MAX_POLICIES = 500


def create_policy(
    tenant: Tenant, *, principal: Principal, name: str, definition: Policy, applies: Match, active: bool = True
) -> SlaPolicy:
    """A new service level. 409 when the name is taken."""
    principal.require("admin")
    name = _name(name)
    with tenant_tx(tenant):
        if SlaPolicy.objects.count() >= MAX_POLICIES:
            raise Problem("sla.too_many", 409, f"A tenant has at most {MAX_POLICIES} policies. Delete one first.")
        row = SlaPolicy(
            id=uuid.uuid4(),
            tenant_id=tenant.pk,
            name=name,
            applies=applies.model_dump(exclude_none=True),
            definition=definition.model_dump(mode="json"),
            active=active,
            updated_by=principal.ident,
        )
        _save(row, insert=True)
        record_audit(tenant, principal=principal, action="sla.created", target=f"sla:{row.pk}", after=_shown(row))
    return row


def change_policy(
    tenant: Tenant,
    *,
    principal: Principal,
    policy_id: str,
    version: int,
    name: str | None = None,
    definition: Policy | None = None,
    applies: Match | None = None,
    active: bool | None = None,
) -> SlaPolicy:
    """Change what is given. Items that are open keep what they were opened with. 412 when it is stale."""
    principal.require("admin")
    with tenant_tx(tenant):
        row = _held(policy_id)
        if row.version != version:
            raise Problem(
                "sla.version_conflict",
                412,
                f"{row.updated_by} changed this policy meanwhile; it is version {row.version} now. Look at it again.",
                extra={"version": row.version, "changed_by": row.updated_by},
            )
        before = _shown(row)
        row.name = row.name if name is None else _name(name)
        row.definition = row.definition if definition is None else definition.model_dump(mode="json")
        row.applies = row.applies if applies is None else applies.model_dump(exclude_none=True)
        row.active = row.active if active is None else active
        row.version += 1
        row.updated_at, row.updated_by = clock.now(), principal.ident
        _save(row, insert=False)
        record_audit(
            tenant,
            principal=principal,
            action="sla.changed",
            target=f"sla:{row.pk}",
            before=before,
            after=_shown(row),
        )
    return row


def delete_policy(tenant: Tenant, *, principal: Principal, policy_id: str) -> SlaPolicy:
    """Forget a policy, and answer it as it was. Items that were opened with it keep their copy."""
    principal.require("admin")
    with tenant_tx(tenant):
        row = _held(policy_id)
        record_audit(tenant, principal=principal, action="sla.deleted", target=f"sla:{row.pk}", before=_shown(row))
        SlaPolicy.objects.filter(pk=row.pk).delete()
    return row


def watch_producer(tenant: Tenant, *, principal: Principal, producer_id: str, seconds: int | None) -> None:
    """Say how long a producer may be silent; None = it may be silent for ever."""
    principal.require("admin")
    if seconds is not None and not 10 <= seconds <= 366 * 86_400:
        raise invalid("seconds", "producer.interval_invalid", "Between 10 seconds and a year.", status=422)
    with tenant_tx(tenant):
        rows = ProducerWatch.objects.filter(producer_id=producer_id)
        before = rows.values_list("seconds", flat=True).first()
        if seconds is None:
            rows.delete()
        else:
            ProducerWatch.objects.update_or_create(
                producer_id=producer_id,
                defaults={"seconds": seconds, "set_by": principal.ident, "set_at": clock.now()},
                create_defaults={
                    "tenant_id": tenant.pk,
                    "seconds": seconds,
                    "set_by": principal.ident,
                    "set_at": clock.now(),
                },
            )
        record_audit(
            tenant,
            principal=principal,
            action="producer.watched",
            target=f"producer:{producer_id}",
            before={"seconds": before},
            after={"seconds": seconds},
        )


def _name(name: str) -> str:
    name = name.strip()
    if not name or len(name) > 100 or name == STANDARD_NAME:
        raise invalid(
            "name",
            "sla.name_invalid",
            f"1 to 100 characters; {STANDARD_NAME!r} is what holds without a policy.",
            status=422,
        )
    return name


def _save(row: SlaPolicy, *, insert: bool) -> None:
    try:
        with transaction.atomic():
            row.save(force_insert=insert)
    except IntegrityError:
        raise Problem("sla.name_taken", 409, f"There is a policy {row.name!r} already. Choose another name.") from None


def _held(policy_id: str) -> SlaPolicy:
    try:
        found = SlaPolicy.objects.select_for_update().filter(pk=uuid.UUID(policy_id)).first()
    except ValueError:
        found = None
    if found is None:
        raise not_found("sla_policy", policy_id)
    return found


def _shown(row: SlaPolicy) -> dict[str, Any]:
    return {"name": row.name, "applies": row.applies, "definition": row.definition, "active": row.active}
