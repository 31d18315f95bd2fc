"""Erasures over HTTP: ask, look, confirm, take back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from pydantic import BaseModel, ConfigDict, Field
from rest_framework.response import Response

from decisiongraph.core.api import ListQuery, Query, body, openapi, query_params
from decisiongraph.core.api.openapi import INT, STR, WHEN, array, nullable, obj
from decisiongraph.core.api.views import TenantAPIView
from replays import selectors, services
from replays.models import Erasure
from tenants.access import TenantRequest
from tenants.services import reauth

ERASURE = obj(
    {
        "id": STR,
        "status": {
            "type": "string",
            "enum": ["surveying", "waiting", "running", "completed", "incomplete", "withdrawn"],
        },
        "step": nullable("string"),
        "reason": STR,
        "events": array(INT),
        "copies": {**array(INT), "description": "Platform events that repeated a text and are erased as well."},
        "texts": {"type": "integer", "description": "How many texts are looked for; never the texts."},
        "elsewhere": {**array(INT), "description": "Other events that say a text you named."},
        "left": array(obj({"table": STR, "column": STR, "rows": INT})),
        "asked_by": STR,
        "asked_at": WHEN,
        "confirmed_by": nullable("string"),
        "confirmed_at": nullable("string", format="date-time"),
        "finished_at": nullable("string", format="date-time"),
        "superseded_to": nullable("integer", description="Digests published up to here no longer follow from the log."),
        "error": nullable("string"),
    }
)
ASK = obj(
    {
        "events": {**array({"type": "integer", "minimum": 1}), "maxItems": 5000, "description": "By `log_seq`."},
        "trace_id": {"type": "string", "description": "All events of this trace as well."},
        "texts": {
            **array({"type": "string", "minLength": 3, "maxLength": 2000}),
            "maxItems": 100,
            "description": "What must be nowhere afterwards. Texts of the payloads that no other event says come by "
            "themselves.",
        },
        "reason": {"type": "string", "minLength": 1, "maxLength": 2000, "description": "Stays in the log for ever."},
    },
    optional=("events", "trace_id", "texts"),
)


class AskBody(BaseModel):
    """Body of ``POST /erasures``."""

    model_config = ConfigDict(extra="forbid")

    events: list[int] = Field(default_factory=list, max_length=5_000)
    trace_id: str = Field(default="", max_length=200)
    texts: list[str] = Field(default_factory=list, max_length=100)
    reason: str = Field(min_length=1, max_length=2_000)


class Erasures(TenantAPIView):
    """``/erasures``"""

    permissions = {"GET": "admin", "POST": "admin"}

    @extend_schema(
        operation_id="listErasures",
        tags=["operator"],
        summary="Erasures",
        parameters=[OpenApiParameter("limit", {"type": "integer", "minimum": 1, "maximum": 500, "default": 100})],
        responses=openapi.responses({200: (openapi.page(ERASURE), "The newest first.")}),
    )
    def get(self, request: TenantRequest) -> Response:
        """What was asked to be erased, by whom, and what became of it."""
        query = query_params(request, ListQuery)
        rows = selectors.newest_erasures(request.tenant, limit=query.limit)
        return Response({"items": [selectors.erasure_json(row) for row in rows], "next": None})

    @extend_schema(
        operation_id="askErasure",
        tags=["operator"],
        summary="Ask for an erasure",
        request={"application/json": ASK},
        responses=openapi.responses(
            {201: (ERASURE, "Asked; another admin has to confirm.")}, refusals=(400, 401, 403, 404, 409, 422)
        ),
    )
    def post(self, request: TenantRequest) -> Response:
        """The payloads of these events go, everywhere, once another person has confirmed; their envelopes stay."""
        query_params(request, Query)
        reauth.demand(request)
        asked = body(request, AskBody)
        row = services.ask_erasure(request.tenant, principal=request.principal, **asked.model_dump())
        return Response(selectors.erasure_json(row), status=201)


class ErasureDetail(TenantAPIView):
    """``/erasures/{id}``"""

    permissions = {"GET": "admin"}

    @extend_schema(
        operation_id="getErasure",
        tags=["operator"],
        summary="One erasure",
        responses=openapi.responses({200: (ERASURE, "Where it stands.")}, refusals=(400, 401, 403, 404)),
    )
    def get(self, request: TenantRequest, erasure_id: str) -> Response:
        """``completed`` only when a search of every table finds nothing, proofs hold and replay equals live."""
        query_params(request, Query)
        return Response(selectors.erasure_json(selectors.erasure(request.tenant, erasure_id)))


class _Act(TenantAPIView):
    permissions = {"POST": "admin"}

    def act(self, request: TenantRequest, erasure_id: str, service: Callable[..., Erasure]) -> Response:
        query_params(request, Query)
        reauth.demand(request)
        row = service(request.tenant, principal=request.principal, erasure_id=erasure_id)
        return Response(selectors.erasure_json(row))


def _described(operation: str, summary: str) -> Any:
    return extend_schema(
        operation_id=operation,
        tags=["operator"],
        summary=summary,
        request=None,
        responses=openapi.responses({200: (ERASURE, "Where it stands now.")}, refusals=(400, 401, 403, 404, 409)),
    )


class ConfirmErasure(_Act):
    """``/erasures/{id}/confirm``"""

    @_described("confirmErasure", "Confirm an erasure")
    def post(self, request: TenantRequest, erasure_id: str) -> Response:
        """By another admin than the one who asked. It cannot be stopped afterwards."""
        return self.act(request, erasure_id, services.confirm_erasure)


class WithdrawErasure(_Act):
    """``/erasures/{id}/withdraw``"""

    @_described("withdrawErasure", "Take an erasure back")
    def post(self, request: TenantRequest, erasure_id: str) -> Response:
        """As long as nobody has confirmed it."""
        return self.act(request, erasure_id, services.withdraw_erasure)


class RetryErasure(_Act):
    """``/erasures/{id}/retry``"""

    @_described("retryErasure", "Search again")
    def post(self, request: TenantRequest, erasure_id: str) -> Response:
        """After what the search had found was removed by hand."""
        return self.act(request, erasure_id, services.retry_erasure)
