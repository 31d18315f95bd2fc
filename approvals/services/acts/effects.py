"""What an action leaves behind: rows, the end of an item, the event, the outbox row and the doorbells."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from approvals.domain import workflow
from approvals.domain.people import Person
from approvals.models import Item, Timer, Vote
from approvals.services import review, tell
from tenants.access import Principal
from tenants.models import Tenant

PAST: dict[str, str] = {
    "claim": "claimed",
    "release": "released",
    "approve": "approved",
    "reject": "rejected",
    "request_changes": "changes_requested",
    "resubmit": "resubmitted",
    "escalate": "escalated",
    "override": "overridden",
    "withdraw": "withdrawn",
    "expire": "expired",
    "comment": "commented",
    "reassign": "reassigned",
    "delegate": "delegated",
}
"""Action -> the audit log's word."""


class Deed(NamedTuple):
    """One action while its transaction runs."""

    tenant: Tenant
    principal: Principal
    person: Person
    item: Item
    before: str
    reason: str
    book: review.Book
    now: datetime


def take_over(item: Item, after: workflow.Item, principal: Principal) -> None:
    if after.holder != item.holder:
        item.holder_label = principal.label if after.holder else ""
    item.status, item.holder = after.status, after.holder
    item.round, item.level = after.round, after.level


def store_vote(deed: Deed, vote: workflow.Vote, behalf: str) -> None:
    Vote.objects.create(
        tenant_id=deed.tenant.pk,
        item_id=deed.item.pk,
        round=deed.item.round,
        voter=vote.voter,
        voter_label=deed.principal.label,
        names=sorted(vote.names),
        on_behalf_of=behalf,
        approve=vote.approve,
        reason=deed.reason,
        at=deed.now,
    )


def end(deed: Deed) -> None:
    """What every last transition does: who, when, the ticket's end, no more timers."""
    item = deed.item
    item.decided_at, item.decided_by, item.decided_label = deed.now, deed.principal.ident, deed.principal.label
    item.decision_reason = deed.reason
    if item.status in workflow.GRANTED:
        item.ticket_expires_at = deed.now + timedelta(seconds=int(item.sla.get("ticket_seconds", 86_400)))
    Timer.objects.filter(item_id=item.pk, state=Timer.WAITING).update(state=Timer.CANCELLED)


def say(deed: Deed, action: str, detail: dict[str, Any], *, decided: bool) -> None:
    """The event, the outbox row and the doorbells of an action."""
    item, tenant, book, who = deed.item, deed.tenant, deed.book, deed.principal.ident
    if action == "comment":
        tell.about_item(tenant, item, "approval.updated", actor=who, action=action, text=deed.reason[:1000])
        return
    ended = item.status in workflow.TERMINAL
    if action == "resubmit":
        review.ask(book, item, key=f"requested-{item.round}")
        tell.about_item(tenant, item, "approval.requested", actor=who, action=action, reason=deed.reason[:1000])
        return
    if action == "escalate":
        review.escalation(book, item, to=str(detail.get("to", "")), reason=deed.reason)
        tell.about_item(
            tenant,
            item,
            "approval.escalated",
            actor=who,
            level=item.level,
            to=detail.get("to"),
            reason=deed.reason[:1000],
        )
        return
    if decided:
        rows = Vote.objects.filter(item_id=item.pk, round=item.round).order_by("id")
        votes = [{"voter": v.voter, "decision": "approved" if v.approve else "rejected"} for v in rows]
        approve = item.status in workflow.GRANTED
        review.decision(book, item, approve=approve, reason=deed.reason, votes=votes, override=action == "override")
    else:
        review.step(book, item, action, deed.reason, _flat(detail), key=f"{action}-{item.version}")
    if ended:
        review.close_trace(book, item, deed.reason or PAST[action])
        tell.about_item(tenant, item, "approval.decided", actor=who, decision=item.status, reason=deed.reason[:1000])
    else:
        tell.about_item(tenant, item, "approval.updated", actor=who, action=action, reason=deed.reason[:1000])


def _flat(detail: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in detail.items() if isinstance(value, str | int)}
