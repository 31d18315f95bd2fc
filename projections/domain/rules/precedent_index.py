"""Finished decisions as precedents: one row per policy evaluation and exception, one to search.

Everything is made when the trace finishes, from the trace's own earlier events, so a row is never
touched again. Review traces are no precedents.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from projections.domain.graph import escape
from projections.domain.payload import objects, part, text
from projections.domain.rule import Merge, Put, Row, RowId, Table
from traces.domain.canonical import jcs
from traces.domain.envelope import REVIEW_PREFIX, Said

PRECEDENT = "precedent"
TEXT = "precedent_text"

MAX_TEXT = 100_000
"""Characters of ``text`` kept per trace: PostgreSQL refuses a text search vector of 1 MiB."""
MAX_FACT_TEXT = 200_000
"""Characters of all fact values kept per trace."""
MAX_FACT = 4_000
"""Characters of one fact value kept."""

_ENTITY = ("primary_entity_type", "primary_entity_system", "primary_entity_id")
_DECISION = ("workflow", "outcome", "started_at", "finished_at")
_PRECEDENT_COLUMNS = (
    "trace_id",
    "source_event_id",
    "source_event_type",
    "source_log_seq",
    "source_trace_seq",
    "policy_id",
    "policy_version",
    "decision",
    "exception_id",
    *_ENTITY,
    *_DECISION,
)
"""decision: of the policy evaluation. exception_id: of the exception request. Key: the source
event's ``<trace_id>:<trace_seq>``."""
_TEXT_COLUMNS = (
    "trace_id",
    "title",
    "text",
    "facts",
    "policies",
    "violation_codes",
    "action_types",
    *_ENTITY,
    *_DECISION,
    "truncated",
)
"""text: reasons, explanations, violations and the closing summary, one a line, in trace order.
facts: ``[key, type, value]`` as strings, in trace order. policies: sorted ``id@version``.
violation_codes, action_types: sorted and unique. truncated: whether a bound cut text or facts.
Key: the trace id, escaped."""


def _words(value: Any) -> Iterator[str]:
    """Every string inside a JSON value, object members in key order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name in sorted(value):
            yield from _words(value[name])
    elif isinstance(value, list):
        for item in value:
            yield from _words(item)


class _Collector:
    """Gathers the searchable content of one trace."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.room = MAX_TEXT
        self.facts: list[list[str]] = []
        self.fact_room = MAX_FACT_TEXT
        self.policies: set[str] = set()
        self.codes: set[str] = set()
        self.actions: set[str] = set()
        self.truncated = False

    def line(self, words: str | None) -> None:
        if not words:
            return
        if len(words) > self.room:
            self.truncated = True
            words = words[: self.room]
        if words:
            self.lines.append(words)
            self.room -= len(words)

    def fact(self, fact: dict[str, Any]) -> None:
        name, value = fact.get("key"), fact.get("value")
        if not isinstance(name, str):
            return
        kind = None
        if isinstance(value, dict):
            kind, value = value.get("type"), value.get("value")
        words = value if isinstance(value, str) else jcs(value).decode()
        if self.fact_room <= 0:
            self.truncated = True
            return
        kept = words
        if len(words) > MAX_FACT or len(words) > self.fact_room:
            kept = words[: min(MAX_FACT, self.fact_room)]
            self.truncated = True
        # names count too, so that a million empty facts are bounded as well
        self.fact_room -= len(kept) + len(name) + 1
        self.facts.append([name, kind if isinstance(kind, str) else "", kept])

    def event(self, event: Said) -> None:
        payload = event.payload
        match event.event_type:
            case "InputObserved" | "EntityObserved":
                for fact in objects(payload, "facts"):
                    self.fact(fact)
            case "PolicyEvaluated":
                self.policy(payload)
                for words in _words(part(payload, "explanation")):
                    self.line(words)
                for violation in objects(payload, "violations"):
                    code = text(violation, "code")
                    if code is not None:
                        self.codes.add(code)
                    for words in _words(violation):
                        self.line(words)
            case "ExceptionRequested":
                self.policy(payload)
                self.line(text(payload, "reason"))
            case "ApprovalRecorded" | "PrecedentCited":
                self.line(text(payload, "reason"))
            case "ActionProposed":
                action_type = text(payload, "action_type")
                if action_type is not None:
                    self.actions.add(action_type)
            case "ActionCommitted":
                action_type = text(payload, "executed", "action_type")
                if action_type is not None:
                    self.actions.add(action_type)
                self.line(text(payload, "error"))

    def policy(self, payload: dict[str, Any] | None) -> None:
        policy_id = text(payload, "policy", "policy_id")
        version = text(payload, "policy", "policy_version")
        if policy_id is not None and version is not None:
            self.policies.add(f"{policy_id}@{version}")


def said(trace_id: str, history: Iterable[Said]) -> Row:
    """What a trace that is not finished yet says so far, under the names of a search row.

    Args:
        history: its events of `RULE.history_types`, in trace order; payloads may be erased.
    """
    found, opening = _Collector(), None
    for event in history:
        if event.event_type == "TraceStarted":
            opening = event.payload
        found.event(event)
    return {
        "trace_id": trace_id,
        "title": text(opening, "title"),
        "workflow": text(opening, "workflow"),
        "primary_entity_type": text(opening, "primary_entity", "entity_type"),
        "primary_entity_id": text(opening, "primary_entity", "entity_id"),
        "text": "\n".join(found.lines),
        "facts": found.facts,
    }


class _PrecedentIndex:
    name = "precedent_index"
    version = 1
    tables: tuple[Table, ...] = (
        Table(PRECEDENT, _PRECEDENT_COLUMNS, Merge.APPEND, plain=True),
        Table(TEXT, _TEXT_COLUMNS, Merge.APPEND, plain=True),
    )
    history_types = frozenset(
        (
            "TraceStarted",
            "InputObserved",
            "EntityObserved",
            "PolicyEvaluated",
            "ExceptionRequested",
            "ApprovalRecorded",
            "PrecedentCited",
            "ActionProposed",
            "ActionCommitted",
        )
    )

    def reads(self, event: Said) -> Iterable[RowId]:
        return ()

    def history_trace(self, event: Said) -> str | None:
        if event.event_type != "TraceFinished" or event.trace_id.startswith(REVIEW_PREFIX):
            return None
        return event.trace_id

    def fold(self, event: Said, state: Mapping[RowId, Row], history: Sequence[Said]) -> Iterable[Put]:
        if self.history_trace(event) is None:
            return ()
        start = next((item for item in history if item.event_type == "TraceStarted"), None)
        opening = start.payload if start is not None else None
        common = {
            "trace_id": event.trace_id,
            "primary_entity_type": text(opening, "primary_entity", "entity_type"),
            "primary_entity_system": text(opening, "primary_entity", "system"),
            "primary_entity_id": text(opening, "primary_entity", "entity_id"),
            "workflow": text(opening, "workflow"),
            "outcome": text(event.payload, "outcome"),
            "started_at": start.occurred_at if start is not None else None,
            "finished_at": event.occurred_at,
        }
        trace_part = escape(event.trace_id)
        found = _Collector()
        puts = []
        for item in history:
            found.event(item)
            if item.event_type in ("PolicyEvaluated", "ExceptionRequested"):
                row: dict[str, Any] = {
                    **common,
                    "source_event_id": item.event_id,
                    "source_event_type": item.event_type,
                    "source_log_seq": item.log_seq,
                    "source_trace_seq": item.trace_seq,
                    "policy_id": text(item.payload, "policy", "policy_id"),
                    "policy_version": text(item.payload, "policy", "policy_version"),
                    "decision": text(item.payload, "decision"),
                    "exception_id": text(item.payload, "exception_id"),
                }
                puts.append(Put(PRECEDENT, f"{trace_part}:{item.trace_seq}", event.log_seq, row))
        found.line(text(event.payload, "summary"))
        row = {
            **common,
            "title": text(opening, "title"),
            "text": "\n".join(found.lines),
            "facts": found.facts,
            "policies": sorted(found.policies),
            "violation_codes": sorted(found.codes),
            "action_types": sorted(found.actions),
            "truncated": found.truncated,
        }
        puts.append(Put(TEXT, trace_part, event.log_seq, row))
        return puts


RULE = _PrecedentIndex()
