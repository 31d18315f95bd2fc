"""What differs between two JSON values: by path, types respected, the same answer every time.

``1``, ``1.0``, ``"1"`` and ``true`` are four different values. Lists of objects that carry an identity
(``key``, ``input_id``, ``code``, ...) are matched by it, other lists by their longest common
subsequence, so that one inserted item is one change and not a list of them. A complete difference can
be applied to the left value, and its inverse to the right one; swapping the sides swaps the answer.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal, NamedTuple

Step = str | int
"""The name of a member, or the position of an item."""
Path = tuple[Step | None, ...]
"""The way to a value; None in the last place: on this side there is none."""
Kind = Literal["added", "removed", "changed", "type_changed", "moved"]

IDENTITIES: Final = (
    "key",
    "input_id",
    "code",
    "path",
    "action_id",
    "exception_id",
    "approval_id",
    "ref",
    "entity_id",
    "id",
    "name",
)
"""Members by which the items of a list are recognised, the first that all items have wins."""

MAX_CHANGES: Final = 1_000
"""More are counted as truncated and not listed."""
MAX_CELLS: Final = 250_000
"""Two lists whose lengths multiply to more are compared position by position."""


class Change(NamedTuple):
    """One difference."""

    kind: Kind
    """``moved``: an item with an identity stands elsewhere in its list; its content is compared by itself."""
    left_path: Path
    right_path: Path
    left: Any
    """The value on the left; None where there is none (see ``kind``) and for ``moved``."""
    right: Any

    @property
    def path(self) -> str:
        """``facts[2].value``: where it stands on the left, of what was added on the right."""
        return spell(self.right_path if self.kind == "added" else self.left_path)

    def as_json(self) -> dict[str, Any]:
        """The change as the API shows it; ``left`` and ``right`` only where there is a value."""
        shown: dict[str, Any] = {"kind": self.kind, "path": self.path}
        if self.kind != "added":
            shown["left_path"] = spell(self.left_path)
        if self.kind != "removed":
            shown["right_path"] = spell(self.right_path)
        if self.kind not in ("added", "moved"):
            shown["left"] = self.left
            shown["left_type"] = type_name(self.left)
        if self.kind not in ("removed", "moved"):
            shown["right"] = self.right
            shown["right_type"] = type_name(self.right)
        return shown


class Difference(NamedTuple):
    """All changes between two values, in the order of the left value, additions in their place."""

    changes: tuple[Change, ...]
    truncated: bool
    """There are more than are listed."""


def type_name(value: Any) -> str:
    """``null boolean integer number string array object``"""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "object" if isinstance(value, dict) else "array"


def spell(path: Path) -> str:
    """``changes.amount``, ``facts[2].value``, ``["odd name"]``; the whole value is ``$``."""
    out = ""
    for step in path:
        if isinstance(step, int):
            out += f"[{step}]"
        elif step is not None and step.isidentifier():
            out += f".{step}" if out else step
        elif step is not None:
            out += f"[{json.dumps(step, ensure_ascii=False)}]"
    return out or "$"


def diff(left: Any, right: Any, *, limit: int = MAX_CHANGES) -> Difference:
    """What differs between two JSON values; at most ``limit`` changes are listed."""
    found: list[Change] = []
    for change in _walk(left, right, (), ()):
        if len(found) >= limit:
            return Difference(tuple(found), truncated=True)
        found.append(change)
    return Difference(tuple(found), truncated=False)


def equal(left: Any, right: Any) -> bool:
    """The same JSON value, types respected."""
    return next(_walk(left, right, (), ()), None) is None


def inverse(changes: Sequence[Change]) -> tuple[Change, ...]:
    """The changes that lead from the right value back to the left one."""
    turned: dict[Kind, Kind] = {"added": "removed", "removed": "added"}
    return tuple(
        Change(turned.get(each.kind, each.kind), each.right_path, each.left_path, each.right, each.left)
        for each in changes
    )


def apply(value: Any, changes: Sequence[Change]) -> Any:
    """The right value, made from the left one and a complete difference."""
    return _apply(value, [(change, 0) for change in changes])


# --- finding -------------------------------------------------------------------------------------


def _walk(left: Any, right: Any, here: Path, there: Path) -> Iterator[Change]:
    if isinstance(left, dict) and isinstance(right, dict):
        yield from _objects(left, right, here, there)
    elif isinstance(left, list) and isinstance(right, list):
        yield from _lists(left, right, here, there)
    elif type_name(left) != type_name(right):
        yield Change("type_changed", here, there, left, right)
    elif left != right:
        yield Change("changed", here, there, left, right)


def _objects(left: dict[str, Any], right: dict[str, Any], here: Path, there: Path) -> Iterator[Change]:
    for name in sorted(left.keys() | right.keys()):
        if name not in right:
            yield Change("removed", (*here, name), (*there, None), left[name], None)
        elif name not in left:
            yield Change("added", (*here, None), (*there, name), None, right[name])
        else:
            yield from _walk(left[name], right[name], (*here, name), (*there, name))


class _Pairing(NamedTuple):
    """Which items of two lists are one and the same."""

    pairs: list[tuple[int, int]]
    """Positions that belong together, by position on the left."""
    moved: frozenset[tuple[int, int]]
    """Those of them that do not keep the order."""

    def swapped(self) -> _Pairing:
        """The same with the sides changed."""
        return _Pairing(sorted((j, i) for i, j in self.pairs), frozenset((j, i) for i, j in self.moved))


def _lists(left: list[Any], right: list[Any], here: Path, there: Path) -> Iterator[Change]:
    pairing = _pair(left, right)
    partner = dict(pairing.pairs)
    taken = set(partner.values())
    added = iter([j for j in range(len(right)) if j not in taken])
    waiting = next(added, None)

    def arrivals(until: int) -> Iterator[Change]:
        nonlocal waiting
        while waiting is not None and waiting < until:
            yield Change("added", (*here, None), (*there, waiting), None, right[waiting])
            waiting = next(added, None)

    for i, item in enumerate(left):
        j = partner.get(i)
        if j is None:
            yield Change("removed", (*here, i), (*there, None), item, None)
            continue
        if (i, j) in pairing.moved:
            yield Change("moved", (*here, i), (*there, j), None, None)
        else:
            yield from arrivals(j)
        yield from _walk(item, right[j], (*here, i), (*there, j))
    yield from arrivals(len(right))


def _pair(left: list[Any], right: list[Any]) -> _Pairing:
    """Which items belong together. Ties are broken alike whichever side comes first."""
    if not left or not right:
        return _Pairing([], frozenset())
    first, second = [_text(item) for item in left], [_text(item) for item in right]
    if first > second:
        return _pair_ordered(right, left, second, first).swapped()
    return _pair_ordered(left, right, first, second)


def _pair_ordered(left: list[Any], right: list[Any], first: list[str], second: list[str]) -> _Pairing:
    identity = next((name for name in IDENTITIES if _identifies(name, left) and _identifies(name, right)), None)
    if identity is None:
        return _Pairing(_common(left, right, first, second), frozenset())
    places = {_text(item[identity]): j for j, item in enumerate(right)}
    found = [(i, places[key]) for i, item in enumerate(left) if (key := _text(item[identity])) in places]
    kept = rising([j for _, j in found])
    return _Pairing(found, frozenset(pair for at, pair in enumerate(found) if at not in kept))


def _identifies(name: str, items: list[Any]) -> bool:
    """All items are objects that have this member, and no two the same."""
    seen: set[str] = set()
    for item in items:
        value = item.get(name) if isinstance(item, dict) else None
        if isinstance(value, bool) or not isinstance(value, str | int):
            return False
        seen.add(_text(value))
    return len(seen) == len(items)


def _text(value: Any) -> str:
    """The value as text: equal exactly for equal JSON values."""
    return json.dumps(value, sort_keys=True)


def rising(values: Sequence[int]) -> frozenset[int]:
    """Positions of a longest rising run of distinct values; what is left out is what moved."""
    tails: list[int] = []
    ends: list[int] = []
    before: list[int] = [-1] * len(values)
    for at, value in enumerate(values):
        slot = bisect_left(tails, value)
        before[at] = ends[slot - 1] if slot else -1
        if slot == len(tails):
            tails.append(value)
            ends.append(at)
        else:
            tails[slot], ends[slot] = value, at
    kept: set[int] = set()
    at = ends[-1] if ends else -1
    while at >= 0:
        kept.add(at)
        at = before[at]
    return frozenset(kept)


def _common(left: list[Any], right: list[Any], first: list[str], second: list[str]) -> list[tuple[int, int]]:
    """Equal items by longest common subsequence; between them like meets like, in order."""
    pairs: list[tuple[int, int]] = []
    begin_left = begin_right = 0
    for i, j in [*subsequence(first, second), (len(first), len(second))]:
        gap = zip(range(begin_left, i), range(begin_right, j), strict=False)
        pairs += [(a, b) for a, b in gap if _alike(left[a], right[b])]
        if i < len(first):
            pairs.append((i, j))
        begin_left, begin_right = i + 1, j + 1
    return pairs


def _alike(left: Any, right: Any) -> bool:
    """Two items that may be one that changed: both plain, both objects or both lists."""
    return isinstance(left, dict) == isinstance(right, dict) and isinstance(left, list) == isinstance(right, list)


def subsequence(first: Sequence[str], second: Sequence[str]) -> list[tuple[int, int]]:
    """A longest common subsequence as pairs of positions; position by position for very long lists."""
    head = 0
    while head < min(len(first), len(second)) and first[head] == second[head]:
        head += 1
    tail = 0
    while tail < min(len(first), len(second)) - head and first[-1 - tail] == second[-1 - tail]:
        tail += 1
    rows, columns = len(first) - head - tail, len(second) - head - tail
    found = [(at, at) for at in range(head)]
    if rows * columns > MAX_CELLS:
        found += [(head + k, head + k) for k in range(min(rows, columns)) if first[head + k] == second[head + k]]
    elif rows and columns:
        found += _longest(first, second, head, rows, columns)
    return found + [(len(first) - k, len(second) - k) for k in range(tail, 0, -1)]


def _longest(first: Sequence[str], second: Sequence[str], head: int, rows: int, columns: int) -> list[tuple[int, int]]:
    """The part between the common beginning and end, by the textbook's table."""
    table = [[0] * (columns + 1) for _ in range(rows + 1)]
    for i in range(rows - 1, -1, -1):
        row, below, one = table[i], table[i + 1], first[head + i]
        for j in range(columns - 1, -1, -1):
            row[j] = below[j + 1] + 1 if one == second[head + j] else max(below[j], row[j + 1])
    found: list[tuple[int, int]] = []
    i = j = 0
    while i < rows and j < columns:
        if first[head + i] == second[head + j]:
            found.append((head + i, head + j))
            i, j = i + 1, j + 1
        elif table[i + 1][j] >= table[i][j + 1]:
            i += 1
        else:
            j += 1
    return found


# --- applying ------------------------------------------------------------------------------------

_Work = list[tuple[Change, int]]
"""Changes below one value, each with how many steps of its path lead to that value."""


def _apply(value: Any, work: _Work) -> Any:
    if not work:
        return value
    change, depth = work[0]
    if len(change.left_path) == depth:
        return change.right
    return _apply_object(value, work) if isinstance(value, dict) else _apply_list(value, work)


def _apply_object(value: dict[str, Any], work: _Work) -> dict[str, Any]:
    made = dict(value)
    below: dict[str, _Work] = {}
    for change, depth in work:
        last = depth + 1 == len(change.left_path)
        if last and change.kind == "added":
            made[str(change.right_path[depth])] = change.right
        elif last and change.kind == "removed":
            del made[str(change.left_path[depth])]
        else:
            below.setdefault(str(change.left_path[depth]), []).append((change, depth + 1))
    for name, rest in below.items():
        made[name] = _apply(value[name], rest)
    return made


def _apply_list(value: list[Any], work: _Work) -> list[Any]:
    below: dict[int, _Work] = {}
    placed: dict[int, Any] = {}
    moved: dict[int, int] = {}
    gone: set[int] = set()
    for change, depth in work:
        here, there = change.left_path[depth], change.right_path[depth]
        last = depth + 1 == len(change.left_path)
        if last and change.kind == "added" and isinstance(there, int):
            placed[there] = change.right
        elif last and change.kind == "removed" and isinstance(here, int):
            gone.add(here)
        elif last and change.kind == "moved" and isinstance(here, int) and isinstance(there, int):
            moved[here] = there
        elif isinstance(here, int):
            below.setdefault(here, []).append((change, depth + 1))
    staying: list[Any] = []
    for i, item in enumerate(value):
        if i in gone:
            continue
        new = _apply(item, below.get(i, []))
        if i in moved:
            placed[moved[i]] = new
        else:
            staying.append(new)
    rest = iter(staying)
    return [placed[j] if j in placed else next(rest) for j in range(len(placed) + len(staying))]
