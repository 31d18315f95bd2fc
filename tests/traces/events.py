"""Envelopes as clients send them, and a tenant to send them to."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

from django.test import Client

from decisiongraph.core.errors import Problem
from tenants.access import Principal, system_principal
from tenants.models import Tenant
from tests.factories import TenantFactory, make_token
from traces import services
from traces.domain.catalog import CATALOG
from traces.services import Receipt, Refused, Result

Json = dict[str, Any]


def envelope(trace_id: str | None, event_type: str, payload: Json | None = None, **more: Any) -> Json:
    """An event with a key of its own; ``more`` overrides, None of it is checked here."""
    made: Json = {
        "trace_id": trace_id,
        "event_type": event_type,
        "source": {"producer_id": "desk", "system": "refunds"},
        "actor": {"actor_type": "agent", "actor_id": "refund-bot"},
        "idempotency_key": uuid.uuid4().hex,
        "payload": CATALOG[event_type].example if payload is None else payload,
    }
    return made | more


def start(trace_id: str, **more: Any) -> Json:
    """The first event of a trace."""
    return envelope(trace_id, "TraceStarted", **more)


def step(trace_id: str, **more: Any) -> Json:
    """Some later event of a trace."""
    return envelope(trace_id, "InputObserved", **more)


def finish(trace_id: str, **more: Any) -> Json:
    """The last event of a trace."""
    return envelope(trace_id, "TraceFinished", **more)


def new_id() -> str:
    """A trace id nobody has used."""
    return f"t-{uuid.uuid4().hex}"


@dataclass
class Desk:
    """A tenant of its own and who writes into it."""

    tenant: Tenant = field(default_factory=TenantFactory)
    principal: Principal = field(init=False)

    def __post_init__(self) -> None:
        self.principal = system_principal(self.tenant)

    def append(self, *events: Json, **options: Any) -> list[Result]:
        """Append through the service."""
        return services.append(self.tenant, principal=self.principal, events=list(events), **options)

    def one(self, event: Json, **options: Any) -> Receipt:
        """Append one event that is accepted."""
        (result,) = self.append(event, **options)
        assert isinstance(result, Receipt)
        return result

    def each(self, *events: Json, **options: Any) -> list[str]:
        """Status or leading code per event, stored one by one as far as they are accepted."""
        results = self.append(*events, atomic=False, **options)
        return [r.leading.code if isinstance(r, Refused) else r.status for r in results]

    def refused(self, *events: Json, **options: Any) -> Problem:
        """The problem that an atomic append answers."""
        try:
            self.append(*events, **options)
        except Problem as problem:
            return problem
        raise AssertionError("nothing was refused")

    def client(self, *scopes: str, **options: Any) -> Client:
        """A program with a token of this tenant."""
        _token, text = make_token(self.tenant, *scopes, **options)
        return Client(headers={"Authorization": f"Bearer {text}"}, raise_request_exception=False)
