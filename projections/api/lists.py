"""Saved views and exports over HTTP."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Literal

from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from pydantic import BaseModel, ConfigDict, Field
from rest_framework.response import Response

from decisiongraph.core.api import ListQuery, Page, Query, body, decode_cursor, encode_cursor, openapi, query_params
from decisiongraph.core.api.openapi import BOOL, INT, STR, WHEN, nullable, obj
from decisiongraph.core.api.views import TenantAPIView
from projections import selectors, services
from projections.domain import columns as choices
from projections.domain import table
from projections.models import TraceExport
from projections.selectors import SORTS
from tenants.access import TenantRequest
from tenants.models import Tenant

VIEW = obj(
    {
        "id": INT,
        "name": STR,
        "query": {"type": "string", "description": "For `GET /traces?q=`."},
        "sort": {"type": "string", "enum": list(SORTS)},
        "columns": {
            "type": "array",
            "items": {"type": "string", "enum": list(choices.COLUMNS)},
            "description": "What the list shows beside the trace; none: the columns the reader chose.",
        },
        "shared": BOOL,
        "own": BOOL,
        "created_at": WHEN,
    }
)
VIEW_REQUEST = obj(
    {
        "name": {"type": "string", "minLength": 1, "maxLength": 80},
        "query": STR,
        "sort": {"type": "string", "enum": list(SORTS), "default": "-last"},
        "columns": {"type": "array", "items": {"type": "string", "enum": list(choices.COLUMNS)}},
        "shared": {"type": "boolean", "default": False, "description": "For the whole tenant; needs `operate`."},
    },
    optional=("query", "sort", "columns", "shared"),
)
EXPORT = obj(
    {
        "id": STR,
        "format": {"type": "string", "enum": ["csv", "ndjson"]},
        "query": STR,
        "columns": {"type": "array", "items": STR, "description": "Of a CSV file; none: all."},
        "status": {
            "type": "string",
            "enum": ["queued", "running", "completed", "failed", "cancelled", "expired"],
        },
        "total": nullable("integer", description="Traces found when the work began."),
        "done": INT,
        "size": {"type": "integer", "description": "Bytes."},
        "error": nullable("string"),
        "requested_by": STR,
        "created_at": WHEN,
        "finished_at": nullable("string", format="date-time"),
        "expires_at": WHEN,
    }
)
EXPORT_REQUEST = obj(
    {
        "format": {"type": "string", "enum": ["csv", "ndjson"]},
        "q": {"type": "string", "description": "The language of `GET /traces?q=`; empty means every decision."},
        "columns": {
            "type": "array",
            "items": {"type": "string", "enum": list(table.COLUMNS)},
            "description": "Columns of a CSV file in this order; without it all.",
        },
    },
    optional=("q", "columns"),
)


class ViewBody(BaseModel):
    """Body of a new view."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=500)
    query: str = Field(default="", max_length=1000)
    sort: str = Field(default="-last", max_length=20)
    columns: list[str] = Field(default_factory=list, max_length=100)
    shared: bool = Field(default=False, strict=True)


class ExportBody(BaseModel):
    """Body of a new export."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["csv", "ndjson"]
    q: str = Field(default="", max_length=1000)
    columns: list[str] = Field(default_factory=list, max_length=100)


class Views(TenantAPIView):
    """``/views``"""

    permissions = {"GET": "read", "POST": "read"}

    @extend_schema(
        operation_id="listViews",
        tags=["operator"],
        summary="Saved views of the trace list",
        parameters=[*openapi.LIST_PARAMETERS],
        responses=openapi.responses({200: (openapi.page(VIEW), "One's own and the shared ones, by name.")}),
    )
    def get(self, request: TenantRequest) -> Response:
        """Searches that were kept: one's own, and those shared with the tenant."""
        query = query_params(request, ListQuery)
        at = decode_cursor(query.cursor, str, int)
        rows = selectors.saved_views(
            request.tenant, request.principal, after=(at[0], at[1]) if at else None, limit=query.limit
        )
        page = Page(
            rows,
            query.limit,
            item=lambda row: selectors.view_json(row, request.principal),
            cursor=lambda row: encode_cursor(row.name, row.pk),
        )
        return Response(page.as_json())

    @extend_schema(
        operation_id="createView",
        tags=["operator"],
        summary="Save a view",
        request={"application/json": VIEW_REQUEST},
        responses=openapi.responses({201: (VIEW, "The view.")}, refusals=(400, 401, 403, 409, 422)),
    )
    def post(self, request: TenantRequest) -> Response:
        """Keep a search under a name. Sharing it with the tenant needs ``operate`` and is audited."""
        query_params(request, Query)
        asked = body(request, ViewBody)
        made = services.save_view(
            request.tenant,
            principal=request.principal,
            name=asked.name,
            query=asked.query,
            sort=asked.sort,
            columns=asked.columns,
            shared=asked.shared,
        )
        return Response(selectors.view_json(made, request.principal), status=201)


class ViewDetail(TenantAPIView):
    """``/views/{id}``"""

    permissions = {"DELETE": "read"}

    @extend_schema(
        operation_id="deleteView",
        tags=["operator"],
        summary="Delete a view",
        responses=openapi.responses({200: (VIEW, "What it was.")}, refusals=(401, 403, 404)),
    )
    def delete(self, request: TenantRequest, view_id: int) -> Response:
        """One's own; a shared one needs ``operate``."""
        query_params(request, Query)
        gone = services.delete_view(request.tenant, principal=request.principal, ident=view_id)
        return Response(selectors.view_json(gone, request.principal))


class Exports(TenantAPIView):
    """``/exports``"""

    permissions = {"GET": "read", "POST": "read"}

    @extend_schema(
        operation_id="listExports",
        tags=["operator"],
        summary="Exports of the trace list",
        parameters=[*openapi.LIST_PARAMETERS],
        responses=openapi.responses({200: (openapi.page(EXPORT), "The newest first.")}),
    )
    def get(self, request: TenantRequest) -> Response:
        """Exports of this tenant and how far they are."""
        query = query_params(request, ListQuery)
        at = decode_cursor(query.cursor, datetime, uuid.UUID)
        rows = selectors.exports(request.tenant, before=(at[0], at[1]) if at else None, limit=query.limit)
        page = Page(
            rows,
            query.limit,
            item=selectors.export_json,
            cursor=lambda row: encode_cursor(row.created_at.isoformat(), str(row.pk)),
        )
        return Response(page.as_json())

    @extend_schema(
        operation_id="createExport",
        tags=["operator"],
        summary="Export traces",
        request={"application/json": EXPORT_REQUEST},
        responses=openapi.responses(
            {202: (EXPORT, "Queued; ask again for its progress.")}, refusals=(400, 401, 403, 409, 422)
        ),
    )
    def post(self, request: TenantRequest) -> Response:
        """Write what a search finds into a file, in the background. Audited."""
        query_params(request, Query)
        asked = body(request, ExportBody)
        made = services.start_export(
            request.tenant, principal=request.principal, format=asked.format, query=asked.q, columns=asked.columns
        )
        return Response(selectors.export_json(made), status=202)


class ExportDetail(TenantAPIView):
    """``/exports/{id}``"""

    permissions = {"GET": "read"}

    @extend_schema(
        operation_id="getExport",
        tags=["operator"],
        summary="One export",
        responses=openapi.responses({200: (EXPORT, "How far it is.")}, refusals=(401, 403, 404)),
    )
    def get(self, request: TenantRequest, export_id: uuid.UUID) -> Response:
        """Status, rows written and rows found."""
        query_params(request, Query)
        return Response(selectors.export_json(selectors.export(request.tenant, export_id)))


class ExportCancel(TenantAPIView):
    """``/exports/{id}/cancel``"""

    permissions = {"POST": "read"}

    @extend_schema(
        operation_id="cancelExport",
        tags=["operator"],
        summary="Cancel an export",
        request=None,
        responses=openapi.responses({200: (EXPORT, "Cancelled.")}, refusals=(401, 403, 404, 409)),
    )
    def post(self, request: TenantRequest, export_id: uuid.UUID) -> Response:
        """Stop it and delete what was written. Somebody else's needs ``operate``."""
        query_params(request, Query)
        found = services.cancel_export(request.tenant, principal=request.principal, ident=export_id)
        return Response(selectors.export_json(found))


class ExportFile(TenantAPIView):
    """``/exports/{id}/file``"""

    permissions = {"GET": "read"}

    @extend_schema(
        operation_id="getExportFile",
        tags=["operator"],
        summary="The file of an export",
        parameters=[OpenApiParameter("export_id", OpenApiTypes.UUID, OpenApiParameter.PATH)],
        responses={
            (200, "text/csv"): OpenApiResponse(response=OpenApiTypes.STR, description="Traces, by start."),
            (200, "application/x-ndjson"): OpenApiResponse(response=OpenApiTypes.STR, description="Traces, by start."),
            409: OpenApiResponse(description="It has not completed."),
            410: OpenApiResponse(description="Its day is over."),
        },
    )
    def get(self, request: TenantRequest, export_id: uuid.UUID) -> HttpResponseBase:
        """CSV, or one JSON object per line. In CSV, cells a spreadsheet would run begin with an apostrophe."""
        query_params(request, Query)
        return download(request.tenant, export_id)


def download(tenant: Tenant, export_id: uuid.UUID) -> StreamingHttpResponse:
    """The file as an attachment."""
    found, pieces = selectors.export_file(tenant, export_id)
    kind = "text/csv; charset=utf-8" if found.format == TraceExport.FORMATS[0] else "application/x-ndjson"
    name = f"traces-{tenant.slug}-{found.created_at:%Y%m%d-%H%M%S}.{found.format}"
    return StreamingHttpResponse(
        pieces,
        content_type=kind,
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Content-Length": str(found.size)},
    )
