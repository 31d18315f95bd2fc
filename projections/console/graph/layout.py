"""Where the nodes of a subgraph stand: columns by distance from the centre, few crossings, always the same.

The columns are given (how far a node is from the centre, and on which side); the order inside a
column comes from `projections.domain.graph.order`. Here it becomes boxes and lines: long columns
are broken into several, and a line that has to pass a column runs between its boxes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from projections.domain.graph import Edge, Reached, layered, node_type_of, ordered, spaced

BOX_W, BOX_H = 164, 38
GAP_X, GAP_Y = 56, 14
NARROW = 18
"""Between the sub-columns of one distance; lines turn in it."""
PITCH_X, PITCH_Y = BOX_W + NARROW, BOX_H + GAP_Y
MARGIN = 26
"""Around everything; lines between nodes of the outer columns bulge into it."""
ROWS = 14
"""Rows of a column before it is broken into several."""
WIDE = 1.3
"""Width to height of a large picture."""
BEFORE = frozenset(("input", "entity", "actor"))
"""What a trace was given stands left of it, what came of it right."""
RANK = {"actor": 0, "entity": 1, "input": 2, "policy": 3, "exception": 4, "action": 5, "trace": 6}


class Box(NamedTuple):
    """The upper left corner of a node."""

    x: int
    y: int


class Layout(NamedTuple):
    """A picture's places."""

    width: int
    height: int
    boxes: dict[str, Box]
    lines: dict[tuple[str, str], str]
    """Two linked nodes, the lower key first -> the path between them."""


class _Column(NamedTuple):
    """Where a column of nodes stands: from side to side, and its first row."""

    left: int
    right: int
    top: int


class _Run(NamedTuple):
    """A level stretch of a line."""

    start: int
    end: int
    y: int


class _Standing(NamedTuple):
    """Columns, boxes and what passes them, by their numbers."""

    columns: list[_Column]
    boxes: dict[int, Box]
    passing: dict[int, int]
    """Place where a line passes a column -> how high; empty where columns are broken."""


def arrange(nodes: Sequence[Reached], edges: Sequence[Edge]) -> Layout:
    """Places for every node. The first of ``nodes`` at distance 0 is the centre; the order of both is ignored."""
    links = sorted({_pair(edge) for edge in edges if edge.from_key != edge.to_key})
    sides = _columns(nodes, links)
    lowest = min(sides.values())
    first: dict[str, int] = {}
    for edge in edges:
        for end in (edge.from_key, edge.to_key):
            first[end] = min(edge.log_seq, first.get(end, edge.log_seq))
    # where crossings leave a choice, a column reads like the log
    keys = sorted(sides, key=lambda key: (sides[key], RANK[node_type_of(key)], first.get(key, 0), key))
    number = {key: place for place, key in enumerate(keys)}
    # sorted by column: the lower number is the end further left
    pairs = sorted({(min(number[a], number[b]), max(number[a], number[b])) for a, b in links})
    column_of = [sides[key] - lowest for key in keys]
    layers = layered(column_of, pairs)
    columns = ordered(layers)
    rows = spaced(columns, layers, len(keys))
    most = max(ROWS, math.ceil(math.sqrt(len(keys) * PITCH_X / PITCH_Y / WIDE)))
    if max(rows) < most:
        standing = _spread(columns, rows, len(keys))
    else:
        standing = _broken([[place for place in column if place < len(keys)] for column in columns], most, -lowest)
    lines: dict[tuple[str, str], str] = {}
    for a, b in pairs:
        passed = _passed(
            standing, standing.boxes[a], standing.boxes[b], column_of[a], column_of[b], layers.passed.get((a, b), ())
        )
        runs = _runs(
            standing.boxes[a], standing.boxes[b], standing.columns[column_of[a]], standing.columns[column_of[b]], passed
        )
        lines[min(keys[a], keys[b]), max(keys[a], keys[b])] = _path(runs)
    boxes = {key: standing.boxes[place] for place, key in enumerate(keys)}
    width = standing.columns[-1].right + MARGIN
    return Layout(width, max(box.y for box in boxes.values()) + BOX_H + MARGIN, boxes, lines)


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


def _spread(columns: Sequence[Sequence[int]], rows: Sequence[float], nodes: int) -> _Standing:
    """Every node as high as its neighbours want it."""
    standing = _Standing([], {}, {})
    for index, column in enumerate(columns):
        left = MARGIN + index * (BOX_W + GAP_X)
        standing.columns.append(_Column(left, left + BOX_W, MARGIN))
        for place in column:
            y = MARGIN + round(rows[place] * PITCH_Y)
            if place < nodes:
                standing.boxes[place] = Box(left, y)
            else:
                standing.passing[place] = y + BOX_H // 2
    return standing


def _broken(columns: Sequence[Sequence[int]], most: int, centre: int) -> _Standing:
    """Long columns in several parts of equal rows, the first part next to the centre."""
    standing = _Standing([], {}, {})
    tallest = max(min(len(column), most) for column in columns)
    left = MARGIN
    for index, column in enumerate(columns):
        parts = math.ceil(len(column) / most)
        size = math.ceil(len(column) / parts)
        top = MARGIN + (tallest - size) * PITCH_Y // 2
        for row, place in enumerate(column):
            part = row // size
            x = left + (parts - 1 - part if index < centre else part) * PITCH_X
            standing.boxes[place] = Box(x, top + row % size * PITCH_Y)
        standing.columns.append(_Column(left, left + parts * PITCH_X - NARROW, top))
        left = standing.columns[-1].right + GAP_X
    return standing


def _passed(standing: _Standing, start: Box, end: Box, first: int, last: int, places: Sequence[int]) -> list[_Run]:
    """Where a line runs through the columns between its ends."""
    runs = []
    for index, place in zip(range(first + 1, last), places, strict=True):
        column = standing.columns[index]
        y = standing.passing.get(place)
        if y is None:
            between = start.y + (end.y - start.y) * (index - first) // (last - first)
            y = column.top + (between - column.top + PITCH_Y // 2) // PITCH_Y * PITCH_Y - GAP_Y // 2
        runs.append(_Run(column.left, column.right, y))
    return runs


def _runs(start: Box, end: Box, begins: _Column, ends: _Column, passed: Sequence[_Run]) -> list[_Run]:
    """The level stretches of a line: its ends, and the gaps between rows that it takes past other boxes."""
    if start.x > end.x:
        start, end = end, start
    right, y1, y2 = start.x + BOX_W, start.y + BOX_H // 2, end.y + BOX_H // 2
    if start.x == end.x:
        return [_Run(right, right, y1), _Run(right + (GAP_X if right == begins.right else NARROW) // 2, right, y2)]
    same = begins == ends
    runs = [_Run(right, right, y1)]
    if not same and right < begins.right:
        runs.append(_Run(right + NARROW, begins.right, _gap(start, y2)))
    runs += passed
    room = end.x - right if same else end.x - ends.left
    if room > NARROW:
        runs.append(_Run(right + NARROW if same else ends.left, end.x - NARROW, _gap(end, y1)))
    return [*runs, _Run(end.x, end.x, y2)]


def _gap(box: Box, towards: int) -> int:
    """The gap above or below a box, on the side of where a line comes from."""
    return box.y - GAP_Y // 2 if towards < box.y + BOX_H // 2 else box.y + BOX_H + GAP_Y // 2


def _path(runs: Sequence[_Run]) -> str:
    """The runs joined by curves that leave and arrive level."""
    path = f"M{runs[0].end} {runs[0].y}"
    for before, run in pairwise(runs):
        if run.end < run.start:  # around: two boxes of one column
            path += f"C{run.start} {before.y} {run.start} {run.y} {run.end} {run.y}"
            continue
        turn = (before.end + run.start) // 2
        path += f"C{turn} {before.y} {turn} {run.y} {run.start} {run.y}"
        if run.end > run.start:
            path += f"H{run.end}"
    return path
