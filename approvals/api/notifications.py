"""A person's inbox over HTTP."""

from __future__ import annotations

from typing import Annotated

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from pydantic import BaseModel, ConfigDict, Field
from rest_framework.response import Response

from approvals import services
from approvals.api.schemas import LATER
from approvals.domain import notices
from approvals.selectors import telling
from decisiongraph.core.api import ListQuery, Page, Query, body, decode_cursor, encode_cursor, openapi, query_params
from decisiongraph.core.api.openapi import BOOL, INT, STR, WHEN, array, obj
from decisiongraph.core.api.views import TenantAPIView
from tenants.access import TenantRequest

_LINE = obj(
    {
        "id": INT, "kind": {"type": "string", "enum": list(notices.KINDS)}, "message": STR, "subject": STR,
        "subject_id": STR, "title": STR, "text": STR, "actor": STR, "at": WHEN, "read_at": LATER,
    }
)  # fmt: skip
_WAYS = obj({kind: obj({"inbox": BOOL, "email": BOOL}) for kind in notices.KINDS})
Id = Annotated[int, Field(ge=1, le=2**53)]


class InboxQuery(ListQuery):
    """Filters."""

    unread: bool = False


class Notifications(TenantAPIView):
    """``/notifications``"""

    permissions = {"GET": "read"}

    @extend_schema(
        operation_id="listNotifications",
        tags=["operator"],
        summary="Your inbox",
        parameters=[*openapi.LIST_PARAMETERS, OpenApiParameter("unread", OpenApiTypes.BOOL)],
        responses=openapi.responses({200: (openapi.page(_LINE), "The newest first.")}),
    )
    def get(self, request: TenantRequest) -> Response:
        """Only your own, for people only; programs are told by webhook."""
        query = query_params(request, InboxQuery)
        at = decode_cursor(query.cursor, int)
        rows = telling.notifications(
            request.tenant, request.principal, unread=query.unread, before=at[0] if at else None, limit=query.limit
        )
        page = Page(rows, query.limit, item=telling.notification_json, cursor=lambda row: encode_cursor(row.pk))
        return Response(page.as_json())


class ReadBody(BaseModel):
    """Body of ``POST /notifications/read``: ids, or everything up to one."""

    model_config = ConfigDict(extra="forbid")

    ids: list[Id] | None = Field(default=None, max_length=500)
    until: Id | None = None


class NotificationsRead(TenantAPIView):
    """``/notifications/read``"""

    permissions = {"POST": "read"}

    @extend_schema(
        operation_id="readNotifications",
        tags=["operator"],
        summary="Mark as read",
        request={"application/json": obj({"ids": array(INT), "until": INT}, optional=("ids", "until"))},
        responses=openapi.responses(
            {200: (obj({"read": INT, "unread": INT}), "Done.")}, refusals=(400, 401, 403, 415, 422)
        ),
    )
    def post(self, request: TenantRequest) -> Response:
        """Without `ids` and `until`: all of them. Ids that are not yours change nothing."""
        asked = body(request, ReadBody)
        done = services.mark_read(request.tenant, principal=request.principal, ids=asked.ids, until=asked.until)
        return Response({"read": done, "unread": telling.unread(request.tenant, request.principal)})


class WayBody(BaseModel):
    """How to be told of one kind."""

    model_config = ConfigDict(extra="forbid")

    inbox: bool
    email: bool


class WaysBody(BaseModel):
    """Body of ``PUT /notifications/preferences``."""

    model_config = ConfigDict(extra="forbid")

    ways: dict[str, WayBody] = Field(max_length=20)


class Preferences(TenantAPIView):
    """``/notifications/preferences``"""

    permissions = {"GET": "read", "PUT": "read"}

    @extend_schema(
        operation_id="getNotificationPreferences",
        tags=["operator"],
        summary="How you are told",
        responses=openapi.responses({200: (obj({"ways": _WAYS}), "By kind.")}),
    )
    def get(self, request: TenantRequest) -> Response:
        """Per kind: in the inbox, by e-mail."""
        query_params(request, Query)
        return self._answer(request)

    @extend_schema(
        operation_id="setNotificationPreferences",
        tags=["operator"],
        summary="Choose how you are told",
        request={"application/json": obj({"ways": {**_WAYS, "required": []}})},
        responses=openapi.responses({200: (obj({"ways": _WAYS}), "By kind.")}, refusals=(400, 401, 403, 415, 422)),
    )
    def put(self, request: TenantRequest) -> Response:
        """Kinds that are absent stay as they are."""
        asked = body(request, WaysBody)
        chosen = {kind: notices.Way(way.inbox, way.email) for kind, way in asked.ways.items()}
        services.choose_ways(request.tenant, principal=request.principal, ways=chosen)
        return self._answer(request)

    def _answer(self, request: TenantRequest) -> Response:
        found = telling.ways(request.tenant, request.principal)
        return Response({"ways": {kind: way._asdict() for kind, way in found.items()}})
