"""Digests, and the care of dead letters."""

from __future__ import annotations

from typing import Literal

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from pydantic import BaseModel, ConfigDict, Field
from rest_framework.response import Response

from decisiongraph.core.api import (
    ListQuery,
    body,
    decode_cursor,
    encode_cursor,
    openapi,
    query_params,
)
from decisiongraph.core.api.views import TenantAPIView
from projections import selectors, services
from projections.api import schemas
from projections.api.views import REFUSALS, WAIT_PARAMETERS, WaitQuery, freshness
from projections.domain.rules import RULES
from tenants.access import TenantRequest

ProjectionName = Literal["trace_summary", "context_graph", "policy_evaluations", "precedent_index"]


class DigestsQuery(WaitQuery):
    """Parameters of ``GET /projections/digests``."""

    kind: Literal["live", "canonical", "reference"] = "live"


class DigestsView(TenantAPIView):
    """``/projections/digests``"""

    permissions = {"GET": "read"}

    @extend_schema(
        operation_id="getDigests",
        tags=["operator"],
        summary="Digests at one position",
        parameters=[
            OpenApiParameter("kind", OpenApiTypes.STR, enum=list(selectors.KINDS), default="live"),
            *WAIT_PARAMETERS,
        ],
        responses=openapi.responses({200: (schemas.DIGESTS, "A digest per name.")}, refusals=(*REFUSALS, 503)),
    )
    def get(self, request: TenantRequest) -> Response:
        """Digests when every projection stands at the same position, else 409."""
        query = query_params(request, DigestsQuery)
        found = selectors.digests(request.tenant, kind=query.kind, **freshness(query))
        return Response({"position": found.position, "digests": found.digests})


class DeadLettersQuery(ListQuery):
    """Parameters of ``GET /projections/dead-letters``."""

    projection: ProjectionName | None = None
    state: Literal["open", "retried", "skipped", "all"] = "open"


class DeadLetters(TenantAPIView):
    """``/projections/dead-letters``"""

    permissions = {"GET": "read"}

    @extend_schema(
        operation_id="listDeadLetters",
        tags=["operator"],
        summary="Traces set aside",
        parameters=[
            *openapi.LIST_PARAMETERS,
            OpenApiParameter("projection", OpenApiTypes.STR, enum=list(RULES)),
            OpenApiParameter("state", OpenApiTypes.STR, enum=["open", "retried", "skipped", "all"], default="open"),
        ],
        responses=openapi.responses(
            {200: (openapi.page(schemas.DEAD_LETTER), "The newest first.")}, refusals=(400, 401, 403)
        ),
    )
    def get(self, request: TenantRequest) -> Response:
        """Traces that a projection set aside because its rule failed on one of their events."""
        query = query_params(request, DeadLettersQuery)
        position = decode_cursor(query.cursor, int)
        rows = selectors.dead_letters(
            request.tenant,
            projection=query.projection,
            state=None if query.state == "all" else query.state,
            before=None if position is None else position[0],
            limit=query.limit,
        )
        return Response(
            {
                "items": [selectors.dead_letter_json(row) for row in rows[: query.limit]],
                "next": encode_cursor(rows[query.limit - 1].pk) if len(rows) > query.limit else None,
            }
        )


class DeadLetterRetry(TenantAPIView):
    """``/projections/dead-letters/{id}/retry``"""

    permissions = {"POST": "operate"}

    @extend_schema(
        operation_id="retryDeadLetter",
        tags=["operator"],
        summary="Fold a parked trace again",
        request=None,
        responses=openapi.responses(
            {200: (schemas.DEAD_LETTER, "`state` is `retried` when the trace is current again.")},
            refusals=(401, 403, 404, 409),
        ),
    )
    def post(self, request: TenantRequest, ident: int) -> Response:
        """Try the waiting events again, in order. The attempt is audited."""
        letter = services.retry_dead_letter(request.tenant, principal=request.principal, ident=ident)
        return Response(selectors.dead_letter_json(letter))


class SkipBody(BaseModel):
    """Body of a skip."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(min_length=1, max_length=2000)


class DeadLetterSkip(TenantAPIView):
    """``/projections/dead-letters/{id}/skip``"""

    permissions = {"POST": "operate"}

    @extend_schema(
        operation_id="skipDeadLetter",
        tags=["operator"],
        summary="Leave the failing event out",
        request={"application/json": schemas.SKIP_REQUEST},
        responses=openapi.responses(
            {200: (schemas.DEAD_LETTER, "`state` is `skipped` when the rest of the trace was folded.")},
            refusals=(400, 401, 403, 404, 409, 422),
        ),
    )
    def post(self, request: TenantRequest, ident: int) -> Response:
        """Store that this projection leaves the event out, also in rebuilds, and fold what waits behind it."""
        asked = body(request, SkipBody)
        letter = services.skip_dead_letter(
            request.tenant, principal=request.principal, ident=ident, reason=asked.reason
        )
        return Response(selectors.dead_letter_json(letter))
