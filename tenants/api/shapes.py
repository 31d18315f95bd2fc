"""What requests and answers of the doors look like, for the schema and for the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from django.conf import settings
from drf_spectacular.utils import OpenApiParameter, inline_serializer
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from rest_framework import serializers

from decisiongraph.core.api import ListQuery
from decisiongraph.core.clock import rfc3339
from tenants.domain.roles import ROLES, SCOPES
from tenants.models import ApiToken, AuditEntry, Membership


class Body(BaseModel):
    """Base of request bodies: unknown fields are refused, types are not guessed."""

    model_config = ConfigDict(extra="forbid", strict=True)


class InviteBody(Body):
    """Whom to invite."""

    email: str = Field(max_length=254)
    role: Literal["viewer", "operator", "reviewer", "admin"]
    name: str = Field(default="", max_length=150)


class RoleBody(Body):
    """The new role."""

    role: Literal["viewer", "operator", "reviewer", "admin"]


class ReasonBody(Body):
    """Why."""

    reason: str = Field(default="", max_length=2000)


class TokenBody(Body):
    """What the token may do."""

    name: str = Field(min_length=1, max_length=100)
    scopes: list[str] = Field(min_length=1, max_length=len(SCOPES))
    producers: list[str] | None = Field(default=None, max_length=100)
    expires_at: AwareDatetime | None = Field(default=None, strict=False)


class AuditQuery(ListQuery):
    """Filters of the audit log."""

    action: str = Field(default="", max_length=100)
    actor: str = Field(default="", max_length=300)
    target: str = Field(default="", max_length=300)
    after: AwareDatetime | None = None
    before: AwareDatetime | None = None


def fields(name: str, /, **members: serializers.Field[Any, Any, Any, Any]) -> Any:
    """A named object of the schema."""
    return inline_serializer(name, members)


def listed(name: str, item: Any) -> Any:
    """A page of a list in the schema."""
    return fields(
        f"{name}List",
        items=serializers.ListField(child=item),
        next=serializers.CharField(allow_null=True),
    )


MEMBER: dict[str, Any] = {
    "id": serializers.IntegerField(),
    "email": serializers.EmailField(),
    "name": serializers.CharField(allow_blank=True),
    "role": serializers.ChoiceField(ROLES),
    "status": serializers.ChoiceField(("invited", "active", "deactivated")),
    "created_at": serializers.DateTimeField(),
}
TOKEN: dict[str, Any] = {
    "id": serializers.CharField(),
    "name": serializers.CharField(),
    "scopes": serializers.ListField(child=serializers.ChoiceField(SCOPES)),
    "producers": serializers.ListField(child=serializers.CharField(), allow_null=True),
    "state": serializers.ChoiceField(("active", "expired", "revoked")),
    "created_by": serializers.CharField(),
    "created_at": serializers.DateTimeField(),
    "expires_at": serializers.DateTimeField(allow_null=True),
    "last_used_at": serializers.DateTimeField(allow_null=True),
    "revoked_at": serializers.DateTimeField(allow_null=True),
}
AUDIT: dict[str, Any] = {
    "id": serializers.IntegerField(),
    "at": serializers.DateTimeField(),
    "actor": serializers.CharField(),
    "on_behalf_of": serializers.CharField(allow_blank=True),
    "action": serializers.CharField(),
    "target": serializers.CharField(allow_blank=True),
    "reason": serializers.CharField(allow_blank=True),
    "before": serializers.JSONField(allow_null=True),
    "after": serializers.JSONField(allow_null=True),
    "request_id": serializers.CharField(allow_blank=True),
    "address": serializers.CharField(allow_blank=True),
}
MEMBER_SHAPE = fields("Member", **MEMBER)
TOKEN_SHAPE = fields("Token", **TOKEN)
REASON_SHAPE = fields("Reason", reason=serializers.CharField(required=False, max_length=2000))
LINK = serializers.URLField(help_text="One-time link, shown only in this answer; valid for a week.")
PAGE = [
    OpenApiParameter("cursor", str, description="`next` of the page before."),
    OpenApiParameter("limit", int, description="1 to 500, default 100."),
]


def member_json(member: Membership) -> dict[str, Any]:
    """A member as the API shows it."""
    return {
        "id": member.pk,
        "email": member.user.email,
        "name": member.user.name,
        "role": member.role,
        "status": member.status,
        "created_at": rfc3339(member.created_at),
    }


def token_json(token: ApiToken) -> dict[str, Any]:
    """A token as the API shows it: without its secret."""
    return {
        "id": token.pk,
        "name": token.name,
        "scopes": token.scopes,
        "producers": token.producers,
        "state": token.state,
        "created_by": token.created_by_label,
        "created_at": rfc3339(token.created_at),
        "expires_at": _maybe(token.expires_at),
        "last_used_at": _maybe(token.last_used_at),
        "revoked_at": _maybe(token.revoked_at),
    }


def audit_json(entry: AuditEntry) -> dict[str, Any]:
    """An audit line as the API shows it."""
    return {name: getattr(entry, name) for name in AUDIT} | {"at": rfc3339(entry.at)}


def link_url(text: str) -> str:
    """The address a person opens."""
    return f"{settings.PUBLIC_URL}/join/{text}"


def _maybe(moment: datetime | None) -> str | None:
    return rfc3339(moment) if moment else None
