"""The one transaction behind every action.

Key, row lock, rules, rows, audit line, outbox, doorbells, and the event as its last statement. Whatever
fails, nothing of it is seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from approvals.domain import workflow
from approvals.domain.people import same
from approvals.models import Item, Step
from approvals.services import once, people, review
from approvals.services.acts.effects import PAST, Deed, end, say, store_vote, take_over
from approvals.services.acts.held import held, seen, standing, stands_of
from approvals.services.acts.refusals import FOUR_EYES, refuse, stale
from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import invalid
from decisiongraph.core.telemetry import metrics
from tenants.access import Principal
from tenants.models import Tenant
from tenants.services import record_audit


def act(
    tenant: Tenant,
    principal: Principal,
    item_id: str,
    action: workflow.Action,
    *,
    version: int | None,
    reason: str = "",
    key: str | None = None,
    apply: Callable[[Deed], dict[str, Any]] | None = None,
    more: dict[str, Any] | None = None,
) -> Item:
    """Do one action; the item afterwards.

    Args:
        version: what the person saw; None = whatever it is now (timers, comments).
        key: idempotency key; a repetition answers the item and does nothing.
        apply: what only this action does; answers what the history keeps of it.
        more: what else belongs to the content of the key.
    """
    rule, reason = workflow.TABLE[action], reason.strip()
    if "member" in rule.who:
        principal.require("read")
    elif rule.who == ("reviewer",):
        principal.require("review")
    named = None if version is None else int(version)
    content = {"item_id": item_id, "action": action, "version": named, "reason": reason, **(more or {})}
    with tenant_tx(tenant):
        item = held(item_id)
        # Asked once the row is ours: the same request sent twice at once gets the same answer twice.
        if once.recall(tenant, principal, key, "act", content) is not None:
            return item
        person, now = people.person(principal), clock.now()
        if rule.four_eyes and same(person.names, frozenset(item.requesters)):
            refuse(workflow.Refused("four_eyes", FOUR_EYES), item, person, principal)
        if version is not None and seen(item, version, principal) != item.version:
            raise stale(item, version)
        if rule.reason and not reason:
            raise invalid(
                "reason", "approval.reason_missing", "Say why; the reason becomes part of the record.", status=422
            )
        state = standing(item)
        try:
            outcome = workflow.act(state, action, person, stands=stands_of(item), now=now)
        except workflow.Refused as refused:
            refuse(refused, item, person, principal)
        before = item.status
        take_over(item, outcome.item, principal)
        book = review.Book(tenant, principal)
        deed = Deed(tenant, principal, person, item, before, reason, book, now)
        detail = apply(deed) if apply is not None else {}
        if outcome.on_behalf_of:
            detail["on_behalf_of"] = outcome.on_behalf_of
        if action != "comment":
            item.version += 1
            item.changed_at, item.changed_by, item.changed_how = now, principal.ident, action
        if action in ("approve", "reject"):
            vote = outcome.item.votes[-1]
            store_vote(deed, vote, outcome.on_behalf_of)
            detail |= {"votes_for": outcome.item.approvals, "votes_against": outcome.item.rejections}
        if item.status in workflow.TERMINAL and before not in workflow.TERMINAL:
            end(deed)
        if action != "comment":
            item.save()
            Step.objects.create(
                tenant_id=tenant.pk,
                item_id=item.pk,
                version=item.version,
                action=action,
                by=principal.ident,
                by_label=principal.label,
                before=before,
                after=item.status,
                reason=reason,
                detail=detail,
                at=now,
            )
        record_audit(
            tenant,
            principal=principal,
            action=f"approval.{PAST[action]}",
            target=f"approval:{item.pk}",
            reason=reason,
            before={"status": before},
            after={"status": item.status, "version": item.version, **detail},
        )
        say(deed, action, detail, decided=outcome.decided)
        once.remember(tenant, principal, key, "act", content, str(item.pk))
        book.write()
    metrics.actions.labels(action).inc()
    return item
