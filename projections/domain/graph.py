"""Keys of the decision graph, and a bounded walk through it.

A node key is ``<type>:<part>:...``; ``%`` and ``:`` inside a part are percent-escaped, so a key
splits back without ambiguity. An edge key is ``<edge_type>:<from key>:<to key>:<event_id>``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import islice
from typing import NamedTuple

NODE_PARTS: dict[str, tuple[str, ...]] = {
    "trace": ("trace_id",),
    "entity": ("entity_type", "system", "entity_id"),
    "input": ("trace_id", "input_id"),
    "policy": ("policy_id", "policy_version"),
    "exception": ("trace_id", "exception_id"),
    "action": ("trace_id", "action_id"),
    "actor": ("actor_type", "actor_id"),
}
"""Node type -> the parts of its key. An entity without a system has the system ``local``."""

EDGE_TYPES: tuple[str, ...] = (
    "trace_involves_entity",
    "trace_started_by",
    "trace_observed_input",
    "trace_evaluated_policy",
    "trace_requested_exception",
    "exception_approved_by",
    "trace_cited_precedent",
    "trace_proposed_action",
    "action_targets_entity",
    "trace_committed_action",
)

MAX_DEPTH = 6
MAX_NODES = 2_000
MAX_EDGES_READ = 20_000
"""Edges one walk reads at most; an actor who started every trace would otherwise read them all."""


def escape(part: str) -> str:
    """A key part with ``%`` and ``:`` percent-escaped."""
    return part.replace("%", "%25").replace(":", "%3A")


def unescape(part: str) -> str:
    """The inverse of `escape`."""
    return part.replace("%3A", ":").replace("%25", "%")


def node_key(node_type: str, *parts: str) -> str:
    """The key of a node; ``parts`` unescaped, in the order of `NODE_PARTS`.

    Raises:
        ValueError: an unknown type or another number of parts.
    """
    names = NODE_PARTS.get(node_type)
    if names is None:
        raise ValueError(f"unknown node type {node_type!r}; one of {', '.join(NODE_PARTS)}")
    if len(parts) != len(names):
        raise ValueError(f"a {node_type} key has the parts {', '.join(names)}")
    return ":".join((node_type, *(escape(part) for part in parts)))


def parse_key(key: str) -> tuple[str, tuple[str, ...]]:
    """Type and unescaped parts of a node key.

    Raises:
        ValueError: not a node key; the message says what a key of that type looks like.
    """
    node_type, *parts = key.split(":")
    names = NODE_PARTS.get(node_type)
    if names is None:
        raise ValueError(f"unknown node type {node_type!r}; one of {', '.join(NODE_PARTS)}")
    if len(parts) != len(names) or not all(parts):
        shape = ":".join((node_type, *(f"<{name}>" for name in names)))
        raise ValueError(f"a {node_type} key looks like {shape}, with % and : inside a part escaped")
    return node_type, tuple(unescape(part) for part in parts)


def node_type_of(key: str) -> str:
    """The type a node key starts with."""
    return key.partition(":")[0]


class Edge(NamedTuple):
    """One edge as the walk needs and returns it."""

    key: str
    edge_type: str
    from_key: str
    to_key: str
    log_seq: int
    trace_id: str
    event_id: str
    created_at: str


class Reached(NamedTuple):
    """One node of a subgraph."""

    key: str
    depth: int
    """Edges between it and the centre."""


class Subgraph(NamedTuple):
    """What a walk found."""

    nodes: list[Reached]
    """By depth, then by the ``log_seq`` of the edge that reached it, then by key."""
    edges: list[Edge]
    """Edges read between included nodes, by (``log_seq``, key)."""
    truncated: bool
    """Whether any bound but the depth cut something off."""
    omitted_nodes: int
    """Distinct nodes seen and left out because ``max_nodes`` was reached."""
    omitted_edges: int
    """Edges read and left out because an end was left out for that reason."""
    unread: bool
    """Whether edges were left unread (`MAX_EDGES_READ`); the counts are then lower bounds."""


Neighbours = Callable[[Sequence[str]], Iterable[Edge]]
"""All edges that touch any of these nodes, in either direction, ordered by (``log_seq``, key)."""


def subgraph(
    neighbours: Neighbours,
    centre: str,
    *,
    depth: int = 1,
    node_types: Collection[str] | None = None,
    edge_types: Collection[str] | None = None,
    max_nodes: int = 200,
    as_of: int | None = None,
) -> Subgraph:
    """Walk breadth first from ``centre``.

    The same rows and arguments always give the same answer. Nodes of other types than
    ``node_types`` are neither shown nor walked through; the centre always is. Edges between two
    nodes of the outermost ring are not read.

    Args:
        neighbours: reads edges; it may leave out what the filters here would drop.
        centre: node key.
        depth: rings around the centre, 0 to 6.
        node_types: only these, or None for all.
        edge_types: only these, or None for all.
        max_nodes: centre included, 1 to 2,000.
        as_of: ``log_seq``; later edges do not exist yet. None: now.

    Raises:
        ValueError: an argument out of its range.
    """
    if not 0 <= depth <= MAX_DEPTH:
        raise ValueError(f"depth is between 0 and {MAX_DEPTH}")
    if not 1 <= max_nodes <= MAX_NODES:
        raise ValueError(f"max_nodes is between 1 and {MAX_NODES}")
    nodes = [Reached(centre, 0)]
    included = {centre}
    left_out: set[str] = set()
    edges: dict[str, Edge] = {}
    budget, unread = MAX_EDGES_READ, False
    ring = [centre]
    for distance in range(1, depth + 1):
        if not ring or unread:
            break
        read = list(islice(neighbours(ring), budget + 1))
        if len(read) > budget:
            read, unread = read[:budget], True
        budget -= len(read)
        read.sort(key=lambda edge: (edge.log_seq, edge.key))
        members = set(ring)
        fresh: dict[str, int] = {}
        for edge in read:
            if as_of is not None and edge.log_seq > as_of:
                continue
            if edge_types is not None and edge.edge_type not in edge_types:
                continue
            other = edge.to_key if edge.from_key in members else edge.from_key
            if node_types is not None and other != centre and node_type_of(other) not in node_types:
                continue
            edges[edge.key] = edge
            if other not in included and other not in left_out:
                fresh.setdefault(other, edge.log_seq)
        ordered = sorted(fresh, key=lambda key: (fresh[key], key))
        room = max_nodes - len(nodes)
        ring = ordered[:room]
        left_out.update(ordered[room:])
        included.update(ring)
        nodes.extend(Reached(key, distance) for key in ring)
    kept = [edge for edge in edges.values() if {edge.from_key, edge.to_key} <= included]
    kept.sort(key=lambda edge: (edge.log_seq, edge.key))
    return Subgraph(
        nodes=nodes,
        edges=kept,
        truncated=bool(left_out) or unread,
        omitted_nodes=len(left_out),
        omitted_edges=len(edges) - len(kept),
        unread=unread,
    )
