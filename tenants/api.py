"""HTTP operations on who may do what: me, members, tokens, audit, socket tickets."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Literal

from django.conf import settings
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from decisiongraph.core.api import (
    ListQuery,
    Page,
    Query,
    body,
    decode_cursor,
    encode_cursor,
    query_params,
)
from decisiongraph.core.api.views import TenantAPIView
from decisiongraph.core.clock import rfc3339
from decisiongraph.core.errors import invalid, not_authenticated, not_found
from tenants import selectors, services
from tenants.domain.roles import ROLES, SCOPES
from tenants.models import ApiToken, AuditEntry, Membership

BIGGEST_ID = 2**63 - 1


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


def _fields(name: str, /, **fields: serializers.Field[Any, Any, Any, Any]) -> Any:
    return inline_serializer(name, fields)  # type: ignore[arg-type]


def _listed(name: str, item: Any) -> Any:
    return _fields(
        f"{name}List",
        items=serializers.ListField(child=item),
        next=serializers.CharField(allow_null=True),
    )


MEMBER = {
    "id": serializers.IntegerField(),
    "email": serializers.EmailField(),
    "name": serializers.CharField(allow_blank=True),
    "role": serializers.ChoiceField(ROLES),
    "status": serializers.ChoiceField(("invited", "active", "deactivated")),
    "created_at": serializers.DateTimeField(),
}
TOKEN = {
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
AUDIT = {
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
MEMBER_SHAPE = _fields("Member", **MEMBER)
TOKEN_SHAPE = _fields("Token", **TOKEN)
REASON_SHAPE = _fields("Reason", reason=serializers.CharField(required=False, max_length=2000))
LINK = serializers.URLField(help_text="One-time link, shown only in this answer; valid for a week.")
PAGE = [
    OpenApiParameter("cursor", str, description="`next` of the page before."),
    OpenApiParameter("limit", int, description="1 to 500, default 100."),
]


class MeView(TenantAPIView):
    """Who am I?"""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """A credential is enough: a token that may only ingest can still ask whose it is."""
        APIView.initial(self, request, *args, **kwargs)
        if getattr(request, "principal", None) is None:
            raise not_authenticated()

    @extend_schema(
        operation_id="get_me",
        tags=["agent"],
        summary="Tenant, principal, permissions, socket address",
        responses=_fields(
            "Me",
            tenant=_fields("MeTenant", slug=serializers.CharField(), name=serializers.CharField()),
            principal=_fields(
                "MePrincipal",
                kind=serializers.ChoiceField(("user", "token")),
                id=serializers.CharField(),
                label=serializers.CharField(),
            ),
            scopes=serializers.ListField(child=serializers.ChoiceField(SCOPES)),
            producers=serializers.ListField(child=serializers.CharField(), allow_null=True),
            socket=serializers.CharField(),
        ),
    )
    def get(self, request: Request) -> Response:
        """The answer tells a program what it may do before it tries."""
        query_params(request, Query)
        principal = request.principal
        return Response(
            {
                "tenant": {"slug": request.tenant.slug, "name": request.tenant.name},
                "principal": {
                    "kind": principal.kind,
                    "id": principal.ident,
                    "label": principal.label,
                },
                "scopes": [scope for scope in SCOPES if principal.may(scope)],
                "producers": sorted(principal.producers) if principal.producers is not None else None,
                "socket": settings.SOCKET_URL,
            }
        )


class MembersView(TenantAPIView):
    """The members of the tenant."""

    permissions: ClassVar = {"GET": "admin", "POST": "admin"}

    @extend_schema(
        operation_id="list_members",
        tags=["operator"],
        summary="Members of the tenant",
        parameters=PAGE,
        responses=_listed("Member", MEMBER_SHAPE),
    )
    def get(self, request: Request) -> Response:
        """In the order they came."""
        query = query_params(request, ListQuery)
        at = decode_cursor(query.cursor, int)
        rows = selectors.members(request.tenant, after=_position(at), limit=query.limit)
        page = Page(rows, query.limit, item=member_json, cursor=lambda row: encode_cursor(row.pk))
        return Response(page.as_json())

    @extend_schema(
        operation_id="invite_member",
        tags=["operator"],
        summary="Invite somebody by a one-time link",
        request=_fields(
            "MemberInvite",
            email=serializers.EmailField(),
            role=serializers.ChoiceField(ROLES),
            name=serializers.CharField(required=False, max_length=150),
        ),
        responses={201: _fields("MemberInvited", **MEMBER, link=LINK)},
    )
    def post(self, request: Request) -> Response:
        """The answer does not tell whether the platform knew the address."""
        query_params(request, Query)
        wish = body(request, InviteBody)
        member, link = services.invite_member(
            request.tenant,
            principal=request.principal,
            email=wish.email,
            role=wish.role,
            name=wish.name,
        )
        return Response(member_json(member) | {"link": link_url(link)}, status=201)


class MemberView(TenantAPIView):
    """One member."""

    permissions: ClassVar = {"GET": "admin", "PATCH": "admin"}

    @extend_schema(
        operation_id="get_member",
        tags=["operator"],
        summary="One member",
        responses=MEMBER_SHAPE,
    )
    def get(self, request: Request, member_id: str) -> Response:
        """By the number in the list."""
        query_params(request, Query)
        member = selectors.member(request.tenant, _number(member_id))
        if member is None:
            raise not_found("member", member_id)
        return Response(member_json(member))

    @extend_schema(
        operation_id="change_member_role",
        tags=["operator"],
        summary="Change a member's role",
        request=_fields("MemberRole", role=serializers.ChoiceField(ROLES)),
        responses=MEMBER_SHAPE,
    )
    def patch(self, request: Request, member_id: str) -> Response:
        """409 for the last admin."""
        query_params(request, Query)
        wish = body(request, RoleBody)
        member = services.change_role(
            request.tenant,
            principal=request.principal,
            member_id=_number(member_id),
            role=wish.role,
        )
        return Response(member_json(member))


class MemberDeactivateView(TenantAPIView):
    """End a membership."""

    permissions: ClassVar = {"POST": "admin"}

    @extend_schema(
        operation_id="deactivate_member",
        tags=["operator"],
        summary="Deactivate a member: ends sessions, tokens and sockets",
        request=REASON_SHAPE,
        responses=MEMBER_SHAPE,
    )
    def post(self, request: Request, member_id: str) -> Response:
        """409 for the last admin."""
        query_params(request, Query)
        wish = body(request, ReasonBody)
        member = services.deactivate_member(
            request.tenant,
            principal=request.principal,
            member_id=_number(member_id),
            reason=wish.reason,
        )
        return Response(member_json(member))


class MemberLinkView(TenantAPIView):
    """A fresh one-time link."""

    permissions: ClassVar = {"POST": "admin"}

    @extend_schema(
        operation_id="issue_member_link",
        tags=["operator"],
        summary="A new one-time link to join or to choose a new password",
        request=None,
        responses={201: _fields("MemberLink", link=LINK)},
    )
    def post(self, request: Request, member_id: str) -> Response:
        """Kills earlier links of the member."""
        query_params(request, Query)
        _member, link = services.reset_link(request.tenant, principal=request.principal, member_id=_number(member_id))
        return Response({"link": link_url(link)}, status=201)


class TokensView(TenantAPIView):
    """The API tokens of the tenant."""

    permissions: ClassVar = {"GET": "admin", "POST": "admin"}

    @extend_schema(
        operation_id="list_tokens",
        tags=["operator"],
        summary="API tokens, newest first",
        parameters=PAGE,
        responses=_listed("Token", TOKEN_SHAPE),
    )
    def get(self, request: Request) -> Response:
        """Never with a secret."""
        query = query_params(request, ListQuery)
        at = decode_cursor(query.cursor, str, str)
        rows = selectors.tokens(request.tenant, after=(_moment(at[0]), at[1]) if at else None, limit=query.limit)
        page = Page(
            rows,
            query.limit,
            item=token_json,
            cursor=lambda row: encode_cursor(rfc3339(row.created_at), row.pk),
        )
        return Response(page.as_json())

    @extend_schema(
        operation_id="create_token",
        tags=["operator"],
        summary="Create an API token; its text is in this answer only",
        request=_fields(
            "TokenCreate",
            name=serializers.CharField(max_length=100),
            scopes=serializers.ListField(child=serializers.ChoiceField(SCOPES)),
            producers=serializers.ListField(child=serializers.CharField(), required=False, allow_null=True),
            expires_at=serializers.DateTimeField(required=False, allow_null=True),
        ),
        responses={201: _fields("TokenCreated", **TOKEN, token=serializers.CharField())},
    )
    def post(self, request: Request) -> Response:
        """Nobody can give more than they hold."""
        query_params(request, Query)
        wish = body(request, TokenBody)
        token, text = services.create_token(
            request.tenant,
            principal=request.principal,
            name=wish.name,
            scopes=wish.scopes,
            producers=wish.producers,
            expires_at=wish.expires_at,
        )
        return Response(token_json(token) | {"token": text}, status=201)


class TokenRevokeView(TenantAPIView):
    """End a token."""

    permissions: ClassVar = {"POST": "admin"}

    @extend_schema(
        operation_id="revoke_token",
        tags=["operator"],
        summary="Revoke an API token, also on open sockets",
        request=REASON_SHAPE,
        responses=TOKEN_SHAPE,
    )
    def post(self, request: Request, token_id: str) -> Response:
        """Within a second, a minute at the latest."""
        query_params(request, Query)
        wish = body(request, ReasonBody)
        if "\x00" in token_id:
            raise not_found("token")
        token = services.revoke_token(
            request.tenant, principal=request.principal, token_id=token_id, reason=wish.reason
        )
        return Response(token_json(token))


class AuditView(TenantAPIView):
    """The audit log."""

    permissions: ClassVar = {"GET": "admin"}

    @extend_schema(
        operation_id="list_audit",
        tags=["operator"],
        summary="Audit log, newest first",
        parameters=[
            *PAGE,
            OpenApiParameter("action", str, description="Exact, or a prefix ending in a dot: `member.`"),
            OpenApiParameter("actor", str, description="For example `user:alice@example.org`."),
            OpenApiParameter("target", str, description="For example `token:abcd1234`."),
            OpenApiParameter("after", datetime, description="From this moment on."),
            OpenApiParameter("before", datetime, description="Up to this moment, excluded."),
        ],
        responses=_listed("Audit", _fields("AuditEntry", **AUDIT)),
    )
    def get(self, request: Request) -> Response:
        """Privileged actions and their refusals."""
        query = query_params(request, AuditQuery)
        at = decode_cursor(query.cursor, int)
        rows = selectors.audit_entries(
            request.tenant,
            before_id=_position(at) if at else None,
            limit=query.limit,
            action=query.action,
            actor=query.actor,
            target=query.target,
            since=query.after,
            until=query.before,
        )
        page = Page(rows, query.limit, item=audit_json, cursor=lambda row: encode_cursor(row.pk))
        return Response(page.as_json())


class SocketTicketsView(TenantAPIView):
    """Tickets for sockets."""

    permissions: ClassVar = {"POST": "read"}

    @extend_schema(
        operation_id="create_socket_ticket",
        tags=["agent"],
        summary="A ticket that opens one socket within a minute",
        request=None,
        responses={
            201: _fields(
                "SocketTicket",
                ticket=serializers.CharField(),
                expires_at=serializers.DateTimeField(),
                socket=serializers.CharField(help_text="Append `?ticket=` and the ticket."),
            )
        },
    )
    def post(self, request: Request) -> Response:
        """For clients that can set no headers on a socket."""
        query_params(request, Query)
        ticket, ends = services.issue_ticket(request.tenant, principal=request.principal)
        return Response({"ticket": ticket, "expires_at": rfc3339(ends), "socket": settings.SOCKET_URL}, status=201)


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


def _position(cursor: tuple[Any, ...] | None) -> int:
    return max(0, min(int(cursor[0]), BIGGEST_ID)) if cursor else 0


def _moment(text: str) -> str:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise invalid("cursor", "cursor.malformed", "The cursor is not one this list gave out.") from None
    return text


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise not_found("member", text[:50])
    return int(text)
