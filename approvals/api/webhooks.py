"""Webhook endpoints over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from drf_spectacular.utils import OpenApiParameter, extend_schema
from pydantic import BaseModel, ConfigDict, Field
from rest_framework.response import Response

from approvals import services
from approvals.api.schemas import LATER, MAYBE
from approvals.domain import hooks
from approvals.selectors import telling
from decisiongraph.core.api import (
    ListQuery,
    Page,
    Query,
    body,
    decode_cursor,
    encode_cursor,
    openapi,
    query_params,
)
from decisiongraph.core.api.openapi import BOOL, INT, STR, WHEN, JsonSchema, array, nullable, obj
from decisiongraph.core.api.views import TenantAPIView
from tenants.access import TenantRequest

Url = Annotated[str, Field(min_length=1, max_length=2000)]
_MESSAGES: JsonSchema = array({"type": "string", "enum": list(hooks.MESSAGES)})
_ENDPOINT = obj(
    {
        "id": STR, "url": STR, "description": STR, "messages": array(STR), "enabled": BOOL, "disabled_reason": MAYBE,
        "failing_since": LATER, "old_secret_until": LATER, "created_at": WHEN, "created_by": STR,
    }
)  # fmt: skip
_WITH_SECRET = obj({"endpoint": _ENDPOINT, "secret": {**STR, "description": "Shown this once."}})
_DELIVERY = obj(
    {
        "id": STR, "webhook_id": STR, "message": STR, "state": {"type": "string", "enum": ["waiting", "done", "dead"]},
        "attempts": INT, "next_at": LATER, "last_status": nullable("integer"), "last_error": MAYBE, "created_at": WHEN,
        "ended_at": LATER, "body": STR,
        "log": array(obj({
            "number": INT, "at": WHEN, "milliseconds": INT, "status": nullable("integer"), "error": MAYBE,
            "address": MAYBE, "answer": MAYBE,
        })),
    }
)  # fmt: skip
_CHANGE: JsonSchema = obj(
    {
        "url": {"type": "string", "maxLength": 2000},
        "messages": _MESSAGES,
        "description": {"type": "string", "maxLength": 200},
        "enabled": BOOL,
    },
    optional=("url", "messages", "description", "enabled"),
)
_WRITE = (400, 401, 403, 404, 409, 415, 422)


class NewEndpoint(BaseModel):
    """Body of ``POST /webhooks``."""

    model_config = ConfigDict(extra="forbid")

    url: Url
    messages: list[str] = Field(default=[], max_length=50)
    description: str = Field(default="", max_length=200)


class ChangedEndpoint(BaseModel):
    """Body of ``PATCH /webhooks/{id}``."""

    model_config = ConfigDict(extra="forbid")

    url: Url | None = None
    messages: list[str] | None = Field(default=None, max_length=50)
    description: str | None = Field(default=None, max_length=200)
    enabled: bool | None = None


class NoBody(BaseModel):
    """An action without values."""

    model_config = ConfigDict(extra="forbid")


def _shown(row: Any, secret: str, status: int) -> Response:
    found = {"endpoint": telling.endpoint_json(row), "secret": secret}
    return Response(found, status=status, headers={"Cache-Control": "no-store"})


class Webhooks(TenantAPIView):
    """``/webhooks``"""

    permissions = {"GET": "admin", "POST": "admin"}

    @extend_schema(
        operation_id="listWebhooks",
        tags=["operator"],
        summary="Webhook endpoints",
        responses=openapi.responses({200: (openapi.page(_ENDPOINT), "The newest first; at most 20.")}),
    )
    def get(self, request: TenantRequest) -> Response:
        """Without their secrets."""
        query_params(request, Query)
        rows = telling.endpoints(request.tenant)
        return Response({"items": [telling.endpoint_json(row) for row in rows], "next": None})

    @extend_schema(
        operation_id="createWebhook",
        tags=["operator"],
        summary="Be told by webhook",
        request={"application/json": {**_CHANGE, "required": ["url"]}},
        responses=openapi.responses({201: (_WITH_SECRET, "Created.")}, refusals=_WRITE),
    )
    def post(self, request: TenantRequest) -> Response:
        """Signed by the Standard Webhooks rules. Private and special addresses are refused, here and at every try."""
        asked = body(request, NewEndpoint)
        row, secret = services.create_endpoint(
            request.tenant,
            principal=request.principal,
            url=asked.url,
            messages=asked.messages,
            description=asked.description,
        )
        return _shown(row, secret, 201)


class Webhook(TenantAPIView):
    """``/webhooks/{id}``"""

    permissions = {"GET": "admin", "PATCH": "admin", "DELETE": "admin"}

    @extend_schema(
        operation_id="getWebhook",
        tags=["operator"],
        summary="One webhook endpoint",
        responses=openapi.responses({200: (_ENDPOINT, "The endpoint.")}, refusals=(400, 401, 403, 404)),
    )
    def get(self, request: TenantRequest, webhook_id: str) -> Response:
        """Without its secret."""
        query_params(request, Query)
        return Response(telling.endpoint_json(telling.endpoint(request.tenant, webhook_id)))

    @extend_schema(
        operation_id="changeWebhook",
        tags=["operator"],
        summary="Change a webhook endpoint",
        request={"application/json": _CHANGE},
        responses=openapi.responses({200: (_ENDPOINT, "The endpoint afterwards.")}, refusals=_WRITE),
    )
    def patch(self, request: TenantRequest, webhook_id: str) -> Response:
        """What is absent stays."""
        asked = body(request, ChangedEndpoint)
        row = services.change_endpoint(
            request.tenant, principal=request.principal, endpoint_id=webhook_id, **asked.model_dump(exclude_none=True)
        )
        return Response(telling.endpoint_json(row))

    @extend_schema(
        operation_id="deleteWebhook",
        tags=["operator"],
        summary="Remove a webhook endpoint",
        responses=openapi.responses({200: (obj({"deleted": STR}), "Gone.")}, refusals=(400, 401, 403, 404)),
    )
    def delete(self, request: TenantRequest, webhook_id: str) -> Response:
        """With its delivery log; what waits for it is given up."""
        query_params(request, Query)
        services.delete_endpoint(request.tenant, principal=request.principal, endpoint_id=webhook_id)
        return Response({"deleted": webhook_id})


class WebhookRotate(TenantAPIView):
    """``/webhooks/{id}/rotate``"""

    permissions = {"POST": "admin"}

    @extend_schema(
        operation_id="rotateWebhookSecret",
        tags=["operator"],
        summary="A new secret",
        request={"application/json": obj({})},
        responses=openapi.responses({200: (_WITH_SECRET, "The new secret.")}, refusals=_WRITE),
    )
    def post(self, request: TenantRequest, webhook_id: str) -> Response:
        """For 24 hours both secrets sign, so that nothing is missed while the receiver changes over."""
        body(request, NoBody)
        row, secret = services.rotate_secret(request.tenant, principal=request.principal, endpoint_id=webhook_id)
        return _shown(row, secret, 200)


class WebhookTest(TenantAPIView):
    """``/webhooks/{id}/test``"""

    permissions = {"POST": "admin"}

    @extend_schema(
        operation_id="testWebhook",
        tags=["operator"],
        summary="Send a message that says nothing",
        request={"application/json": obj({})},
        responses=openapi.responses({202: (_DELIVERY, "On its way.")}, refusals=_WRITE),
    )
    def post(self, request: TenantRequest, webhook_id: str) -> Response:
        """Its type is `webhook.test`."""
        body(request, NoBody)
        row = services.test_endpoint(request.tenant, principal=request.principal, endpoint_id=webhook_id)
        return Response(telling.delivery_json(row, []), status=202)


class DeliveryQuery(ListQuery):
    """Filters of the log."""

    state: Literal["", "waiting", "done", "dead"] = ""


class WebhookDeliveries(TenantAPIView):
    """``/webhooks/{id}/deliveries``"""

    permissions = {"GET": "admin"}

    @extend_schema(
        operation_id="listWebhookDeliveries",
        tags=["operator"],
        summary="The delivery log of an endpoint",
        parameters=[
            *openapi.LIST_PARAMETERS,
            OpenApiParameter("state", {"type": "string", "enum": ["waiting", "done", "dead"]}),
        ],
        responses=openapi.responses(
            {200: (openapi.page(_DELIVERY), "The newest first.")}, refusals=(400, 401, 403, 404)
        ),
    )
    def get(self, request: TenantRequest, webhook_id: str) -> Response:
        """What was sent, and every attempt with its answer."""
        query = query_params(request, DeliveryQuery)
        rows = telling.deliveries(
            request.tenant, webhook_id, state=query.state, before=_moment(query.cursor), limit=query.limit
        )
        tries = telling.attempts(request.tenant, [row.pk for row in rows])
        page = Page(
            rows,
            query.limit,
            item=lambda row: telling.delivery_json(row, tries[row.pk]),
            cursor=lambda row: encode_cursor(row.created_at.isoformat()),
        )
        return Response(page.as_json())


def _moment(cursor: str | None) -> datetime | None:
    found = decode_cursor(cursor, datetime)
    return found[0] if found else None


class Redeliver(TenantAPIView):
    """``/webhook-deliveries/{id}/redeliver``"""

    permissions = {"POST": "admin"}

    @extend_schema(
        operation_id="redeliverWebhook",
        tags=["operator"],
        summary="Send it again",
        request={"application/json": obj({})},
        responses=openapi.responses({202: (_DELIVERY, "On its way again.")}, refusals=_WRITE),
    )
    def post(self, request: TenantRequest, delivery_id: str) -> Response:
        """The same bytes under the same `webhook-id`, now, and then with a whole day of attempts."""
        body(request, NoBody)
        row = services.redeliver(request.tenant, principal=request.principal, delivery_id=delivery_id)
        return Response(telling.delivery_json(row, []), status=202)
