"""Tokens, socket tickets and the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from django.conf import settings
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
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
    FORMATS,
    PAGE,
    REASON_SHAPE,
    TOKEN,
    TOKEN_SHAPE,
    AuditExportQuery,
    AuditQuery,
    ReasonBody,
    RotateBody,
    TokenBody,
    audit_json,
    exported,
    fields,
    listed,
    token_json,
)
from tenants.domain.roles import SCOPES
from tenants.services import reauth


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
        at = decode_cursor(query.cursor, datetime, str)
        rows = selectors.tokens(request.tenant, after=(at[0], at[1]) if at else None, limit=query.limit)
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
        reauth.demand(request)
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


class TokenRotateView(TenantAPIView):
    """Replace a token without a gap."""

    permissions: ClassVar = {"POST": "admin"}

    @extend_schema(
        operation_id="rotateToken",
        tags=["operator"],
        summary="A successor with the same rights; the old token works on for `overlap_hours`",
        request=fields(
            "TokenRotate",
            overlap_hours=serializers.IntegerField(required=False, min_value=0, max_value=services.MAX_OVERLAP_HOURS),
            reason=serializers.CharField(required=False, max_length=2000),
        ),
        responses={201: fields("TokenRotated", **TOKEN, token=serializers.CharField(), replaces=TOKEN_SHAPE)},
    )
    def post(self, request: TenantRequest, token_id: str) -> Response:
        """409 unless the token is active and was not replaced before."""
        query_params(request, Query)
        wish = body(request, RotateBody)
        if "\x00" in token_id:
            raise not_found("token")
        reauth.demand(request)
        token, text, old = services.rotate_token(
            request.tenant,
            principal=request.principal,
            token_id=token_id,
            overlap_hours=wish.overlap_hours,
            reason=wish.reason,
        )
        return Response(token_json(token) | {"token": text, "replaces": token_json(old)}, status=201)


AUDIT_FILTERS = [
    OpenApiParameter("action", str, description="Exact, or a prefix ending in a dot: `member.`"),
    OpenApiParameter("actor", str, description="For example `user:alice@example.org`."),
    OpenApiParameter("target", str, description="For example `token:abcd1234`."),
    OpenApiParameter("text", str, description="Anywhere in actor, target and reason."),
    OpenApiParameter("after", datetime, description="From this moment on."),
    OpenApiParameter("before", datetime, description="Up to this moment, excluded."),
]


class AuditView(TenantAPIView):
    """The audit log."""

    permissions: ClassVar = {"GET": "admin"}

    @extend_schema(
        operation_id="listAudit",
        tags=["operator"],
        summary="Audit log, newest first",
        parameters=[*PAGE, *AUDIT_FILTERS],
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
            **query.filters(),
        )
        page = Page(rows, query.limit, item=audit_json, cursor=lambda row: encode_cursor(row.pk))
        return Response(page.as_json())


class AuditExportView(TenantAPIView):
    """The audit log as a file."""

    permissions: ClassVar = {"GET": "admin"}

    @extend_schema(
        operation_id="exportAudit",
        tags=["operator"],
        summary="The whole filtered audit log as NDJSON or CSV; the export is itself audited",
        parameters=[*AUDIT_FILTERS, OpenApiParameter("format", str, enum=["ndjson", "csv"])],
        responses={
            (200, "application/x-ndjson"): OpenApiTypes.STR,
            (200, "text/csv"): OpenApiTypes.STR,
        },
    )
    def get(self, request: TenantRequest) -> StreamingHttpResponse:
        """Streamed, newest first, without an end to what it can hold."""
        query = query_params(request, AuditExportQuery)
        if query.cursor is not None or "limit" in request.GET:
            raise invalid("cursor", "query.invalid_parameter", "An export is whole: it takes no cursor and no limit.")
        said = {name: value for name, value in query.model_dump(mode="json").items() if value and name != "limit"}
        services.record_audit(request.tenant, principal=request.principal, action="audit.exported", after=said)
        lines = exported(request.tenant, query.format, query.filters())
        return StreamingHttpResponse(lines, content_type=FORMATS[query.format])


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
