"""The order of nodes inside given columns: few crossing lines, short ways, always the same.

The two last steps of a layered (Sugiyama) drawing. The columns are the caller's; a link that
passes over a column gets a place of its own there. `ordered` sweeps through the columns and sorts
each by where its neighbours stand (barycentres), then swaps neighbours while that lowers the
number of crossings, once beginning on the left and once on the right, and keeps the best order it
has seen. `spaced` puts every node as near to its neighbours as the order and the sizes allow.

Sources: Sugiyama, Tagawa, Toda (1981) for the sweeps; Gansner et al., "A Technique for Drawing
Directed Graphs" (1993) for keeping the best and for swapping; Barth, Jünger, Mutzel (2002) for
counting crossings as inversions; pool adjacent violators (Ayer et al. 1955) for the spacing.
Nothing depends on the order of a set, on a clock or on chance: the same input gives the same output
in every process.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

SWEEPS = 24
"""Passes over all columns at most, from either side; each goes there or back."""
PATIENCE = 4
"""Passes without a better order after which a search ends."""
SWAPPING = 100_000
"""Links looked at in all to swap neighbours; counted, not timed, so that it ends at the same place everywhere."""
BEND = 0.5
"""Room that a passing link needs, in rows."""
ROUNDS = 6
"""Passes of the spacing, there and back."""

Columns = Sequence[Sequence[int]]
Near = Sequence[Sequence[int]]


class Layers(NamedTuple):
    """Columns of places, and which of them are linked. Places are numbered; the first ones are the nodes."""

    columns: list[list[int]]
    """Places by column, in order."""
    left: list[list[int]]
    """Place -> places of the column before that it is linked with."""
    right: list[list[int]]
    """Place -> places of the column after that it is linked with."""
    passed: dict[tuple[int, int], list[int]]
    """Link over several columns -> the places it passes, in order from left to right."""


def layered(columns: Sequence[int], links: Sequence[tuple[int, int]]) -> Layers:
    """Places for nodes and for the links that pass over a column.

    Args:
        columns: the column of each node, from 0; the order inside a column is the order given.
        links: pairs of nodes, each once, the end in the earlier column first. Pairs inside one
            column are left out: they cross nothing between two columns.
    """
    rows: list[list[int]] = [[] for _ in range(max(columns, default=-1) + 1)]
    for node, column in enumerate(columns):
        rows[column].append(node)
    found = Layers(rows, [[] for _ in columns], [[] for _ in columns], {})
    for start, end in links:
        near = start
        for column in range(columns[start] + 1, columns[end]):
            place = len(found.left)
            found.left.append([])
            found.right.append([])
            found.columns[column].append(place)
            found.passed.setdefault((start, end), []).append(place)
            _join(found, near, place)
            near = place
        if columns[start] < columns[end]:
            _join(found, near, end)
    return found


def _join(layers: Layers, before: int, after: int) -> None:
    layers.right[before].append(after)
    layers.left[after].append(before)


def crossings(columns: Columns, right: Near) -> int:
    """How many pairs of links cross when every link is a straight line between two columns."""
    return sum(_between(one, other, right) for one, other in pairwise(columns))


def _between(one: Sequence[int], other: Sequence[int], right: Near) -> int:
    at = {place: row for row, place in enumerate(other)}
    seen: list[int] = []
    count = 0
    for place in one:
        ends = sorted(at[each] for each in right[place])
        # links of one place do not cross each other: all are looked up before any is noted
        count += sum(len(seen) - bisect_right(seen, end) for end in ends)
        for end in ends:
            insort(seen, end)
    return count


def ordered(layers: Layers) -> list[list[int]]:
    """The columns, each in the best order found. Never worse than the order given."""
    best = [list(column) for column in layers.columns]
    least, left = crossings(best, layers.right), SWAPPING
    # The column a search begins from is the one it trusts; from the other side it may end elsewhere.
    for first in (0, 1):
        columns, stale = layers.columns, 0
        for sweep in range(SWEEPS):
            if not least or stale >= PATIENCE:
                break
            columns = _swept(columns, layers, forth=sweep % 2 == first, backwards=sweep % 4 > 1)
            left = _swap(columns, layers, left)
            count = crossings(columns, layers.right)
            stale += 1
            if count < least:
                best, least, stale = columns, count, 0
    return best


def _swept(columns: Columns, layers: Layers, *, forth: bool, backwards: bool) -> list[list[int]]:
    """Every column sorted by the one before it, or (not ``forth``) by the one after it."""
    swept = [list(column) for column in columns]
    for column in range(1, len(swept)) if forth else range(len(swept) - 2, -1, -1):
        fixed, near = (column - 1, layers.left) if forth else (column + 1, layers.right)
        swept[column] = _sorted(swept[column], swept[fixed], near, backwards=backwards)
    return swept


def _sorted(column: Sequence[int], fixed: Sequence[int], near: Near, *, backwards: bool) -> list[int]:
    """A column by the middle of its neighbours in a fixed one; who has none keeps their row.

    Equals keep their order, or turn it round: what no sweep can decide should not stay as it was forever.
    """
    at = {place: row for row, place in enumerate(fixed)}
    middles = {place: sum(at[each] for each in near[place]) / len(near[place]) for place in column if near[place]}
    moving = [place for place in column if place in middles]
    if backwards:
        moving.reverse()
    moving.sort(key=middles.__getitem__)
    turn = iter(moving)
    return [next(turn) if place in middles else place for place in column]


def _swap(columns: list[list[int]], layers: Layers, left: int) -> int:
    """Swap neighbours of a column while fewer links cross; returns what remains of the links that may be looked at."""
    if left <= 0:
        return left
    at = {place: row for column in columns for row, place in enumerate(column)}
    ends = [[sorted(at[each] for each in near) for near in side] for side in (layers.left, layers.right)]
    for number, column in enumerate(columns):
        left = _bubble(column, ends, left)
        rows = {place: row for row, place in enumerate(column)}
        for side, near, other in ((1, layers.right, number - 1), (0, layers.left, number + 1)):
            if 0 <= other < len(columns):
                for place in columns[other]:
                    ends[side][place] = sorted(rows[each] for each in near[place])
    return left


def _bubble(column: list[int], ends: Sequence[Sequence[Sequence[int]]], left: int) -> int:
    before, after = ends
    better = True
    while better and left > 0:
        better = False
        for row in range(len(column) - 1):
            one, two = column[row], column[row + 1]
            gain = 0
            for side in (before, after):
                first, second = side[one], side[two]
                if first and second and first != second:
                    left -= len(first) + len(second)
                    gain += _inversions(first, second) - _inversions(second, first)
            if gain > 0:
                column[row], column[row + 1] = two, one
                better = True
    return left


def _inversions(first: Sequence[int], second: Sequence[int]) -> int:
    """Crossings between the links of two neighbours, ``first`` standing above ``second``."""
    if first[-1] <= second[0]:
        return 0
    return sum(len(first) - bisect_right(first, end) for end in second)


def spaced(columns: Columns, layers: Layers, nodes: int) -> list[float]:
    """Where each place stands, in rows from the top; neighbours of a column keep their distance.

    Args:
        columns: the order of `ordered`.
        layers: what they are linked with.
        nodes: how many of the places are nodes; the others need `BEND` of a row.
    """
    at = [0.0] * len(layers.left)
    room = [1.0 if place < nodes else BEND for place in range(len(at))]
    tallest = max((sum(room[place] for place in column) for column in columns), default=0.0)
    for column in columns:
        top = (tallest - sum(room[place] for place in column)) / 2
        for place in column:
            at[place] = top + room[place] / 2
            top += room[place]
    for turn in range(2 * ROUNDS):
        steps = range(len(columns)) if turn % 2 == 0 else range(len(columns) - 1, -1, -1)
        for step in steps:
            column = columns[step]
            wanted = []
            for place in column:
                near = [*layers.left[place], *layers.right[place]]
                wanted.append(sum(at[each] for each in near) / len(near) if near else at[place])
            _settle(column, wanted, room, at)
    lowest = min((at[place] - room[place] / 2 for column in columns for place in column), default=0.0)
    return [each - lowest - 0.5 for each in at]


def _settle(column: Sequence[int], wanted: Sequence[float], room: Sequence[float], at: list[float]) -> None:
    """As near as possible to where each wants to be (least squares), in this order and without overlap."""
    offset, offsets = 0.0, []
    for row, place in enumerate(column):
        offset += (room[column[row - 1]] + room[place]) / 2 if row else 0.0
        offsets.append(offset)
    blocks: list[tuple[float, int]] = []
    for want, gone in zip(wanted, offsets, strict=True):
        total, count = want - gone, 1
        while blocks and blocks[-1][0] / blocks[-1][1] >= total / count:
            before, many = blocks.pop()
            total, count = total + before, count + many
        blocks.append((total, count))
    row = 0
    for total, count in blocks:
        for _ in range(count):
            at[column[row]] = total / count + offsets[row]
            row += 1
