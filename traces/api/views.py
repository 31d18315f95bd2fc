"""The log over HTTP: append, read, and what was refused."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from pydantic import Field
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response

from decisiongraph.core.api import (
    ListQuery,
    Query,
    decode_cursor,
    encode_cursor,
    openapi,
    query_params,
)
from decisiongraph.core.api.views import TenantAPIView
from decisiongraph.core.errors import Problem, not_found
from tenants.access import TenantRequest
from traces import selectors, services
from traces.api import schemas
from traces.domain.catalog import CATALOG, json_schema
from traces.domain.envelope import INGEST_TYPES, PLATFORM_TYPES, StoredEvent

MAX_SEQ = 2**53 - 1


class EventParser(BaseParser):
    """One event or a JSON batch: the bytes, untouched; the domain's strict loader reads them."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        """The raw body (Django has already refused more than 8 MiB)."""
        return stream.body if hasattr(stream, "body") else stream.read()


class NdjsonParser(EventParser):
    """A batch, one event per line."""

    media_type = "application/x-ndjson"


class IngestQuery(Query):
    """Parameters of an append."""

    dry_run: bool = False


class BatchQuery(IngestQuery):
    """Parameters of a batch; ``atomic`` is for NDJSON, a JSON batch says it in its body."""

    atomic: bool | None = None


DRY_RUN = OpenApiParameter("dry_run", OpenApiTypes.BOOL, description="Validate everything, store nothing.")


class TraceEvents(TenantAPIView):
    """``/traces/{trace_id}/events``"""

    permissions = {"GET": "read", "POST": "ingest"}
    parser_classes = [EventParser]

    @extend_schema(
        operation_id="appendEvent",
        tags=["agent"],
        summary="Append one event",
        request={"application/json": schemas.APPEND_REQUEST},
        parameters=[
            DRY_RUN,
            OpenApiParameter(
                "Idempotency-Key",
                OpenApiTypes.STR,
                OpenApiParameter.HEADER,
                description="May stand in for the event's `idempotency_key`.",
            ),
        ],
        responses=openapi.responses(
            {201: (schemas.RECEIPT, "Stored."), 200: (schemas.RECEIPT, "Known already, or valid (`dry_run`).")},
            refusals=(400, 401, 403, 404, 409, 413, 415, 422, 503),
        ),
    )
    def post(self, request: TenantRequest, trace_id: str) -> Response:
        """Append one event to a trace. The answer is durable: acknowledged means stored."""
        options = query_params(request, IngestQuery)
        result = services.append_one(
            request.tenant,
            principal=request.principal,
            raw=_bytes(request),
            trace_id=trace_id,
            header_key=request.headers.get("Idempotency-Key"),
            dry_run=options.dry_run,
        )
        if result.status == "created":
            return Response(result.as_json(), status=201)
        headers = {"Idempotent-Replayed": "true"} if result.status == "replayed" else {}
        return Response(result.as_json(), status=200, headers=headers)

    @extend_schema(
        operation_id="listTraceEvents",
        tags=["agent", "operator"],
        summary="Read a trace",
        parameters=openapi.LIST_PARAMETERS,
        responses=openapi.responses(
            {200: (openapi.page(schemas.EVENT), "Events in trace order.")}, refusals=(400, 401, 403, 404)
        ),
    )
    def get(self, request: TenantRequest, trace_id: str) -> Response:
        """The events of one trace, in the order of ``trace_seq``."""
        query = query_params(request, ListQuery)
        position = decode_cursor(query.cursor, int)
        events = selectors.read_trace(
            request.tenant,
            trace_id,
            after_seq=position[0] if position else -1,
            limit=query.limit + 1,
        )
        if not events and position is None:
            raise not_found("trace", trace_id)
        return Response(_page(events, query.limit, lambda event: event.trace_seq))


class EventsQuery(ListQuery):
    """Parameters of ``GET /events``."""

    after: int | None = Field(default=None, ge=0, le=MAX_SEQ)
    type: str | None = Field(default=None, max_length=64)
    trace_id: str | None = Field(default=None, max_length=200)


class Events(TenantAPIView):
    """``/events``"""

    permissions = {"GET": "read", "POST": "ingest"}
    parser_classes = [EventParser, NdjsonParser]

    @extend_schema(
        operation_id="appendEvents",
        tags=["agent"],
        summary="Append up to 500 events",
        request={"application/json": schemas.BATCH_REQUEST, "application/x-ndjson": {"type": "string"}},
        parameters=[
            DRY_RUN,
            OpenApiParameter(
                "atomic",
                OpenApiTypes.BOOL,
                description="For NDJSON: all or nothing (default), or a result per line.",
            ),
        ],
        responses=openapi.responses(
            {200: (schemas.BATCH_RESULT, "A result per event, in order.")},
            refusals=(400, 401, 403, 404, 409, 413, 415, 422, 503),
        ),
    )
    def post(self, request: TenantRequest) -> Response:
        """Append events of any traces in the order sent; all or nothing unless asked otherwise."""
        options = query_params(request, BatchQuery)
        results = services.append_batch(
            request.tenant,
            principal=request.principal,
            raw=_bytes(request),
            ndjson=(request.content_type or "").startswith("application/x-ndjson"),
            atomic=options.atomic,
            dry_run=options.dry_run,
        )
        return Response({"results": [result.as_json() for result in results]})

    @extend_schema(
        operation_id="listEvents",
        tags=["agent", "operator"],
        summary="Read the log",
        parameters=[
            *openapi.LIST_PARAMETERS,
            OpenApiParameter("after", OpenApiTypes.INT64, description="Only events with a higher `log_seq`."),
            OpenApiParameter("type", OpenApiTypes.STR, enum=list(INGEST_TYPES + PLATFORM_TYPES)),
            OpenApiParameter("trace_id", OpenApiTypes.STR),
        ],
        responses=openapi.responses(
            {200: (openapi.page(schemas.EVENT), "Events in log order.")}, refusals=(400, 401, 403)
        ),
    )
    def get(self, request: TenantRequest) -> Response:
        """The tenant's log from a position on. Gapless: ``log_seq`` is 1, 2, 3, ..."""
        query = query_params(request, EventsQuery)
        if query.type is not None and query.type not in CATALOG:
            known = ", ".join(CATALOG)
            raise Problem("query.invalid_parameter", 400, f"Unknown `type`. Known: {known}.")
        position = decode_cursor(query.cursor, int)
        events = selectors.read_log(
            request.tenant,
            after=max(position[0] if position else 0, query.after or 0),
            limit=query.limit + 1,
            event_type=query.type,
            trace_id=query.trace_id,
        )
        return Response(_page(events, query.limit, lambda event: event.log_seq))


def _bytes(request: Request) -> bytes:
    """The body; the framework makes something else of an empty one."""
    return request.data if isinstance(request.data, bytes) else b""


def _page(events: list[StoredEvent], limit: int, position: Any) -> dict[str, Any]:
    return {
        "items": [event.as_json() for event in events[:limit]],
        "next": encode_cursor(position(events[limit - 1])) if len(events) > limit else None,
    }


class EventTypes(TenantAPIView):
    """``/event-types``"""

    permissions = {"GET": ("read", "ingest")}

    @extend_schema(
        operation_id="listEventTypes",
        tags=["agent"],
        summary="The vocabulary",
        responses=openapi.responses({200: (schemas.EVENT_TYPES, "Every event type.")}, refusals=(401, 403)),
    )
    def get(self, request: TenantRequest) -> Response:
        """Every event type with its meaning, the JSON Schema of its payload and an example."""
        return Response(
            {
                "items": [
                    {
                        "name": kind.name,
                        "origin": kind.origin,
                        "schema_version": kind.schema_version,
                        "description": kind.doc,
                        "schema": json_schema(kind.name),
                        "example": kind.example,
                    }
                    for kind in CATALOG.values()
                ],
                "next": None,
            }
        )


class Refusals(TenantAPIView):
    """``/ingest/refusals``"""

    permissions = {"GET": "read"}

    @extend_schema(
        operation_id="listRefusals",
        tags=["agent", "operator"],
        summary="What was refused",
        parameters=[OpenApiParameter("limit", OpenApiTypes.INT)],
        responses=openapi.responses(
            {200: (schemas.REFUSALS, "Counts, and the last refusals.")}, refusals=(400, 401, 403)
        ),
    )
    def get(self, request: TenantRequest) -> Response:
        """Refused events: counts per producer, token and code, and the last 100 without payload."""
        query = query_params(request, ListQuery)
        return Response(
            {
                "counts": [
                    {
                        "producer_id": row.producer_id,
                        "principal": row.principal,
                        "code": row.code,
                        "count": row.count,
                        "first_at": row.first_at,
                        "last_at": row.last_at,
                    }
                    for row in selectors.refusal_counts(request.tenant)
                ],
                "items": [
                    {
                        "at": row.at,
                        "producer_id": row.producer_id,
                        "principal": row.principal,
                        "code": row.code,
                        "path": row.path,
                        "detail": row.detail,
                        "trace_id": row.trace_id or None,
                        "request_id": row.request_id,
                    }
                    for row in selectors.recent_refusals(request.tenant, limit=query.limit)
                ],
                "next": None,
            }
        )


__all__ = ["EventTypes", "Events", "Refusals", "TraceEvents"]
