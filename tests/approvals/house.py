"""A tenant with people, agents that propose, and a workflow that follows them."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

from django.test import Client

from approvals import services
from approvals.models import Incident, Item, Step, Timer
from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from tenants.access import Principal
from tenants.access.tokens import verify
from tenants.models import Tenant
from tests.factories import make_cast, make_token
from traces import selectors as traces
from traces import services as log

Json = dict[str, Any]

ACTION: Json = {
    "action_type": "refund.issue",
    "target_system": "payments",
    "target_entity": {"entity_type": "booking", "entity_id": "K7", "system": "res"},
    "changes": [{"path": "refund.amount", "old_value": "0.00", "new_value": "612.40"}],
    "policy": {"policy_id": "refund.cap", "policy_version": "3"},
}


class House:
    """Acme with its cast, and an agent that Bob gave a token."""

    def __init__(self) -> None:
        self.cast = make_cast()
        self.tenant: Tenant = self.cast.acme
        self.alice = self.cast.principal(self.cast.alice)
        self.bob = self.cast.principal(self.cast.bob)
        self.rita = self.cast.principal(self.cast.rita)
        self.vera = self.cast.principal(self.cast.vera)
        self.agent, self.agent_text = self.token("ingest", "read")

    def token(self, *scopes: str) -> tuple[Principal, str]:
        """A program's principal and the text of its token."""
        _row, text = make_token(self.tenant, *scopes)
        return verify(text)[1], text

    def client(self, *scopes: str) -> Client:
        """A program over HTTP."""
        return Client(headers={"Authorization": f"Bearer {self.token(*scopes)[1]}"})

    def person(self, user: Any) -> Client:
        """A signed-in person over HTTP."""
        client = self.cast.browser(user)
        client.defaults["HTTP_X_TENANT"] = self.tenant.slug
        return client

    # --- what agents do -----------------------------------------------------------------------

    def append(self, *events: Json, origin: str = "ingest", principal: Principal | None = None) -> int:
        """Append; the head afterwards."""
        log.append(self.tenant, principal=principal or self.agent, events=list(events), origin=origin)
        return traces.head(self.tenant)

    def trace(self, trace_id: str = "", **context: Any) -> str:
        """Begin a trace."""
        trace_id = trace_id or f"t-{uuid.uuid4().hex[:12]}"
        self.append(self.started(trace_id, **context))
        return trace_id

    def started(self, trace_id: str, **context: Any) -> Json:
        entity = {"entity_type": "booking", "entity_id": "K7", "system": "res"}
        payload = {"workflow": "refund", "title": "Refund K7", "primary_entity": entity, "context": context}
        return self.event(trace_id, "TraceStarted", payload)

    def event(self, trace_id: str, event_type: str, payload: Json) -> Json:
        return {
            "trace_id": trace_id,
            "event_type": event_type,
            "source": {"producer_id": "desk", "system": "refunds"},
            "actor": {"actor_type": "agent", "actor_id": "refund-desk-2"},
            "idempotency_key": uuid.uuid4().hex,
            "payload": payload,
        }

    def exception(self, trace_id: str, ident: str = "EX-1", **more: Any) -> Json:
        payload = {
            "exception_id": ident,
            "policy": {"policy_id": "refund.cap", "policy_version": "3"},
            "reason": "The airline cancelled.",
            "priority": "high",
            "requested_by": {"actor_type": "agent", "actor_id": "refund-desk-2"},
        }
        return self.event(trace_id, "ExceptionRequested", payload | more)

    def proposal(self, trace_id: str, ident: str = "act-1", **more: Any) -> Json:
        return self.event(trace_id, "ActionProposed", {"action_id": ident, "requires_approval": True, **ACTION} | more)

    def commit(self, trace_id: str, ident: str = "act-1", *, status: str = "success", **more: Any) -> Json:
        return self.event(trace_id, "ActionCommitted", {"action_id": ident, "status": status} | more)

    # --- what the platform does ---------------------------------------------------------------

    def follow(self) -> None:
        """Until the end of the log."""
        while services.follow(self.tenant).more:
            pass

    def ask(self, *, subject: str = "action", **more: Any) -> Item:
        """An agent asks; the item that opened."""
        trace_id = self.trace()
        self.append(self.proposal(trace_id, **more) if subject == "action" else self.exception(trace_id, **more))
        self.follow()
        return self.items(trace_id=trace_id)[0]

    # --- looking ------------------------------------------------------------------------------

    def items(self, **filters: Any) -> list[Item]:
        with tenant_tx(self.tenant):
            return list(Item.objects.filter(**filters).order_by("opened_at", "number"))

    def item(self, item: Item) -> Item:
        with tenant_tx(self.tenant):
            return Item.objects.get(pk=item.pk)

    def incidents(self, **filters: Any) -> list[Incident]:
        with tenant_tx(self.tenant):
            return list(Incident.objects.filter(**filters).order_by("opened_at"))

    def steps(self, item: Item) -> list[str]:
        with tenant_tx(self.tenant):
            return list(Step.objects.filter(item_id=item.pk).order_by("id").values_list("action", flat=True))

    def timers(self, item: Item) -> list[Timer]:
        with tenant_tx(self.tenant):
            return list(Timer.objects.filter(item_id=item.pk).order_by("due_at", "id"))

    def said(self, item: Item) -> list[str]:
        """Event types of the review trace."""
        return [event.event_type for event in traces.read_trace(self.tenant, item.review_trace)]

    def decide(self, item: Item, decision: str = "approved", *, by: Principal | None = None, **more: Any) -> Item:
        """A decision at the version of the row given."""
        asked: Json = {"version": item.version, "reason": "Fare class allows it."} | more
        return services.decide(self.tenant, principal=by or self.rita, item_id=str(item.pk), decision=decision, **asked)


class Hands:
    """A clock a test turns."""

    def __init__(self, monkeypatch: Any) -> None:
        self.at = clock.now()
        monkeypatch.setattr(clock, "now", lambda: self.at)

    def forward(self, **step: float) -> datetime:
        """Later, by that much; negative is a clock set back."""
        self.at += timedelta(**step)
        return self.at
