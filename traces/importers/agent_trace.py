"""Exported traces of agent frameworks: one JSON object ``{"trace": {...}, "observations": [...]}``.

A tool observation is an action proposed and committed, a generation or an agent step an input. All
other observations say too little about what they were, so they are inputs counted as ``unmapped``.
Whatever it becomes, an observation keeps its raw content.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from traces.importers.case import (
    SOURCE_EVENT,
    SOURCE_PART,
    Case,
    Refusal,
    clean_text,
    clean_value,
    instant,
    json_documents,
    plain_id,
    rfc3339,
    safe_id,
)
from traces.importers.trail import MAX_FACT, Trail, attach, fact, settings

DEFAULTS: dict[str, Any] = {
    "name": "agent-trace",
    "workflow": "agent-run",
    "producer_id": "import:agent-trace",
    "system": "agent-framework",
    "actions": ["TOOL"],
    "inputs": ["GENERATION", "AGENT"],
}
_FACTS = ("name", "type", "model", "level", "statusMessage", "latency")
_CONTEXT = ("name", "environment", "release", "version", "sessionId", "latency")


def read(path: Path, *, mapping: Mapping[str, Any] | None = None) -> Iterator[Case]:
    """Every exported trace in the file (one object, an array, or JSON lines) as a `Case`."""
    chosen = settings(DEFAULTS, mapping or {})
    for number, document, position in json_documents(path):
        trace = document.get("trace") if isinstance(document, dict) else None
        seen = document.get("observations") if isinstance(document, dict) else None
        if not isinstance(trace, dict) or not isinstance(seen, list):
            lost = Case("", [], position, 1, None)
            lost.refusals.append(
                Refusal(
                    "import.no_trace",
                    'An exported trace is an object with "trace" and "observations".',
                    f"document {number}",
                )
            )
            yield lost
            continue
        yield _Export(chosen, trace, seen, f"{path.name.split('.')[0]}-{number}").case(position)


class _Export:
    """Builds the case of one exported trace."""

    def __init__(self, chosen: Mapping[str, Any], trace: dict[str, Any], seen: list[Any], fallback: str) -> None:
        self.chosen = chosen
        self.trace = trace
        self.seen = seen
        case_id = str(trace.get("id") or fallback)
        self.system = str(chosen["system"])
        self.trail = Trail(chosen["name"], case_id, chosen["producer_id"], self.system)
        self.entity = {"entity_type": "agent_run", "entity_id": plain_id(case_id)}
        self.title = clean_text(str(trace.get("name") or case_id))[:300]
        self.agent = {"actor_type": "agent", "actor_id": plain_id(self.title)}
        self.counts: Counter[str] = Counter()
        self.refusals: list[Refusal] = []

    def case(self, position: int) -> Case:
        """All events of the run, start and finish included."""
        steps = self._steps()
        if not steps:
            lost = Case("", [], position, len(self.seen), None, self.refusals)
            if not self.seen:
                lost.refusals.append(Refusal("import.empty", "The trace has no observation.", self.title))
            return lost
        for _, ends, _, _, when, mark, observation in steps:
            if ends:
                self._commit(mark, when, observation)
            else:
                self._observe(mark, when, observation)
        events, self.trail.envelopes = self.trail.envelopes, []
        first, last = steps[0][4], steps[-1][4]
        self._start(first)
        self.trail.envelopes += events
        outcome = self._outcome()
        if outcome is not None:
            summary = "Ended with an error." if outcome == "failure" else "Ended without an error."
            self.trail.add(
                "TraceFinished", "finish", self._end(last), self.agent,
                {"outcome": outcome, "summary": summary},
            )  # fmt: skip
        built = self.trail.case(position, outcome)
        built.source_events = len(self.seen)
        built.refusals = self.refusals
        return built

    def _time(self, *texts: Any) -> str | None:
        for text in texts:
            if isinstance(text, str):
                try:
                    return rfc3339(text)
                except ValueError:
                    continue
        return None

    def _steps(self) -> list[tuple[datetime, bool, int, int, str, str, dict[str, Any]]]:
        """(moment, is an end, depth, number, time, mark, observation) in order of time."""
        parents = {
            str(o.get("id")): str(o.get("parentObservationId"))
            for o in self.seen
            if isinstance(o, dict) and o.get("parentObservationId")
        }
        steps = []
        marks: Counter[str] = Counter()
        for number, observation in enumerate(self.seen):
            if not isinstance(observation, dict):
                observation = {"value": observation}
            when = self._time(observation.get("startTime"))
            if when is None:
                self.counts["undated"] += 1
                when = self._time(self.trace.get("timestamp"), self.trace.get("createdAt"))
            if when is None:
                self.refusals.append(
                    Refusal(
                        "import.bad_time",
                        "Neither the observation nor its trace has an RFC 3339 time.",
                        f"observation {number}",
                    )
                )
                continue
            mark = safe_id(str(observation.get("id") or f"observation-{number}"), 60)
            marks[mark] += 1
            if marks[mark] > 1:
                mark = f"{mark}-again-{marks[mark]}"
            depth, node = 0, str(observation.get("id"))
            while node in parents and depth <= len(parents):
                depth, node = depth + 1, parents[node]
            steps.append((instant(when), False, depth, number, when, mark, observation))
            end = self._time(observation.get("endTime"))
            if end is not None and observation.get("type") in self.chosen["actions"]:
                end = end if instant(end) >= instant(when) else when
                steps.append((instant(end), True, depth, number, end, mark, observation))
        steps.sort(key=lambda step: step[:4])
        return steps

    def _outcome(self) -> str | None:
        """``None`` while anything runs; the export says no more than whether it failed."""
        known = [o for o in self.seen if isinstance(o, dict)]
        if any(o.get("type") != "EVENT" and not o.get("endTime") for o in known):
            return None
        roots = [o for o in known if not o.get("parentObservationId")]
        return "failure" if any(o.get("level") == "ERROR" for o in roots) else "success"

    def _end(self, last: str) -> str:
        ends = [self._time(o.get("endTime")) for o in self.seen if isinstance(o, dict)]
        return max((e for e in (*ends, last) if e), key=instant)

    def _start(self, when: str) -> None:
        counts = {
            "observations": len(self.seen), "generations": self.counts["GENERATION"],
            "tool_calls": self.counts["tool_calls"], "tool_errors": self.counts["tool_errors"],
            "unmapped": self.counts["unmapped"], "undated": self.counts["undated"],
        }  # fmt: skip
        context: dict[str, Any] = {
            key: clean_value(value[:MAX_FACT] if isinstance(value, str) else value)
            for key in _CONTEXT
            if isinstance(value := self.trace.get(key), str | int | float)
        }
        context["source_counts"] = counts
        rest = attach(
            context,
            "trace",
            # The export repeats the observations inside the trace; they are events of their own.
            {key: value for key, value in self.trace.items() if key != "observations"},
        )
        payload = {
            "workflow": self.chosen["workflow"],
            "title": self.title,
            "primary_entity": self.entity,
            "context": context,
        }
        event_id = self.trail.add("TraceStarted", "start", when, self.agent, payload)
        self.trail.rest("start", when, self.agent, "trace", rest, event_id)
        counts["split"] = self.trail.split

    def _observe(self, mark: str, when: str, observation: dict[str, Any]) -> None:
        kind = str(observation.get("type") or "UNKNOWN")
        self.counts[kind] += 1
        if kind in self.chosen["actions"]:
            self._propose(mark, when, observation)
            return
        if kind not in self.chosen["inputs"]:
            self.counts["unmapped"] += 1
        payload: dict[str, Any] = {
            "input_id": mark,
            "source": {
                "system": self.system,
                "object_type": plain_id(kind.lower()),
                "object_id": mark,
            },
            "facts": [
                fact(key, str(observation[key])[:MAX_FACT])
                for key in _FACTS
                if isinstance(observation.get(key), str | int | float)
            ],
        }
        rest = attach(payload, "raw", observation)
        event_id = self.trail.add("InputObserved", mark, when, self.agent, payload, tags=(SOURCE_EVENT,))
        self.trail.rest(mark, when, self.agent, "raw", rest, event_id)

    def _propose(self, mark: str, when: str, observation: dict[str, Any]) -> None:
        self.counts["tool_calls"] += 1
        payload: dict[str, Any] = {
            "action_id": mark,
            "action_type": plain_id(str(observation.get("name") or "tool")),
            "target_entity": self.entity,
            "target_system": self.system,
            "changes": [],
        }
        arguments = attach(payload, "arguments", observation.get("input"))
        raw = attach(
            payload,
            "raw",
            {key: value for key, value in observation.items() if key not in ("input", "output")},
        )
        event_id = self.trail.add("ActionProposed", mark, when, self.agent, payload, tags=(SOURCE_EVENT,))
        self.trail.rest(mark, when, self.agent, "arguments", arguments, event_id)
        self.trail.rest(mark, when, self.agent, "raw", raw, event_id)
        if not self._time(observation.get("endTime")) and observation.get("output") is not None:
            self._commit(mark, when, observation)

    def _commit(self, mark: str, when: str, observation: dict[str, Any]) -> None:
        failed = observation.get("level") == "ERROR"
        payload: dict[str, Any] = {
            "action_id": mark,
            "status": "failure" if failed else "success",
        }
        if failed:
            self.counts["tool_errors"] += 1
            payload["error"] = clean_text(str(observation.get("statusMessage") or "error"))[:4000]
        rest = attach(payload, "result", observation.get("output"))
        cause = f"{self.trail.trace_id}.{mark}"
        done = f"{mark}.done"
        event_id = self.trail.add("ActionCommitted", done, when, self.agent, payload, tags=(SOURCE_PART,), cause=cause)
        self.trail.rest(done, when, self.agent, "result", rest, event_id)
