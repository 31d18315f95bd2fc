"""The same for several items at once: only what decides nothing, saying something and passing it on.

Each item is a transaction of its own, so that one that changed meanwhile holds up no other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from approvals.models import Item
from approvals.services.acts import comment, reassign
from decisiongraph.core.errors import Problem, invalid
from tenants.access import Principal
from tenants.models import Tenant

MOST = 100
"""Items of one request."""


class Outcome(NamedTuple):
    """What became of one of them."""

    item_id: str
    refused: Problem | None


def comment_on_many(
    tenant: Tenant, *, principal: Principal, item_ids: Sequence[str], text: str, key: str | None = None
) -> list[Outcome]:
    """Say the same about each. Raises the first refusal when none took it."""

    def one(item_id: str) -> Item:
        return comment(tenant, principal=principal, item_id=item_id, text=text, key=_key(key, item_id))

    return _each(item_ids, one)


def reassign_many(
    tenant: Tenant,
    *,
    principal: Principal,
    versions: Mapping[str, int],
    to: str,
    reason: str = "",
    key: str | None = None,
) -> list[Outcome]:
    """Put each on another desk, at the version that was seen. Raises the first refusal when none moved."""

    def one(item_id: str) -> Item:
        return reassign(
            tenant,
            principal=principal,
            item_id=item_id,
            to=to,
            reason=reason,
            version=versions[item_id],
            key=_key(key, item_id),
        )

    return _each(list(versions), one)


def _each(item_ids: Sequence[str], act: Callable[[str], Item]) -> list[Outcome]:
    if not 1 <= len(item_ids) <= MOST:
        raise invalid("item", "approval.choose_some", f"Choose 1 to {MOST} items.", status=422)
    found = [_outcome(item_id, act) for item_id in dict.fromkeys(item_ids)]
    first = found[0].refused
    if first is not None and all(each.refused for each in found):
        raise first
    return found


def _outcome(item_id: str, act: Callable[[str], Item]) -> Outcome:
    try:
        act(item_id)
    except Problem as refused:
        return Outcome(item_id, refused)
    return Outcome(item_id, None)


def _key(key: str | None, item_id: str) -> str | None:
    return f"{key}-{item_id}" if key else None
