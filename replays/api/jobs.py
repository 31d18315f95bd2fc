"""Replays and health over HTTP."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, Literal

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from pydantic import BaseModel, ConfigDict, Field
from rest_framework.response import Response

from decisiongraph.core.api import (
    ListQuery,
    Query,
    body,
    decode_cursor,
    encode_cursor,
    openapi,
    query_params,
)
from decisiongraph.core.api.openapi import (
    ANY_OBJECT,
    BOOL,
    INT,
    NUM,
    STR,
    WHEN,
    JsonSchema,
    array,
    nullable,
    obj,
)
from decisiongraph.core.api.views import TenantAPIView
from projections.api import schemas
from replays import selectors, services
from replays.models import ALL, Replay
from tenants.access import TenantRequest
from tenants.services import reauth

ReplayProjection = Literal["trace_summary", "context_graph", "policy_evaluations", "precedent_index", "all"]
_LATER: JsonSchema = {"type": ["string", "null"], "format": "date-time"}
_NAMES: JsonSchema = {"type": "string", "enum": [*selectors.projections.PROJECTIONS, ALL]}
_REPLAY: dict[str, Any] = {
    "id": STR,
    "projection": _NAMES,
    "mode": {"type": "string", "enum": list(Replay.MODES)},
    "status": {
        "type": "string",
        "enum": ["queued", "running", "stalled", "completed", "failed", "cancelled"],
    },
    "position": INT,
    "target": INT,
    "progress": NUM,
    "rate": nullable("number", description="Events per second."),
    "eta_seconds": nullable("number"),
    "verdict": {"type": ["string", "null"], "enum": ["match", "mismatch", "incomparable", None]},
    "promoted": BOOL,
    "until_log_seq": nullable("integer"),
    "compared_at": nullable("integer"),
    "differences": obj({"changed": INT, "missing": INT, "surplus": INT, "total": INT}),
    "digests": obj({"live": nullable("string"), "rebuilt": nullable("string"), "canonical": nullable("string")}),
    "reason": STR,
    "requested_by": STR,
    "request_id": STR,
    "parent_id": nullable("string"),
    "created_at": WHEN,
    "started_at": _LATER,
    "finished_at": _LATER,
    "error": nullable("string"),
    "children": array(ANY_OBJECT),
}
REPLAY = obj(_REPLAY, description="A projection run again; `all` has one child per projection.")
START = obj(
    {
        "projection": _NAMES,
        "mode": {"type": "string", "enum": list(Replay.MODES)},
        "reason": {"type": "string", "minLength": 1, "maxLength": 2000},
        "until_log_seq": nullable("integer", minimum=0, description="Only with `verify`."),
        "accept_mismatch": {
            "type": "boolean",
            "default": False,
            "description": "Only with `rebuild`, needs `admin`: promote even if rows differ.",
        },
    },
    optional=("until_log_seq", "accept_mismatch"),
)
DIFFERENCE = obj(
    {
        "projection": STR,
        "table": STR,
        "key": STR,
        "kind": {"type": "string", "enum": ["changed", "missing", "surplus"]},
        "log_seq": INT,
        "event": {
            **obj({"event_id": STR, "event_type": STR, "trace_id": STR, "trace_seq": INT}),
            "type": ["object", "null"],
        },
        "columns": array(STR),
        "live": {"type": ["object", "null"], "additionalProperties": True},
        "expected": {"type": ["object", "null"], "additionalProperties": True},
    }
)
HEALTH = obj(
    {
        "tenant": STR,
        "head": INT,
        "state": schemas.STATE,
        "projections": array(schemas.PROJECTION_HEALTH),
        "replays": array(REPLAY),
        "checks": {
            "type": "object",
            "additionalProperties": {**obj({"ok": BOOL}), "additionalProperties": {"type": "number"}},
            "description": "What else has to hold; `timers`: no due timer is unfired.",
        },
    }
)


class Health(TenantAPIView):
    """``/projections/health``"""

    permissions = {"GET": "read"}

    @extend_schema(
        operation_id="getHealth",
        tags=["agent", "operator"],
        summary="How the projections do",
        responses=openapi.responses({200: (HEALTH, "State, lag and digests.")}, refusals=(400, 401, 403)),
    )
    def get(self, request: TenantRequest) -> Response:
        """Every projection's state, and the replays that are not over. The state is the worst of all."""
        query_params(request, Query)
        return Response(selectors.health(request.tenant))


class StartBody(BaseModel):
    """Body of ``POST /projections/replay``."""

    model_config = ConfigDict(extra="forbid")

    projection: ReplayProjection
    mode: Literal["catch_up", "verify", "rebuild"]
    reason: str = Field(min_length=1, max_length=2000)
    until_log_seq: int | None = Field(default=None, ge=0, le=2**53 - 1)
    accept_mismatch: bool = False


class StartReplay(TenantAPIView):
    """``/projections/replay``"""

    permissions = {"POST": "operate"}

    @extend_schema(
        operation_id="startReplay",
        tags=["operator"],
        summary="Run a projection again",
        request={"application/json": START},
        responses=openapi.responses({202: (REPLAY, "Queued.")}, refusals=(400, 401, 403, 409, 415, 422)),
    )
    def post(self, request: TenantRequest) -> Response:
        """Catch up, verify (compare with a rebuild, change nothing) or rebuild (compare, then promote)."""
        asked = body(request, StartBody)
        if asked.mode == "rebuild":
            reauth.demand(request)
        row = services.start_replay(
            request.tenant,
            principal=request.principal,
            projection=asked.projection,
            mode=asked.mode,
            reason=asked.reason,
            until_log_seq=asked.until_log_seq,
            accept_mismatch=asked.accept_mismatch,
        )
        view = selectors.replay(request.tenant, str(row.pk))
        return Response(view.as_json(), status=202, headers={"Location": f"/api/v1/replays/{row.pk}"})


class Replays(TenantAPIView):
    """``/replays``"""

    permissions = {"GET": "read"}

    @extend_schema(
        operation_id="listReplays",
        tags=["operator"],
        summary="List replays",
        parameters=openapi.LIST_PARAMETERS,
        responses=openapi.responses({200: (openapi.page(REPLAY), "The newest first.")}, refusals=(400, 401, 403)),
    )
    def get(self, request: TenantRequest) -> Response:
        """Replays, newest first. Children stand inside their parent."""
        query = query_params(request, ListQuery)
        rows = selectors.replays(request.tenant, limit=query.limit + 1, before=_position(query.cursor))
        following = None
        if len(rows) > query.limit:
            last = rows[query.limit - 1].row
            following = encode_cursor(last.created_at.isoformat(), str(last.pk))
        return Response({"items": [row.as_json() for row in rows[: query.limit]], "next": following})


def _position(cursor: str | None) -> tuple[datetime, uuid.UUID] | None:
    found = decode_cursor(cursor, datetime, uuid.UUID)
    return (found[0], found[1]) if found else None


class ReplayDetail(TenantAPIView):
    """``/replays/{id}``"""

    permissions = {"GET": "read"}

    @extend_schema(
        operation_id="getReplay",
        tags=["operator"],
        summary="One replay",
        responses=openapi.responses({200: (REPLAY, "The replay.")}, refusals=(400, 401, 403, 404)),
    )
    def get(self, request: TenantRequest, replay_id: str) -> Response:
        """Where a replay stands, or what it found."""
        query_params(request, Query)
        return Response(selectors.replay(request.tenant, replay_id).as_json())


class ReplayDifferences(TenantAPIView):
    """``/replays/{id}/differences``"""

    permissions = {"GET": "read"}

    @extend_schema(
        operation_id="listReplayDifferences",
        tags=["operator"],
        summary="Rows that differ",
        parameters=openapi.LIST_PARAMETERS,
        responses=openapi.responses(
            {200: (openapi.page(DIFFERENCE), "By projection, table and key; at most 1,000 per projection.")},
            refusals=(400, 401, 403, 404),
        ),
    )
    def get(self, request: TenantRequest, replay_id: str) -> Response:
        """Rows whose content is not what the log says, each with the event that made it."""
        query = query_params(request, ListQuery)
        found = decode_cursor(query.cursor, str, int)
        rows = selectors.differences(
            request.tenant,
            replay_id,
            after=None if found is None else (found[0], found[1]),
            limit=query.limit,
        )
        following = None
        if len(rows) > query.limit:
            last = rows[query.limit - 1].row
            following = encode_cursor(str(last.replay_id), last.ordinal)
        return Response({"items": [row.as_json() for row in rows[: query.limit]], "next": following})


class CancelReplay(TenantAPIView):
    """``/replays/{id}/cancel``"""

    permissions = {"POST": "operate"}

    @extend_schema(
        operation_id="cancelReplay",
        tags=["operator"],
        summary="Stop a replay",
        request=None,
        parameters=[OpenApiParameter("replay_id", OpenApiTypes.STR, OpenApiParameter.PATH)],
        responses=openapi.responses(
            {202: (REPLAY, "It stops after the batch it is in.")}, refusals=(401, 403, 404, 409)
        ),
    )
    def post(self, request: TenantRequest, replay_id: str) -> Response:
        """Ask a replay to stop. The live rows stay as they are."""
        selectors.replay(request.tenant, replay_id)  # 404 for anything that is no replay's id
        services.cancel_replay(request.tenant, principal=request.principal, replay_id=replay_id)
        return Response(selectors.replay(request.tenant, replay_id).as_json(), status=202)
