"""How often each policy is excepted from, and with what result."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.db import connection

from decisiongraph.core.db import current_tenant_id, tenant_tx
from tenants.models import Tenant


class PolicyRow(NamedTuple):
    """Exceptions from one version of a policy, in figures."""

    policy_id: str
    policy_version: str
    open: int
    granted: int
    refused: int
    expired: int
    withdrawn: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.open + self.granted + self.refused + self.expired + self.withdrawn

    @property
    def grant_rate(self) -> float | None:
        """Share granted of those decided; a policy that is always excepted is wrong."""
        decided = self.granted + self.refused
        return self.granted / decided if decided else None

    def as_json(self) -> dict[str, Any]:
        """As the API answers it."""
        rate = self.grant_rate
        return {**self._asdict(), "total": self.total, "grant_rate": None if rate is None else round(rate, 4)}


_BY_POLICY = """
SELECT COALESCE(policy_id, ''), COALESCE(policy_version, ''),
    count(*) FILTER (WHERE status IN ('requested', 'in_review', 'changes_requested', 'escalated')),
    count(*) FILTER (WHERE status IN ('approved', 'overridden')),
    count(*) FILTER (WHERE status = 'rejected'), count(*) FILTER (WHERE status = 'expired'),
    count(*) FILTER (WHERE status = 'withdrawn')
FROM approvals_item WHERE tenant_id = %s AND subject_type = 'exception'
GROUP BY 1, 2 ORDER BY count(*) DESC, 1, 2 LIMIT 500
"""


def exception_rate(tenant: Tenant, policy_id: str, policy_version: str | None) -> PolicyRow | None:
    """The figures of one version of a policy; None when nobody ever asked for an exception from it."""
    one = _BY_POLICY.replace("GROUP BY", "AND policy_id = %s AND COALESCE(policy_version, '') = %s GROUP BY")
    with tenant_tx(tenant), connection.cursor() as cursor:
        cursor.execute(one, [current_tenant_id(), policy_id, policy_version or ""])
        row = cursor.fetchone()
    return PolicyRow(*row) if row else None


def exceptions_by_policy(tenant: Tenant) -> list[PolicyRow]:
    """How often each policy version was excepted and with what result, the most excepted first."""
    with tenant_tx(tenant), connection.cursor() as cursor:
        cursor.execute(_BY_POLICY, [current_tenant_id()])
        return [PolicyRow(*row) for row in cursor.fetchall()]
