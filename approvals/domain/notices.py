"""Who is told what: from something that happened to the people who want to know, and in which words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

Kind = Literal["asked", "pressing", "decided", "said", "incident"]


class Way(NamedTuple):
    """How a person is told."""

    inbox: bool
    email: bool


KINDS: dict[Kind, str] = {
    "asked": "a decision is asked of you",
    "pressing": "a decision you may take is late, nearly late or escalated",
    "decided": "what you asked for, held or were assigned was decided",
    "said": "somebody commented, asked for changes or voted on it",
    "incident": "an incident opened, or changed and is yours",
}
"""Every kind and what it means to the person."""

DEFAULTS: dict[Kind, Way] = {
    "asked": Way(True, False),
    "pressing": Way(True, True),
    "decided": Way(True, False),
    "said": Way(True, False),
    "incident": Way(True, True),
}
"""What holds for somebody who has chosen nothing."""

PRESSING = frozenset({"remind", "risk", "breach"})
SAYING = frozenset({"comment", "request_changes", "approve", "reject"})
_HOW = {"remind": "still waits", "risk": "is due soon", "breach": "is overdue"}
_SAID = {"comment": "commented", "request_changes": "asked for changes", "approve": "approved", "reject": "rejected"}


class Member(NamedTuple):
    """A person of the tenant."""

    ident: str
    """``user:<e-mail>``"""
    role: str
    permissions: frozenset[str]


class Notice(NamedTuple):
    """One thing to tell, and whom."""

    kind: Kind
    title: str
    text: str
    to: tuple[str, ...]
    """Idents of people, in the order of the members."""


def notice(
    message: str, data: Mapping[str, Any], *, actor: str, members: Sequence[Member], involved: Iterable[str] = ()
) -> Notice | None:
    """Whom an outbox row concerns; None when it concerns nobody in particular.

    Args:
        message: name of the live message, ``approval.decided`` for example.
        data: what the outbox row holds.
        actor: who caused it: they know already.
        members: active people of the tenant.
        involved: everybody who has done something about the subject before.
    """
    kind = _kind(message, data)
    if kind is None:
        return None
    wanted = _wanted(kind, message, data, members, set(involved))
    to = tuple(each.ident for each in members if each.ident in wanted and each.ident != actor)
    if not to:
        return None
    title, text = str(data.get("title") or ""), str(data.get("reason") or data.get("text") or "")
    return Notice(kind, title[:300], _words(message, data, text), to)


def _kind(message: str, data: Mapping[str, Any]) -> Kind | None:
    action = str(data.get("action") or "")
    if message in ("approval.requested", "exception.requested"):
        return "asked"
    if message == "approval.escalated":
        return "pressing"
    if message == "approval.decided":
        return "decided"
    if message == "approval.updated":
        return (
            "pressing" if action in PRESSING else "said" if action in SAYING else "asked" if action in HANDED else None
        )
    return "incident" if message.startswith("incident.") else None


HANDED = frozenset({"reassign", "delegate"})
"""Putting it on somebody's desk asks that person."""


def _wanted(
    kind: Kind, message: str, data: Mapping[str, Any], members: Sequence[Member], involved: set[str]
) -> set[str]:
    assignee, holder, opener = (str(data.get(name) or "") for name in ("assignee", "holder", "opened_by"))
    if kind in ("asked", "pressing"):
        desk = str(data.get("to") or assignee)
        # Whoever asked may not decide: asking them would be asking in vain.
        return (_desk(desk, "review", members) | ({holder} if kind == "pressing" else set())) - {opener}
    if kind == "incident":
        if message == "incident.opened" and not assignee:
            return _desk("", "operate", members) | _desk("", "review", members)
        return {assignee} | involved
    return {assignee, holder, opener} | involved


def _desk(desk: str, permission: str, members: Sequence[Member]) -> set[str]:
    if desk.startswith("user:"):
        return {desk}
    if desk.startswith("role:"):
        return {each.ident for each in members if each.role == desk.partition(":")[2]}
    return {each.ident for each in members if permission in each.permissions}


def _words(message: str, data: Mapping[str, Any], text: str) -> str:
    action = str(data.get("action") or "")
    tail = f": {text}" if text else ""
    if message in ("approval.requested", "exception.requested"):
        said = "A decision is asked for"
    elif message == "approval.escalated":
        said = "Escalated to " + (str(data.get("to") or "").removeprefix("role:") or "the next level")
    elif message == "approval.decided":
        said = str(data.get("decision") or data.get("status") or "decided").replace("_", " ").capitalize()
    elif action in _HOW:
        said = f"It {_HOW[action]}"
    elif action in HANDED:
        said = "It was put on your desk"
    elif action in _SAID:
        said = _SAID[action].capitalize()
    else:
        said = {"incident.opened": "An incident opened"}.get(message, f"Incident {data.get('status') or 'updated'}")
    return (said + tail)[:1000]


def way(kind: Kind, chosen: Mapping[str, Way]) -> Way:
    """How somebody wants to be told of a kind."""
    return chosen.get(kind, DEFAULTS[kind])
