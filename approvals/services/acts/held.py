"""An item that is ours until the transaction ends, and what the rules need to know of it."""

from __future__ import annotations

from approvals.domain import workflow
from approvals.models import Delegation, Item, Vote
from approvals.selectors import items
from decisiongraph.core.errors import not_found


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
