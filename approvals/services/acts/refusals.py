"""Refusals of the rules in the words of the API."""

from __future__ import annotations

from typing import Any, NoReturn

from approvals.domain import workflow
from approvals.domain.people import Person
from approvals.models import Item
from approvals.services.acts.effects import PAST
from approvals.services.acts.held import standing, stands_of
from decisiongraph.core import clock
from decisiongraph.core.errors import Problem
from tenants.access import Principal

FOUR_EYES = "Whoever asked for it may not decide it. Somebody else has to."


def refuse(refused: workflow.Refused, item: Item, person: Person, principal: Principal) -> NoReturn:
    """Raise the refusal of the rules in the API's words."""
    if refused.why == "permission":
        principal.require(refused.permission)
    extra: dict[str, Any] = {"state": item.status, "version": item.version}
    if refused.why == "illegal" or (not item.open and refused.why != "four_eyes"):
        extra["allowed"] = list(workflow.allowed(standing(item), person, stands=stands_of(item), now=clock.now()))
        raise Problem("approval.transition_illegal", 409, _illegal(item, refused), extra=extra)
    if refused.why == "voted":
        raise Problem("approval.already_voted", 409, refused.detail, extra=extra)
    if refused.why == "four_eyes":
        raise Problem("approval.four_eyes", 403, refused.detail, extra=extra)
    raise Problem("approval.not_yours", 403, refused.detail, extra=extra)


def _illegal(item: Item, refused: workflow.Refused) -> str:
    if item.open:
        return refused.detail
    who = item.decided_label or item.decided_by or "the platform"
    return f"This item is over: it was {item.status} by {who}. Nothing but a comment is possible."


def stale(item: Item, version: int) -> Problem:
    """412: who was faster and what they did, or that there never was such a version."""
    who = item.decided_label if not item.open else item.changed_by.removeprefix("user:")
    did = item.status if not item.open else PAST.get(item.changed_how, item.changed_how)
    faster = f"Somebody was faster: {who or 'the platform'} {did.replace('_', ' ')} it."
    if version > item.version:
        faster = f"There is no version {version} of it yet."
    return Problem(
        "approval.version_conflict",
        412,
        f"{faster} It is {item.status.replace('_', ' ')} now, version {item.version}. Look at it again.",
        extra={
            "version": item.version,
            "state": item.status,
            "changed_by": item.changed_by,
            "changed_how": item.changed_how,
            "changed_at": clock.rfc3339(item.changed_at),
        },
    )
