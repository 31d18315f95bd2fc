"""The principal as requests carry it: an actor that can refuse."""

from __future__ import annotations

from dataclasses import dataclass

from decisiongraph.core.db import UnscopedQuery, current_tenant_id
from decisiongraph.core.errors import Problem
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
        own; inside another one the door does it afterwards (`note_refusal`).
        """
        if self.may(permission):
            return
        problem = refusal(self, permission)
        if permission in PRIVILEGED and self.tenant_id and not _in_tenant_tx():
            tenant = Tenant.objects.filter(pk=self.tenant_id).first()
            if tenant is not None:
                services.record_refusal(tenant, principal=self, permission=permission)
                problem.written_down = True
        raise problem

    def note_refusal(self, permission: str, method: str, problem: Problem) -> None:
        """A view that needs ``permission`` refused; the doors call this once its transaction is over."""
        tenant = Tenant.objects.filter(pk=self.tenant_id).first()
        if tenant is not None and not _in_tenant_tx():
            services.note_refusal(tenant, principal=self, permission=permission, method=method, problem=problem)


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
