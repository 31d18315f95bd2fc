"""Writing one case step by step, for the formats that are not process logs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from traces.importers.case import (
    MAX_TRACE_ID,
    PART_BYTES,
    SOURCE_EVENT,
    SOURCE_PART,
    Case,
    Envelope,
    ImportProblem,
    clean_text,
    clean_value,
    fits,
    safe_id,
    split_text,
)

MAX_FACT = 4000
"""Characters of one fact taken from content that the event also carries in full."""


def settings(defaults: Mapping[str, Any], mapping: Mapping[str, Any]) -> dict[str, Any]:
    """A format's defaults with what the mapping says instead.

    Every key and its type come from the defaults; raises `ImportProblem` with every mistake.
    """
    mistakes: list[str] = []
    merged = _merge(defaults, mapping, "", mistakes)
    if mistakes:
        raise ImportProblem("import.bad_mapping", "; ".join(mistakes) + ".")
    return merged


def _merge(defaults: Mapping[str, Any], given: Mapping[str, Any], path: str, mistakes: list[str]) -> dict[str, Any]:
    merged = dict(defaults)
    for key, value in given.items():
        where = f"{path}{key}"
        default = defaults.get(key)
        if key not in defaults:
            mistakes.append(f"{where}: expected one of the keys {', '.join(defaults)}")
        elif isinstance(default, Mapping) and isinstance(value, Mapping):
            merged[key] = _merge(default, value, f"{where}.", mistakes)
        elif isinstance(default, list) and isinstance(value, list):
            if not all(isinstance(item, str) for item in value):
                mistakes.append(f"{where}: expected a list of texts")
            merged[key] = value
        elif isinstance(default, float) and type(value) is int:
            merged[key] = float(value)
        elif type(value) is not type(default):
            mistakes.append(f"{where}: expected a {type(default).__name__}")
        else:
            merged[key] = value
    return merged


def fact(key: str, value: Any, kind: str = "string") -> dict[str, Any]:
    """One entry of ``facts[]``; values are written as text."""
    return {"key": key, "value": {"type": kind, "value": clean_text(str(value))}}


def attach(payload: dict[str, Any], name: str, value: Any) -> list[str]:
    """Put source content into a payload; returns the pieces that found no room in it.

    Small content becomes ``payload[name]`` as it is. Content beyond the limits of an event is kept
    as JSON text: its first piece as ``<name>_json``, with the number of pieces in ``<name>_parts``.
    """
    if fits(value):
        cleaned = clean_value(value)
        if len(json.dumps(cleaned, ensure_ascii=False).encode()) <= PART_BYTES:
            payload[name] = cleaned
            return []
    parts = split_text(clean_text(json.dumps(value, ensure_ascii=False)))
    payload[f"{name}_json"] = parts[0]
    if len(parts) > 1:
        payload[f"{name}_parts"] = len(parts)
    return parts[1:]


class Trail:
    """Collects the envelopes of one case; ids and keys follow from the case and the mark."""

    def __init__(self, name: str, case_id: str, producer_id: str, system: str) -> None:
        self.trace_id = safe_id(f"{name}-{case_id}", MAX_TRACE_ID)
        self.system = system
        self._key = safe_id(f"{name}:{case_id}", MAX_TRACE_ID)
        self._source = {"producer_id": producer_id, "system": system}
        self.envelopes: list[Envelope] = []
        self.source_events = 0
        self.split = 0
        """Source events that needed more than one event because of their size."""

    def add(
        self,
        event_type: str,
        mark: str,
        when: str,
        actor: dict[str, str],
        payload: dict[str, Any],
        *,
        tags: tuple[str, ...] = (),
        cause: str | None = None,
    ) -> str:
        """Add one event; returns its id."""
        event_id = f"{self.trace_id}.{mark}"
        envelope: Envelope = {
            "event_id": event_id,
            "trace_id": self.trace_id,
            "event_type": event_type,
            "occurred_at": when,
            "source": self._source,
            "actor": actor,
            "idempotency_key": f"{self._key}:{mark}",
            "tags": list(tags),
            "payload": payload,
        }
        if cause is not None:
            envelope["causation_event_id"] = cause
        self.envelopes.append(envelope)
        if SOURCE_EVENT in tags:
            self.source_events += 1
        return event_id

    def rest(self, mark: str, when: str, actor: dict[str, str], name: str, pieces: list[str], cause: str) -> None:
        """The pieces `attach` found no room for, one input each."""
        if pieces:
            self.split += 1
        for number, text in enumerate(pieces, 2):
            part = f"{mark}.{name}-{number}"
            self.add(
                "InputObserved", part, when, actor,
                {
                    "input_id": part,
                    "source": {
                        "system": self.system,
                        "object_type": f"{name}_part",
                        "object_id": mark,
                    },
                    "facts": [],
                    f"{name}_json": text,
                    "part": number,
                    "parts": len(pieces) + 1,
                },
                tags=(SOURCE_PART,),
                cause=cause,
            )  # fmt: skip

    def case(self, position: int, outcome: str | None) -> Case:
        """The finished case."""
        return Case(self.trace_id, self.envelopes, position, self.source_events, outcome)
