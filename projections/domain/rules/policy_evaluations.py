"""One row per ``PolicyEvaluated``: which policy said what, where and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from projections.domain.graph import escape
from projections.domain.payload import objects, part, strings, text
from projections.domain.rule import Merge, Put, Row, RowId, Table
from traces.domain.envelope import Said

TABLE = "policy_evaluation"

_COLUMNS = (
    "trace_id",
    "trace_seq",
    "event_id",
    "occurred_at",
    "actor_type",
    "actor_id",
    "policy_id",
    "policy_version",
    "decision",
    "inputs",
    "violation_codes",
    "violations",
    "explanation",
)
"""inputs: input ids in payload order. violation_codes: sorted and unique. violations: the objects
as sent. explanation: the object as sent, ``{}`` without one. policy and decision are None when the
payload was erased."""


class _PolicyEvaluations:
    name = "policy_evaluations"
    version = 1
    tables: tuple[Table, ...] = (Table(TABLE, _COLUMNS, Merge.APPEND),)
    history_types: frozenset[str] = frozenset()

    def reads(self, event: Said) -> Iterable[RowId]:
        return ()

    def history_trace(self, event: Said) -> str | None:
        return None

    def fold(self, event: Said, state: Mapping[RowId, Row], history: Sequence[Said]) -> Iterable[Put]:
        if event.event_type != "PolicyEvaluated":
            return ()
        payload = event.payload
        violations = objects(payload, "violations")
        explanation = part(payload, "explanation")
        row = {
            "trace_id": event.trace_id,
            "trace_seq": event.trace_seq,
            "event_id": event.event_id,
            "occurred_at": event.occurred_at,
            "actor_type": event.actor_type,
            "actor_id": event.actor_id,
            "policy_id": text(payload, "policy", "policy_id"),
            "policy_version": text(payload, "policy", "policy_version"),
            "decision": text(payload, "decision"),
            "inputs": strings(payload, "inputs"),
            "violation_codes": sorted({code for item in violations if isinstance(code := item.get("code"), str)}),
            "violations": violations,
            "explanation": explanation if isinstance(explanation, dict) else {},
        }
        key = f"{escape(event.trace_id)}:{event.trace_seq}"
        return (Put(TABLE, key, event.log_seq, row),)


RULE = _PolicyEvaluations()
