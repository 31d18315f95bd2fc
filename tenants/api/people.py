"""Who am I, who belongs here: me, members."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from decisiongraph.core.api import ListQuery, Page, Query, body, decode_cursor, encode_cursor, query_params
from decisiongraph.core.api.views import TenantAPIView
from decisiongraph.core.errors import not_authenticated, not_found
from tenants import selectors, services
from tenants.access import TenantRequest
from tenants.api.shapes import (
    LINK,
    MEMBER,
    MEMBER_SHAPE,
    PAGE,
    REASON_SHAPE,
    InviteBody,
    ReasonBody,
    RoleBody,
    fields,
    link_url,
    listed,
    member_json,
)
from tenants.domain.roles import ROLES, SCOPES


class MeView(TenantAPIView):
    """Who am I?"""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """A credential is enough: a token that may only ingest can still ask whose it is."""
        APIView.initial(self, request, *args, **kwargs)
        if getattr(request, "principal", None) is None:
            raise not_authenticated()

    @extend_schema(
        operation_id="getMe",
        tags=["agent"],
        summary="Tenant, principal, permissions, socket address",
        responses=fields(
            "Me",
            tenant=fields("MeTenant", slug=serializers.CharField(), name=serializers.CharField()),
            principal=fields(
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
    def get(self, request: TenantRequest) -> Response:
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
        operation_id="listMembers",
        tags=["operator"],
        summary="Members of the tenant",
        parameters=PAGE,
        responses=listed("Member", MEMBER_SHAPE),
    )
    def get(self, request: TenantRequest) -> Response:
        """In the order they came."""
        query = query_params(request, ListQuery)
        at = decode_cursor(query.cursor, int)
        rows = selectors.members(request.tenant, after=at[0] if at else 0, limit=query.limit)
        page = Page(rows, query.limit, item=member_json, cursor=lambda row: encode_cursor(row.pk))
        return Response(page.as_json())

    @extend_schema(
        operation_id="inviteMember",
        tags=["operator"],
        summary="Invite somebody by a one-time link",
        request=fields(
            "MemberInvite",
            email=serializers.EmailField(),
            role=serializers.ChoiceField(ROLES),
            name=serializers.CharField(required=False, max_length=150),
        ),
        responses={201: fields("MemberInvited", **MEMBER, link=LINK)},
    )
    def post(self, request: TenantRequest) -> Response:
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
        operation_id="getMember",
        tags=["operator"],
        summary="One member",
        responses=MEMBER_SHAPE,
    )
    def get(self, request: TenantRequest, member_id: str) -> Response:
        """By the number in the list."""
        query_params(request, Query)
        member = selectors.member(request.tenant, _number(member_id))
        if member is None:
            raise not_found("member", member_id)
        return Response(member_json(member))

    @extend_schema(
        operation_id="changeMemberRole",
        tags=["operator"],
        summary="Change a member's role",
        request=fields("MemberRole", role=serializers.ChoiceField(ROLES)),
        responses=MEMBER_SHAPE,
    )
    def patch(self, request: TenantRequest, member_id: str) -> Response:
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
        operation_id="deactivateMember",
        tags=["operator"],
        summary="Deactivate a member: ends sessions, tokens and sockets",
        request=REASON_SHAPE,
        responses=MEMBER_SHAPE,
    )
    def post(self, request: TenantRequest, member_id: str) -> Response:
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


class MemberEndSessionsView(TenantAPIView):
    """Sign a member out."""

    permissions: ClassVar = {"POST": "admin"}

    @extend_schema(
        operation_id="endMemberSessions",
        tags=["operator"],
        summary="Sign a member out everywhere; they may sign in again",
        request=REASON_SHAPE,
        responses=fields("MemberSessionsEnded", **MEMBER, sessions_ended=serializers.IntegerField()),
    )
    def post(self, request: TenantRequest, member_id: str) -> Response:
        """409 for an account that opens more than this tenant; the reason is required."""
        query_params(request, Query)
        wish = body(request, ReasonBody)
        member, count = services.end_member_sessions(
            request.tenant,
            principal=request.principal,
            member_id=_number(member_id),
            reason=wish.reason,
        )
        return Response(member_json(member) | {"sessions_ended": count})


class MemberLinkView(TenantAPIView):
    """A fresh one-time link."""

    permissions: ClassVar = {"POST": "admin"}

    @extend_schema(
        operation_id="issueMemberLink",
        tags=["operator"],
        summary="A new one-time link to join or to choose a new password",
        request=None,
        responses={201: fields("MemberLink", link=LINK)},
    )
    def post(self, request: TenantRequest, member_id: str) -> Response:
        """Kills earlier links of the member."""
        query_params(request, Query)
        _member, link = services.reset_link(request.tenant, principal=request.principal, member_id=_number(member_id))
        return Response({"link": link_url(link)}, status=201)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise not_found("member", text[:50])
    return int(text)
