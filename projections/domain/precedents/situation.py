"""What a decision was about, as far as it is known before its outcome.

A `Situation` is made from the events of a trace or from a question. It never holds the outcome's
causes after the fact: ``TraceFinished``, the context of the start (where importers keep rewards and
task numbers) and approvals are not read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from projections.domain.payload import objects, part, text
from projections.domain.precedents.words import masked
from traces.domain.envelope import Said

MAX_OPENING = 2_000
MAX_ASKED = 8_000
"""Characters kept of each text."""
MAX_EVENTS = 2_000
"""First events of a trace that are read: what is kept of them is bounded anyway."""
MAX_FACTS = 64
"""Facts kept; the first of each key."""
MAX_FACT = 200
"""Characters from which a fact counts as text and not as a value."""

EVENT_TYPES = frozenset(
    (
        "TraceStarted",
        "InputObserved",
        "EntityObserved",
        "PolicyEvaluated",
        "ExceptionRequested",
        "ActionProposed",
        "ActionCommitted",
    )
)
"""What `situation` reads of a trace."""

_CODE = re.compile(r"[A-Z0-9]{5,}")

Value = str | int | float | bool | None
FactPair = tuple[str, Value]


class Situation(NamedTuple):
    """What was to be decided."""

    workflow: str | None = None
    entity_type: str | None = None
    policies: tuple[str, ...] = ()
    """Sorted ``id@version``."""
    codes: tuple[str, ...] = ()
    """Sorted violation codes."""
    actions: tuple[str, ...] = ()
    """Sorted types of the actions proposed."""
    facts: tuple[FactPair, ...] = ()
    """Sorted ``(key, value)``; one value a key."""
    opening: str = ""
    """What the person said first; without one, the title."""
    asked: str = ""
    """Everything persons said, a turn a line; without any, title, reasons and explanations."""
    spoken: bool = False
    """Whether a person said anything."""


class Case(NamedTuple):
    """A finished decision."""

    trace_id: str
    log_seq: int
    """Of its ``TraceFinished``."""
    outcome: str
    finished_at: str
    title: str
    situation: Situation


def _identifiers(value: Any) -> Iterator[str]:
    """Values of members called ``id`` or ``..._id`` and lists of nothing but codes, at any depth."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if isinstance(inner, str) and (name == "id" or name.endswith("_id")):
                yield inner
            else:
                yield from _identifiers(inner)
    elif isinstance(value, list):
        if all(isinstance(inner, str) and _CODE.fullmatch(inner) for inner in value):
            yield from value
        for inner in value:
            yield from _identifiers(inner)


def identifiers(value: Any) -> frozenset[str]:
    """Every identifier that structured content names; JSON text is taken apart."""
    return frozenset(_identifiers(_parsed(value)))


def _parsed(value: Any) -> Any:
    """JSON inside a string taken out; anything else as it is."""
    if isinstance(value, str) and value[:1] in "[{":
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


class _Reader:
    """Gathers the situation of one trace, event by event."""

    def __init__(self) -> None:
        self.turns: list[str] = []
        self.reasons: list[str] = []
        self.facts: dict[str, Value] = {}
        self.policies: set[str] = set()
        self.codes: set[str] = set()
        self.actions: set[str] = set()
        self.known: set[str] = set()
        self.start: dict[str, Any] = {}

    def event(self, event: Said) -> None:
        payload = event.payload or {}
        match event.event_type:
            case "TraceStarted":
                self.start = payload
            case "InputObserved" | "EntityObserved":
                for fact in objects(payload, "facts"):
                    self.fact(fact, person=event.actor_type == "person", agent=event.actor_type == "agent")
                self.known.update(_identifiers(part(payload, "entity")))
            case "PolicyEvaluated":
                self.policy(payload)
                explanation = part(payload, "explanation")
                words = text(payload, "explanation", "text") if isinstance(explanation, dict) else explanation
                if isinstance(words, str):
                    self.reasons.append(words)
                self.codes.update(code for each in objects(payload, "violations") if (code := text(each, "code")))
            case "ExceptionRequested":
                self.policy(payload)
                self.reasons.append(text(payload, "reason") or "")
            case "ActionProposed":
                action_type = text(payload, "action_type")
                if action_type is not None:
                    self.actions.add(action_type)
                self.known.update(_identifiers(_parsed(part(payload, "arguments"))))
                self.known.update(_identifiers(part(payload, "target_entity")))
            case "ActionCommitted":
                self.known.update(_identifiers(_parsed(part(payload, "result"))))

    def fact(self, fact: dict[str, Any], *, person: bool, agent: bool) -> None:
        name, held = text(fact, "key"), part(fact, "value")
        value = held.get("value") if isinstance(held, dict) else held
        if name is None or name == "id" or name.endswith("_id"):
            return
        if isinstance(value, str) and (person or agent or len(value) > MAX_FACT):
            if person:
                self.turns.append(" ".join(value.split()))
            return
        if isinstance(value, str | int | float | bool) and name not in self.facts and len(self.facts) < MAX_FACTS:
            self.facts[name] = value

    def policy(self, payload: dict[str, Any]) -> None:
        policy_id, version = text(payload, "policy", "policy_id"), text(payload, "policy", "policy_version")
        if policy_id is not None and version is not None:
            self.policies.add(f"{policy_id}@{version}")


def situation(events: Iterable[Said], *, known: frozenset[str] = frozenset()) -> Situation:
    """The situation of a trace from its events of `EVENT_TYPES`, in ``trace_seq`` order.

    Identifiers of the entities and objects it names, those in ``known``, and whatever looks like one
    are masked in all texts.
    """
    found = _Reader()
    for event in events:
        found.event(event)
    title = text(found.start, "title") or ""
    found.known.update(_identifiers(part(found.start, "primary_entity")))
    names = known | found.known
    spoken = [turn for turn in found.turns if turn.strip()]
    asked = spoken or [title, *found.reasons]
    return Situation(
        workflow=text(found.start, "workflow"),
        entity_type=text(found.start, "primary_entity", "entity_type"),
        policies=tuple(sorted(found.policies)),
        codes=tuple(sorted(found.codes)),
        actions=tuple(sorted(found.actions)),
        facts=tuple(sorted(found.facts.items())),
        opening=masked((spoken[0] if spoken else title)[:MAX_OPENING], names),
        asked=masked("\n".join(asked)[:MAX_ASKED], names),
        spoken=bool(spoken),
    )
