"""What proves the log over HTTP: checkpoints, proofs, the whole log as a file."""

from __future__ import annotations

import base64
from typing import Any

from django.http import HttpResponse, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from pydantic import Field
from rest_framework.response import Response

from decisiongraph.core.api import ListQuery, Query, decode_cursor, encode_cursor, openapi, query_params
from decisiongraph.core.api.openapi import INT, STR, WHEN, array, obj
from decisiongraph.core.api.views import TenantAPIView
from decisiongraph.core.clock import rfc3339
from tenants.access import TenantRequest
from tenants.models import Tenant
from traces import selectors, services
from traces.domain import note
from traces.models import LogCheckpoint

MAX_SEQ = 2**53 - 1
_B64 = {"type": "string", "contentEncoding": "base64"}
CHECKPOINT = obj(
    {
        "origin": {"type": "string", "description": "What the log is called; it never changes."},
        "size": {"type": "integer", "description": "Events it covers: 1 to `size`."},
        "root_hash": {**_B64, "description": "Root of the RFC 6962 tree over the leaf hashes."},
        "note": {"type": "string", "description": "The signed note (C2SP tlog-checkpoint). Keep this."},
        "key_id": STR,
        "sealed_at": WHEN,
    }
)
PATH = array(_B64)


def checkpoint_json(row: LogCheckpoint) -> dict[str, Any]:
    """A checkpoint as the API shows it."""
    return {
        "origin": note.unsigned(row.note).origin,
        "size": row.size,
        "root_hash": _text(bytes(row.root)),
        "note": row.note,
        "key_id": row.key_id,
        "sealed_at": rfc3339(row.sealed_at),
    }


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _keys(tenant: Tenant, row: LogCheckpoint) -> list[str]:
    return [key.text for key in selectors.verifier_keys(tenant, row)]


class LogCheckpointView(TenantAPIView):
    """``/log/checkpoint``"""

    permissions = {"GET": "read"}

    @extend_schema(
        operation_id="getCheckpoint",
        tags=["agent", "operator"],
        summary="The newest checkpoint",
        responses=openapi.responses(
            {
                200: (
                    obj({**CHECKPOINT["properties"], "head": INT, "waiting": INT, "keys": array(STR)}),
                    "What the log says of itself, signed; the verifier keys; how many events it does not cover yet.",
                )
            },
            refusals=(400, 401, 403, 404),
        ),
    )
    def get(self, request: TenantRequest) -> Response:
        """Keep the note and the key somewhere else: later they show whether the log was cut or written anew."""
        query_params(request, Query)
        state = selectors.seal_state(request.tenant)
        row = state.checkpoint or selectors.checkpoint(request.tenant)
        return Response(
            {
                **checkpoint_json(row),
                "head": state.head,
                "waiting": max(0, state.waiting),
                "keys": _keys(request.tenant, row),
            }
        )


class LogCheckpoints(TenantAPIView):
    """``/log/checkpoints``"""

    permissions = {"GET": "read"}

    @extend_schema(
        operation_id="listCheckpoints",
        tags=["operator"],
        summary="Every checkpoint",
        parameters=openapi.LIST_PARAMETERS,
        responses=openapi.responses({200: (openapi.page(CHECKPOINT), "The largest first.")}),
    )
    def get(self, request: TenantRequest) -> Response:
        """Checkpoints, the newest first."""
        query = query_params(request, ListQuery)
        position = decode_cursor(query.cursor, int)
        before = position[0] if position else MAX_SEQ
        rows = selectors.checkpoints(request.tenant, before=before, limit=query.limit + 1)
        return Response(
            {
                "items": [checkpoint_json(row) for row in rows[: query.limit]],
                "next": encode_cursor(rows[query.limit - 1].size) if len(rows) > query.limit else None,
            }
        )


class InclusionQuery(Query):
    """Which event, under which checkpoint."""

    log_seq: int = Field(ge=1, le=MAX_SEQ)
    size: int | None = Field(default=None, ge=1, le=MAX_SEQ)


class LogInclusion(TenantAPIView):
    """``/log/inclusion``"""

    permissions = {"GET": "read"}

    @extend_schema(
        operation_id="proveInclusion",
        tags=["agent", "operator"],
        summary="Prove that an event is in the log",
        parameters=[
            OpenApiParameter("log_seq", {"type": "integer", "minimum": 1}, required=True),
            OpenApiParameter(
                "size", {"type": "integer", "minimum": 1}, description="Size of a checkpoint; the newest when absent."
            ),
        ],
        responses=openapi.responses(
            {
                200: (
                    obj({"log_seq": INT, "leaf_index": INT, "leaf_hash": STR, "path": PATH, "checkpoint": CHECKPOINT}),
                    "The hashes beside the way from the leaf to the root (RFC 9162 2.1.3).",
                )
            },
            refusals=(400, 401, 403, 404, 409),
        ),
    )
    def get(self, request: TenantRequest) -> Response:
        """SHA-256 of a zero byte and the 32 bytes of `leaf_hash` is the leaf; `path` leads to the signed root."""
        query = query_params(request, InclusionQuery)
        found = selectors.inclusion(request.tenant, log_seq=query.log_seq, size=query.size)
        return Response(
            {
                "log_seq": found.log_seq,
                "leaf_index": found.log_seq - 1,
                "leaf_hash": "sha256:" + found.leaf_hash.hex(),
                "path": [_text(each) for each in found.path],
                "checkpoint": checkpoint_json(found.checkpoint),
            }
        )


class ConsistencyQuery(Query):
    """Between which checkpoints."""

    first: int = Field(ge=1, le=MAX_SEQ)
    second: int | None = Field(default=None, ge=1, le=MAX_SEQ)


class LogConsistency(TenantAPIView):
    """``/log/consistency``"""

    permissions = {"GET": "read"}

    @extend_schema(
        operation_id="proveConsistency",
        tags=["agent", "operator"],
        summary="Prove that the log only grew",
        parameters=[
            OpenApiParameter(
                "first",
                {"type": "integer", "minimum": 1},
                required=True,
                description="Size of the checkpoint you kept.",
            ),
            OpenApiParameter(
                "second",
                {"type": "integer", "minimum": 1},
                description="Size of a later checkpoint; the newest when absent.",
            ),
        ],
        responses=openapi.responses(
            {
                200: (
                    obj({"first": CHECKPOINT, "second": CHECKPOINT, "path": PATH}),
                    "Hashes from which both roots follow (RFC 9162 2.1.4).",
                )
            },
            refusals=(400, 401, 403, 404, 409),
        ),
    )
    def get(self, request: TenantRequest) -> Response:
        """The events under the first checkpoint are the beginning of those under the second."""
        query = query_params(request, ConsistencyQuery)
        found = selectors.consistency(request.tenant, old=query.first, new=query.second)
        return Response(
            {
                "first": checkpoint_json(found.old),
                "second": checkpoint_json(found.new),
                "path": [_text(each) for each in found.path],
            }
        )


class ExportQuery(Query):
    """Which part of the log."""

    after: int = Field(default=0, ge=0, le=MAX_SEQ)
    until: int | None = Field(default=None, ge=1, le=MAX_SEQ)


class LogExport(TenantAPIView):
    """``/log/export``"""

    permissions = {"GET": "admin"}

    @extend_schema(
        operation_id="exportLog",
        tags=["operator"],
        summary="The whole log as a file",
        parameters=[
            OpenApiParameter(
                "after",
                {"type": "integer", "minimum": 0, "default": 0},
                description="Go on behind this `log_seq`: the last whole line of a download that broke off.",
            ),
            OpenApiParameter(
                "until",
                {"type": "integer", "minimum": 1},
                description="At most so many events; the newest checkpoint when absent.",
            ),
        ],
        responses={
            (200, "application/x-ndjson"): OpenApiResponse(
                response=OpenApiTypes.STR, description="A line per event and checkpoint, as they are stored."
            ),
            **openapi.responses({}, refusals=(400, 401, 403, 409)),
        },
    )
    def get(self, request: TenantRequest) -> HttpResponse | StreamingHttpResponse:
        """Every event with its salt, every checkpoint, and the keys; `manage.py verify_log` checks it offline."""
        query = query_params(request, ExportQuery)
        found = services.export_log(request.tenant, principal=request.principal, after=query.after, until=query.until)
        return download(found)


def download(found: services.Archive) -> StreamingHttpResponse:
    """The log as an attachment, a piece at a time."""
    return StreamingHttpResponse(
        found.lines,
        content_type="application/x-ndjson",
        headers={
            "Content-Disposition": f'attachment; filename="{found.name}"',
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        },
    )


__all__ = ["LogCheckpointView", "LogCheckpoints", "LogConsistency", "LogExport", "LogInclusion", "checkpoint_json"]
