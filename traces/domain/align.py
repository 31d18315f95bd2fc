"""Two traces step by step: the same, changed, only on the left, only on the right.

A step is recognised by what it is (event type, policy, type of action, source of the input), never by
its number; steps that say the same are preferred as partners, then those that speak of the same facts.
What an agent makes up anew in every run (ids of inputs, actions and exceptions, texts that begin with
the trace's own id, the moment a fact was read) is no difference.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, NamedTuple

from traces.domain.diff import Difference, diff, rising
from traces.domain.envelope import StoredEvent
from traces.domain.labels import text

MAX_CELLS: Final = 250_000
"""Pairs of steps that are weighed at once; longer stretches are first cut at steps that occur once."""

_SAME, _NEAR, _KIN = 6, 3, 2
"""Weights of a pair: says the same, speaks of the same things, is the same kind of step."""

_MADE: Final = frozenset(("input_id", "action_id", "exception_id", "approval_id", "subject_id", "external_reference"))
_READ_AT: Final = "as_of"

Kind = Literal["same", "changed", "left", "right"]


class Pair(NamedTuple):
    """One step of two traces; a side is None where the trace has no such step."""

    kind: Kind
    left: StoredEvent | None
    right: StoredEvent | None


class Alignment(NamedTuple):
    """All steps of both traces, each once, in an order that keeps both."""

    pairs: tuple[Pair, ...]
    exact: bool
    """The best alignment there is; False when the traces were too long to weigh every pair."""

    @property
    def counts(self) -> dict[str, int]:
        """Steps by kind."""
        found = Counter(pair.kind for pair in self.pairs)
        return {kind: found[kind] for kind in ("same", "changed", "left", "right")}


class _Step(NamedTuple):
    what: str
    """What kind of step it is; only equal ones are ever partners."""
    about: str
    """What it speaks of."""
    says: str
    """All of its content."""


def align(left: Sequence[StoredEvent], right: Sequence[StoredEvent]) -> Alignment:
    """Two traces, each in its order, step by step. Mirrored when the sides are."""
    first, second = _steps(left), _steps(right)
    mirrored = first > second
    if mirrored:
        first, second = second, first
    found, exact = _match(first, second)
    if mirrored:
        first, second, found = second, first, [(j, i) for i, j in found]
    return Alignment(tuple(_pairs(left, right, found, {i for i, j in found if first[i].says == second[j].says})), exact)


def differences(left: StoredEvent, right: StoredEvent, *, limit: int = 200) -> Difference:
    """What differs between the payloads of two paired steps, without what every run makes up anew."""
    return diff(_essence(left), _essence(right), limit=limit)


def _essence(event: StoredEvent) -> Any:
    """The payload without what every run makes up anew; paths into it are paths into the payload."""
    if event.payload is None:
        return None
    return _plain({name: value for name, value in event.payload.items() if name != "inputs"}, event.trace_id)


# --- steps ---------------------------------------------------------------------------------------


def _steps(events: Sequence[StoredEvent]) -> list[_Step]:
    actions = {
        text(event.payload, "action_id"): text(event.payload, "action_type")
        for event in events
        if event.event_type == "ActionProposed" and event.payload
    }
    return [_step(event, actions) for event in events]


def _step(event: StoredEvent, actions: dict[str, str]) -> _Step:
    payload = event.payload
    if payload is None:
        return _Step(event.event_type, "", "erased")
    what, about = _identity(event.event_type, payload, actions)
    says = json.dumps(_essence(event), sort_keys=True)
    return _Step("\x1f".join((event.event_type, *what)), "\x1f".join(about), says)


def _identity(kind: str, payload: dict[str, Any], actions: dict[str, str]) -> tuple[list[str], list[str]]:
    """What kind of step it is, and what it speaks of."""
    if kind == "TraceStarted":
        return [], [text(payload, "workflow")]
    if kind == "InputObserved":
        return [text(payload, "source", "system"), text(payload, "source", "object_type")], _keys(payload)
    if kind == "EntityObserved":
        return [text(payload, "entity", "entity_type"), text(payload, "role")], _keys(payload)
    if kind in ("PolicyEvaluated", "ExceptionRequested"):
        about = [text(payload, "policy", "policy_version"), text(payload, "decision"), *_codes(payload)]
        return [text(payload, "policy", "policy_id")], about
    if kind == "ActionProposed":
        return [text(payload, "action_type")], [text(payload, "target_entity", "entity_type"), *_paths(payload)]
    if kind == "ActionCommitted":
        action = actions.get(text(payload, "action_id")) or text(payload, "executed", "action_type")
        return [action], [text(payload, "status")]
    if kind == "ApprovalRecorded":
        return [text(payload, "subject", "subject_type")], [text(payload, "decision")]
    return [], []


def _members(payload: dict[str, Any], name: str) -> Iterable[dict[str, Any]]:
    found = payload.get(name)
    return (item for item in found if isinstance(item, dict)) if isinstance(found, list) else ()


def _keys(payload: dict[str, Any]) -> list[str]:
    return sorted(text(item, "key") for item in _members(payload, "facts"))


def _codes(payload: dict[str, Any]) -> list[str]:
    return sorted(text(item, "code") for item in _members(payload, "violations"))


def _paths(payload: dict[str, Any]) -> list[str]:
    return sorted(text(item, "path") for item in _members(payload, "changes"))


def _plain(value: Any, trace_id: str) -> Any:
    """A payload without what every run makes up anew."""
    if isinstance(value, dict):
        return {
            name: _plain(item, trace_id)
            for name, item in value.items()
            if name not in _MADE and name != _READ_AT and not _own(item, trace_id)
        }
    return [_plain(item, trace_id) for item in value] if isinstance(value, list) else value


def _own(value: Any, trace_id: str) -> bool:
    """The trace's own id, or a text made from it: ``refund-7714.m3``."""
    return isinstance(value, str) and value.startswith(trace_id) and value[len(trace_id) :][:1] in "._:/#-"


# --- matching ------------------------------------------------------------------------------------

_Match = list[tuple[int, int]]


def _match(first: list[_Step], second: list[_Step]) -> tuple[_Match, bool]:
    """Partners in rising order, and whether they are the best there are."""
    if len(first) * len(second) <= MAX_CELLS:
        return _weigh(first, second, range(len(first)), range(len(second))), True
    anchors = [*_anchors(first, second), (len(first), len(second))]
    found: _Match = []
    left = right = 0
    budget = MAX_CELLS
    for i, j in anchors:
        rows, columns = range(left, i), range(right, j)
        if len(rows) * len(columns) <= budget:
            budget -= len(rows) * len(columns)
            found += _weigh(first, second, rows, columns)
        else:
            found += _in_turn(first, second, rows, columns)
        if i < len(first):
            found.append((i, j))
        left, right = i + 1, j + 1
    return found, False


def _anchors(first: list[_Step], second: list[_Step]) -> _Match:
    """Steps that occur once in each trace and say the same, as far as their order agrees."""
    once, twice = Counter(first), Counter(second)
    places = {step: j for j, step in enumerate(second) if twice[step] == 1}
    found = [(i, places[step]) for i, step in enumerate(first) if once[step] == 1 and step in places]
    kept = rising([j for _, j in found])
    return [pair for at, pair in enumerate(found) if at in kept]


def _in_turn(first: list[_Step], second: list[_Step], rows: range, columns: range) -> _Match:
    """The first of a kind meets the first of that kind, the second the second, as far as the order agrees."""
    places: defaultdict[str, list[int]] = defaultdict(list)
    for j in reversed(columns):
        places[second[j].what].append(j)
    found = [(i, places[first[i].what].pop()) for i in rows if places[first[i].what]]
    kept = rising([j for _, j in found])
    return [pair for at, pair in enumerate(found) if at in kept]


def _weight(one: _Step, other: _Step) -> int:
    if one.what != other.what:
        return 0
    if one.says == other.says:
        return _SAME
    return _NEAR if one.about == other.about else _KIN


def _weigh(first: list[_Step], second: list[_Step], rows: range, columns: range) -> _Match:
    """The heaviest alignment (Needleman and Wunsch, gaps cost nothing)."""
    if not rows or not columns:
        return []
    width = len(columns)
    table = [[0] * (width + 1) for _ in range(len(rows) + 1)]
    weights = [[0] * width for _ in rows]
    for at in range(len(rows) - 1, -1, -1):
        one, row, below, weight = first[rows[at]], table[at], table[at + 1], weights[at]
        for to in range(width - 1, -1, -1):
            gain = weight[to] = _weight(one, second[columns[to]])
            best = below[to] if below[to] >= row[to + 1] else row[to + 1]
            row[to] = below[to + 1] + gain if gain and below[to + 1] + gain >= best else best
    found: _Match = []
    at = to = 0
    while at < len(rows) and to < width:
        gain = weights[at][to]
        if gain and table[at][to] == table[at + 1][to + 1] + gain:
            found.append((rows[at], columns[to]))
            at, to = at + 1, to + 1
        elif table[at][to] == table[at + 1][to]:
            at += 1
        else:
            to += 1
    return found


def _pairs(left: Sequence[StoredEvent], right: Sequence[StoredEvent], found: _Match, same: set[int]) -> Iterable[Pair]:
    at = to = 0
    for i, j in [*found, (len(left), len(right))]:
        for event in left[at:i]:
            yield Pair("left", event, None)
        for event in right[to:j]:
            yield Pair("right", None, event)
        if i < len(left):
            yield Pair("same" if i in same else "changed", left[i], right[j])
        at, to = i + 1, j + 1
