"""Differences over HTTP: of two events, of what was proposed and done, of two traces."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from pydantic import Field
from rest_framework.response import Response

from decisiongraph.core.api import ListQuery, Query, decode_cursor, encode_cursor, openapi, query_params
from decisiongraph.core.api.views import TenantAPIView
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem
from tenants.access import TenantRequest
from tenants.models import Tenant
from traces import selectors
from traces.api import schemas
from traces.domain import action
from traces.domain.align import Pair, differences
from traces.domain.compare import Comparison, compare
from traces.domain.diff import MAX_CHANGES, Difference, diff
from traces.domain.envelope import StoredEvent
from traces.domain.labels import headline, text

STEP_CHANGES = 20
"""Changes listed of one step of a comparison; `/traces/{trace_id}/diff` has all of them."""


class DiffQuery(Query):
    """Parameters of the difference of two events."""

    left: int | None = Field(default=None, ge=0, le=2**31 - 1)
    right: int | None = Field(default=None, ge=0, le=2**31 - 1)
    right_trace: str | None = Field(default=None, min_length=1, max_length=200)
    action: str | None = Field(default=None, min_length=1, max_length=200)
    limit: int = Field(default=MAX_CHANGES, ge=1, le=MAX_CHANGES)


class EventDiff(TenantAPIView):
    """``/traces/{trace_id}/diff``"""

    permissions = {"GET": "read"}

    @extend_schema(
        operation_id="diffEvents",
        tags=["operator"],
        summary="What differs between two events, or between an action as proposed and as carried out",
        parameters=[
            OpenApiParameter("left", {"type": "integer", "minimum": 0}, description="`trace_seq` of the left event."),
            OpenApiParameter("right", {"type": "integer", "minimum": 0}, description="`trace_seq` of the right event."),
            OpenApiParameter("right_trace", OpenApiTypes.STR, description="The right event's trace; default: this."),
            OpenApiParameter(
                "action",
                OpenApiTypes.STR,
                description="Instead of `left` and `right`: the `action_id` whose proposal is compared with what "
                "its commit says was `executed`.",
            ),
            OpenApiParameter(
                "limit", {"type": "integer", "minimum": 1, "maximum": MAX_CHANGES, "default": MAX_CHANGES}
            ),
        ],
        responses=openapi.responses(
            {200: (schemas.DIFFERENCE, "By path, types respected.")}, refusals=(400, 401, 403, 404)
        ),
    )
    def get(self, request: TenantRequest, trace_id: str) -> Response:
        """The structural difference of two payloads: `1`, `1.0`, `"1"` and `true` are four different values.

        Lists of objects with an identity (`key`, `input_id`, `code`, ...) are matched by it, other lists by
        their longest common subsequence.
        """
        query = query_params(request, DiffQuery)
        with tenant_tx(request.tenant):
            if query.action is not None:
                return Response(_action(request.tenant, trace_id, query))
            if query.left is None or query.right is None:
                raise missing("left" if query.left is None else "right", "`left` and `right`, or `action`")
            left = selectors.trace_event(request.tenant, trace_id, query.left)
            right = selectors.trace_event(request.tenant, query.right_trace or trace_id, query.right)
        erased = left.payload is None or right.payload is None
        found = None if erased else diff(left.payload, right.payload, limit=query.limit)
        return Response(_shown("payload", left, right, found))


def missing(name: str, wanted: str) -> Problem:
    """400: a parameter without which there is nothing to compare."""
    return Problem(
        "query.invalid_parameter",
        400,
        f"The parameter {name!r} is missing. Send {wanted}.",
        errors=[{"path": name, "code": "query.missing_field", "detail": f"send {wanted}"}],
    )


def _action(tenant: Tenant, trace_id: str, query: DiffQuery) -> dict[str, Any]:
    if query.left is not None or query.right is not None or query.right_trace is not None:
        raise Problem(
            "query.invalid_parameter",
            400,
            "Send either `action` or `left` and `right`.",
            errors=[{"path": "action", "code": "query.invalid_field", "detail": "not together with left and right"}],
        )
    (pair,) = action.pairs(selectors.trace_actions(tenant, trace_id, query.action or ""))
    return _shown("action", pair.proposed, pair.committed, action.deviation(pair, limit=query.limit))


def _shown(basis: str, left: StoredEvent | None, right: StoredEvent | None, found: Difference | None) -> dict[str, Any]:
    return {
        "basis": basis,
        "left": brief(left),
        "right": brief(right),
        "comparable": found is not None,
        "same": found is not None and not found.changes,
        "changes": [change.as_json() for change in found.changes] if found else [],
        "truncated": bool(found and found.truncated),
    }


def brief(event: StoredEvent | None) -> dict[str, Any] | None:
    """Enough to name an event and to find it."""
    if event is None:
        return None
    return {
        "trace_id": event.trace_id,
        "trace_seq": event.trace_seq,
        "log_seq": event.log_seq,
        "event_id": event.event_id,
        "event_type": event.event_type,
        "occurred_at": event.occurred_at,
        "title": headline(event),
    }


class CompareQuery(ListQuery):
    """Parameters of the comparison of two traces."""

    left: str = Field(min_length=1, max_length=200)
    right: str = Field(min_length=1, max_length=200)


class Compare(TenantAPIView):
    """``/precedents/compare``"""

    permissions = {"GET": "read"}

    @extend_schema(
        operation_id="compareTraces",
        tags=["agent", "operator"],
        summary="Two traces step by step",
        parameters=[
            OpenApiParameter("left", OpenApiTypes.STR, required=True, description="Trace id."),
            OpenApiParameter("right", OpenApiTypes.STR, required=True, description="Trace id."),
            *openapi.LIST_PARAMETERS,
        ],
        responses=openapi.responses(
            {
                200: (
                    schemas.COMPARISON,
                    "Facts and policies that differ, then the steps; `cursor` and `limit` page them.",
                )
            },
            refusals=(400, 401, 403, 404),
        ),
    )
    def get(self, request: TenantRequest) -> Response:
        """Facts and policy versions that differ, the outcomes, and every step: the same, changed, only on one side.

        The alignment is deterministic, and the mirror image when `left` and `right` are swapped. Ids that an
        agent makes up in every run are no difference.
        """
        query = query_params(request, CompareQuery)
        position = decode_cursor(query.cursor, int)
        with tenant_tx(request.tenant):
            left, right = (selectors.whole_trace(request.tenant, ident) for ident in (query.left, query.right))
            ends = [selectors.trace_extent(request.tenant, ident) for ident in (query.left, query.right)]
        found = compare(left, right)
        begin = max(0, position[0]) if position else 0
        steps = found.alignment.pairs[begin : begin + query.limit]
        following = begin + query.limit
        return Response(
            {
                "left": _side(ends[0], len(left)),
                "right": _side(ends[1], len(right)),
                **_first(found),
                "counts": found.alignment.counts,
                "exact": found.alignment.exact,
                "steps": {
                    "items": [_step(pair) for pair in steps],
                    "next": encode_cursor(following) if following < len(found.alignment.pairs) else None,
                },
            }
        )


def _side(extent: selectors.Extent, read: int) -> dict[str, Any]:
    first, last = extent.first, extent.last
    finished = last.event_type == "TraceFinished"
    return {
        "trace_id": first.trace_id,
        "workflow": text(first.payload or {}, "workflow") or None,
        "title": text(first.payload or {}, "title") or None,
        "status": "finished" if finished else "open",
        "outcome": (text(last.payload or {}, "outcome") or None) if finished else None,
        "summary": (text(last.payload or {}, "summary") or None) if finished else None,
        "started_at": first.occurred_at,
        "last_event_at": last.occurred_at,
        "event_count": extent.size,
        "compared_events": read,
    }


def _first(found: Comparison) -> dict[str, Any]:
    return {
        "facts": [
            {"name": row.name, "left": list(row.left), "right": list(row.right), "shared": row.shared}
            for row in found.facts
        ],
        "same_facts": found.same_facts,
        "policies": [
            {
                "policy_id": row.policy_id,
                "same": row.same,
                "left": [{"version": version, "decision": decision} for version, decision in row.left],
                "right": [{"version": version, "decision": decision} for version, decision in row.right],
            }
            for row in (*found.policies, *found.same_policies)
        ],
    }


def _step(pair: Pair) -> dict[str, Any]:
    shown: dict[str, Any] = {"kind": pair.kind, "left": brief(pair.left), "right": brief(pair.right)}
    found = (
        differences(pair.left, pair.right, limit=STEP_CHANGES)
        if pair.kind == "changed" and pair.left and pair.right
        else None
    )
    shown["changes"] = [change.as_json() for change in found.changes] if found else []
    shown["truncated"] = bool(found and found.truncated)
    return shown
