"""Where the nodes of a subgraph stand: columns by distance from the centre, few crossings, always the same.

The columns are given (how far a node is from the centre, and on which side); the order inside a
column comes from igraph's layered (Sugiyama) layout, which lowers the number of crossing lines.
igraph is written in C and lays out 2,000 nodes in a few milliseconds. It stands here, beside the
only page that draws, because coordinates mean nothing below it; a domain package stays free of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import igraph

from projections.domain.graph import Edge, Reached, node_type_of

BOX_W, BOX_H = 164, 38
GAP_X, GAP_Y = 56, 14
NARROW = 14
"""Between the sub-columns of one distance."""
MARGIN = 22
"""Around everything; lines between nodes of the outer columns bulge into it."""
ROWS = 14
"""Rows of a column before it is broken into several."""
WIDE = 1.3
"""Width to height of a large picture."""
BEFORE = frozenset(("input", "entity", "actor"))
"""What a trace was given stands left of it, what came of it right."""
RANK = {"actor": 0, "entity": 1, "input": 2, "policy": 3, "exception": 4, "action": 5, "trace": 6}
SWEEPS = 100


class Box(NamedTuple):
    """The upper left corner of a node."""

    x: int
    y: int


class Layout(NamedTuple):
    """A picture's places."""

    width: int
    height: int
    boxes: dict[str, Box]


def arrange(nodes: Sequence[Reached], edges: Sequence[Edge]) -> Layout:
    """Places for every node. The first of ``nodes`` at distance 0 is the centre; the order of both is ignored."""
    links = sorted({_pair(edge) for edge in edges if edge.from_key != edge.to_key})
    columns = _columns(nodes, links)
    lowest = min(columns.values())
    order = sorted(columns, key=lambda key: (columns[key], RANK[node_type_of(key)], key))
    at = {key: index for index, key in enumerate(order)}
    picture = igraph.Graph(n=len(order), edges=[(at[a], at[b]) for a, b in links], directed=True)
    found = picture.layout_sugiyama(
        layers=[columns[key] - lowest for key in order], hgap=1, vgap=1, maxiter=SWEEPS
    ).coords
    across = {key: float(found[at[key]][0]) for key in order}
    groups: dict[int, list[str]] = {}
    for key in sorted(order, key=lambda key: (columns[key], across[key], at[key])):
        groups.setdefault(columns[key], []).append(key)
    return _places(groups, across)


def _pair(edge: Edge) -> tuple[str, str]:
    return edge.from_key, edge.to_key


def _columns(nodes: Sequence[Reached], links: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Signed distance from the centre: the side is that of the neighbour of the centre one comes from."""
    depths = dict(nodes)
    centre = next(key for key, depth in nodes if depth == 0)
    near: dict[str, list[str]] = {key: [] for key in depths}
    for a, b in links:
        near[a].append(b)
        near[b].append(a)
    columns = {centre: 0}
    for key in sorted(depths, key=lambda key: (depths[key], key)):
        if key == centre:
            continue
        inner = min((other for other in near[key] if depths[other] == depths[key] - 1), default=centre)
        if inner == centre:
            before = node_type_of(centre) == "trace" and node_type_of(key) in BEFORE
            columns[key] = -depths[key] if before else depths[key]
        else:
            columns[key] = int(math.copysign(depths[key], columns[inner]))
    return columns


def _places(groups: Mapping[int, list[str]], across: Mapping[str, float]) -> Layout:
    total = sum(map(len, groups.values()))
    pitch_x, pitch_y = BOX_W + NARROW, BOX_H + GAP_Y
    rows = max(ROWS, math.ceil(math.sqrt(total * pitch_x / pitch_y / WIDE)))
    broken = any(len(keys) > rows for keys in groups.values())
    span = max(across.values()) - min(across.values())
    spread = not broken and span <= rows
    tallest = max(min(len(keys), rows) for keys in groups.values())
    boxes: dict[str, Box] = {}
    x = MARGIN
    lowest = min(across.values())
    for column, keys in sorted(groups.items()):
        parts = math.ceil(len(keys) / rows)
        size = math.ceil(len(keys) / parts)
        for part in range(parts):
            # the earliest part of a broken column stands next to the centre
            place = parts - 1 - part if column < 0 else part
            some = keys[part * size : (part + 1) * size]
            top = (tallest - len(some)) * pitch_y / 2
            for row, key in enumerate(some):
                y = (across[key] - lowest) * pitch_y if spread else top + row * pitch_y
                boxes[key] = Box(x + place * pitch_x, MARGIN + round(y))
        x += parts * pitch_x - NARROW + GAP_X
    height = max(box.y for box in boxes.values()) + BOX_H + MARGIN
    return Layout(x - GAP_X + MARGIN, height, boxes)


def curve(start: Box, end: Box) -> str:
    """The path of a line between two boxes, from side to side, or around when one stands above the other."""
    if start.x > end.x:
        start, end = end, start
    y1, y2 = start.y + BOX_H // 2, end.y + BOX_H // 2
    if start.x == end.x:
        x, out = start.x + BOX_W, start.x + BOX_W + GAP_X // 2
        return f"M{x} {y1}C{out} {y1} {out} {y2} {x} {y2}"
    x1, x2 = start.x + BOX_W, end.x
    middle = (x1 + x2) // 2 if x2 - x1 <= GAP_X else x2 - GAP_X // 2
    return f"M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}"
