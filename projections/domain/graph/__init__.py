"""The decision graph: keys, the walk around a node, the way between two, the order inside columns."""

from projections.domain.graph.keys import EDGE_TYPES, NODE_PARTS, escape, node_key, node_type_of, parse_key, unescape
from projections.domain.graph.order import Layers, crossings, layered, ordered, spaced
from projections.domain.graph.path import Path, shortest_path
from projections.domain.graph.walk import (
    MAX_DEPTH,
    MAX_EDGES_READ,
    MAX_NODES,
    Edge,
    Reached,
    Source,
    Subgraph,
    subgraph,
)

__all__ = [
    "EDGE_TYPES",
    "MAX_DEPTH",
    "MAX_EDGES_READ",
    "MAX_NODES",
    "NODE_PARTS",
    "Edge",
    "Layers",
    "Path",
    "Reached",
    "Source",
    "Subgraph",
    "crossings",
    "escape",
    "layered",
    "node_key",
    "node_type_of",
    "ordered",
    "parse_key",
    "shortest_path",
    "spaced",
    "subgraph",
    "unescape",
]
