"""ApprovalEscalated: a waiting approval went to the next level."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from traces.domain.events._values import JsonObject, TraceSubject, Upcasters, Value


class Payload(Value):
    """A waiting approval went to the next level, by a timer or by a reviewer."""

    approval_id: str
    subject: TraceSubject
    level: Annotated[int, Field(ge=1, description="1 for the first escalation.")]
    reason: str | None = None
    escalated_to: str | None = Field(None, description="The role or group that is asked now.")


EXAMPLE: JsonObject = {
    "approval_id": "0197c2f4-7a10-7c3e-9d51-2f6f0f5a8b11",
    "subject": {"trace_id": "refund-8123-a", "subject_type": "exception", "subject_id": "EX-2207"},
    "level": 1,
    "reason": "No decision within 2 hours.",
    "escalated_to": "role:admin",
}
UPCASTERS: Upcasters = {}
