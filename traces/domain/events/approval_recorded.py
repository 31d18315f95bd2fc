"""ApprovalRecorded: an exception or an action was approved or rejected."""

from __future__ import annotations

from pydantic import Field

from traces.domain.events._values import ActorRef, Decision, Evidence, JsonObject, Subject, Upcasters, Value


class Payload(Value):
    """An exception or an action was approved or rejected.

    From an agent it is evidence of an approval given elsewhere and changes no workflow item; the
    platform writes its own decisions into a review trace.
    """

    approval_id: str
    subject: Subject
    approver: ActorRef
    decision: Decision
    reason: str | None = None
    evidence: Evidence | None = Field(None)


EXAMPLE: JsonObject = {
    "approval_id": "AP-551",
    "subject": {"subject_type": "exception", "subject_id": "EX-2207"},
    "approver": {"actor_type": "person", "actor_id": "ana.petrov"},
    "decision": "approved",
    "reason": "Cancelled by us, fare class allows it.",
    "evidence": [],
}
UPCASTERS: Upcasters = {}
