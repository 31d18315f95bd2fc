"""What one event says, in a sentence: the line above its payload."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Any, NamedTuple

import orjson

from traces.domain.envelope import StoredEvent
from traces.domain.labels import Payload, text
from traces.domain.story import error_text, policy_name


class Verdict(NamedTuple):
    """One sentence and its explanation."""

    state: str
    """Name of the state whose shape stands before it."""
    title: str
    text: str


def _scalars(value: Any, limit: int = 6) -> str:
    """``amount 612.40, cap 400.00``: the plain members of an object."""
    if not isinstance(value, dict):
        return ""
    plain = [f"{key} {item}" for key, item in value.items() if isinstance(item, str | int | float)]
    return ", ".join(plain[:limit])


def _policy(event: StoredEvent, payload: Payload) -> Verdict | None:
    decision = text(payload, "decision")
    name = policy_name(event) or "The policy"
    said = {"allow": "allows it", "deny": "denies it", "require_exception": "allows it only by exception"}.get(decision)
    if said is None:
        return None
    found = payload.get("violations")
    reasons = []
    for each in found[:3] if isinstance(found, list) else []:
        code = text(each, "code") if isinstance(each, dict) else ""
        details = _scalars(each.get("details")) if isinstance(each, dict) else ""
        reasons.append(f"{code}: {details}" if details else code)
    more = f", and {len(found) - 3} more" if isinstance(found, list) and len(found) > 3 else ""
    return Verdict(decision, f"{name} {said}.", "; ".join(filter(None, reasons)) + more)


def _exception(event: StoredEvent, payload: Payload) -> Verdict | None:
    reason = text(payload, "reason")
    priority = text(payload, "priority")
    tail = f"Exception {text(payload, 'exception_id')} from {policy_name(event) or 'a policy'}"
    return Verdict(
        "requested", reason or "An exception was asked for.", tail + (f", {priority}" if priority else "") + "."
    )


def _approval(event: StoredEvent, payload: Payload) -> Verdict | None:
    decision = text(payload, "decision")
    if decision not in ("approved", "rejected"):
        return None
    who = text(payload, "approver", "actor_id")
    what = " ".join(filter(None, (text(payload, "subject", "subject_type"), text(payload, "subject", "subject_id"))))
    return Verdict(decision, f"{who} {decision} {what}.", text(payload, "reason"))


def _proposed(event: StoredEvent, payload: Payload) -> Verdict | None:
    target = " ".join(
        filter(None, (text(payload, "target_entity", "entity_type"), text(payload, "target_entity", "entity_id")))
    )
    needs = "It needs an approval first." if payload.get("requires_approval") is True else ""
    where = f" in {text(payload, 'target_system')}" if text(payload, "target_system") else ""
    return Verdict("running", f"{text(payload, 'action_type')} on {target}{where}.", needs)


def _committed(event: StoredEvent, payload: Payload) -> Verdict | None:
    status = text(payload, "status")
    title = {"success": "It was done.", "failure": "It was not done.", "partial": "It was done in part."}.get(status)
    if title is None:
        return None
    reference = text(payload, "external_reference")
    tail = "; ".join(filter(None, (f"reference {reference}" if reference else "", error_text(payload))))
    return Verdict(status, title, tail)


def _finished(event: StoredEvent, payload: Payload) -> Verdict | None:
    outcome = text(payload, "outcome")
    summary = text(payload, "summary")
    return Verdict(outcome or "finished", f"The trace ended with {outcome or 'no outcome'}.", summary)


_VERDICTS: dict[str, Callable[[StoredEvent, Payload], Verdict | None]] = {
    "PolicyEvaluated": _policy,
    "ExceptionRequested": _exception,
    "ApprovalRecorded": _approval,
    "ActionProposed": _proposed,
    "ActionCommitted": _committed,
    "TraceFinished": _finished,
}


def verdict(event: StoredEvent) -> Verdict | None:
    """What the event says, None when there is nothing to say beyond its payload."""
    make = _VERDICTS.get(event.event_type)
    if make is None or event.payload is None:
        return None
    said = make(event, event.payload)
    return None if said is None else said._replace(title=_short(said.title), text=_short(said.text))


def _short(said: str, limit: int = 300) -> str:
    return said if len(said) <= limit else said[: limit - 1].rstrip() + "…"


_BLANK_LETTERS = frozenset("\u115f\u1160\u3164\uffa0\u034f\u2800")
_HIDDEN = frozenset(("Cf", "Zl", "Zp", "Co", "Cn"))


def raw_json(value: Any) -> str:
    """JSON for reading: indented, and still the same JSON value.

    Characters that hide or turn text around are written as ``\\u202e`` escapes, so that they can be
    seen and the text can be pasted back.
    """
    out = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    if out.isascii():
        return out
    return "".join(_escaped(char) if char > "\x7f" else char for char in out)


def _escaped(char: str) -> str:
    if char not in _BLANK_LETTERS and unicodedata.category(char) not in _HIDDEN:
        return char
    return "".join(f"\\u{unit:04x}" for unit in _units(char))


def _units(char: str) -> tuple[int, ...]:
    data = char.encode("utf-16-be")
    return tuple(int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2))
