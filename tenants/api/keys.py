"""Tokens, socket tickets and the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from django.conf import settings
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from decisiongraph.core.api import ListQuery, Page, Query, body, decode_cursor, encode_cursor, query_params
from decisiongraph.core.api.views import TenantAPIView
from decisiongraph.core.clock import rfc3339
from decisiongraph.core.errors import invalid, not_found
from tenants import selectors, services
from tenants.access import TenantRequest
from tenants.api.shapes import (
    AUDIT,
    PAGE,
    REASON_SHAPE,
    TOKEN,
    TOKEN_SHAPE,
    AuditQuery,
    ReasonBody,
    TokenBody,
    audit_json,
    fields,
    listed,
    token_json,
)
from tenants.domain.roles import SCOPES


class TokensView(TenantAPIView):
    """The API tokens of the tenant."""

    permissions: ClassVar = {"GET": "admin", "POST": "admin"}

    @extend_schema(
        operation_id="listTokens",
        tags=["operator"],
        summary="API tokens, newest first",
        parameters=PAGE,
        responses=listed("Token", TOKEN_SHAPE),
    )
    def get(self, request: TenantRequest) -> Response:
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
        operation_id="createToken",
        tags=["operator"],
        summary="Create an API token; its text is in this answer only",
        request=fields(
            "TokenCreate",
            name=serializers.CharField(max_length=100),
            scopes=serializers.ListField(child=serializers.ChoiceField(SCOPES)),
            producers=serializers.ListField(child=serializers.CharField(), required=False, allow_null=True),
            expires_at=serializers.DateTimeField(required=False, allow_null=True),
        ),
        responses={201: fields("TokenCreated", **TOKEN, token=serializers.CharField())},
    )
    def post(self, request: TenantRequest) -> Response:
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
        operation_id="revokeToken",
        tags=["operator"],
        summary="Revoke an API token, also on open sockets",
        request=REASON_SHAPE,
        responses=TOKEN_SHAPE,
    )
    def post(self, request: TenantRequest, token_id: str) -> Response:
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
        operation_id="listAudit",
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
        responses=listed("Audit", fields("AuditEntry", **AUDIT)),
    )
    def get(self, request: TenantRequest) -> Response:
        """Privileged actions and their refusals."""
        query = query_params(request, AuditQuery)
        at = decode_cursor(query.cursor, int)
        rows = selectors.audit_entries(
            request.tenant,
            before_id=at[0] if at else None,
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
        operation_id="createSocketTicket",
        tags=["agent"],
        summary="A ticket that opens one socket within a minute",
        request=None,
        responses={
            201: fields(
                "SocketTicket",
                ticket=serializers.CharField(),
                expires_at=serializers.DateTimeField(),
                socket=serializers.CharField(help_text="Append `?ticket=` and the ticket."),
            )
        },
    )
    def post(self, request: TenantRequest) -> Response:
        """For clients that can set no headers on a socket."""
        query_params(request, Query)
        ticket, ends = services.issue_ticket(request.tenant, principal=request.principal)
        return Response({"ticket": ticket, "expires_at": rfc3339(ends), "socket": settings.SOCKET_URL}, status=201)


def _moment(text: str) -> str:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise invalid("cursor", "cursor.malformed", "The cursor is not one this list gave out.") from None
    return text
