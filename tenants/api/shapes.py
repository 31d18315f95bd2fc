"""What requests and answers of the doors look like, for the schema and for the wire."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Literal

import orjson
from django.conf import settings
from drf_spectacular.utils import OpenApiParameter, inline_serializer
from pydantic import BaseModel, ConfigDict, Field
from rest_framework import serializers

from decisiongraph.core.api import ListQuery
from decisiongraph.core.clock import Moment, rfc3339
from tenants import selectors
from tenants.domain.roles import ROLES, SCOPES
from tenants.models import ApiToken, AuditEntry, Membership, Tenant


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
    expires_at: Moment | None = Field(default=None, strict=False)


class RotateBody(ReasonBody):
    """How long the old token works beside its successor."""

    overlap_hours: int = Field(default=24, ge=0, le=720)


class AuditQuery(ListQuery):
    """Filters of the audit log."""

    action: str = Field(default="", max_length=100)
    actor: str = Field(default="", max_length=300)
    target: str = Field(default="", max_length=300)
    text: str = Field(default="", max_length=200)
    after: Moment | None = None
    before: Moment | None = None

    def filters(self) -> dict[str, Any]:
        """As `selectors.audit_entries` takes them."""
        return {
            "action": self.action,
            "actor": self.actor,
            "target": self.target,
            "text": self.text,
            "since": self.after,
            "until": self.before,
        }


class AuditExportQuery(AuditQuery):
    """The same, for a file."""

    format: Literal["csv", "ndjson"] = "ndjson"


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
    "replaced_by": serializers.CharField(allow_null=True),
}
AUDIT: dict[str, Any] = {
    "id": serializers.IntegerField(),
    "at": serializers.DateTimeField(),
    "actor": serializers.CharField(),
    "on_behalf_of": serializers.CharField(allow_blank=True),
    "action": serializers.CharField(),
    "target": serializers.CharField(allow_blank=True),
    "reason": serializers.CharField(allow_blank=True),
    "before": serializers.JSONField(),
    "after": serializers.JSONField(),
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
        "replaced_by": token.replaced_by or None,
    }


def audit_json(entry: AuditEntry) -> dict[str, Any]:
    """An audit line as the API shows it."""
    return {name: getattr(entry, name) for name in AUDIT} | {"at": rfc3339(entry.at)}


FORMATS = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}
"""How the audit log leaves the house."""


def exported(tenant: Tenant, format: str, filters: dict[str, Any]) -> Iterator[bytes]:
    """The audit log as lines of CSV or NDJSON, newest first, read a thousand at a time."""
    if format == "csv":
        yield csv_line(list(AUDIT))
    before: int | None = None
    while True:
        rows = selectors.audit_entries(tenant, before_id=before, limit=EXPORT_PIECE, **filters)[:EXPORT_PIECE]
        for row in rows:
            said = audit_json(row)
            yield orjson.dumps(said) + b"\n" if format == "ndjson" else csv_line(list(said.values()))
        if len(rows) < EXPORT_PIECE:
            return
        before = rows[-1].pk


EXPORT_PIECE = 1000


def csv_line(values: Sequence[Any]) -> bytes:
    """One line; JSON values as JSON, and no cell that a spreadsheet takes for a formula."""
    out = io.StringIO()
    csv.writer(out).writerow([_cell(value) for value in values])
    return out.getvalue().encode("utf-8", "replace")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def link_url(text: str) -> str:
    """The address a person opens."""
    return f"{settings.PUBLIC_URL}/join/{text}"


def _maybe(moment: datetime | None) -> str | None:
    return rfc3339(moment) if moment else None
