"""Shape and tone: what a state or an event looks like. Never colour alone, never a shape alone."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.utils.html import format_html
from django.utils.safestring import SafeString


class Look(NamedTuple):
    """Tone (colour family), shape (sprite name without ``s-``) and the word said aloud."""

    tone: str
    shape: str
    word: str


STATES: dict[str, Look] = {
    # projection health, worst first (SEMANTICS 5)
    "failed": Look("bad", "bad", "Failed"),
    "stale": Look("warn", "stale", "Stale"),
    "degraded": Look("warn", "warn", "Degraded"),
    "catching_up": Look("run", "run", "Catching up"),
    "fresh": Look("ok", "ok", "Fresh"),
    # replays (SEMANTICS 7)
    "queued": Look("idle", "idle", "Queued"),
    "running": Look("run", "run", "Running"),
    "stalled": Look("warn", "stale", "Stalled"),
    "completed": Look("ok", "ok", "Completed"),
    "cancelling": Look("warn", "stale", "Cancelling"),
    "cancelled": Look("idle", "off", "Cancelled"),
    "match": Look("ok", "ok", "Match"),
    "mismatch": Look("bad", "bad", "Mismatch"),
    "incomparable": Look("idle", "off", "Incomparable"),
    # traces
    "open": Look("run", "run", "Open"),
    "finished": Look("ok", "ok", "Finished"),
    "success": Look("ok", "ok", "Success"),
    "failure": Look("bad", "bad", "Failure"),
    "abandoned": Look("idle", "off", "Abandoned"),
    "partial": Look("warn", "warn", "Partial"),
    # policies
    "allow": Look("ok", "ok", "Allow"),
    "deny": Look("bad", "bad", "Deny"),
    "require_exception": Look("warn", "warn", "Exception needed"),
    # people
    "requested": Look("human", "human-open", "Requested"),
    "waiting": Look("human", "human-open", "Waiting"),
    "approved": Look("human", "human", "Approved"),
    "rejected": Look("bad", "bad", "Rejected"),
    "overdue": Look("bad", "bad", "Overdue"),
    "withdrawn": Look("idle", "off", "Withdrawn"),
    "in_review": Look("human", "human-open", "In review"),
    "changes_requested": Look("warn", "warn", "Changes asked"),
    "escalated": Look("warn", "warn", "Escalated"),
    "overridden": Look("human", "human", "Overridden"),
    "due_soon": Look("warn", "stale", "Due soon"),
    # timers and tickets of the workflow
    "fired": Look("idle", "ok", "Fired"),
    "valid": Look("ok", "ok", "Valid"),
    "used": Look("idle", "ok", "Used"),
    "pending": Look("human", "human-open", "Waiting for a decision"),
    # incidents: states, then severities
    "acknowledged": Look("human", "human-open", "Acknowledged"),
    "mitigated": Look("run", "run", "Mitigated"),
    "resolved": Look("ok", "ok", "Resolved"),
    "unresolved": Look("bad", "bad", "Unresolved"),
    "low": Look("idle", "idle", "Low"),
    "medium": Look("warn", "stale", "Medium"),
    "high": Look("bad", "warn", "High"),
    "critical": Look("bad", "bad", "Critical"),
    # producers, workers, sockets, accounts
    "sending": Look("ok", "ok", "Sending"),
    "quiet": Look("idle", "idle", "Quiet"),
    "silent": Look("warn", "warn", "Silent"),
    "idle": Look("idle", "idle", "Idle"),
    "working": Look("run", "run", "Working"),
    "lost": Look("bad", "bad", "Lost"),
    "alive": Look("ok", "ok", "Alive"),
    "live": Look("ok", "ok", "Live"),
    "offline": Look("bad", "bad", "Offline"),
    "paused": Look("idle", "off", "Paused"),
    "active": Look("ok", "ok", "Active"),
    "inactive": Look("idle", "off", "Inactive"),
    "expired": Look("idle", "off", "Expired"),
    "revoked": Look("idle", "off", "Revoked"),
    "invited": Look("idle", "idle", "Invited"),
    "deactivated": Look("idle", "off", "Deactivated"),
    "parked": Look("warn", "warn", "Parked"),
    "refused": Look("bad", "bad", "Refused"),
}
"""Every state the console can say. An unknown one is shown as its own word, idle."""


class EventLook(NamedTuple):
    """Tone, mark (whole sprite name) and the short word of an event type."""

    tone: str
    mark: str
    word: str


EVENTS: dict[str, EventLook] = {
    "TraceStarted": EventLook("run", "m-in", "Started"),
    "InputObserved": EventLook("run", "m-in", "Input"),
    "EntityObserved": EventLook("run", "m-in", "Entity"),
    "PolicyEvaluated": EventLook("run", "m-pol", "Policy"),
    "ExceptionRequested": EventLook("human", "s-human-open", "Exception asked"),
    "ApprovalRequested": EventLook("human", "s-human-open", "Approval asked"),
    "ApprovalEscalated": EventLook("human", "s-human-open", "Escalated"),
    "ApprovalRecorded": EventLook("human", "s-human", "Approval"),
    "ReviewRequested": EventLook("human", "s-human-open", "Review asked"),
    "PrecedentCited": EventLook("run", "m-in", "Cited"),
    "ActionProposed": EventLook("run", "m-act", "Proposed"),
    "ActionCommitted": EventLook("ok", "m-act", "Committed"),
    "TraceFinished": EventLook("ok", "m-end", "Finished"),
    "IncidentOpened": EventLook("bad", "s-warn", "Incident"),
    "IncidentResolved": EventLook("ok", "s-ok", "Incident resolved"),
    "EventRedacted": EventLook("idle", "s-off", "Redacted"),
}

# What the payload says about the outcome of an event: (key, value) -> tone and word.
_VERDICTS: dict[tuple[str, str], tuple[str, str]] = {
    ("decision", "allow"): ("ok", "Policy allow"),
    ("decision", "deny"): ("bad", "Policy deny"),
    ("decision", "require_exception"): ("warn", "Policy exception"),
    ("decision", "approved"): ("human", "Approved"),
    ("decision", "rejected"): ("bad", "Rejected"),
    ("status", "success"): ("ok", "Committed"),
    ("status", "failure"): ("bad", "Commit failed"),
    ("status", "partial"): ("warn", "Committed in part"),
    ("outcome", "success"): ("ok", "Finished"),
    ("outcome", "failure"): ("bad", "Finished"),
    ("outcome", "abandoned"): ("idle", "Finished"),
}


def look(value: Any) -> Look:
    """The look of a state; ``None`` and unknown states are idle and say their own name."""
    known = STATES.get(str(value))
    if known is not None:
        return known
    return Look("idle", "idle", str(value).replace("_", " ").capitalize() if value else "Unknown")


def event_look(event_type: Any, payload: Any = None) -> EventLook:
    """The look of an event: its type decides the mark, its payload the tone and the word."""
    known = EVENTS.get(str(event_type), EventLook("idle", "s-idle", str(event_type)))
    if not isinstance(payload, dict):
        return known
    for key in ("decision", "status", "outcome"):
        verdict = _VERDICTS.get((key, str(payload.get(key))))
        if verdict is not None:
            return EventLook(verdict[0], known.mark, verdict[1])
    return known


def tone(value: Any) -> str:
    """``state|tone``: the tone's name, for ``class="tone-…"``."""
    return look(value).tone


def word(value: Any) -> str:
    """``state|word``: the word an operator reads."""
    return look(value).word


def event_tone(event_type: Any, payload: Any = None) -> str:
    """``type|event_tone:payload``."""
    return event_look(event_type, payload).tone


def event_mark(event_type: Any, payload: Any = None) -> str:
    """``type|event_mark``: the sprite name."""
    return event_look(event_type, payload).mark


def event_word(event_type: Any, payload: Any = None) -> str:
    """``type|event_word:payload``: ``Policy exception``."""
    return event_look(event_type, payload).word


def _use(sprite: str, classes: str) -> SafeString:
    return format_html('<svg class="{}" aria-hidden="true"><use href="#{}"/></svg>', classes, sprite)


def shape(value: Any, size: str = "", tone: str = "") -> SafeString:
    """``{% shape "stale" "l" %}``: the shape alone; a word must stand beside it. Size is empty (12),
    ``m`` (16) or ``l`` (26)."""
    chosen = look(value)
    return _use(f"s-{chosen.shape}", " ".join(filter(None, ("shape", size, f"tone-{tone or chosen.tone}"))))


def icon(name: str, size: str = "") -> SafeString:
    """``{% icon "replays" "s" %}``: a 16 px line icon, 14 px with ``s``."""
    return _use(f"i-{name}", f"icon {size}".strip())


def state(value: Any, word: str = "", tone: str = "") -> SafeString:
    """``{% state "stale" %}``: shape and word without background, for tables."""
    chosen = look(value)
    return format_html(
        '<span class="state tone-{}">{}{}</span>',
        tone or chosen.tone,
        _use(f"s-{chosen.shape}", "shape"),
        word or chosen.word,
    )


def badge(value: Any, word: str = "", tone: str = "") -> SafeString:
    """``{% badge "mismatch" "2 fields" %}``: with a soft background, only where attention is wanted."""
    chosen = look(value)
    return format_html(
        '<span class="badge tone-{}">{}{}</span>',
        tone or chosen.tone,
        _use(f"s-{chosen.shape}", "shape"),
        word or chosen.word,
    )


def event(event_type: Any, payload: Any = None, word: str = "") -> SafeString:
    """``{% event event_type payload %}``: mark and word of an event."""
    chosen = event_look(event_type, payload)
    return format_html(
        '<span class="state tone-{}">{}{}</span>', chosen.tone, _use(chosen.mark, "shape"), word or chosen.word
    )
