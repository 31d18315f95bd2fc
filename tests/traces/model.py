"""What SEMANTICS 4 says of append, in plain Python: the model that the real one is checked against."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Sent(NamedTuple):
    """One event of a call, as far as the checks of the log look at it."""

    producer: str
    key: str
    trace: str
    kind: str
    content: str
    seq: int | None
    event_id: str | None

    def as_json(self) -> dict[str, Any]:
        """The envelope."""
        payloads: dict[str, dict[str, Any]] = {
            "TraceStarted": {
                "workflow": "w",
                "title": self.content,
                "primary_entity": {"entity_type": "a", "entity_id": "1"},
            },
            "PrecedentCited": {"cited_trace_id": "x", "reason": self.content},
            "TraceFinished": {"outcome": "success", "summary": self.content},
        }
        return {
            "event_id": self.event_id,
            "trace_id": self.trace,
            "trace_seq": self.seq,
            "event_type": self.kind,
            "source": {"producer_id": self.producer, "system": "s"},
            "actor": {"actor_type": "agent", "actor_id": "a"},
            "idempotency_key": self.key,
            "payload": payloads[self.kind],
        }


class Row(NamedTuple):
    """What the log remembers."""

    sent: Sent
    log_seq: int
    trace_seq: int


@dataclass
class Model:
    """A tenant's log."""

    rows: list[Row] = field(default_factory=list)

    def append(self, call: list[Sent], *, atomic: bool, dry_run: bool) -> list[tuple[str, int | None]]:
        """(status or code, log_seq) per item; an atomic call with a refusal stores nothing."""
        kept = list(self.rows)
        answers: list[tuple[str, int | None]] = []
        broken: set[str] = set()
        for sent in call:
            answer = self._one(sent, skip=atomic and sent.trace in broken)
            if answer[0] not in ("created", "replayed", "skipped"):
                broken.add(sent.trace)
            answers.append(answer)
        if dry_run or (atomic and broken):
            self.rows = kept
        return answers

    def _one(self, sent: Sent, *, skip: bool) -> tuple[str, int | None]:
        for row in self.rows:
            if (row.sent.producer, row.sent.key) == (sent.producer, sent.key):
                same = (row.sent.trace, row.sent.kind, row.sent.content) == (sent.trace, sent.kind, sent.content)
                return ("replayed", row.log_seq) if same else ("event.idempotency_conflict", None)
        if skip:
            return "skipped", None
        trace = [row for row in self.rows if row.sent.trace == sent.trace]
        if not trace and sent.kind != "TraceStarted":
            return "trace.not_found", None
        if trace and sent.kind == "TraceStarted":
            return "trace.already_started", None
        if trace and trace[-1].sent.kind == "TraceFinished":
            return "trace.finished", None
        if sent.seq is not None and sent.seq != len(trace):
            return "trace.sequence_conflict", None
        if sent.event_id is not None and any(row.sent.event_id == sent.event_id for row in self.rows):
            return "event.id_conflict", None
        self.rows.append(Row(sent, len(self.rows) + 1, len(trace)))
        return "created", len(self.rows)
