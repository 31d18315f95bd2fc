"""How people, subjects, actions and moments of the workflow are called on its pages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlencode

import orjson

from approvals.models import Item
from decisiongraph.core import clock
from decisiongraph.core.bus import public_topic
from decisiongraph.core.templatetags.dg.words import counted
from tenants import selectors as tenants
from tenants.domain.roles import ROLE_PERMISSIONS, ROLES
from tenants.models import Membership, Tenant

NEAR = timedelta(hours=1)
"""A deadline within this is near."""
LONG = 400
"""Characters of a value that are shown; the API has the whole."""
MOST_MEMBERS = 300
"""People offered in a list."""
TYPED = frozenset(("type", "value"))
NAMELESS: Mapping[str, str] = MappingProxyType({})

ACTS = {
    "request": "asked for a decision",
    "repeat": "asked for the same again",
    "claim": "took it into review",
    "release": "put it back",
    "approve": "approved",
    "reject": "rejected",
    "request_changes": "asked for changes",
    "resubmit": "asked again after changes",
    "escalate": "escalated it",
    "override": "let it through without the quorum",
    "withdraw": "withdrew it",
    "supersede": "put another action in its place",
    "expire": "let it expire",
    "reassign": "reassigned it",
    "delegate": "let somebody stand in",
    "remind": "reminded",
    "risk": "warned that the deadline is near",
    "breach": "saw the deadline pass",
    "use": "used the ticket",
    "fault": "committed something that was not approved",
    "comment": "commented",
}
"""Action -> what the history says after the name."""

MARKS = {
    "request": ("human-open", "human"),
    "approve": ("human", "human"),
    "override": ("human", "human"),
    "reject": ("bad", "bad"),
    "request_changes": ("warn", "warn"),
    "escalate": ("warn", "warn"),
    "breach": ("bad", "bad"),
    "fault": ("bad", "bad"),
    "risk": ("warn", "warn"),
    "expire": ("off", "idle"),
    "withdraw": ("off", "idle"),
    "use": ("ok", "ok"),
    "comment": ("idle", "idle"),
}
"""Action -> shape and tone in the history; all others are a person at work."""


def base(tenant: Tenant) -> str:
    """Where the tenant's pages are."""
    return f"/t/{tenant.slug}"


def item_url(tenant: Tenant, ident: Any) -> str:
    """The page of an item."""
    return f"{base(tenant)}/approvals/{ident}"


def incident_url(tenant: Tenant, ident: Any) -> str:
    """The page of an incident."""
    return f"{base(tenant)}/incidents/{ident}"


def trace_url(tenant: Tenant, trace_id: str) -> str:
    """The page of a trace."""
    return f"{base(tenant)}/traces/{quote(trace_id, safe='')}"


def topic(tenant: Tenant, name: str, ident: str = "") -> str:
    """The public name of a live topic."""
    return public_topic(tenant.slug, name, ident)


def who(ident: str, names: Mapping[str, str] = NAMELESS) -> str:
    """A principal, a role or nobody as people say it.

    Templates name people themselves (``{% who %}``); a sentence made here takes ``request.people``.
    """
    kind, _, name = ident.partition(":")
    if kind == "role":
        return f"every {name}"
    if not ident:
        return "nobody"
    return names.get(name, name) if kind == "user" else f"token {name}" if kind == "token" else "the platform"


def asker(row: Item, names: Mapping[str, str] = NAMELESS) -> str:
    """Who asked, as the request says it, or else who opened it."""
    return names.get(row.requested_by, row.requested_by) or who(row.opened_by, names)


def roles_of(permissions: frozenset[str]) -> list[str]:
    """``role:<role>`` of somebody with exactly these permissions."""
    return [f"role:{role}" for role, held in ROLE_PERMISSIONS.items() if held == permissions]


def members(tenant: Tenant) -> list[Membership]:
    """Active members, as forms offer them."""
    return [row for row in tenants.members(tenant, limit=MOST_MEMBERS) if row.active]


def desks(tenant: Tenant, *, nobody: bool = False) -> list[tuple[str, str]]:
    """Where an item can be put: (value, words)."""
    found = [("", "Nobody in particular")] if nobody else []
    found += [(f"role:{role}", f"Every {role}") for role in reversed(ROLES)]
    return found + [(f"user:{row.user.email}", row.user.label) for row in members(tenant)]


def reviewers(tenant: Tenant, *, but: str) -> list[tuple[str, str]]:
    """Colleagues who may review: (value, words)."""
    found = [row for row in members(tenant) if "review" in ROLE_PERMISSIONS[row.role]]
    return [(f"user:{row.user.email}", row.user.label) for row in found if f"user:{row.user.email}" != but]


def plain(value: Any) -> str:
    """A JSON value in one piece of text; typed values without their type."""
    if isinstance(value, dict) and "value" in value and not set(value) - TYPED - {"currency", "unit"}:
        more = value.get("currency") or value.get("unit") or ""
        return f"{plain(value['value'])} {more}".rstrip()
    said = value if isinstance(value, str) else orjson.dumps(value).decode()
    return said if len(said) <= LONG else said[: LONG - 1] + "…"


def entity(row: Item) -> str:
    """What the subject's trace is about."""
    return f"{row.entity_type} {row.entity_id}".strip() or row.trace_id


def title(row: Item) -> str:
    """An item in a few words."""
    return row.title or f"{row.subject_type} {row.subject_id}"


def standing(row: Item) -> str:
    """Who has it on the desk, in words."""
    if not row.open:
        return row.status
    if row.holder:
        return row.holder_label or who(row.holder)
    if row.status in ("changes_requested", "escalated"):
        return "changes asked" if row.status == "changes_requested" else "escalated"
    return who(row.assignee) if row.assignee else "free"


def urgency(row: Item) -> str:
    """The look of an item's clock: a state of the console."""
    if not row.open:
        return row.status
    if row.due_at is None:
        return "idle"
    left = row.due_at - clock.now()
    return "overdue" if left < timedelta(0) else "due_soon" if left < NEAR else "waiting"


def line(tenant: Tenant, row: Item) -> dict[str, Any]:
    """An item in a list."""
    return {
        "id": str(row.pk),
        "version": row.version,
        "url": item_url(tenant, row.pk),
        "title": title(row),
        "about": entity(row),
        "by": asker(row),
        "kind": row.subject_type,
        "status": row.status,
        "open": row.open,
        "urgency": urgency(row),
        "due_at": row.due_at,
        "decided_at": row.decided_at,
        "decided_by": row.decided_label or who(row.decided_by),
        "standing": standing(row),
        "priority": row.priority,
        "policy": f"{row.policy_id}@{row.policy_version}" if row.policy_id else "",
        "opened_at": row.opened_at,
        "trace_id": row.trace_id,
        "trace_url": trace_url(tenant, row.trace_id),
    }


def votes_words(quorum: int, given: int) -> str:
    """``one of two approvals is given``."""
    return f"{given} of {counted(quorum, 'approval')} {'is' if given == 1 else 'are'} given"


def query(**values: str) -> str:
    """A query string of what is not empty."""
    return urlencode({name: value for name, value in values.items() if value})
