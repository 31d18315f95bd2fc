"""Giving an item to somebody else: up, over, or for a while; by people and by the clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from approvals.models import Delegation, Item
from approvals.services.acts.deed import act
from approvals.services.acts.effects import Deed
from decisiongraph.core import clock
from decisiongraph.core.errors import Problem, invalid
from tenants import selectors as tenant_selectors
from tenants.access import Principal
from tenants.domain.roles import ROLES
from tenants.models import Membership, Tenant

LONGEST_STAND = timedelta(days=366)


def escalate(
    tenant: Tenant,
    *,
    principal: Principal,
    item_id: str,
    reason: str,
    version: int | None,
    to: str = "role:admin",
    key: str | None = None,
) -> Item:
    """Ask the next level. ``to`` is ``role:<role>`` or the ident of a member."""

    def apply(deed: Deed) -> dict[str, Any]:
        deed.item.assignee = assignee_of(deed.tenant, to)
        return {"to": to, "level": deed.item.level}

    return act(
        tenant, principal, item_id, "escalate", version=version, reason=reason, key=key, apply=apply, more={"to": to}
    )


def escalate_by_timer(tenant: Tenant, *, principal: Principal, item_id: str, to: str, level: int) -> Item:
    """The next level of the policy, because nobody decided. Only the platform's own clock does this."""

    def apply(deed: Deed) -> dict[str, Any]:
        try:
            deed.item.assignee = assignee_of(deed.tenant, to)
        except Problem:  # whoever the policy names has left: all who may review are asked
            deed.item.assignee = ""
        return {"to": to, "level": deed.item.level, "timer": level}

    return act(tenant, principal, item_id, "escalate", version=None, reason="Nobody decided in time.", apply=apply)


def reassign(
    tenant: Tenant,
    *,
    principal: Principal,
    item_id: str,
    to: str,
    version: int,
    reason: str = "",
    key: str | None = None,
) -> Item:
    """Put it on somebody's desk: ``user:<e-mail>``, ``role:<role>``, or nobody's (empty)."""

    def apply(deed: Deed) -> dict[str, Any]:
        before = deed.item.assignee
        deed.item.assignee = assignee_of(deed.tenant, to)
        return {"from": before, "to": deed.item.assignee}

    return act(
        tenant, principal, item_id, "reassign", version=version, reason=reason, key=key, apply=apply, more={"to": to}
    )


def delegate(
    tenant: Tenant,
    *,
    principal: Principal,
    item_id: str,
    to: str,
    ends_at: datetime,
    reason: str,
    version: int,
    starts_at: datetime | None = None,
    key: str | None = None,
) -> Item:
    """Let a colleague who may review stand in for you on this item, between two moments."""

    def apply(deed: Deed) -> dict[str, Any]:
        begins = starts_at or deed.now
        if ends_at <= begins or ends_at <= deed.now or ends_at - begins > LONGEST_STAND:
            raise invalid(
                "ends_at",
                "approval.delegation_invalid",
                "It must end after it starts and now, within a year.",
                status=422,
            )
        whom = assignee_of(deed.tenant, to)
        if not whom.startswith("user:") or whom == deed.principal.ident:
            raise invalid("to", "approval.delegation_invalid", "Name a colleague as user:<e-mail>.", status=422)
        if "review" not in permissions_of(deed.tenant, whom):
            raise invalid("to", "approval.delegation_invalid", f"{whom} may not review.", status=422)
        Delegation.objects.create(
            tenant_id=deed.tenant.pk,
            item_id=deed.item.pk,
            delegator=deed.principal.ident,
            delegate=whom,
            starts_at=begins,
            ends_at=ends_at,
            reason=deed.reason,
            at=deed.now,
        )
        if deed.item.assignee in ("", deed.principal.ident):
            deed.item.assignee = whom
        return {"to": whom, "starts_at": clock.rfc3339(begins), "ends_at": clock.rfc3339(ends_at)}

    more = {"to": to, "ends_at": ends_at.isoformat(), "starts_at": starts_at.isoformat() if starts_at else None}
    return act(tenant, principal, item_id, "delegate", version=version, reason=reason, key=key, apply=apply, more=more)


def assignee_of(tenant: Tenant, to: str) -> str:
    """``to`` checked: nobody, a role, or an active member."""
    if not to:
        return ""
    kind, _, name = to.partition(":")
    if kind == "role" and name in ROLES:
        return to
    if kind == "user":
        found = Membership.objects.filter(user__email=name.strip().lower(), status=Membership.ACTIVE).first()
        if found is not None:
            return f"user:{name.strip().lower()}"
    raise invalid(
        "to",
        "approval.assignee_unknown",
        "Name a member as user:<e-mail>, a role as role:<role>, or nobody with an empty text.",
        status=422,
    )


def permissions_of(tenant: Tenant, ident: str) -> frozenset[str]:
    found = Membership.objects.select_related("user").filter(
        user__email=ident.partition(":")[2], status=Membership.ACTIVE
    )
    member = found.first()
    return tenant_selectors.permissions(tenant, member.user) if member is not None else frozenset()
