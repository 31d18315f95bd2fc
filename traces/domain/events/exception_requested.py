"""ExceptionRequested: somebody asks to go beyond a policy."""

from __future__ import annotations

from pydantic import Field

from traces.domain.events._values import Evidence, JsonObject, PolicyRef, Priority, Upcasters, Value


class Payload(Value):
    """Somebody asks to go beyond a policy."""

    exception_id: str = Field(description="Unique inside the trace.")
    policy: PolicyRef
    reason: str
    evidence: Evidence | None = None
    priority: Priority | None = None
    requested_by: JsonObject | None = Field(None, description="Who asks; that person may not approve it.")


EXAMPLE: JsonObject = {
    "exception_id": "EX-2207",
    "policy": {"policy_id": "refund.cap", "policy_version": "3"},
    "reason": "The airline cancelled; the passenger refused the rebooking.",
    "evidence": [{"type": "trace", "ref": "refund-7714-b"}],
    "priority": "high",
    "requested_by": {"actor_type": "agent", "actor_id": "refund-desk-2"},
}
UPCASTERS: Upcasters = {}
