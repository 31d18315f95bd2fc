"""Searching precedents from a situation, and decisions that ended differently."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from decisiongraph.core.api import ListQuery, Query, decode_cursor, encode_cursor, openapi, query_params, question
from decisiongraph.core.api.openapi import BOOL, INT, NUM, STR, JsonSchema, array, nullable, obj, page
from decisiongraph.core.api.views import TenantAPIView
from projections import selectors
from projections.domain.precedents.question import MAX_HITS, Question
from tenants.access import TenantRequest

_NAMES: JsonSchema = {"type": "array", "items": STR}
_COUNTS = array(obj({"outcome": STR, "count": INT}))
_QUESTION: JsonSchema = obj(
    {
        "trace_id": {**STR, "description": "Ask for the situation of this trace; then describe nothing else."},
        "without": {**STR, "description": "A trace that must not be found; the one that asks never is."},
        "workflow": STR,
        "entity_type": STR,
        "policy": {**STR, "description": "`<id>@<version>`"},
        "violation_codes": _NAMES,
        "action_type": STR,
        "facts": array(obj({"key": STR, "value": {"type": ["string", "number", "boolean"]}})),
        "text": {**STR, "description": "The request in words; its first line counts as the opening."},
        "outcome": {"type": "string", "enum": ["success", "failure", "abandoned"]},
        "as_of": {**INT, "description": "Only decisions finished at or before this `log_seq`."},
        "limit": {"type": "integer", "minimum": 1, "maximum": MAX_HITS, "default": 10},
    },
    optional=(
        "trace_id", "without", "workflow", "entity_type", "policy", "violation_codes", "action_type", "facts", "text",
        "outcome", "as_of", "limit",
    ),
)  # fmt: skip
_HIT = obj(
    {
        "trace_id": STR,
        "title": STR,
        "outcome": STR,
        "counter": {**BOOL, "description": "Decided the other way."},
        "score": {**NUM, "description": "0 to 1, the sum of the points of its parts."},
        "parts": array(obj({"name": STR, "points": NUM, "most": NUM, "words": STR})),
        "workflow": nullable("string"),
        "entity_type": nullable("string"),
        "policies": _NAMES,
        "violation_codes": _NAMES,
        "action_types": _NAMES,
        "finished_at": STR,
        "finished_log_seq": INT,
    }
)
_FOUND = obj(
    {
        "items": array(_HIT),
        "outcome": nullable("string", description="What the other way is other than."),
        "counters": INT,
        "agreement": {**NUM, "description": "Share of the items decided as `outcome`."},
        "split": _COUNTS,
        "compared": {**INT, "description": "Decisions compared one by one."},
        "learned_to": {**INT, "description": "Position of the log up to which finished decisions are known here."},
    }
)
_SPLIT = obj(
    {
        "key": STR,
        "message": STR,
        "trend": _NAMES,
        "trend_words": STR,
        "size": INT,
        "latest_log_seq": INT,
        "outcomes": _COUNTS,
        "traces": array(obj({"trace_id": STR, "title": STR, "outcome": STR, "finished_at": STR})),
    }
)


class PrecedentSearch(TenantAPIView):
    """``/precedents/search``"""

    permissions = {"POST": "read"}

    @extend_schema(
        operation_id="searchPrecedents",
        tags=["agent", "operator"],
        summary="Precedents of a situation",
        request={"application/json": _QUESTION},
        responses=openapi.responses(
            {200: (_FOUND, "The most alike finished decisions; those decided the other way first.")},
            refusals=(400, 401, 403, 404, 422),
        ),
    )
    def post(self, request: TenantRequest) -> Response:
        """Finished decisions most like a situation, each with the parts of its score."""
        query_params(request, Query)
        return Response(selectors.found_json(selectors.precedent_search(request.tenant, question(request, Question))))


class PrecedentRadar(TenantAPIView):
    """``/precedents/radar``"""

    permissions = {"GET": "read"}

    @extend_schema(
        operation_id="listInconsistencies",
        tags=["operator"],
        summary="Same situation, different outcome",
        parameters=[*openapi.LIST_PARAMETERS],
        responses=openapi.responses(
            {200: (page(_SPLIT), "Groups whose outcomes differ, the one that moved last first.")},
            refusals=(400, 401, 403, 422),
        ),
    )
    def get(self, request: TenantRequest) -> Response:
        """Groups of finished decisions in the same situation that ended differently."""
        query = query_params(request, ListQuery)
        position = decode_cursor(query.cursor, int)
        groups = selectors.radar(request.tenant, before=None if position is None else position[0], limit=query.limit)
        shown: list[dict[str, Any]] = [selectors.split_json(group) for group in groups[: query.limit]]
        more = len(groups) > query.limit
        return Response({"items": shown, "next": encode_cursor(groups[query.limit - 1].latest) if more else None})
