"""A small fixed log that touches every event type, with an outside and a platform decision."""

from __future__ import annotations

from typing import Any

from tests.projections.fold import log
from traces.domain.envelope import StoredEvent

_ORDER = {"entity_type": "order", "entity_id": "7:é", "system": "shop"}
_CAP = {"policy_id": "cap", "policy_version": "2.1"}
_EVE = {"actor_type": "person", "actor_id": "eve"}
_ABOUT = {"trace_id": "a:1", "subject_type": "exception", "subject_id": "x%1"}

_STEPS: list[tuple[str, str, dict[str, Any] | None]] = [
    (
        "a:1",
        "TraceStarted",
        {
            "workflow": "refund",
            "title": "Refund für 7",
            "primary_entity": _ORDER,
            "context": {"amount": 1e21, "small": 1e-7, "source_counts": {"messages": 3}},
        },
    ),
    (
        "b",
        "TraceStarted",
        {
            "workflow": "refund",
            "title": "Another",
            "primary_entity": {"entity_type": "order", "entity_id": "8"},
        },
    ),
    (
        "a:1",
        "InputObserved",
        {
            "input_id": "i",
            "source": {"system": "shop", "object_type": "order", "object_id": "7"},
            "facts": [{"key": "total", "value": {"type": "decimal", "value": "12.50"}}],
        },
    ),
    (
        "a:1",
        "EntityObserved",
        {
            "entity": {"entity_type": "customer", "entity_id": "c1"},
            "role": "related",
            "facts": [{"key": "vip", "value": {"type": "bool", "value": True}}],
        },
    ),
    (
        "a:1",
        "PolicyEvaluated",
        {
            "policy": _CAP,
            "inputs": ["i"],
            "decision": "require_exception",
            "violations": [{"code": "OVER_CAP", "details": {"cap": 10, "asked": 12.5}}],
            "explanation": {"summary": "Above the cap."},
        },
    ),
    ("a:1", "ExceptionRequested", {"exception_id": "x%1", "policy": _CAP, "reason": "Loyal."}),
    (
        "review:1",
        "TraceStarted",
        {"workflow": "decisiongraph.review", "title": "Review", "primary_entity": _ORDER},
    ),
    ("review:1", "ApprovalRequested", {"approval_id": "p", "subject": _ABOUT}),
    ("b", "PrecedentCited", {"cited_trace_id": "a:1", "reason": "The same."}),
    ("b", "PrecedentCited", {"cited_trace_id": "unknown", "reason": "Heard of it."}),
    (
        "review:1",
        "ApprovalRecorded",
        {"approval_id": "p", "subject": _ABOUT, "approver": _EVE, "decision": "approved"},
    ),
    ("review:1", "TraceFinished", {"outcome": "success", "subject": _ABOUT}),
    (
        "a:1",
        "ActionProposed",
        {
            "action_id": "pay",
            "action_type": "refund",
            "target_entity": _ORDER,
            "target_system": "shop",
            "changes": [],
            "requires_approval": True,
        },
    ),
    (
        "a:1",
        "ApprovalRecorded",
        {
            "approval_id": "q",
            "subject": {"subject_type": "action", "subject_id": "pay"},
            "approver": _EVE,
            "decision": "rejected",
            "reason": "Too late.",
        },
    ),
    ("a:1", "ActionCommitted", {"action_id": "pay", "status": "failure", "error": "refused"}),
    ("b", "InputObserved", None),
    ("a:1", "TraceFinished", {"outcome": "failure", "summary": "Not refunded."}),
]


def events() -> list[StoredEvent]:
    """The log, ``log_seq`` from 1."""
    return log(_STEPS)
