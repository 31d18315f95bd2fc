"""What set two decisions apart: facts and policies first, then the steps, the outcome last."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from traces.domain.align import Alignment, align
from traces.domain.diff import Path, spell
from traces.domain.envelope import StoredEvent
from traces.domain.labels import text

MAX_VALUES = 50
"""Different values of one fact that are kept."""


class FactRow(NamedTuple):
    """One fact that the traces do not agree on."""

    name: str
    """``booking.fare_paid``, ``context.channel``, ``EXCEEDS_CAP.amount``, ``workflow``."""
    left: tuple[Any, ...]
    """What only the left trace knew, in the order it was learned; empty when it knew no more."""
    right: tuple[Any, ...]
    shared: int
    """Values that both knew."""


class PolicyRow(NamedTuple):
    """One policy that was evaluated in either trace."""

    policy_id: str
    left: tuple[tuple[str, str], ...]
    """(version, decision) in order, repeated ones once; empty: not evaluated."""
    right: tuple[tuple[str, str], ...]

    @property
    def same(self) -> bool:
        """Both traces used the same versions and got the same decisions."""
        return self.left == self.right


class Comparison(NamedTuple):
    """Two traces beside each other."""

    facts: tuple[FactRow, ...]
    """Those that differ, short values first."""
    same_facts: int
    policies: tuple[PolicyRow, ...]
    """Those that differ."""
    same_policies: tuple[PolicyRow, ...]
    alignment: Alignment


def compare(left: Sequence[StoredEvent], right: Sequence[StoredEvent]) -> Comparison:
    """Two traces, each in its order."""
    facts, same = _facts(left, right)
    policies = _policies(left, right)
    return Comparison(
        facts,
        same,
        tuple(row for row in policies if not row.same),
        tuple(row for row in policies if row.same),
        align(left, right),
    )


def _facts(left: Sequence[StoredEvent], right: Sequence[StoredEvent]) -> tuple[tuple[FactRow, ...], int]:
    mine, theirs = known(left), known(right)
    rows: list[FactRow] = []
    same = 0
    for name in sorted(mine.keys() | theirs.keys()):
        one, other = mine.get(name, {}), theirs.get(name, {})
        only_left = tuple(value for key, value in one.items() if key not in other)
        only_right = tuple(value for key, value in other.items() if key not in one)
        if only_left or only_right:
            rows.append(FactRow(name, only_left, only_right, len(one.keys() & other.keys())))
        else:
            same += 1
    rows.sort(key=lambda row: (_length(row), row.name))
    return tuple(rows), same


def _length(row: FactRow) -> int:
    """0 for figures and words, 1 for sentences: what a person compares at a glance comes first."""
    return int(any(len(str(value)) > 60 for value in (*row.left, *row.right)))


def known(events: Iterable[StoredEvent]) -> dict[str, dict[str, Any]]:
    """Every fact of a trace: name -> its values by their JSON text, in the order they were learned."""
    found: dict[str, dict[str, Any]] = {}
    for event in events:
        for name, value in _said(event):
            values = found.setdefault(name, {})
            if len(values) < MAX_VALUES:
                values.setdefault(json.dumps(value, sort_keys=True), value)
    return found


def _said(event: StoredEvent) -> Iterable[tuple[str, Any]]:
    payload = event.payload or {}
    kind = event.event_type
    if kind == "TraceStarted":
        yield "workflow", text(payload, "workflow")
        entity = " ".join(
            filter(None, (text(payload, "primary_entity", "entity_type"), text(payload, "primary_entity", "entity_id")))
        )
        yield "primary_entity", entity
        yield from _flat(payload.get("context"), ("context",))
    elif kind in ("InputObserved", "EntityObserved"):
        about = text(payload, "source", "object_type") or text(payload, "entity", "entity_type")
        for fact in _items(payload.get("facts")):
            held = fact.get("value")
            value = held.get("value") if isinstance(held, dict) else held
            yield ".".join(filter(None, (about, text(fact, "key")))), value
    elif kind == "PolicyEvaluated":
        for violation in _items(payload.get("violations")):
            code = text(violation, "code")
            yield "violations", code
            yield from _flat(violation.get("details"), (code,))


def _items(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _flat(value: Any, path: Path) -> Iterable[tuple[str, Any]]:
    """The plain values inside an object, each by its path; a list is one value."""
    if isinstance(value, dict):
        for name in sorted(value):
            yield from _flat(value[name], (*path, name))
    elif value is not None:
        yield spell(path), value


def _policies(left: Sequence[StoredEvent], right: Sequence[StoredEvent]) -> list[PolicyRow]:
    mine, theirs = _decisions(left), _decisions(right)
    return [
        PolicyRow(name, tuple(mine.get(name, {})), tuple(theirs.get(name, {})))
        for name in sorted(mine.keys() | theirs.keys())
    ]


def _decisions(events: Iterable[StoredEvent]) -> dict[str, dict[tuple[str, str], None]]:
    found: dict[str, dict[tuple[str, str], None]] = {}
    for event in events:
        payload = event.payload or {}
        decision = text(payload, "decision")
        if event.event_type == "ExceptionRequested":
            decision = "exception asked"
        elif event.event_type != "PolicyEvaluated":
            continue
        name = text(payload, "policy", "policy_id")
        if name:
            found.setdefault(name, {}).setdefault((text(payload, "policy", "policy_version"), decision))
    return found
