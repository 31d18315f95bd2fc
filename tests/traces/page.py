"""Decisions whose page is looked at, and how it is fetched."""

from __future__ import annotations

from typing import Any

from django.test import Client

from tenants.access import system_principal
from tests.factories import Cast
from tests.traces.events import Json, envelope, finish, start
from traces import services

HOSTILE = "<script>alert(1)</script>\u202egnp.exe\u200b & \"q\" 'x'"


def append(cast: Cast, *events: Json, **options: Any) -> None:
    """Into acme's log."""
    principal = system_principal(cast.acme)
    for first in range(0, len(events), 500):
        services.append(cast.acme, principal=principal, events=list(events[first : first + 500]), **options)


def address(cast: Cast, trace_id: str, query: str = "") -> str:
    return f"/t/{cast.acme.slug}/traces/{trace_id}" + (f"?{query}" if query else "")


def show(client: Client, url: str, **headers: str) -> str:
    """The page, which must be there."""
    response = client.get(url, headers={"Accept": "text/html", **headers})
    assert response.status_code == 200, response.content[:500]
    return str(response.content.decode())


def decision(trace_id: str) -> list[Json]:
    """A refund that needed an exception, and got it from a person."""
    at = "2026-03-14T09:41:{:02}.000Z"
    policy = {"policy_id": "refund.cap", "policy_version": "3"}
    return [
        start(
            trace_id,
            occurred_at=at.format(0),
            payload={
                "workflow": "refund.request",
                "title": "Refund of booking K7QX2M",
                "primary_entity": {"entity_type": "booking", "entity_id": "K7QX2M", "system": "res-core"},
            },
        ),
        envelope(
            trace_id,
            "PolicyEvaluated",
            {
                "policy": policy,
                "inputs": [],
                "decision": "require_exception",
                "violations": [{"code": "EXCEEDS_CAP", "details": {"amount": "612.40", "cap": "400.00"}}],
            },
            occurred_at=at.format(1),
            event_id=f"{trace_id}-policy",
        ),
        envelope(
            trace_id,
            "ExceptionRequested",
            {"exception_id": "EX-1", "policy": policy, "reason": "fare class allows it"},
            occurred_at=at.format(2),
            causation_event_id=f"{trace_id}-policy",
        ),
        envelope(
            trace_id,
            "ApprovalRecorded",
            {
                "approval_id": "A-1",
                "subject": {"subject_type": "exception", "subject_id": "EX-1"},
                "approver": {"actor_type": "person", "actor_id": "ana.petrov"},
                "decision": "approved",
            },
            occurred_at=at.format(58),
        ),
        finish(trace_id, occurred_at=at.format(59), payload={"outcome": "success", "summary": "Refunded."}),
    ]


def hostile(trace_id: str) -> list[Json]:
    entity = {"entity_type": HOSTILE, "entity_id": HOSTILE, "system": HOSTILE}
    policy = {"policy_id": HOSTILE, "policy_version": HOSTILE}
    who = {"actor_type": "agent", "actor_id": HOSTILE}
    where = {"producer_id": HOSTILE, "system": HOSTILE}
    return [
        start(
            trace_id,
            actor=who,
            source=where,
            payload={"workflow": HOSTILE, "title": HOSTILE, "primary_entity": entity, "context": {HOSTILE: [HOSTILE]}},
        ),
        envelope(
            trace_id,
            "PolicyEvaluated",
            {
                "policy": policy,
                "inputs": [HOSTILE],
                "decision": "deny",
                "violations": [{"code": HOSTILE, "details": {HOSTILE: HOSTILE}}],
                "explanation": {HOSTILE: {HOSTILE: HOSTILE}},
            },
            actor=who,
            source=where,
            tags=[HOSTILE[:40]],
        ),
        envelope(
            trace_id,
            "ExceptionRequested",
            {"exception_id": HOSTILE, "policy": policy, "reason": HOSTILE, "priority": "urgent"},
            actor=who,
            source=where,
        ),
    ]


def long_trace(trace_id: str, count: int) -> list[Json]:
    """Inputs, policies and commits with a second between."""
    events = [start(trace_id, occurred_at="2026-03-01T00:00:00Z")]
    for number in range(1, count):
        at = f"2026-03-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z"
        kind = "PolicyEvaluated" if number % 9 == 4 else "InputObserved"
        events.append(envelope(trace_id, kind, occurred_at=at))
    return events


def acted(trace_id: str, done: str) -> list[Json]:
    """An action proposed with 400.00 and carried out with ``done``."""
    change = [{"path": "refund.amount", "new_value": {"type": "decimal", "value": "400.00"}}]
    proposal = envelope(trace_id, "ActionProposed")["payload"] | {"changes": change}
    report = envelope(trace_id, "ActionCommitted")["payload"]
    changed = [{"path": "refund.amount", "new_value": {"type": "decimal", "value": done}}]
    return [
        start(trace_id),
        envelope(trace_id, "ActionProposed", proposal),
        envelope(trace_id, "ActionCommitted", report | {"executed": report["executed"] | {"changes": changed}}),
    ]
