"""A tenant with a log that touches every rule, and the answers a fold without a database gives."""

from __future__ import annotations

import random
import uuid
from typing import Any

from decisiongraph.core.db import tenant_tx
from projections import engine
from projections.domain.rules import RULES
from projections.models import Checkpoint
from tenants.access import system_principal
from tenants.models import Tenant
from tests.factories import TenantFactory
from tests.projections.fold import Fold
from traces import selectors as traces
from traces import services as log
from traces.domain.envelope import StoredEvent

Json = dict[str, Any]

OUTCOMES = ("success", "failure", "abandoned")


def _envelope(trace_id: str, event_type: str, payload: Json, number: int) -> Json:
    return {
        "event_id": f"{trace_id}-{number}",
        "trace_id": trace_id,
        "event_type": event_type,
        "occurred_at": f"2026-03-01T{number % 24:02}:{len(trace_id) % 60:02}:00+01:00",
        "source": {"producer_id": "desk", "system": "refunds"},
        "actor": {"actor_type": "agent", "actor_id": f"bot-{number % 3}"},
        "idempotency_key": f"{trace_id}:{number}",
        "payload": payload,
    }


def trace(trace_id: str, seed: int, *, open_end: bool = False) -> list[Json]:
    """One decision with every kind of event, different for every seed, the same for the same one."""
    dice = random.Random(seed)
    account = f"acct-{dice.randrange(7)}"
    steps: list[tuple[str, Json]] = [
        (
            "TraceStarted",
            {
                "workflow": dice.choice(["refund", "renewal"]),
                "title": f"Case {seed} „é\t\\",
                "primary_entity": {"entity_type": "account", "entity_id": account, "system": "crm"},
                "context": {"amount": dice.randrange(1, 5000) / 8, "nested": {"b": [1, 2.5, None], "a": True}},
            },
        ),
        (
            "InputObserved",
            {
                "input_id": "in:1%",
                "source": {"system": "crm", "object_type": "order", "object_id": str(seed)},
                "facts": [{"key": "total", "value": {"type": "number", "value": 1e21}}],
            },
        ),
        (
            "EntityObserved",
            {
                "entity": {"entity_type": "order", "entity_id": f"o-{seed}"},
                "role": "related",
                "facts": [{"key": "vip", "value": {"type": "boolean", "value": seed % 2 == 0}}],
            },
        ),
        (
            "PolicyEvaluated",
            {
                "policy": {"policy_id": "cap", "policy_version": str(seed % 3)},
                "inputs": ["in:1%"],
                "decision": dice.choice(["allow", "deny", "require_exception"]),
                "violations": [{"code": "over_cap", "details": {"by": 0.1}}],
                "explanation": {"text": "because", "score": 1.5},
            },
        ),
        (
            "ExceptionRequested",
            {
                "exception_id": "ex-1",
                "policy": {"policy_id": "cap", "policy_version": str(seed % 3)},
                "reason": "loyal customer",
                "priority": "high",
            },
        ),
        (
            "ApprovalRecorded",
            {
                "approval_id": "ap-1",
                "subject": {"subject_type": "exception", "subject_id": "ex-1"},
                "approver": {"actor_type": "person", "actor_id": f"rita-{dice.randrange(3)}"},
                "decision": dice.choice(["approved", "rejected"]),
            },
        ),
        ("PrecedentCited", {"cited_trace_id": f"cited-{dice.randrange(5)}", "reason": "same situation"}),
        (
            "ActionProposed",
            {
                "action_id": "act-1",
                "action_type": "pay",
                "target_entity": {"entity_type": "account", "entity_id": account, "system": "crm"},
                "target_system": "bank",
                "changes": [{"amount": 12.5}],
            },
        ),
        ("ActionCommitted", {"action_id": "act-1", "status": dice.choice(["success", "failure", "partial"])}),
    ]
    dice.shuffle(tail := steps[1:])
    steps = steps[:1] + tail[: dice.randrange(3, 9)]
    if not open_end:
        steps.append(("TraceFinished", {"outcome": dice.choice(OUTCOMES), "summary": "done"}))
    return [_envelope(trace_id, kind, payload, number) for number, (kind, payload) in enumerate(steps)]


def interleaved(count: int, *, prefix: str = "t", seed: int = 1) -> list[Json]:
    """Events of ``count`` traces, mixed but in order inside each trace; every fifth stays open."""
    dice = random.Random(seed)
    waiting = [trace(f"{prefix}-{i}", seed * 1000 + i, open_end=i % 5 == 4) for i in range(count)]
    events: list[Json] = []
    while waiting:
        chosen = dice.randrange(min(len(waiting), 6))
        events.append(waiting[chosen].pop(0))
        if not waiting[chosen]:
            waiting.pop(chosen)
    return events


class Desk:
    """A tenant and its log."""

    def __init__(self) -> None:
        self.tenant: Tenant = TenantFactory()
        self.principal = system_principal(self.tenant)

    def append(self, events: list[Json], *, origin: str = "ingest") -> int:
        """Append in batches; the head afterwards."""
        for start in range(0, len(events), 400):
            log.append(self.tenant, principal=self.principal, events=events[start : start + 400], origin=origin)
        return traces.head(self.tenant)

    def fill(self, count: int = 30, *, prefix: str = "", seed: int = 1) -> int:
        """Append a mixed log; the head afterwards."""
        return self.append(interleaved(count, prefix=prefix or f"t{uuid.uuid4().hex[:6]}", seed=seed))

    def catch_up(self, **options: Any) -> None:
        """Follow the log to its end."""
        while engine.catch_up(self.tenant, **options).more:
            pass

    def events(self) -> list[StoredEvent]:
        """The whole log."""
        found: list[StoredEvent] = []
        while piece := traces.read_log(self.tenant, after=len(found), limit=10_000):
            found += piece
        return found

    def expected(self) -> dict[str, str]:
        """Canonical digests of a fold of the whole log in memory."""
        events = self.events()
        return {name: Fold(rule).feed(*events).canonical() for name, rule in RULES.items()}

    def generation(self, projection: str) -> int:
        """The live generation."""
        with tenant_tx(self.tenant):
            return Checkpoint.objects.get(projection=projection, active=True).generation

    def canonical(self) -> dict[str, str]:
        """Canonical digests of the rows in the database."""
        with tenant_tx(self.tenant):
            return {name: engine.canonical(name, self.generation(name)) for name in RULES}

    def live(self) -> dict[str, str]:
        """Live digests as they were maintained."""
        with tenant_tx(self.tenant):
            return {name: engine.buckets(name, self.generation(name)).digest() for name in RULES}

    def cursors(self) -> dict[str, int]:
        """Live cursors."""
        return engine.positions(self.tenant)[1]

    def rows_right(self) -> bool:
        """Whether every bucket is the sum of its rows."""
        with tenant_tx(self.tenant):
            for name in RULES:
                claim = engine.hold_live(name)
                assert claim is not None
                for bucket in range(256):
                    right, wrong = engine.scrub_bucket(name, claim.generation, bucket, claim.secret)
                    if not right or wrong:
                        return False
        return True
