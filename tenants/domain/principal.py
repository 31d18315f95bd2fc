"""Who acts. Pure; `tenants.access` makes these, everybody else only asks them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from tenants.domain.roles import MEANING, roles_with

Kind = Literal["user", "token", "system"]


@dataclass(frozen=True, slots=True)
class Actor:
    """A person, a program or the platform itself, inside one tenant."""

    kind: Kind
    ident: str
    """``user:alice@example.org``, ``token:abcd1234`` or ``system``: what log and audit record."""
    label: str
    """A name for people."""
    permissions: frozenset[str]
    producers: frozenset[str] | None = None
    """Producer ids a token is bound to; ``None`` = any."""
    user_id: int | None = None
    """The person, for a token the person who issued it."""
    token_id: str | None = None
    tenant_id: int = 0
    """Number of the tenant these permissions are for."""
    proof: str = field(default="", repr=False)
    """For a person: the session hash of the moment of entry, so that a new password ends it."""

    def may(self, permission: str) -> bool:
        """Whether the permission is held."""
        return permission in self.permissions

    def bound_to(self, producer_id: str) -> bool:
        """Whether events of this producer may be sent."""
        return self.producers is None or producer_id in self.producers

    def missing(self, permission: str) -> str:
        """Why it is refused and how to get it, as one sentence."""
        allows = MEANING.get(permission, permission)
        if self.kind == "token":
            return f"This needs the permission '{permission}' ({allows}). Use a token with the scope '{permission}'."
        roles = " or ".join(roles_with(permission)) or "nobody"
        return (
            f"This needs the permission '{permission}' ({allows}). "
            f"An admin of the tenant can give you the role {roles}."
        )
