"""What happened in a trace, in sentences: the head of its page and the text one hands over.

Built from a few events (the first, the last and the decisions between), so that a trace of any length
has a story. Everything said is in the log; nothing is guessed from a clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from traces.domain.envelope import StoredEvent
from traces.domain.labels import duration, headline, text
from traces.domain.moment import instant

MILESTONES: tuple[str, ...] = (
    "PolicyEvaluated",
    "ExceptionRequested",
    "ApprovalRequested",
    "ApprovalRecorded",
    "ActionProposed",
    "ActionCommitted",
    "TraceFinished",
)
"""The types of which a story is made, besides the first and the last event."""

_LONG = 280
"""Characters of somebody else's text that the head of a page has room for."""
_FEW = 2
"""Policies and people that are named; the rest is counted."""

_ENDS = {"success": "Succeeded", "failure": "Failed", "abandoned": "Abandoned"}
_SAID = {"allow": "allowed it", "deny": "denied it", "require_exception": "asked for an exception"}


class Span(NamedTuple):
    """A piece of a sentence."""

    text: str
    strong: bool = False


class Material(NamedTuple):
    """What a story is made of."""

    first: StoredEvent
    last: StoredEvent
    milestones: Sequence[StoredEvent]
    """Of the types in `MILESTONES`, in order; of a very long trace the latest ones."""
    counts: Mapping[str, int]
    """Events by type, of the whole trace."""
    people_ms: int | None
    """Milliseconds spent with people; None when nobody measured it."""


class Fact(NamedTuple):
    """One entry of the strip below the sentence."""

    label: str
    value: str
    detail: str = ""
    state: str = ""
    """Name of the state to show instead of the plain value."""


class Story(NamedTuple):
    """The head of a trace's page."""

    state: str
    """``success failure abandoned open waiting``"""
    title: str
    """What the agent called it; empty when it did not say."""
    sentence: str
    spans: tuple[Span, ...]
    workflow: str
    entity_type: str
    entity_id: str
    entity_system: str
    facts: tuple[Fact, ...]
    finished: bool
    event_count: int
    total_ms: int


def tell(material: Material) -> Story:
    """The story of a trace."""
    first, last = material.first, material.last
    started = (first.payload or {}) if first.event_type == "TraceStarted" else {}
    finish = last if last.event_type == "TraceFinished" else None
    outcome = text(finish.payload or {}, "outcome") if finish else ""
    waiting = "" if finish else _waiting_for(material.milestones)
    total = elapsed(first, last)
    count = sum(material.counts.values())
    if finish:
        state = outcome if outcome in _ENDS else "finished"
    else:
        state = "waiting" if waiting else "open"
    entity = started.get("primary_entity")
    entity = entity if isinstance(entity, dict) else {}
    return Story(
        state=state,
        title=text(started, "title"),
        sentence=_sentence(material, outcome if finish else None, waiting, total, count),
        spans=_spans(material, entity, finish),
        workflow=text(started, "workflow"),
        entity_type=text(entity, "entity_type"),
        entity_id=text(entity, "entity_id"),
        entity_system=text(entity, "system"),
        facts=_facts(material, state, total),
        finished=finish is not None,
        event_count=count,
        total_ms=total,
    )


def elapsed(first: StoredEvent, last: StoredEvent) -> int:
    """Milliseconds between two events by their own clocks, never negative."""
    begin, end = instant(first.occurred_at), instant(last.occurred_at)
    if begin is None or end is None:
        return 0
    return max(0, int((end - begin).total_seconds() * 1000))


def _payload(event: StoredEvent) -> dict[str, Any]:
    return event.payload or {}


def _of(material: Material, *types: str) -> list[StoredEvent]:
    return [event for event in material.milestones if event.event_type in types]


def policy_name(event: StoredEvent) -> str:
    """``refund.cap@3``"""
    name, version = text(_payload(event), "policy", "policy_id"), text(_payload(event), "policy", "policy_version")
    return f"{name}@{version}" if name and version else name


def error_text(payload: dict[str, Any]) -> str:
    """What a commit says went wrong: a text, or an object with a message or a code."""
    return text(payload, "error") or ": ".join(
        filter(None, (text(payload, "error", "code"), text(payload, "error", "message")))
    )


def _short(said: str, limit: int = _LONG) -> str:
    said = " ".join(said.split())
    return said if len(said) <= limit else said[: limit - 1].rstrip() + "…"


def _waiting_for(milestones: Sequence[StoredEvent]) -> str:
    """What a person was asked for and has not answered; empty when nobody is waited for."""
    asked: dict[tuple[str, str], str] = {}
    for event in milestones:
        payload = _payload(event)
        if event.event_type == "ExceptionRequested":
            ident = text(payload, "exception_id")
            asked["exception", ident] = f"exception {ident}"
        elif event.event_type == "ActionProposed" and payload.get("requires_approval") is True:
            asked["action", text(payload, "action_id")] = text(payload, "action_type") or "an action"
        elif event.event_type == "ApprovalRequested":
            kind, ident = text(payload, "subject", "subject_type"), text(payload, "subject", "subject_id")
            asked[kind, ident] = f"{kind} {ident}"
        elif event.event_type == "ApprovalRecorded":
            asked.pop((text(payload, "subject", "subject_type"), text(payload, "subject", "subject_id")), None)
        elif event.event_type == "ActionCommitted":
            # whoever acted did not wait any longer
            asked.clear()
    return next(reversed(asked.values()), "")


def _sentence(material: Material, outcome: str | None, waiting: str, total: int, count: int) -> str:
    if outcome is None:
        if waiting:
            return f"Waiting for a person to decide on {_short(waiting, 60)}"
        return "Still open after its first event" if count == 1 else f"Still open after {count:,} events"
    people = material.people_ms or 0
    if people and people * 2 >= total:
        tail = f", after {_about(people)} with a person"
    else:
        tail = f" in {_about(total)}" if total else ""
    word = _ENDS.get(outcome, "Finished")
    if outcome == "success":
        granted = any(
            text(_payload(e), "decision") == "approved" and text(_payload(e), "subject", "subject_type") == "exception"
            for e in _of(material, "ApprovalRecorded")
        )
        return word + (" by exception" if granted else "") + tail
    if outcome == "failure":
        return word + tail + _why_failed(material)
    return word + tail


def _about(ms: int) -> str:
    """A duration as one says it: no hundredths of a second."""
    return duration(ms if ms < 2_000 else round(ms / 1000) * 1000).replace(".00 s", " s")


def _why_failed(material: Material) -> str:
    """The last thing that stood in the way, when the log knows one."""
    for event in reversed(material.milestones):
        payload = _payload(event)
        if event.event_type == "ActionCommitted" and text(payload, "status") == "failure":
            return f": {_action_name(material, payload)} did not go through"
        if event.event_type == "ApprovalRecorded" and text(payload, "decision") == "rejected":
            return ": a person refused it"
        if event.event_type == "PolicyEvaluated" and text(payload, "decision") == "deny":
            return f": {_short(policy_name(event) or 'a policy', 60)} denied it"
        if event.event_type == "ActionCommitted":
            return ""
    return ""


def _action_name(material: Material, commit: dict[str, Any]) -> str:
    """The type of the action a commit is about: the commit itself names only its id."""
    ident = text(commit, "action_id")
    for event in _of(material, "ActionProposed"):
        if text(_payload(event), "action_id") == ident:
            return _short(text(_payload(event), "action_type") or ident, 60)
    return _short(text(commit, "executed", "action_type") or ident or "the action", 60)


def _spans(material: Material, entity: dict[str, Any], finish: StoredEvent | None) -> tuple[Span, ...]:
    spans: list[Span] = [Span(material.first.actor_id, True)]
    target = " ".join(filter(None, (text(entity, "entity_type"), text(entity, "entity_id"))))
    about = f" for {target}" if target else ""
    proposed = _of(material, "ActionProposed")
    names = list(dict.fromkeys(_short(text(_payload(e), "action_type"), 60) for e in proposed))
    names = [name for name in names if name]
    workflow = text(_payload(material.first), "workflow")
    if names:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        spans.append(Span(f" proposed {names[0]}{more}{about}. "))
    else:
        spans.append(Span(f" worked on {workflow or 'this'}{about}. "))
    spans += _policies(material)
    spans += _people(material)
    spans += _result(material, finish)
    return tuple(spans)


def _policies(material: Material) -> list[Span]:
    last_word: dict[str, str] = {}
    for event in _of(material, "PolicyEvaluated"):
        name, decision = policy_name(event), text(_payload(event), "decision")
        if name and decision in _SAID:
            last_word.pop(name, None)
            last_word[name] = decision
    # what stopped it first: an operator asks why, not what was fine
    said = []
    for decision in ("deny", "require_exception", "allow"):
        names = [_short(name, 60) for name, spoken in last_word.items() if spoken == decision]
        if names:
            said.append(f"{_listed(names)} {_SAID[decision]}")
    return [Span(", ".join(said) + ". ")] if said else []


def _listed(names: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and 3 more``"""
    if len(names) <= _FEW:
        return " and ".join(names)
    return ", ".join(names[:_FEW]) + f" and {len(names) - _FEW} more"


def _people(material: Material) -> list[Span]:
    decided = _of(material, "ApprovalRecorded")
    spans: list[Span] = []
    for event in decided[-_FEW:]:
        who = text(_payload(event), "approver", "actor_id") or event.actor_id
        verb = {"approved": "approved", "rejected": "refused"}.get(text(_payload(event), "decision"), "decided")
        what = text(_payload(event), "subject", "subject_type")
        what = {"exception": " the exception", "action": " the action"}.get(what, "")
        spans += [Span(f"{_short(who, 60)} {verb}", True), Span(f"{what}. ")]
    return spans


def _result(material: Material, finish: StoredEvent | None) -> list[Span]:
    spans: list[Span] = []
    commits = _of(material, "ActionCommitted")
    if commits:
        payload = _payload(commits[-1])
        status, name = text(payload, "status"), _action_name(material, payload)
        reference, error = text(payload, "external_reference"), error_text(payload)
        if status == "failure":
            spans.append(Span(f"{name} failed{': ' + _short(error, 160) if error else ''}. "))
        elif status == "partial":
            spans.append(Span(f"{name} was committed in part{': ' + _short(error, 160) if error else ''}. "))
        else:
            spans.append(Span(f"{name} was committed{' as ' + _short(reference, 60) if reference else ''}. "))
        failed = sum(text(_payload(event), "status") == "failure" for event in commits[:-1])
        if failed:
            spans.append(Span(f"{failed:,} earlier action{'' if failed == 1 else 's'} failed on the way. "))
    if finish is None:
        spans.append(Span(f"Last came: {_short(headline(material.last), 100)}."))
        return spans
    summary = text(_payload(finish), "summary")
    if summary:
        spans.append(Span(_short(summary)))
    else:
        spans.append(Span(f"The trace finished with {text(_payload(finish), 'outcome') or 'no outcome'}."))
    return spans


def _facts(material: Material, state: str, total: int) -> tuple[Fact, ...]:
    first = material.first
    count = sum(material.counts.values())
    facts = [Fact("Outcome", state, f"{count:,} event{'' if count == 1 else 's'}, no gaps", state=state)]
    people = material.people_ms
    split = ""
    if people:
        split = ", ".join(
            part
            for part in (f"agent {duration(total - people)}" if total > people else "", f"people {duration(people)}")
            if part
        )
    if state in ("open", "waiting"):
        facts.append(Fact("So far", duration(total) if total else "just begun", split or "first to last event"))
    else:
        facts.append(Fact("Duration", duration(total) if total else "no time", split or "first to last event"))
    facts.append(_policy_fact(material))
    facts.append(_last_fact(material))
    facts.append(Fact("Sent by", first.producer_id, first.system))
    return tuple(facts)


def _policy_fact(material: Material) -> Fact:
    seen = _of(material, "PolicyEvaluated")
    if not seen:
        return Fact("Policy decisions", "none", "no policy was evaluated")
    decisions = Counter(text(_payload(event), "decision") for event in seen)
    words = {"allow": "allow", "deny": "deny", "require_exception": "exception"}
    split = ", ".join(f"{decisions[key]:,} {word}" for key, word in words.items() if decisions[key]) or "undecided"
    total = material.counts.get("PolicyEvaluated", 0)
    if total > len(seen):
        return Fact("Policy decisions", f"{total:,}", f"of the last {len(seen):,}: {split}")
    names = list(dict.fromkeys(policy_name(event) for event in seen if policy_name(event)))
    more = f", {len(names) - _FEW} more" if len(names) > _FEW else ""
    return Fact("Policy decisions", split, ", ".join(names[-_FEW:]) + more)


def _last_fact(material: Material) -> Fact:
    """Approval when a person was asked or decided, else the actions."""
    decided = _of(material, "ApprovalRecorded")
    if decided:
        payload = _payload(decided[-1])
        decision = text(payload, "decision")
        who = text(payload, "approver", "actor_id")
        return Fact("Approval", decision, who, state=decision if decision in ("approved", "rejected") else "")
    waiting = "" if material.last.event_type == "TraceFinished" else _waiting_for(material.milestones)
    if waiting:
        return Fact("Approval", "waiting", waiting, state="waiting")
    proposed, committed = material.counts.get("ActionProposed", 0), _of(material, "ActionCommitted")
    if not proposed and not committed:
        return Fact("Actions", "none", "nothing was proposed")
    total = material.counts.get("ActionCommitted", 0)
    if total > len(committed):
        return Fact("Actions", f"{total:,} reported", f"{proposed:,} proposed")
    failed = sum(text(_payload(e), "status") == "failure" for e in committed)
    done = total - failed
    value = ", ".join(
        filter(None, (f"{done:,} committed" if done or not failed else "", f"{failed:,} failed" if failed else ""))
    )
    return Fact("Actions", value, f"{proposed:,} proposed")


def hand_off(trace_id: str, story: Story, material: Material, link: str) -> str:
    """Plain text for a chat or a ticket: what, who, policy, exception, decision, outcome, link."""
    entity = " ".join(filter(None, (story.entity_type, story.entity_id, story.entity_system)))
    asked = [text(_payload(e), "exception_id") for e in _of(material, "ExceptionRequested")]
    reasons = [_short(text(_payload(e), "reason"), 160) for e in _of(material, "ExceptionRequested")]
    decided = [
        f"{text(_payload(e), 'approver', 'actor_id')} {text(_payload(e), 'decision')}"
        + (f" ({_short(text(_payload(e), 'reason'), 160)})" if text(_payload(e), "reason") else "")
        for e in _of(material, "ApprovalRecorded")
    ]
    policies = [
        f"{policy_name(e)} {text(_payload(e), 'decision')}" for e in _of(material, "PolicyEvaluated") if policy_name(e)
    ]
    commits = [
        f"{_action_name(material, _payload(e))} {text(_payload(e), 'status')}"
        + (f", {text(_payload(e), 'external_reference')}" if text(_payload(e), "external_reference") else "")
        + (f", {_short(error_text(_payload(e)), 160)}" if error_text(_payload(e)) else "")
        for e in _of(material, "ActionCommitted")
    ]
    lines = [
        (story.title or trace_id, ""),
        (story.sentence + ".", ""),
        ("Trace", trace_id),
        ("Workflow", story.workflow),
        ("Entity", entity),
        ("Agent", f"{material.first.actor_id} ({material.first.producer_id})"),
        ("Policy", "; ".join(list(dict.fromkeys(policies))[-5:])),
        ("Exception", "; ".join(f"{a}: {r}" if r else a for a, r in zip(asked, reasons, strict=True))[:600]),
        ("Decision", "; ".join(decided[-5:])),
        ("Action", "; ".join(commits[-5:])),
        ("Started", material.first.occurred_at),
        ("Last event", f"{material.last.occurred_at}, {headline(material.last)}"),
        ("Link", link),
    ]
    shown = []
    for index, (label, value) in enumerate(lines):
        if index < 2:
            shown.append(" ".join(label.split()))
        elif value:
            shown.append(f"{label}: {' '.join(value.split())}")
    return "\n".join(shown)
