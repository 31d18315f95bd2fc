"""ApprovalRequested: the platform asks people for a decision."""

from __future__ import annotations

from pydantic import Field

from traces.domain.events._values import JsonObject, PolicyRef, Priority, TraceSubject, Upcasters, Value


class Payload(Value):
    """The platform asks people for a decision about an exception or an action."""

    approval_id: str
    subject: TraceSubject
    reason: str | None = None
    priority: Priority | None = None
    policy: PolicyRef | None = None
    requested_by: JsonObject | None = Field(None, description="Who asked; that person may not approve it.")
    action_digest: str | None = Field(None, description="Binds the approval to exactly one action.")
    due_at: str | None = Field(None, description="When the decision is due, RFC 3339.")


EXAMPLE: JsonObject = {
    "approval_id": "0197c2f4-7a10-7c3e-9d51-2f6f0f5a8b11",
    "subject": {
        "trace_id": "refund-8123-a",
        "event_id": "0197c2f4-6e02-7b1d-8a44-93b1c07d2e5f",
        "subject_type": "exception",
        "subject_id": "EX-2207",
    },
    "reason": "The airline cancelled; the passenger refused the rebooking.",
    "priority": "high",
    "policy": {"policy_id": "refund.cap", "policy_version": "3"},
    "due_at": "2026-01-12T11:41:15Z",
}
UPCASTERS: Upcasters = {}
