"""IncidentResolved: an incident is over."""

from __future__ import annotations

from pydantic import Field

from traces.domain.events._values import ActorRef, JsonObject, TraceSubject, Upcasters, Value


class Payload(Value):
    """An incident is over."""

    incident_id: str
    subject: TraceSubject | None = Field(None, description="The trace it came from, when there is one.")
    resolution: str = Field(description="What was done, for people.")
    resolved_by: ActorRef | None = None


EXAMPLE: JsonObject = {
    "incident_id": "0197c2f6-02be-7a55-8d3c-1c9b7e604411",
    "subject": {"trace_id": "refund-8123-a"},
    "resolution": "The refund was correct; the agent now waits for its approval.",
    "resolved_by": {"actor_type": "person", "actor_id": "jonas.weber"},
}
UPCASTERS: Upcasters = {}
