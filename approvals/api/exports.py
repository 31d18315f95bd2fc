"""Bundles over HTTP."""

from __future__ import annotations

from typing import Literal

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.response import Response

from approvals import services
from approvals.services.exporting import File
from decisiongraph.core.api import Query, openapi, query_params
from decisiongraph.core.api.openapi import STR, WHEN, array, obj
from decisiongraph.core.api.views import TenantAPIView
from decisiongraph.core.clock import rfc3339
from tenants import selectors as people
from tenants.access import TenantRequest


class FormatQuery(Query):
    """Which form of the bundle."""

    format: Literal["json", "html"] = "json"


_FORMAT = OpenApiParameter("format", {"type": "string", "enum": ["json", "html"], "default": "json"})
_FILE = {
    (200, "application/json"): OpenApiResponse(response=OpenApiTypes.OBJECT, description="The signed bundle."),
    (200, "text/html"): OpenApiResponse(response=OpenApiTypes.STR, description="The same for people, signed too."),
    **openapi.responses({}, refusals=(400, 401, 403, 404, 422)),
}


def download(file: File) -> HttpResponse:
    """The file as an attachment: never shown as a page of ours."""
    kind = "application/json" if file.kind == "json" else "text/html; charset=utf-8"
    return HttpResponse(
        file.raw,
        content_type=kind,
        headers={
            "Content-Disposition": f'attachment; filename="{file.name}"',
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        },
    )


class ApprovalExport(TenantAPIView):
    """``/approvals/{id}/export``"""

    permissions = {"GET": "read"}

    @extend_schema(
        operation_id="exportApproval",
        tags=["operator"],
        summary="An item as one signed file",
        parameters=[_FORMAT],
        responses=_FILE,
    )
    def get(self, request: TenantRequest, approval_id: str) -> HttpResponse:
        """Events, hashes, decisions, comments, timers and audit lines; `manage.py verify_export` checks it offline."""
        query = query_params(request, FormatQuery)
        return download(
            services.export_item(request.tenant, principal=request.principal, item_id=approval_id, format=query.format)
        )


class TraceExport(TenantAPIView):
    """``/traces/{trace_id}/export``"""

    permissions = {"GET": "read"}

    @extend_schema(
        operation_id="exportTrace",
        tags=["operator"],
        summary="A trace as one signed file",
        parameters=[_FORMAT],
        responses=_FILE,
    )
    def get(self, request: TenantRequest, trace_id: str) -> HttpResponse:
        """The trace, every item and incident about it, and their review traces; at most 20,000 events each."""
        query = query_params(request, FormatQuery)
        return download(
            services.export_trace(request.tenant, principal=request.principal, trace_id=trace_id, format=query.format)
        )


class SigningKeys(TenantAPIView):
    """``/signing-keys``"""

    permissions = {"GET": "read"}

    @extend_schema(
        operation_id="listSigningKeys",
        tags=["operator"],
        summary="The public keys of exports",
        responses=openapi.responses(
            {
                200: (
                    obj(
                        {"items": array(obj({"key_id": STR, "public_key": STR, "algorithm": STR, "created_at": WHEN}))}
                    ),
                    "The newest first.",
                )
            }
        ),
    )
    def get(self, request: TenantRequest) -> Response:
        """Keep the public key where you will check exports: `verify_export FILE --key HEX` then trusts nothing else."""
        query_params(request, Query)
        found = people.signing_keys(request.tenant)
        return Response(
            {
                "items": [
                    {
                        "key_id": row.key_id,
                        "public_key": bytes(row.public_key).hex(),
                        "algorithm": "ed25519",
                        "created_at": rfc3339(row.created_at),
                    }
                    for row in found
                ]
            }
        )
