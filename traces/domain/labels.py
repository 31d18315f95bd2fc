"""How an event is called and drawn: a few words, a mark and a tone for each event type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from traces.domain.envelope import StoredEvent


class Face(NamedTuple):
    """The looks of one event."""

    label: str
    detail: str
    mark: str
    """``m-in`` input, ``m-pol`` policy, ``m-act`` action, ``m-end`` finish, ``s-human`` a person
    decided, ``s-human-open`` a person is asked."""
    tone: str
    """``run ok warn bad human idle``"""
    phase: str
    """``input policy human action finish``"""
    joins: bool = False
    """Stays in the phase that is under way."""
    proposes: bool = False
    """A proposal: belongs to an approval when it stands inside one."""
    waited: bool = False
    """The time before it was spent by people."""


Payload = dict[str, Any]


def text(payload: Payload, *path: str) -> str:
    """The text at ``path``, or an empty one; total over any payload."""
    value: Any = payload
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else ""


def _join(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _policy(payload: Payload) -> str:
    name, version = text(payload, "policy", "policy_id"), text(payload, "policy", "policy_version")
    return f"{name}@{version}" if name and version else name


def _entity(payload: Payload, key: str) -> str:
    return " ".join(filter(None, (text(payload, key, "entity_type"), text(payload, key, "entity_id"))))


def _started(event: StoredEvent, payload: Payload) -> Face:
    return Face("Started", text(payload, "workflow"), "m-in", "run", "input")


def _input(event: StoredEvent, payload: Payload) -> Face:
    detail = _join(text(payload, "source", "object_type"), text(payload, "source", "system"))
    return Face("Input", detail, "m-in", "run", "input", joins=True)


def _entity_observed(event: StoredEvent, payload: Payload) -> Face:
    return Face("Entity", _entity(payload, "entity"), "m-in", "run", "input", joins=True)


def _policy_evaluated(event: StoredEvent, payload: Payload) -> Face:
    label, tone = {
        "allow": ("Policy allow", "ok"),
        "deny": ("Policy deny", "bad"),
        "require_exception": ("Policy exception", "warn"),
    }.get(text(payload, "decision"), ("Policy", "run"))
    return Face(label, _policy(payload), "m-pol", tone, "policy")


def _cited(event: StoredEvent, payload: Payload) -> Face:
    detail = _join(text(payload, "cited_trace_id"), text(payload, "similarity_score"))
    return Face("Cited", detail, "m-in", "run", "policy", joins=True)


def _exception(event: StoredEvent, payload: Payload) -> Face:
    detail = _join(text(payload, "exception_id"), text(payload, "priority"))
    return Face("Exception asked", detail, "s-human-open", "human", "human")


def _approval(event: StoredEvent, payload: Payload) -> Face:
    decision = text(payload, "decision")
    label = {"approved": "Approved", "rejected": "Rejected"}.get(decision, "Decided")
    who = text(payload, "approver", "actor_id")
    if text(payload, "approver", "actor_type") in ("agent", "system"):
        # Mulberry is for people; what a program decided has the colour of its result.
        tone = {"approved": "ok", "rejected": "bad"}.get(decision, "run")
        return Face(label, who, "m-pol", tone, "human")
    return Face(label, who, "s-human", "human", "human", waited=True)


def _approval_requested(event: StoredEvent, payload: Payload) -> Face:
    detail = _join(text(payload, "subject", "subject_id"), text(payload, "priority"))
    return Face("Approval asked", detail, "s-human-open", "human", "human")


def _escalated(event: StoredEvent, payload: Payload) -> Face:
    level = text(payload, "level")
    detail = _join(f"level {level}" if level else "", text(payload, "escalated_to"))
    return Face("Escalated", detail, "s-human-open", "human", "human", waited=True)


def _review_requested(event: StoredEvent, payload: Payload) -> Face:
    return Face("Review asked", text(payload, "requested_by", "actor_id"), "s-human-open", "human", "human")


def _proposed(event: StoredEvent, payload: Payload) -> Face:
    return Face("Proposed", text(payload, "action_type"), "m-act", "run", "action", proposes=True)


def _committed(event: StoredEvent, payload: Payload) -> Face:
    status = text(payload, "status")
    label = {"success": "Committed", "failure": "Failed", "partial": "Partly committed"}.get(status, "Committed")
    tone = {"success": "ok", "failure": "bad", "partial": "warn"}.get(status, "run")
    detail = text(payload, "external_reference") or text(payload, "error") or text(payload, "action_id")
    return Face(label, detail, "m-act", tone, "action")


def _finished(event: StoredEvent, payload: Payload) -> Face:
    outcome = text(payload, "outcome")
    tone = {"success": "ok", "failure": "bad", "abandoned": "idle"}.get(outcome, "run")
    return Face("Finished", outcome, "m-end", tone, "finish")


def _incident_opened(event: StoredEvent, payload: Payload) -> Face:
    detail = _join(text(payload, "title"), text(payload, "severity"))
    return Face("Incident", detail, "s-human-open", "bad", "human")


def _incident_resolved(event: StoredEvent, payload: Payload) -> Face:
    return Face("Incident resolved", text(payload, "resolved_by", "actor_id"), "s-human", "human", "human", waited=True)


def _redacted(event: StoredEvent, payload: Payload) -> Face:
    return Face("Payload erased", text(payload, "reason"), "s-human", "human", "human")


_FACES: dict[str, Callable[[StoredEvent, Payload], Face]] = {
    "TraceStarted": _started,
    "InputObserved": _input,
    "EntityObserved": _entity_observed,
    "PolicyEvaluated": _policy_evaluated,
    "PrecedentCited": _cited,
    "ExceptionRequested": _exception,
    "ApprovalRecorded": _approval,
    "ApprovalRequested": _approval_requested,
    "ApprovalEscalated": _escalated,
    "ReviewRequested": _review_requested,
    "ActionProposed": _proposed,
    "ActionCommitted": _committed,
    "TraceFinished": _finished,
    "IncidentOpened": _incident_opened,
    "IncidentResolved": _incident_resolved,
    "EventRedacted": _redacted,
}


def face(event: StoredEvent) -> Face:
    """The looks of an event; total: an unknown type or an erased payload still has some."""
    make = _FACES.get(event.event_type)
    if make is None:
        return Face(event.event_type, "", "m-in", "idle", "input", joins=True)
    shown = make(event, event.payload or {})
    return shown if event.payload is not None else shown._replace(detail="payload erased")


def headline(event: StoredEvent) -> str:
    """Label and detail in one line, for example ``Policy exception refund.cap@3``."""
    shown = face(event)
    return f"{shown.label} {shown.detail}".rstrip()


def duration(ms: int) -> str:
    """A length of time for people: ``236 ms``, ``1.86 s``, ``16 min 50 s``, ``2 h 5 min``, ``3 d 4 h``."""
    if ms < 1_000:
        return f"{ms} ms"
    if ms < 9_995:
        return f"{ms / 1000:.2f} s"
    seconds = (ms + 500) // 1_000
    if seconds < 60:
        return f"{seconds} s"
    big, small, unit, part = next(
        (seconds // size, seconds % size // below, name, part)
        for size, below, name, part in ((86_400, 3_600, "d", "h"), (3_600, 60, "h", "min"), (60, 1, "min", "s"))
        if seconds >= size
    )
    return f"{big:,} {unit} {small} {part}" if small else f"{big:,} {unit}"
