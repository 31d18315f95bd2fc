"""The principal as requests carry it: an actor that can refuse."""

from __future__ import annotations

from dataclasses import dataclass

from decisiongraph.core.db import UnscopedQuery, current_tenant_id
from tenants import services
from tenants.domain.principal import Actor
from tenants.domain.roles import PERMISSIONS, PRIVILEGED
from tenants.models import Tenant
from tenants.services.audit import refusal


@dataclass(frozen=True, slots=True)
class Principal(Actor):
    """Who acts in one tenant. See `Actor` for the fields."""

    def require(self, permission: str) -> None:
        """403 naming the permission, unless it is held.

        The refusal of a privileged permission is written to the audit log, in a transaction of its
        own; the doors ask before any transaction is open, inside one nothing is written.
        """
        if self.may(permission):
            return
        if permission in PRIVILEGED and self.tenant_id and not _in_tenant_tx():
            tenant = Tenant.objects.filter(pk=self.tenant_id).first()
            if tenant is not None:
                services.record_refusal(tenant, principal=self, permission=permission)
        raise refusal(self, permission)


def system_principal(tenant: Tenant | None = None, *, label: str = "DecisionGraph") -> Principal:
    """The platform itself: commands, timers, workers."""
    return Principal(
        "system",
        "system",
        label,
        frozenset(PERMISSIONS),
        tenant_id=int(tenant.pk) if tenant is not None else 0,
    )


def _in_tenant_tx() -> bool:
    try:
        current_tenant_id()
    except UnscopedQuery:
        return False
    return True
