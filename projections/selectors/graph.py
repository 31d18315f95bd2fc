"""Walks through the decision graph, always scoped to a node."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, NamedTuple

import psycopg
from django.db import connection
from django.db.models import Q

from decisiongraph.core.db import current_tenant_id
from decisiongraph.core.errors import Problem, invalid, not_found
from projections.domain import graph
from projections.models import GraphEdge, GraphNode, TraceSummary, text_sha
from projections.selectors.freshness import Reading, reading
from tenants.models import Tenant
from traces import selectors as log

COUNTED = 20_000
"""Edges of one hub that are counted, each way: 3 ms."""
HUBS_COUNTED = 20
"""Hubs of one answer that are counted."""


class Node(NamedTuple):
    """One node: hundreds of them are read at once, too many for model instances."""

    key: str
    node_type: str
    trace_id: str
    log_seq: int
    created_at: str


class Graph(NamedTuple):
    """A subgraph with the rows of its nodes."""

    reading: Reading
    centre: str
    found: graph.Subgraph
    nodes: dict[str, Node]
    """By key."""
    hubs: dict[str, int]
    """Nodes of which not every edge was read -> how many they have, within the filters."""

    def as_json(self) -> dict[str, Any]:
        """Nodes and edges as the API shows them."""
        return {
            "centre": self.centre,
            "nodes": [
                {**node_json(self.nodes[reached.key]), "depth": reached.depth}
                for reached in self.found.nodes
                if reached.key in self.nodes
            ],
            "edges": [edge._asdict() for edge in self.found.edges],
            "truncated": self.found.truncated,
            "omitted_nodes": self.found.omitted_nodes,
            "omitted_edges": self.found.omitted_edges,
            "unread": self.found.unread,
            "hubs": [{"key": key, "edges": count} for key, count in self.hubs.items()],
            "degraded": self.reading.covers_parked(),
        }


def node_json(node: Node) -> dict[str, Any]:
    """A node as the API shows it."""
    return node._asdict()


def checked_key(key: str) -> str:
    """The key, or 400 saying what one looks like."""
    try:
        graph.parse_key(key)
    except ValueError as error:
        raise invalid("node", "graph.malformed_key", f"{error}.") from None
    return key


def _edge(row: GraphEdge) -> graph.Edge:
    return graph.Edge(
        key=row.key,
        edge_type=row.edge_type,
        from_key=row.from_key,
        to_key=row.to_key,
        log_seq=row.log_seq,
        trace_id=row.trace_id,
        event_id=row.event_id,
        created_at=row.created_at,
    )


_EDGE = ", ".join(f"e.{name}" for name in graph.Edge._fields)
# Tenant and generation stand in sub-selects, as everywhere in read models (`RowManager`): the plan is the same
# for a tenant of any age. Each node is a look-up of its own, answered in order from the index of its edges.
_HALF = """
SELECT {columns} FROM projections_graphedge e
WHERE e.tenant_id = (SELECT %(tenant)s::int) AND e.generation = (SELECT %(generation)s::int)
  AND e.{near}_sha = n.sha{filters}
"""
_TOUCHING = f"SELECT {_EDGE} FROM unnest(%(shas)b::bytea[]) AS n(sha) CROSS JOIN LATERAL ({{halves}}) AS e"
# Found by where an edge leaves: hubs are what many edges lead to, so the index of targets is kept out of it.
# Node by node: asked for all at once, the planner reads the whole generation where it expects few rows of it.
_BETWEEN = f"""
SELECT {_EDGE} FROM unnest(%(shas)b::bytea[]) AS n(sha) CROSS JOIN LATERAL (
  {_HALF.format(columns="e.*", near="from", filters="{filters}")}
  AND e.to_sha || ''::bytea = ANY(%(shas)b::bytea[]) OFFSET 0
) AS e ORDER BY e.log_seq, e.key LIMIT %(limit)s
"""
_NODES = f"""
SELECT {", ".join(f"n.{name}" for name in Node._fields)} FROM projections_graphnode n
WHERE n.tenant_id = (SELECT %(tenant)s::int) AND n.generation = (SELECT %(generation)s::int)
  AND n.key_sha = ANY(%(shas)b::bytea[])
"""
_COUNT = """
SELECT n.sha, e.edges FROM unnest(%(shas)b::bytea[]) AS n(sha) CROSS JOIN LATERAL (
  SELECT (SELECT count(*) FROM ({going} LIMIT %(limit)s) AS g)
       + (SELECT count(*) FROM ({coming} LIMIT %(limit)s) AS c) AS edges
) AS e
"""


class _Edges:
    """The edges of one generation, filtered: what a walk reads from."""

    def __init__(
        self,
        generation: int,
        centre: str,
        *,
        node_types: Collection[str] | None,
        edge_types: Collection[str] | None,
        as_of: int | None,
        newest: bool,
    ) -> None:
        self.way = "DESC" if newest else ""
        self.values: dict[str, Any] = {"tenant": current_tenant_id(), "generation": generation}
        self.filters = ""
        if as_of is not None:
            self.filters += " AND e.log_seq <= %(as_of)s"
            self.values["as_of"] = as_of
        if edge_types is not None:
            self.filters += " AND e.edge_type = ANY(%(edge_types)s)"
            self.values["edge_types"] = sorted(edge_types)
        self.typed = node_types is not None
        if node_types is not None:
            self.values |= {"node_types": sorted(node_types), "centre": text_sha(centre)}

    def _far(self, side: str) -> str:
        """The node on this side may be shown; the centre always is."""
        if not self.typed:
            return ""
        return f" AND (split_part(e.{side}_key, ':', 1) = ANY(%(node_types)s) OR e.{side}_sha = %(centre)s)"

    def _half(self, near: str, columns: str) -> str:
        filters = self.filters + self._far("to" if near == "from" else "from")
        return _HALF.format(near=near, columns=columns, filters=filters)

    def _rows(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        # the driver's own cursor: thousands of rows become tuples once
        connection.ensure_connection()
        raw: psycopg.Connection[Any] = connection.connection
        with connection.wrap_database_errors, psycopg.Cursor(raw) as cursor:
            cursor.format = psycopg.pq.Format.BINARY
            return cursor.execute(sql, self.values | values).fetchall()

    def touching(self, keys: Sequence[str], per_node: int) -> list[graph.Edge]:
        """See `graph.Source`."""
        order = f"ORDER BY e.log_seq {self.way}, e.key LIMIT %(per_node)s"
        halves = " UNION ALL ".join(f"({self._half(near, 'e.*')} {order})" for near in ("from", "to"))
        shas = [text_sha(key) for key in keys]
        return [*map(graph.Edge._make, self._rows(_TOUCHING.format(halves=halves), shas=shas, per_node=per_node))]

    def between(self, keys: Collection[str], limit: int) -> list[graph.Edge]:
        """See `graph.Source`."""
        shas = [text_sha(key) for key in keys]
        sql = _BETWEEN.format(filters=self.filters)
        return [*map(graph.Edge._make, self._rows(sql, shas=shas, limit=limit))]

    def nodes(self, keys: Sequence[str]) -> dict[str, Node]:
        """Those of the keys that are nodes."""
        rows = self._rows(_NODES, shas=[text_sha(key) for key in keys])
        return {row[0]: Node(*row) for row in rows}

    def counts(self, keys: Sequence[str]) -> dict[str, int]:
        """Edges of each of these nodes, counted up to `COUNTED` each way."""
        by_sha = {text_sha(key): key for key in keys}
        sql = _COUNT.format(going=self._half("from", "1"), coming=self._half("to", "1"))
        rows = self._rows(sql, shas=list(by_sha), limit=COUNTED)
        return {by_sha[bytes(sha)]: count for sha, count in rows}


def subgraph(
    tenant: Tenant,
    *,
    node: str,
    depth: int = 1,
    node_types: Collection[str] | None = None,
    edge_types: Collection[str] | None = None,
    max_nodes: int = 200,
    as_of: int | None = None,
    newest: bool = False,
    expand: Callable[[str], bool] | None = None,
    min_log_seq: int | None = None,
    wait_ms: int = 0,
) -> Graph:
    """What surrounds a node. 404 when the graph has no such node (as of ``as_of``)."""
    checked_key(node)
    with reading(tenant, "context_graph", min_log_seq=min_log_seq, wait_ms=wait_ms) as seen:
        centre = GraphNode.objects.of(seen.generation).filter(key_sha=text_sha(node)).first()
        if centre is None or (as_of is not None and centre.log_seq > as_of):
            raise not_found("node", node)
        source = _Edges(seen.generation, node, node_types=node_types, edge_types=edge_types, as_of=as_of, newest=newest)
        try:
            found = graph.subgraph(source, node, depth=depth, max_nodes=max_nodes, newest=newest, expand=expand)
        except ValueError as error:
            raise Problem("graph.invalid_bounds", 400, f"{error}.") from None
        nodes = source.nodes([reached.key for reached in found.nodes])
        hubs = source.counts(found.cut[:HUBS_COUNTED]) if found.cut else {}
        return Graph(seen, node, found, nodes, hubs)


def edges(
    tenant: Tenant,
    *,
    node: str,
    direction: str = "both",
    position: tuple[int, str] | None = None,
    limit: int = 100,
    min_log_seq: int | None = None,
    wait_ms: int = 0,
) -> tuple[Reading, list[graph.Edge]]:
    """Edges of one node in log order, up to ``limit + 1``, after (``log_seq``, key). 404 without such a node."""
    sha = text_sha(checked_key(node))
    with reading(tenant, "context_graph", min_log_seq=min_log_seq, wait_ms=wait_ms) as seen:
        if not GraphNode.objects.of(seen.generation).filter(key_sha=sha).exists():
            raise not_found("node", node)
        parts = []
        for name, column in (("out", "from_sha"), ("in", "to_sha")):
            if direction not in (name, "both"):
                continue
            scope = GraphEdge.objects.of(seen.generation).filter(**{column: sha})
            if position is not None:
                scope = scope.filter(log_seq__gte=position[0]).filter(
                    Q(log_seq__gt=position[0]) | Q(key__gt=position[1])
                )
            parts.append(scope.order_by("log_seq", "key")[: limit + 1])
        rows = {row.key: row for part in parts for row in part}
    ordered = sorted(rows.values(), key=lambda row: (row.log_seq, row.key))[: limit + 1]
    return seen, [_edge(row) for row in ordered]


class NodeDetail(NamedTuple):
    """One node and the latest that was said about it."""

    node: GraphNode
    edges: list[graph.Edge]
    """The latest first."""
    total: int
    """Its edges, counted up to `COUNTED` each way."""


def node_detail(tenant: Tenant, node: str, *, as_of: int | None = None, limit: int = 10) -> NodeDetail:
    """A node with its latest edges. 404 when the graph has no such node (as of ``as_of``)."""
    checked_key(node)
    with reading(tenant, "context_graph") as seen:
        row = GraphNode.objects.of(seen.generation).filter(key_sha=text_sha(node)).first()
        if row is None or (as_of is not None and row.log_seq > as_of):
            raise not_found("node", node)
        source = _Edges(seen.generation, node, node_types=None, edge_types=None, as_of=as_of, newest=True)
        found = {edge.key: edge for edge in source.touching([node], limit)}
        edges = sorted(found.values(), key=lambda edge: (-edge.log_seq, edge.key))[:limit]
        return NodeDetail(row, edges, source.counts([node]).get(node, 0))


def known_nodes(tenant: Tenant, keys: Collection[str]) -> list[str]:
    """Those of the keys that are nodes, in the order given."""
    with reading(tenant, "context_graph") as seen:
        shas = [text_sha(key) for key in keys]
        found = set(GraphNode.objects.of(seen.generation).filter(key_sha__in=shas).values_list("key", flat=True))
    return [key for key in keys if key in found]


def unfinished(tenant: Tenant, summaries: Iterable[TraceSummary], as_of: int | None) -> set[str]:
    """Traces that have an outcome now and had none at that position."""
    ended = [row.key for row in summaries if as_of is not None and row.outcome and row.last_log_seq > as_of]
    if as_of is None or not ended:
        return set()
    finishes = log.trace_history(tenant, ended, ("TraceFinished",))
    return {ident for ident, events in finishes.items() if all(event.log_seq > as_of for event in events)}
