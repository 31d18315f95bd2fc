"""Deciding, what leads to it (claim, changes, resubmission), and the other ways an item ends."""

from __future__ import annotations

from typing import Any

from approvals.domain import workflow
from approvals.models import Comment, Item
from approvals.services.acts.deed import act
from approvals.services.acts.effects import Deed
from decisiongraph.core.errors import invalid
from tenants.access import Principal
from tenants.models import Tenant


def claim(tenant: Tenant, *, principal: Principal, item_id: str, version: int, key: str | None = None) -> Item:
    """Take an item, so that others see who has it."""
    return act(tenant, principal, item_id, "claim", version=version, key=key)


def release(
    tenant: Tenant, *, principal: Principal, item_id: str, version: int, reason: str = "", key: str | None = None
) -> Item:
    """Give a claimed item back."""
    return act(tenant, principal, item_id, "release", version=version, reason=reason, key=key)


def decide(
    tenant: Tenant,
    *,
    principal: Principal,
    item_id: str,
    decision: str,
    reason: str,
    version: int,
    key: str | None = None,
) -> Item:
    """Approve or reject. The item is decided when the quorum is met; the answer says so.

    Raises 403 for whoever asked for it, 412 naming who was faster and what they did, 409 with the
    allowed actions, 422 without a reason.
    """
    if decision not in ("approved", "rejected"):
        raise invalid("decision", "approval.unknown_decision", "Send approved or rejected.", status=422)
    action: workflow.Action = "approve" if decision == "approved" else "reject"
    return act(tenant, principal, item_id, action, version=version, reason=reason, key=key)


def request_changes(
    tenant: Tenant, *, principal: Principal, item_id: str, reason: str, version: int, key: str | None = None
) -> Item:
    """Send it back to whoever asked, with what is missing."""
    return act(tenant, principal, item_id, "request_changes", version=version, reason=reason, key=key)


def resubmit(
    tenant: Tenant,
    *,
    principal: Principal,
    item_id: str,
    reason: str,
    version: int,
    evidence: list[Any] | None = None,
    key: str | None = None,
) -> Item:
    """Ask again after changes were requested: a new round, votes start anew."""

    def apply(deed: Deed) -> dict[str, Any]:
        deed.item.reason = deed.reason
        if evidence is not None:
            deed.item.evidence = evidence
        return {"round": deed.item.round}

    extra = {"evidence": evidence}
    return act(tenant, principal, item_id, "resubmit", version=version, reason=reason, key=key, apply=apply, more=extra)


def override(
    tenant: Tenant,
    *,
    principal: Principal,
    item_id: str,
    reason: str,
    version: int,
    confirmation: str,
    key: str | None = None,
) -> Item:
    """Let it through without the quorum. Needs admin, another person than who asked, and the subject's id typed."""

    def apply(deed: Deed) -> dict[str, Any]:
        if confirmation != deed.item.subject_id:
            raise invalid(
                "confirmation",
                "approval.confirmation_missing",
                f"Type the subject's id ({deed.item.subject_id}) to confirm that you override.",
                status=422,
            )
        return {}

    more = {"confirmation": confirmation}
    return act(tenant, principal, item_id, "override", version=version, reason=reason, key=key, apply=apply, more=more)


def withdraw(
    tenant: Tenant, *, principal: Principal, item_id: str, reason: str, version: int, key: str | None = None
) -> Item:
    """Take the request back."""
    return act(tenant, principal, item_id, "withdraw", version=version, reason=reason, key=key)


def expire(tenant: Tenant, *, item_id: str, principal: Principal) -> Item:
    """End an item nobody decided in time. Only the platform's own clock does this."""
    return act(tenant, principal, item_id, "expire", version=None, reason="Nobody decided in time.")


def comment(
    tenant: Tenant,
    *,
    principal: Principal,
    item_id: str,
    text: str,
    version: int | None = None,
    key: str | None = None,
) -> Item:
    """Say something, in any state. Needs no version: a comment contradicts nobody."""

    def apply(deed: Deed) -> dict[str, Any]:
        Comment.objects.create(
            tenant_id=deed.tenant.pk,
            item_id=deed.item.pk,
            by=deed.principal.ident,
            by_label=deed.principal.label,
            text=deed.reason,
            at=deed.now,
        )
        return {}

    return act(tenant, principal, item_id, "comment", version=version, reason=text, key=key, apply=apply)
