"""Walks through the decision graph, always scoped to a node."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from django.db.models import Q

from decisiongraph.core.errors import Problem, invalid, not_found
from projections.domain import graph
from projections.models import GraphEdge, GraphNode, text_sha
from projections.selectors.freshness import Reading, reading
from tenants.models import Tenant


class Graph(NamedTuple):
    """A subgraph with the rows of its nodes."""

    reading: Reading
    centre: str
    found: graph.Subgraph
    nodes: dict[str, GraphNode]
    """By key."""

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
            "degraded": self.reading.covers_parked(),
        }


def node_json(node: GraphNode) -> dict[str, Any]:
    """A node as the API shows it."""
    return {
        "key": node.key,
        "node_type": node.node_type,
        "trace_id": node.trace_id,
        "log_seq": node.log_seq,
        "created_at": node.created_at,
    }


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


def subgraph(
    tenant: Tenant,
    *,
    node: str,
    depth: int = 1,
    node_types: Collection[str] | None = None,
    edge_types: Collection[str] | None = None,
    max_nodes: int = 200,
    as_of: int | None = None,
    min_log_seq: int | None = None,
    wait_ms: int = 0,
) -> Graph:
    """What surrounds a node. 404 when the graph has no such node (as of ``as_of``)."""
    checked_key(node)
    with reading(tenant, "context_graph", min_log_seq=min_log_seq, wait_ms=wait_ms) as seen:
        centre = GraphNode.objects.of(seen.generation).filter(key_sha=text_sha(node)).first()
        if centre is None or (as_of is not None and centre.log_seq > as_of):
            raise not_found("node", node)

        def neighbours(keys: Sequence[str]) -> Iterator[graph.Edge]:
            return _touching(seen.generation, keys, edge_types, as_of)

        try:
            found = graph.subgraph(
                neighbours,
                node,
                depth=depth,
                node_types=node_types,
                edge_types=edge_types,
                max_nodes=max_nodes,
                as_of=as_of,
            )
        except ValueError as error:
            raise Problem("graph.invalid_bounds", 400, f"{error}.") from None
        shas = [text_sha(reached.key) for reached in found.nodes]
        rows = GraphNode.objects.of(seen.generation).filter(key_sha__in=shas)
        return Graph(seen, node, found, {row.key: row for row in rows})


def _touching(
    generation: int,
    keys: Sequence[str],
    edge_types: Collection[str] | None,
    as_of: int | None,
) -> Iterator[graph.Edge]:
    """Edges that touch any of these nodes, by (``log_seq``, key), as many as one walk may read."""
    shas = [text_sha(key) for key in keys]
    scope = GraphEdge.objects.of(generation)
    if edge_types is not None:
        scope = scope.filter(edge_type__in=edge_types)
    if as_of is not None:
        scope = scope.filter(log_seq__lte=as_of)
    most = graph.MAX_EDGES_READ + 1
    # two indexed halves; an edge between two of the nodes comes with the first
    going = scope.filter(from_sha__in=shas).order_by("log_seq", "key").values_list(*graph.Edge._fields)[:most]
    coming = scope.filter(to_sha__in=shas).order_by("log_seq", "key").values_list(*graph.Edge._fields)[:most]
    found = {edge.key: edge for part in (going, coming) for edge in map(graph.Edge._make, part)}
    yield from sorted(found.values(), key=lambda edge: (edge.log_seq, edge.key))[:most]


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
    """Edges of one node in log order, up to ``limit + 1``, after (``log_seq``, key)."""
    sha = text_sha(checked_key(node))
    with reading(tenant, "context_graph", min_log_seq=min_log_seq, wait_ms=wait_ms) as seen:
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
