"""Who may do what: roles of people, scopes of tokens, the text form of a token. Pure.

A permission is one of five words on a tenant. People hold them through their role, programs through
the scopes of their token; everything above asks for a permission and never for a role.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

PERMISSIONS: tuple[str, ...] = ("read", "ingest", "operate", "review", "admin")
"""Everything that can be asked of a tenant."""

MEANING: dict[str, str] = {
    "read": "see traces, projections, replays and the live view",
    "ingest": "append events to the log",
    "operate": "start and cancel replays, retry and skip dead letters",
    "review": "decide approvals and exceptions",
    "admin": "manage members, tokens and read the audit log",
}
"""What a permission allows, in words for people."""

ROLES: tuple[str, ...] = ("viewer", "operator", "reviewer", "admin")
"""The roles of people, from the least to the most trusted."""

ROLE_PERMISSIONS: dict[str, frozenset[str]] = {
    "viewer": frozenset({"read"}),
    "operator": frozenset({"read", "operate"}),
    "reviewer": frozenset({"read", "review"}),
    "admin": frozenset(PERMISSIONS),
}
"""The matrix. Operating and reviewing are apart on purpose: who runs the platform does not decide."""

SCOPES: tuple[str, ...] = ("ingest", "read", "operate", "review", "admin")
"""What a token may be given."""

SCOPE_PERMISSIONS: dict[str, frozenset[str]] = {
    "ingest": frozenset({"ingest"}),
    "read": frozenset({"read"}),
    "operate": frozenset({"read", "operate"}),
    "review": frozenset({"read", "review"}),
    "admin": frozenset({"read", "admin"}),
}
"""``ingest`` alone cannot read: a leaked agent token shows nobody's history."""

PRIVILEGED: frozenset[str] = frozenset({"operate", "review", "admin"})
"""Permissions whose use, and whose refusal, leaves an audit line."""

TOKEN_ID_LENGTH = 8
TOKEN_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
_TOKEN = re.compile(r"dg_([0-9a-z]{8})_([A-Za-z0-9_-]{32,64})")


class TokenText(NamedTuple):
    """The two halves of ``dg_<id>_<secret>``."""

    ident: str
    """Eight characters, public, shown in lists and in the log."""
    secret: str
    """At least 32 URL-safe characters; never stored, never logged."""


def permissions_of_role(role: str) -> frozenset[str]:
    """Permissions of a role; an unknown role has none."""
    return ROLE_PERMISSIONS.get(role, frozenset())


def permissions_of_scopes(scopes: Iterable[str]) -> frozenset[str]:
    """Permissions of a set of token scopes; unknown scopes grant nothing."""
    granted: set[str] = set()
    for scope in scopes:
        granted |= SCOPE_PERMISSIONS.get(scope, frozenset())
    return frozenset(granted)


def rank(role: str) -> int:
    """Position of a role in the order of trust, 0 is the least. Raises ValueError if unknown."""
    return ROLES.index(role)


def roles_with(permission: str) -> tuple[str, ...]:
    """The roles that hold a permission, least trusted first."""
    return tuple(role for role in ROLES if permission in ROLE_PERMISSIONS[role])


def format_token(ident: str, secret: str) -> str:
    """The text a client sends. Raises ValueError when it would not parse back."""
    text = f"dg_{ident}_{secret}"
    if parse_token(text) != (ident, secret):
        raise ValueError("a token needs an id of 8 characters and a URL-safe secret of 32 to 64")
    return text


def parse_token(text: str) -> TokenText | None:
    """The halves of a token, or ``None`` when the text is not one."""
    match = _TOKEN.fullmatch(text)
    return TokenText(match[1], match[2]) if match else None
