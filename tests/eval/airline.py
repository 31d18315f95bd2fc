"""The airline runs of tau-bench as cases: 50 tasks, four trials each.

A query is one run, relevant are the other three trials of its task, the corpus are the other 199
runs. The task number is only the judge. User, reservation and every other identifier is masked in
query and corpus.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from projections.domain.precedents.situation import EVENT_TYPES, Case, Situation, identifiers, situation
from traces.domain.envelope import StoredEvent
from traces.importers import chat

REPO = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("DG_SHARED_DATA", REPO.parent / "shared" / "data"))
RUNS = SHARED / "taubench" / "gpt-4o-airline.json"
MAPPING = REPO / "docs" / "imports" / "taubench-airline.toml"


class Desk(NamedTuple):
    """All runs, and who is whose other trial."""

    cases: tuple[Case, ...]
    task: dict[str, int]
    """Trace id -> task."""
    identifiers: frozenset[str]

    @property
    def relevant(self) -> dict[str, list[str]]:
        """Trace id -> the other trials of its task."""
        by_task: dict[int, list[str]] = {}
        for trace_id, task in self.task.items():
            by_task.setdefault(task, []).append(trace_id)
        return {name: [other for other in by_task[task] if other != name] for name, task in self.task.items()}


def _names(runs: list[dict[str, Any]]) -> Iterator[str]:
    for run in runs:
        yield run["info"]["task"]["user_id"]
        for message in run["traj"]:
            yield from identifiers(message.get("content"))
            for call in message.get("tool_calls") or []:
                yield from identifiers(call["function"]["arguments"])


def _stored(trace_id: str, number: int, envelope: dict[str, Any]) -> StoredEvent:
    actor = envelope["actor"]
    return StoredEvent(
        log_seq=number + 1,
        event_id=envelope["event_id"],
        trace_id=trace_id,
        trace_seq=number,
        event_type=envelope["event_type"],
        schema_version=1,
        occurred_at=envelope["occurred_at"],
        recorded_at=envelope["occurred_at"],
        producer_id="",
        system="",
        subsystem=None,
        actor_type=actor["actor_type"],
        actor_id=actor["actor_id"],
        idempotency_key="",
        correlation_id=None,
        causation_event_id=None,
        tags=(),
        origin="import",
        principal="",
        leaf_hash="",
        payload_hash=None,
        payload=envelope["payload"],
    )


def load(path: Path = RUNS) -> Desk:
    """Every run through the importer and the product's own reading of situations."""
    runs = json.loads(path.read_bytes())
    names = frozenset(_names(runs))
    cases, task = [], {}
    mapping = tomllib.loads(MAPPING.read_text())
    for number, (run, made) in enumerate(zip(runs, chat.read(path, mapping=mapping), strict=True)):
        trace_id = made.envelopes[0]["trace_id"]
        events = [_stored(trace_id, seq, envelope) for seq, envelope in enumerate(made.envelopes)]
        read = situation((event for event in events if event.event_type in EVENT_TYPES), known=names)
        cases.append(Case(trace_id, number + 1, made.outcome or "", events[-1].occurred_at, "", read))
        task[trace_id] = run["task_id"]
    return Desk(tuple(cases), task, names)


def question(case: Case, *, whole: bool) -> Situation:
    """What is known at the first user turn, or all that the user said; no tool result, no action."""
    told = case.situation
    return Situation(
        workflow=told.workflow,
        entity_type=told.entity_type,
        opening=told.opening,
        asked=told.asked if whole else told.opening,
        spoken=True,
    )
