"""The mapping file of a process log (XES, CSV): which activity becomes which event.

A mapping is TOML; ``docs/imports/README.md`` explains every key. `ProcessMapping.parse` checks all
of it before the first line of the log is read and reports every mistake at once.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from traces.domain.envelope import INGEST_TYPES
from traces.importers.case import ImportProblem, rfc3339

Attributes = Mapping[str, str]
Template = Callable[[Attributes], str]

OUTCOMES = ("success", "failure", "abandoned")
REFUSE = "refuse"
VALUE_TYPES = ("string", "number", "time")
ACTOR_TYPES = ("agent", "person", "role", "system")
MAPPABLE = tuple(
    name for name in INGEST_TYPES if name not in ("TraceStarted", "TraceFinished", "PrecedentCited", "EntityObserved")
)
_HOLE = re.compile(r"\{([^{}]+)\}")
_ENTRY_KEYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    # event type: (required keys, optional keys)
    "InputObserved": ((), ("object_type", "facts")),
    "PolicyEvaluated": (("policy", "decision"), ("explanation",)),
    "ExceptionRequested": (("policy", "reason", "instance"), ("priority",)),
    "ApprovalRecorded": (("decision",), ("subject_type", "instance", "reason")),
    "ActionProposed": (("action_type", "instance"), ("changes", "target_system")),
    "ActionCommitted": (("action_type", "instance"), ("status", "changes", "target_system")),
}
_CHOICES = {
    ("PolicyEvaluated", "decision"): ("allow", "deny", "require_exception"),
    ("ApprovalRecorded", "decision"): ("approved", "rejected"),
    ("ActionCommitted", "status"): ("success", "failure", "partial"),
    ("ExceptionRequested", "priority"): ("low", "normal", "high", "urgent"),
}


def load_mapping(path: Path) -> dict[str, Any]:
    """The mapping file as a plain dictionary. Raises `ImportProblem`."""
    try:
        with path.open("rb") as handle:
            return tomllib.load(handle)
    except OSError as error:
        raise ImportProblem("import.unreadable", f"{path.name}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ImportProblem("import.bad_mapping", f"{path.name} is not TOML: {error}.") from error


def template(text: str) -> Template:
    """A function that fills ``{attribute}`` holes; an absent attribute leaves nothing."""
    pieces = _HOLE.split(text)
    if len(pieces) == 1:
        return lambda _attributes: text
    if len(pieces) == 3 and not pieces[0] and not pieces[2]:
        return lambda attributes: attributes.get(pieces[1], "")
    return lambda attributes: "".join(
        attributes.get(piece, "") if index % 2 else piece for index, piece in enumerate(pieces)
    )


@dataclass(frozen=True, slots=True)
class Pick:
    """One value taken from an attribute: ``{from = "AMOUNT_REQ", type = "number"}``."""

    name: str
    source: str
    kind: str


@dataclass(frozen=True, slots=True)
class Entry:
    """What one activity (in one lifecycle step, or in any) becomes."""

    event: str
    keys: Mapping[str, Any]
    facts: tuple[Pick, ...]


@dataclass(frozen=True, slots=True)
class ProcessMapping:
    """A checked mapping."""

    name: str
    workflow: str
    title: Template
    case_key: str
    activity_key: str
    time_key: str
    lifecycle_key: str
    actor_key: str
    event_key: str
    default_offset: str | None
    producer_id: str
    system: str
    actor_type: str
    missing_actor: dict[str, str]
    entity_type: str
    entity_id: Template
    entity_system: str | None
    context: tuple[Pick, ...]
    outcome_activities: Mapping[str, str]
    outcome_present: Mapping[str, str]
    entries: Mapping[tuple[str, str], Entry]
    default: Entry | None
    """What an activity without an entry becomes; ``None`` refuses it."""

    def entry(self, activity: str, lifecycle: str) -> Entry | None:
        """The entry for an activity: with its lifecycle step first, then for any step."""
        return self.entries.get((activity, lifecycle)) or self.entries.get((activity, "")) or self.default

    @staticmethod
    def parse(raw: Mapping[str, Any]) -> ProcessMapping:
        """Check a mapping. Raises `ImportProblem` that lists every mistake with its path."""
        reader = _Reader()
        top = reader.table(raw, "", (
            "name", "workflow", "title", "columns", "source", "actor", "entity", "context",
            "outcome", "default", "activity",
        ))  # fmt: skip
        columns = reader.table(top.get("columns"), "columns", (
            "case", "activity", "time", "lifecycle", "actor", "event_id", "default_offset",
        ))  # fmt: skip
        source = reader.table(top.get("source"), "source", ("producer_id", "system"))
        actor = reader.table(top.get("actor", {}), "actor", ("type", "missing"))
        missing = reader.table(actor.get("missing", {}), "actor.missing", ("type", "id"))
        entity = reader.table(top.get("entity"), "entity", ("type", "id", "system"))
        outcome = reader.table(top.get("outcome", {}), "outcome", ("activities", "present"))
        name = reader.text(top, "name", "")
        offset = reader.text(columns, "default_offset", "columns", default="") or None
        if offset is not None:
            try:
                rfc3339("2000-01-01T00:00:00", offset)
            except ValueError:
                reader.wrong("columns.default_offset", 'an offset such as "+01:00" or "Z"')
        mapping = ProcessMapping(
            name=name,
            workflow=reader.text(top, "workflow", ""),
            title=template(reader.text(top, "title", "")),
            case_key=reader.text(columns, "case", "columns"),
            activity_key=reader.text(columns, "activity", "columns"),
            time_key=reader.text(columns, "time", "columns"),
            lifecycle_key=reader.text(columns, "lifecycle", "columns", default=""),
            actor_key=reader.text(columns, "actor", "columns", default=""),
            event_key=reader.text(columns, "event_id", "columns", default=""),
            default_offset=offset,
            producer_id=reader.text(source, "producer_id", "source"),
            system=reader.text(source, "system", "source"),
            actor_type=reader.choice(actor.get("type", "person"), ACTOR_TYPES, "actor.type"),
            missing_actor={
                "actor_type": reader.choice(missing.get("type", "system"), ACTOR_TYPES, "actor.missing.type"),
                "actor_id": reader.text(missing, "id", "actor.missing", default="not-recorded"),
            },
            entity_type=reader.text(entity, "type", "entity"),
            entity_id=template(reader.text(entity, "id", "entity", default="{case}")),
            entity_system=reader.text(entity, "system", "entity", default="") or None,
            context=reader.picks(top.get("context", {}), "context"),
            outcome_activities=reader.outcomes(outcome.get("activities", {}), "outcome.activities"),
            outcome_present=reader.outcomes(outcome.get("present", {}), "outcome.present"),
            entries=reader.entries(top.get("activity", [])),
            default=reader.default(top.get("default", {})),
        )
        reader.finish()
        return mapping


class _Reader:
    """Reads a mapping and collects every mistake in it."""

    def __init__(self) -> None:
        self.mistakes: list[str] = []

    def wrong(self, path: str, wanted: str) -> None:
        self.mistakes.append(f"{path}: expected {wanted}")

    def finish(self) -> None:
        if self.mistakes:
            raise ImportProblem("import.bad_mapping", "; ".join(self.mistakes) + ".")

    def table(self, value: Any, path: str, allowed: tuple[str, ...]) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            self.wrong(path or "the mapping", "a table")
            return {}
        for key in sorted(set(value) - set(allowed)):
            self.wrong(f"{path}.{key}".lstrip("."), f"one of the keys {', '.join(allowed)}")
        return value

    def text(self, table: Mapping[str, Any], key: str, path: str, default: str | None = None) -> str:
        value = table.get(key, default)
        if not isinstance(value, str) or (not value and default is None):
            self.wrong(f"{path}.{key}".lstrip("."), "a text that is not empty")
            return ""
        return value

    def choice(self, value: Any, allowed: tuple[str, ...], path: str) -> str:
        if value not in allowed:
            self.wrong(path, f"one of {', '.join(allowed)}")
            return allowed[0]
        return str(value)

    def picks(self, value: Any, path: str) -> tuple[Pick, ...]:
        if not isinstance(value, Mapping):
            self.wrong(path, "a table")
            return ()
        found = []
        for name, item in value.items():
            if isinstance(item, str):
                item = {"from": item}
            spec = self.table(item, f"{path}.{name}", ("from", "type"))
            kind = self.choice(spec.get("type", "string"), VALUE_TYPES, f"{path}.{name}.type")
            found.append(Pick(name, self.text(spec, "from", f"{path}.{name}"), kind))
        return tuple(found)

    def outcomes(self, value: Any, path: str) -> Mapping[str, str]:
        if not isinstance(value, Mapping):
            self.wrong(path, "a table")
            return {}
        return {key: self.choice(outcome, OUTCOMES, f"{path}.{key}") for key, outcome in value.items()}

    def default(self, value: Any) -> Entry | None:
        if isinstance(value, Mapping) and value.get("event", REFUSE) == REFUSE:
            self.table(value, "default", ("event",))
            return None
        return self.entry(value, "default", ())

    def entries(self, value: Any) -> Mapping[tuple[str, str], Entry]:
        if not isinstance(value, list) or not value:
            self.wrong("activity", "at least one [[activity]]")
            return {}
        found: dict[tuple[str, str], Entry] = {}
        for index, item in enumerate(value):
            path = f"activity[{index}]"
            entry = self.entry(item, path, ("names", "lifecycle"))
            if not isinstance(item, Mapping):
                continue
            names, step = item.get("names"), item.get("lifecycle", "")
            if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
                self.wrong(f"{path}.names", "a list of activity names")
                continue
            if not isinstance(step, str):
                self.wrong(f"{path}.lifecycle", "a text")
                continue
            for name in names:
                if (name, step.lower()) in found:
                    self.wrong(f"{path}.names", f"{name!r} only once")
                found[(name, step.lower())] = entry
        return found

    def entry(self, value: Any, path: str, allowed: tuple[str, ...]) -> Entry:
        empty = Entry("InputObserved", {}, ())
        if not isinstance(value, Mapping):
            self.wrong(path, "a table")
            return empty
        event = value.get("event")
        if event not in MAPPABLE:
            self.wrong(f"{path}.event", f"one of {', '.join(MAPPABLE)}")
            return empty
        required, optional = _ENTRY_KEYS[event]
        self.table(value, path, ("event", *allowed, *required, *optional))
        for key in required:
            if key not in value:
                self.wrong(f"{path}.{key}", "a value, because the event type needs it")
        for key, item in value.items():
            choices = _CHOICES.get((event, key))
            if choices is not None:
                self.choice(item, choices, f"{path}.{key}")
            elif key == "policy":
                policy = self.table(item, f"{path}.policy", ("id", "version"))
                self.text(policy, "id", f"{path}.policy")
                self.text(policy, "version", f"{path}.policy")
            elif key in ("changes", "explanation"):
                if not isinstance(item, Mapping) or not all(isinstance(text, str) for text in item.values()):
                    self.wrong(f"{path}.{key}", "a table of texts")
            elif key not in ("facts", "names", "event"):
                self.text(value, key, path)
        return Entry(event, dict(value), self.picks(value.get("facts", {}), f"{path}.facts"))
