"""Reads of the projections."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from pydantic import BaseModel, Field, field_validator
from rest_framework.response import Response

from decisiongraph.core import clock
from decisiongraph.core.api import (
    ProjectionQuery,
    Query,
    decode_cursor,
    encode_cursor,
    openapi,
    query_params,
)
from decisiongraph.core.api.views import TenantAPIView
from decisiongraph.core.clock import Moment
from decisiongraph.core.errors import invalid
from projections import selectors
from projections.api import schemas
from projections.domain.graph import EDGE_TYPES, MAX_DEPTH, MAX_NODES, NODE_PARTS
from projections.domain.precedents import PrecedentFilter
from projections.domain.query import NAMES, empty_range, wrong_value
from tenants.access import TenantRequest

MAX_SEQ = 2**53 - 1
Text = Annotated[str, Field(min_length=1, max_length=1000)]
REFUSALS = (400, 401, 403, 409)


def freshness(query: BaseModel) -> dict[str, Any]:
    """The two parameters of a projection read, for a selector."""
    return {"min_log_seq": getattr(query, "min_log_seq", None), "wait_ms": getattr(query, "wait_ms", 0)}


Q_WORDS = (
    'The search bar\'s language: `workflow:loan outcome:failure after:2026-01-01 "free text"`. Filters may be given '
    "here or as parameters, each once. Words are looked for in id, title, entity, reasons, facts and summary."
)


class TracesQuery(ProjectionQuery):
    """Parameters of ``GET /traces``."""

    workflow: Text | None = None
    outcome: Literal["success", "failure", "abandoned"] | None = None
    status: Literal["open", "finished"] | None = None
    entity: Text | None = None
    policy: Text | None = None
    actor: Text | None = None
    after: Moment | None = None
    before: Moment | None = None
    q: Text | None = None
    kind: Literal["decision", "review", "all"] | None = None
    sort: Literal["-last", "last", "-started", "started"] = "-last"

    @field_validator("entity", "actor")
    @classmethod
    def _pair(cls, value: str | None) -> str | None:
        if value is not None and not all(value.partition("/")[::2]):
            raise ValueError("must be <type>/<id>")
        return value


class Traces(TenantAPIView):
    """``/traces``"""

    permissions = {"GET": "read"}

    @extend_schema(
        operation_id="listTraces",
        tags=["agent", "operator"],
        summary="List traces",
        parameters=[
            *openapi.PROJECTION_PARAMETERS,
            *schemas.FRESHNESS,
            OpenApiParameter("workflow", OpenApiTypes.STR),
            OpenApiParameter("outcome", OpenApiTypes.STR, enum=["success", "failure", "abandoned"]),
            OpenApiParameter("status", OpenApiTypes.STR, enum=["open", "finished"]),
            OpenApiParameter("entity", OpenApiTypes.STR, description="`<type>/<id>` of the primary entity."),
            OpenApiParameter("policy", OpenApiTypes.STR, description="`<id>@<version>`, or an id alone."),
            OpenApiParameter("actor", OpenApiTypes.STR, description="`<type>/<id>` of anybody who took part."),
            OpenApiParameter("after", OpenApiTypes.DATETIME, description="Started at or after."),
            OpenApiParameter("before", OpenApiTypes.DATETIME, description="Started before."),
            OpenApiParameter("q", OpenApiTypes.STR, description=Q_WORDS),
            OpenApiParameter("kind", OpenApiTypes.STR, enum=["decision", "review", "all"], default="decision"),
            OpenApiParameter("sort", OpenApiTypes.STR, enum=list(selectors.SORTS), default="-last"),
        ],
        responses=openapi.responses(
            {200: (schemas.degradable_page(schemas.TRACE), "Traces in the order asked for.")},
            refusals=(*REFUSALS, 422),
        ),
    )
    def get(self, request: TenantRequest) -> Response:
        """Traces that match every filter given. Without ``kind`` only decisions are meant."""
        query = query_params(request, TracesQuery)
        found = selectors.trace_list(
            request.tenant,
            trace_filter(query),
            sort=query.sort,
            position=_trace_position(query),
            limit=query.limit,
            **freshness(query),
        )
        return _page(
            found.reading,
            found.rows,
            query.limit,
            item=selectors.trace_json,
            cursor=lambda row: _trace_cursor(row, query.sort),
        )


def trace_filter(query: TracesQuery) -> selectors.TraceFilter:
    """What the parameters ask for, those inside ``q`` among them. 400 where both say the same thing."""
    found = selectors.checked(query.q or "")
    given = {
        name: str(value) if isinstance(value, str) else value.isoformat()
        for name in NAMES
        if (value := getattr(query, name, None)) is not None
    }
    for name in given:
        if found.get(name) is not None:
            raise invalid(
                name, "query.repeated_filter", f"{name} is given in `q` and as a parameter. Leave one of them out."
            )
        if wrong := wrong_value(name, given[name]):
            raise invalid(name, "query.invalid_parameter", wrong)
    filters = {**dict(found.filters), **given}
    if wrong := empty_range(filters):
        raise invalid("before", "query.empty_range", wrong)
    whole = found._replace(filters=tuple((name, filters[name]) for name in NAMES if name in filters))
    return selectors.TraceFilter.of(whole, now=clock.now())


def _trace_cursor(row: Any, sort: str) -> str:
    value, tie = selectors.trace_position(row, sort)
    return encode_cursor(value.isoformat() if isinstance(value, datetime) else value, tie)


def _trace_position(query: TracesQuery) -> tuple[Any, int] | None:
    if "started" not in query.sort:
        found = decode_cursor(query.cursor, int, int)
        return None if found is None else (found[0], found[1])
    found = decode_cursor(query.cursor, datetime, int)
    return None if found is None else (found[0], found[1])


def _page(seen: selectors.Reading, rows: list[Any], limit: int, *, item: Any, cursor: Any) -> Response:
    return Response(
        {
            "items": [item(row) for row in rows[:limit]],
            "next": cursor(rows[limit - 1]) if len(rows) > limit else None,
            "degraded": seen.covers_parked(),
        },
        headers=seen.headers(),
    )


class WaitQuery(Query):
    """Parameters of a projection read that is no list."""

    min_log_seq: int | None = Field(default=None, ge=0, le=MAX_SEQ)
    wait_ms: int = Field(default=0, ge=0, le=5000)


WAIT_PARAMETERS = openapi.PROJECTION_PARAMETERS[2:]


class TraceDetail(TenantAPIView):
    """``/traces/{trace_id}``"""

    permissions = {"GET": "read"}

    @extend_schema(
        operation_id="getTrace",
        tags=["agent", "operator"],
        summary="One trace's summary",
        parameters=[*WAIT_PARAMETERS, *schemas.FRESHNESS],
        responses=openapi.responses({200: (schemas.TRACE_DETAIL, "The summary.")}, refusals=(*REFUSALS, 404)),
    )
    def get(self, request: TenantRequest, trace_id: str) -> Response:
        """What the log says about one trace. Its events are at ``/traces/{trace_id}/events``."""
        query = query_params(request, WaitQuery)
        seen, row = selectors.trace_summary(request.tenant, trace_id, **freshness(query))
        return Response(
            {**selectors.trace_json(row), "degraded": seen.covers_parked(trace_id)},
            headers=seen.headers(trace_id),
        )


# --- graph --------------------------------------------------------------------------------------------


def _names(value: str | None, allowed: Any, path: str) -> list[str] | None:
    if value is None:
        return None
    names = [name for name in value.split(",") if name]
    unknown = [name for name in names if name not in allowed]
    if unknown or not names:
        known = ", ".join(allowed)
        raise invalid(path, "query.invalid_parameter", f"Give names separated by commas out of: {known}.")
    return names


class SubgraphQuery(WaitQuery):
    """Parameters of ``GET /graph/subgraph``."""

    node: str = Field(min_length=1, max_length=2000)
    depth: int = Field(default=1, ge=0, le=MAX_DEPTH)
    node_types: str | None = Field(default=None, max_length=1000)
    edge_types: str | None = Field(default=None, max_length=1000)
    max_nodes: int = Field(default=200, ge=1, le=MAX_NODES)
    as_of: int | None = Field(default=None, ge=0, le=MAX_SEQ)
    prefer: Literal["earliest", "latest"] = "earliest"


class GraphSubgraph(TenantAPIView):
    """``/graph/subgraph``"""

    permissions = {"GET": "read"}

    @extend_schema(
        operation_id="getSubgraph",
        tags=["agent", "operator"],
        summary="What surrounds a node",
        parameters=[
            OpenApiParameter("node", OpenApiTypes.STR, required=True, description="Key, for example `trace:<id>`."),
            OpenApiParameter("depth", {"type": "integer", "minimum": 0, "maximum": MAX_DEPTH, "default": 1}),
            OpenApiParameter("node_types", OpenApiTypes.STR, description="Separated by commas."),
            OpenApiParameter("edge_types", OpenApiTypes.STR, description="Separated by commas."),
            OpenApiParameter("max_nodes", {"type": "integer", "minimum": 1, "maximum": MAX_NODES, "default": 200}),
            OpenApiParameter("as_of", OpenApiTypes.INT64, description="The graph as it was at this `log_seq`."),
            OpenApiParameter(
                "prefer",
                OpenApiTypes.STR,
                enum=["earliest", "latest"],
                default="earliest",
                description="Which neighbours of a node with too many come first: by `log_seq` of the edge.",
            ),
            *WAIT_PARAMETERS,
            *schemas.FRESHNESS,
        ],
        responses=openapi.responses(
            {200: (schemas.SUBGRAPH, "Nodes by distance, edges in log order.")}, refusals=(*REFUSALS, 404)
        ),
    )
    def get(self, request: TenantRequest) -> Response:
        """Nodes and edges around one node, breadth first; the same log always answers the same.

        `truncated` says that something within `depth` is missing: `omitted_nodes` had no room below `max_nodes`,
        and `hubs` names nodes of which not every edge was read, with how many they have (at most 20 hubs, each
        counted to 20,000 each way). With `unread` the two counts of omissions are lower bounds.
        """
        query = query_params(request, SubgraphQuery)
        found = selectors.subgraph(
            request.tenant,
            node=query.node,
            depth=query.depth,
            node_types=_names(query.node_types, NODE_PARTS, "node_types"),
            edge_types=_names(query.edge_types, EDGE_TYPES, "edge_types"),
            max_nodes=query.max_nodes,
            as_of=query.as_of,
            newest=query.prefer == "latest",
            **freshness(query),
        )
        return Response(found.as_json(), headers=found.reading.headers())


class EdgesQuery(ProjectionQuery):
    """Parameters of ``GET /graph/edges``."""

    node: str = Field(min_length=1, max_length=2000)
    direction: Literal["out", "in", "both"] = "both"


class GraphEdges(TenantAPIView):
    """``/graph/edges``"""

    permissions = {"GET": "read"}

    @extend_schema(
        operation_id="listEdges",
        tags=["agent", "operator"],
        summary="Edges of a node",
        parameters=[
            OpenApiParameter("node", OpenApiTypes.STR, required=True),
            OpenApiParameter("direction", OpenApiTypes.STR, enum=["out", "in", "both"], default="both"),
            *openapi.PROJECTION_PARAMETERS,
            *schemas.FRESHNESS,
        ],
        responses=openapi.responses(
            {200: (schemas.degradable_page(schemas.EDGE), "Edges in log order.")}, refusals=(*REFUSALS, 404)
        ),
    )
    def get(self, request: TenantRequest) -> Response:
        """Every edge that begins or ends at one node."""
        query = query_params(request, EdgesQuery)
        position = decode_cursor(query.cursor, int, str)
        seen, rows = selectors.edges(
            request.tenant,
            node=query.node,
            direction=query.direction,
            position=None if position is None else (position[0], position[1]),
            limit=query.limit,
            **freshness(query),
        )
        return _page(
            seen,
            rows,
            query.limit,
            item=lambda edge: edge._asdict(),
            cursor=lambda edge: encode_cursor(edge.log_seq, edge.key),
        )


# --- precedents -----------------------------------------------------------------------------------------


class PrecedentsQuery(PrecedentFilter, ProjectionQuery):
    """Parameters of ``GET /precedents``."""


class Precedents(TenantAPIView):
    """``/precedents``"""

    permissions = {"GET": "read"}

    @extend_schema(
        operation_id="listPrecedents",
        tags=["agent", "operator"],
        summary="List precedents",
        parameters=[
            OpenApiParameter("entity_type", OpenApiTypes.STR),
            OpenApiParameter("entity_id", OpenApiTypes.STR, description="Needs `entity_type`."),
            OpenApiParameter("policy_id", OpenApiTypes.STR),
            OpenApiParameter("policy_version", OpenApiTypes.STR, description="Needs `policy_id`."),
            OpenApiParameter("outcome", OpenApiTypes.STR, enum=["success", "failure", "abandoned"]),
            OpenApiParameter("workflow", OpenApiTypes.STR),
            *openapi.PROJECTION_PARAMETERS,
            *schemas.FRESHNESS,
        ],
        responses=openapi.responses(
            {200: (schemas.degradable_page(schemas.PRECEDENT), "The latest first.")}, refusals=REFUSALS
        ),
    )
    def get(self, request: TenantRequest) -> Response:
        """Policy evaluations and exception requests of finished decisions that match every filter."""
        query = query_params(request, PrecedentsQuery)
        position = decode_cursor(query.cursor, int)
        seen, rows = selectors.precedents(
            request.tenant,
            query,
            before=None if position is None else position[0],
            limit=query.limit,
            **freshness(query),
        )
        return _page(
            seen,
            rows,
            query.limit,
            item=selectors.precedent_json,
            cursor=lambda row: encode_cursor(row.source_log_seq),
        )
