"""An item that is ours until the transaction ends, and what the rules need to know of it."""

from __future__ import annotations

from approvals.domain import workflow
from approvals.models import Delegation, Item, Step, Vote
from approvals.selectors import items
from decisiongraph.core.errors import not_found
from tenants.access import Principal


def held(item_id: str) -> Item:
    """The item, locked until the transaction ends. 404 for anything that is no item of this tenant."""
    found = Item.objects.select_for_update().filter(pk=items.ident_of(item_id)).first()
    if found is None:
        raise not_found("approval", item_id)
    return found


def standing(item: Item) -> workflow.Item:
    """An item as the rules see it, with the votes of its round, where the first does not decide."""
    counted = item.quorum > 1 or bool(item.reviewers)
    return items.as_rules(
        item, Vote.objects.filter(item_id=item.pk, round=item.round).order_by("id") if counted else ()
    )


def stands_of(item: Item) -> list[workflow.Stand]:
    """The delegations of an item."""
    return items.as_stands(Delegation.objects.filter(item_id=item.pk).order_by("id"))


OWN = frozenset(("claim", "release", "reassign", "delegate", "escalate"))
"""Actions that change who has an item and nothing of what is decided."""


class Since(int):
    """The version of a page: what its own person did to the item since then counts as seen.

    A page refreshes itself a moment after a click, and not under a typing hand: whoever claims and then
    decides must not be told that somebody was faster, when that was themselves.
    """


def seen(item: Item, version: int, principal: Principal) -> int:
    """The version of an item somebody knows who names this one."""
    if isinstance(version, Since) and version < item.version:
        for step in Step.objects.filter(item_id=item.pk, version__gt=version).order_by("version", "id"):
            if step.version == version + 1 and step.by == principal.ident and step.action in OWN:
                version = Since(step.version)
    return version
