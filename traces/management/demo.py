"""Made-up but lifelike decisions for the tenant ``demo``: three desks, their policies, their people.

A script is a trace as a list of (seconds after the start, client envelope). The same generator fills
a new stack with a day of history and, at the pace of real time, keeps it alive.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from decisiongraph.core.clock import rfc3339

Envelope = dict[str, Any]
Script = list[tuple[float, Envelope]]

REVIEWERS = ("ana.petrov", "mira.costa", "lukas.brandt")


class Trail:
    """Collects the events of one trace in order."""

    def __init__(self, trace_id: str, producer: str, system: str, agent: str, rng: Random) -> None:
        self.trace_id, self.producer, self.system, self.agent = trace_id, producer, system, agent
        self.rng = rng
        self.clock = 0.0
        self.script: Script = []

    def add(self, event_type: str, payload: dict[str, Any], *, after: float, person: str | None = None) -> str:
        """One event ``after`` seconds (give or take a third) after the one before; its event id."""
        self.clock += after * self.rng.uniform(0.7, 1.35)
        number = len(self.script)
        event_id = f"{self.trace_id}.{number}"
        cause = self.script[-1][1]["event_id"] if self.script else None
        self.script.append(
            (
                self.clock,
                {
                    "event_id": event_id,
                    "trace_id": self.trace_id,
                    "event_type": event_type,
                    "source": {"producer_id": self.producer, "system": self.system},
                    "actor": (
                        {"actor_type": "person", "actor_id": person}
                        if person
                        else {"actor_type": "agent", "actor_id": self.agent}
                    ),
                    "idempotency_key": event_id,
                    "causation_event_id": cause,
                    "tags": ["demo"],
                    "payload": payload,
                },
            )
        )
        return event_id


def fact(key: str, value: Any, kind: str = "string") -> dict[str, Any]:
    """One fact; decimals travel as text, so that no reader rounds them."""
    return {"key": key, "value": {"type": kind, "value": str(value)}}


def money(rng: Random, low: int, high: int) -> Decimal:
    """An amount in euro with cents, small ones more often."""
    return Decimal(int(low * 100 + (high - low) * 100 * rng.random() ** 2)) / 100


def code(rng: Random) -> str:
    """A booking code."""
    return "".join(rng.choices("ABCDEFGHJKLMNPQRSTUVWXYZ23456789", k=6))


def observe(trail: Trail, input_id: str, system: str, kind: str, ident: str, facts: list[dict[str, Any]]) -> None:
    """One thing the agent looked at."""
    trail.add(
        "InputObserved",
        {
            "input_id": input_id,
            "source": {"system": system, "object_type": kind, "object_id": ident},
            "facts": facts,
        },
        after=0.6,
    )


def evaluate(
    trail: Trail,
    policy: tuple[str, str],
    decision: str,
    inputs: list[str],
    summary: str,
    violations: list[dict[str, Any]] | None = None,
) -> None:
    """One policy decision."""
    trail.add(
        "PolicyEvaluated",
        {
            "policy": {"policy_id": policy[0], "policy_version": policy[1]},
            "inputs": inputs,
            "decision": decision,
            "violations": violations or [],
            "explanation": {"summary": summary},
        },
        after=0.9,
    )


def ask(trail: Trail, policy: tuple[str, str], reason: str, number: int, cited: str | None) -> bool:
    """An exception: cite a precedent, ask, wait for a person. True when granted."""
    rng = trail.rng
    if cited:
        trail.add(
            "PrecedentCited",
            {
                "cited_trace_id": cited,
                "reason": "Same policy and cause.",
                "similarity_score": f"{rng.uniform(0.7, 0.95):.2f}",
            },
            after=0.8,
        )
    exception_id = f"EX-{number}"
    trail.add(
        "ExceptionRequested",
        {
            "exception_id": exception_id,
            "policy": {"policy_id": policy[0], "policy_version": policy[1]},
            "reason": reason,
            "priority": rng.choice(["normal", "normal", "high"]),
        },
        after=0.7,
    )
    granted = rng.random() < 0.72
    reviewer = rng.choice(REVIEWERS)
    trail.add(
        "ApprovalRecorded",
        {
            "approval_id": f"apr-{number}",
            "subject": {"subject_type": "exception", "subject_id": exception_id},
            "approver": {"actor_type": "person", "actor_id": reviewer},
            "decision": "approved" if granted else "rejected",
            "reason": "Within what we granted before." if granted else "Nothing sets this case apart.",
        },
        after=rng.choice([45, 180, 600, 1500]),
        person=reviewer,
    )
    return granted


def act(trail: Trail, number: int, action: str, system: str, entity: dict[str, Any], changes: Sequence[object]) -> str:
    """Propose an action and commit it; the outcome of the trace."""
    rng = trail.rng
    action_id = f"act-{number}"
    trail.add(
        "ActionProposed",
        {
            "action_id": action_id,
            "action_type": action,
            "target_entity": entity,
            "target_system": system,
            "changes": changes,
        },
        after=0.6,
    )
    works = rng.random() < 0.94
    trail.add(
        "ActionCommitted",
        {
            "action_id": action_id,
            "status": "success" if works else "failure",
            "external_reference": f"RF-{rng.randrange(10**6, 10**7)}" if works else None,
            "error": None if works else {"code": "timeout", "message": f"{system} did not answer within 10 s"},
            "executed": {"action_type": action, "target_system": system, "target_entity": entity, "changes": changes},
        },
        after=3.0,
    )
    return "success" if works else "failure"


def finish(trail: Trail, outcome: str, summary: str) -> None:
    """The end of the trace."""
    trail.add("TraceFinished", {"outcome": outcome, "summary": summary}, after=0.4)


def refund(rng: Random, number: int, cited: str | None) -> Trail:
    """A passenger wants money back."""
    desk = rng.choice(["eu", "us"])
    booking, amount = code(rng), money(rng, 40, 1200)
    cap = Decimal("400.00") if desk == "eu" else Decimal("450.00")
    trail = Trail(
        f"refund-{number}", f"refund-desk-{desk}", "refund-desk", f"refund-desk-{1 if desk == 'us' else 2}", rng
    )
    entity = {"entity_type": "booking", "entity_id": booking, "system": "res-core"}
    trail.add(
        "TraceStarted",
        {
            "workflow": "refund.request",
            "title": f"Refund of cancelled flight, booking {booking}",
            "primary_entity": entity,
            "context": {"amount": str(amount), "currency": "EUR", "channel": rng.choice(["chat", "mail", "phone"])},
        },
        after=0,
    )
    observe(
        trail,
        "in-booking",
        "res-core",
        "booking",
        booking,
        [fact("amount", amount, "decimal"), fact("fare_class", rng.choice("YMBH"))],
    )
    observe(
        trail,
        "in-flight",
        "ops-feed",
        "flight",
        f"HAT{rng.randrange(100, 300)}",
        [fact("status", rng.choice(["cancelled", "delayed"])), fact("delay_minutes", rng.randrange(60, 600), "int")],
    )
    trail.add(
        "EntityObserved",
        {
            "entity": {
                "entity_type": "passenger",
                "entity_id": f"P-{rng.randrange(80000, 99999)}",
                "system": "res-core",
            },
            "role": "related",
            "facts": [fact("tier", rng.choice(["none", "silver", "gold"]))],
        },
        after=0.5,
    )
    evaluate(trail, ("refund.fare_rules", "12"), "allow", ["in-booking", "in-flight"], "The fare rules allow a refund.")
    policy = ("refund.cap", "3")
    changes = [
        {"field": "refund.amount", "from": None, "to": str(amount)},
        {"field": "booking.status", "from": "cancelled", "to": "refunded"},
    ]
    if amount <= cap:
        evaluate(trail, policy, "allow", ["in-booking"], f"{amount} EUR is within the cap of {cap} EUR.")
        outcome = act(trail, number, "refund.issue", "res-core", entity, changes)
        finish(trail, outcome, f"Refunded {amount} EUR." if outcome == "success" else "The refund could not be booked.")
        return trail
    evaluate(
        trail,
        policy,
        "require_exception",
        ["in-booking"],
        f"{amount} EUR exceeds the cap of {cap} EUR.",
        [{"code": "EXCEEDS_CAP", "details": {"amount": str(amount), "cap": str(cap), "currency": "EUR"}}],
    )
    if ask(trail, policy, f"Flight cancelled by us, {amount} EUR paid.", number, cited):
        outcome = act(trail, number, "refund.issue", "res-core", entity, changes)
        finish(trail, outcome, f"Refunded {amount} EUR by exception.")
    else:
        finish(trail, "failure", "Refused: above the cap, no exception.")
    return trail


def loan(rng: Random, number: int, cited: str | None) -> Trail:
    """Somebody asks for a loan."""
    amount, ratio = rng.randrange(20, 300) * 100, rng.uniform(0.22, 0.47)
    trail = Trail(f"loan-{number}", "loan-desk", "loan-desk", f"loan-desk-{rng.randrange(1, 4)}", rng)
    ident = f"LA-{number}"
    entity = {"entity_type": "application", "entity_id": ident, "system": "core-lending"}
    trail.add(
        "TraceStarted",
        {
            "workflow": "loan.decision",
            "title": f"Loan of {amount:,} EUR, application {ident}",
            "primary_entity": entity,
            "context": {"amount": amount, "currency": "EUR"},
        },
        after=0,
    )
    observe(
        trail,
        "in-application",
        "doc-intake",
        "application",
        ident,
        [fact("net_income", rng.randrange(18, 60) * 100, "int"), fact("payslips", rng.randrange(1, 4), "int")],
    )
    observe(
        trail,
        "in-bureau",
        "bureau-link",
        "report",
        f"BR-{number}",
        [fact("bureau_score", rng.randrange(580, 790), "int"), fact("open_loans", rng.randrange(0, 4), "int")],
    )
    policy = ("credit.dti", "7")
    changes = [
        {"field": "offer.amount", "from": None, "to": amount},
        {"field": "status", "from": "under_review", "to": "offer_issued"},
    ]
    if ratio <= 0.38:
        evaluate(trail, policy, "allow", ["in-application", "in-bureau"], f"Debt to income {ratio:.2f}, limit 0.38.")
        outcome = act(trail, number, "loan.offer.issue", "core-lending", entity, changes)
        finish(trail, outcome, f"Offer of {amount:,} EUR issued.")
        return trail
    decision = "require_exception" if ratio <= 0.43 else "deny"
    evaluate(
        trail,
        policy,
        decision,
        ["in-application", "in-bureau"],
        f"Debt to income {ratio:.2f}, limit 0.38.",
        [{"code": "DTI_EXCEEDED", "details": {"ratio": f"{ratio:.2f}", "limit": "0.38"}}],
    )
    if decision == "require_exception" and ask(trail, policy, f"Ratio {ratio:.2f}, stable income.", number, cited):
        outcome = act(trail, number, "loan.offer.issue", "core-lending", entity, changes)
        finish(trail, outcome, f"Offer of {amount:,} EUR issued by exception.")
    else:
        finish(trail, "failure", "Declined: debt to income too high.")
    return trail


def access(rng: Random, number: int, cited: str | None) -> Trail:
    """Somebody asks for access to a system."""
    person, system = f"emp-{rng.randrange(1000, 1999)}", rng.choice(["ledger", "payroll", "warehouse", "crm"])
    trail = Trail(f"access-{number}", "access-gate", "identity", "access-gate", rng)
    entity = {"entity_type": "employee", "entity_id": person, "system": "hr-core"}
    trail.add(
        "TraceStarted",
        {
            "workflow": "access.grant",
            "title": f"Access of {person} to {system}",
            "primary_entity": entity,
            "context": {"system": system},
        },
        after=0,
    )
    observe(
        trail,
        "in-role",
        "hr-core",
        "role",
        person,
        [fact("department", rng.choice(["finance", "ops", "sales"])), fact("clearance", rng.randrange(1, 4), "int")],
    )
    sensitive = system in ("ledger", "payroll")
    evaluate(
        trail,
        ("access.least_privilege", "2"),
        "allow" if not sensitive or rng.random() < 0.6 else "deny",
        ["in-role"],
        "Role and clearance were compared with what the system asks for.",
    )
    if trail.script[-1][1]["payload"]["decision"] == "deny":
        finish(trail, rng.choice(["failure", "abandoned"]), "Not granted.")
    else:
        outcome = act(trail, number, "access.grant", system, entity, [{"field": "grants", "from": [], "to": [system]}])
        finish(trail, outcome, "Granted.")
    return trail


KINDS: tuple[tuple[Callable[[Random, int, str | None], Trail], int], ...] = ((refund, 6), (loan, 3), (access, 2))


def trace(rng: Random, number: int, cited: dict[str, str]) -> Trail:
    """One made-up trace. ``cited`` remembers the last exception per kind, to cite it next time."""
    make = rng.choices([kind for kind, _ in KINDS], [weight for _, weight in KINDS])[0]
    trail = make(rng, number, cited.get(make.__name__))
    if any(e["event_type"] == "ExceptionRequested" for _, e in trail.script):
        cited[make.__name__] = trail.trace_id
    return trail


def at(script: Script, start: datetime) -> list[tuple[datetime, Envelope]]:
    """The events of a script with their times."""
    return [
        (start + timedelta(seconds=seconds), {**envelope, "occurred_at": rfc3339(start + timedelta(seconds=seconds))})
        for seconds, envelope in script
    ]
