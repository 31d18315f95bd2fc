"""The shortest way between two nodes of a subgraph."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from projections.domain.graph.walk import Edge


class Path(NamedTuple):
    """A shortest way; both tuples are empty where there is none."""

    nodes: tuple[str, ...]
    """From the one end to the other."""
    edges: tuple[str, ...]
    """Keys of the edges taken: between two nodes the earliest one."""


def shortest_path(edges: Iterable[Edge], start: str, end: str) -> Path:
    """The way with the fewest edges, whatever their direction.

    Of several the one whose edges, read from ``start``, come first in the log (then by node key):
    the same edges in any order give the same way.
    """
    if start == end:
        return Path((start,), ())
    sides: dict[str, dict[str, Edge]] = {}
    for edge in sorted(edges, key=lambda edge: (edge.log_seq, edge.key)):
        sides.setdefault(edge.from_key, {}).setdefault(edge.to_key, edge)
        sides.setdefault(edge.to_key, {}).setdefault(edge.from_key, edge)
    came: dict[str, str] = {start: start}
    ring = [start]
    while ring and end not in came:
        outer: list[str] = []
        for near in ring:
            # the order of insertion above is the order of the log
            for far in sorted(sides.get(near, {}), key=lambda key: (sides[near][key].log_seq, key)):
                if far not in came:
                    came[far] = near
                    outer.append(far)
        ring = outer
    if end not in came:
        return Path((), ())
    way = [end]
    while way[-1] != start:
        way.append(came[way[-1]])
    way.reverse()
    return Path(tuple(way), tuple(sides[a][b].key for a, b in pairwise(way)))
