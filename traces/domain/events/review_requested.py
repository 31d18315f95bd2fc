"""ReviewRequested: a person asks others to look at a decision."""

from __future__ import annotations

from pydantic import Field

from traces.domain.events._values import ActorRef, JsonObject, Priority, TraceSubject, Upcasters, Value


class Payload(Value):
    """A person asks others to look at a decision."""

    review_id: str
    subject: TraceSubject
    reason: str
    priority: Priority | None = None
    requested_by: ActorRef | None = Field(None, description="Who asks.")


EXAMPLE: JsonObject = {
    "review_id": "0197c2f5-10aa-7d02-b0c7-6a4e35d1f920",
    "subject": {"trace_id": "refund-8123-a", "subject_type": "trace", "subject_id": "refund-8123-a"},
    "reason": "Third refund of this booking class this week.",
    "priority": "normal",
    "requested_by": {"actor_type": "person", "actor_id": "jonas.weber"},
}
UPCASTERS: Upcasters = {}
