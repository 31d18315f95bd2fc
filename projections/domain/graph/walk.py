"""A bounded walk through the decision graph, breadth first around one node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

MAX_DEPTH = 6
MAX_NODES = 2_000
MAX_EDGES_READ = 20_000
"""Edges one ring reads at most; an actor who started every trace would otherwise read them all."""
LEAST_PER_NODE = 100
"""Edges read of a node, each way, even where fewer would do: ordinary nodes are read whole."""


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
    """By depth, then by the ``log_seq`` of the edge that reached it, then by key. With ``newest`` the latest
    first; nodes of ``expand`` come after the rings."""
    edges: list[Edge]
    """Every edge between two included nodes, by (``log_seq``, key)."""
    truncated: bool
    """Whether any bound but the depth cut something off."""
    omitted_nodes: int
    """Distinct nodes seen and left out because ``max_nodes`` was reached."""
    omitted_edges: int
    """Edges read and left out because an end was left out for that reason."""
    unread: bool
    """Whether edges were left unread; the two counts are then lower bounds."""
    cut: tuple[str, ...]
    """Included nodes of which not every edge was read, in the order of ``nodes``."""


class Source(Protocol):
    """Where a walk reads edges. The filters (types, ``as_of``) are the source's to apply."""

    def touching(self, keys: Sequence[str], per_node: int) -> Iterable[Edge]:
        """Edges at these nodes: of each node and each direction the first ``per_node``.

        First means lowest (``log_seq``, key), for a walk that prefers the latest highest ``log_seq``.
        """

    def between(self, keys: Collection[str], limit: int) -> Iterable[Edge]:
        """Edges that begin and end in these nodes, the first ``limit`` by (``log_seq``, key)."""


class _Step(NamedTuple):
    """What one step outwards found."""

    fresh: dict[str, str]
    """New node -> the node it was reached from, in the order of inclusion."""
    edges: list[Edge]
    cut: set[str]


def subgraph(
    source: Source,
    centre: str,
    *,
    depth: int = 1,
    max_nodes: int = 200,
    newest: bool = False,
    expand: Callable[[str], bool] | None = None,
) -> Subgraph:
    """Walk breadth first from ``centre``. The same rows and arguments always give the same answer.

    A node with more edges than the walk has room for gives its first ones and is named in ``cut``.
    The walk ends when ``max_nodes`` is reached.

    Args:
        source: reads edges and applies the filters.
        centre: node key.
        depth: rings around the centre, 0 to 6.
        max_nodes: centre included, 1 to 2,000.
        newest: of many neighbours include the latest, not the earliest.
        expand: says of a reached node whether it is walked one step further whatever the depth.

    Raises:
        ValueError: an argument out of its range.
    """
    if not 0 <= depth <= MAX_DEPTH:
        raise ValueError(f"depth is between 0 and {MAX_DEPTH}")
    if not 1 <= max_nodes <= MAX_NODES:
        raise ValueError(f"max_nodes is between 1 and {MAX_NODES}")
    depths = {centre: 0}
    done: set[str] = set()
    left_out: set[str] = set()
    read: dict[str, Edge] = {}
    cut: set[str] = set()
    ring, walked, unread = [centre], 0, False
    while True:
        if walked >= depth or not ring:
            walked = depth
            ring = [key for key in depths if key not in done and expand(key)] if expand else []
        if not ring:
            break
        if left_out:
            unread = True  # there may be more further out, and there is no room to look
            break
        room = max_nodes - len(depths)
        step = _step(source, ring, depths, room, newest)
        done.update(ring)
        walked += 1
        ring = list(step.fresh)[:room]
        left_out.update(list(step.fresh)[room:])
        depths.update((key, depths[step.fresh[key]] + 1) for key in ring)
        read.update((edge.key, edge) for edge in step.edges)
        cut |= step.cut
    closing = list(source.between(depths, MAX_EDGES_READ + 1))
    edges = {edge.key: edge for edge in closing[:MAX_EDGES_READ]}
    unread = unread or bool(cut) or len(closing) > MAX_EDGES_READ
    return Subgraph(
        nodes=[Reached(key, distance) for key, distance in depths.items()],
        edges=sorted(edges.values(), key=lambda edge: (edge.log_seq, edge.key)),
        truncated=bool(left_out) or unread,
        omitted_nodes=len(left_out),
        omitted_edges=sum(not {edge.from_key, edge.to_key} <= depths.keys() for edge in read.values()),
        unread=unread,
        cut=tuple(key for key in depths if key in cut),
    )


def _step(source: Source, ring: Sequence[str], depths: Mapping[str, int], room: int, newest: bool) -> _Step:
    """Read one ring: at least until it is known which new nodes come first and whether they all fit."""
    wanted = room + 1
    most = max(1, MAX_EDGES_READ // (2 * len(ring)))
    # a quarter more: of neighbours shared by two hubs a second look would be needed
    per_node = min(max(wanted + wanted // 4, LEAST_PER_NODE), most)
    sign = -1 if newest else 1
    members = frozenset(ring)
    while True:
        edges = list({edge.key: edge for edge in source.touching(ring, per_node)}.values())
        edges.sort(key=lambda edge: (sign * edge.log_seq, edge.key))
        ways: Counter[tuple[str, bool]] = Counter()
        last: dict[tuple[str, bool], int] = {}
        fresh: dict[str, str] = {}
        first_at: dict[str, int] = {}
        for edge in edges:
            at = sign * edge.log_seq
            for near, far, way in ((edge.from_key, edge.to_key, True), (edge.to_key, edge.from_key, False)):
                if near not in members:
                    continue
                ways[near, way] += 1
                last[near, way] = at
                if far not in depths and far not in fresh:
                    fresh[far], first_at[far] = near, at
        full = [end for end, count in ways.items() if count >= per_node]
        # Beyond the last edge read of a node that has more, an earlier neighbour may be hidden.
        horizon = min((last[end] for end in full), default=None)
        sure = len(fresh) if horizon is None else sum(at < horizon for at in first_at.values())
        if not full or sure >= wanted or per_node >= most:
            ordered = dict(sorted(fresh.items(), key=lambda item: (first_at[item[0]], item[0])))
            return _Step(ordered, edges, {near for near, _ in full})
        per_node = min(per_node * 4, most)
