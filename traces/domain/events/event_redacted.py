"""EventRedacted: the payload of an event was erased."""

from __future__ import annotations

from pydantic import Field

from traces.domain.events._values import ActorRef, JsonObject, Upcasters, Value


class RedactedSubject(Value):
    """The event whose payload is erased. Its envelope and its hash stay."""

    trace_id: str
    event_id: str
    log_seq: int = Field(ge=1, description="Its position in the log.")


class Payload(Value):
    """The payload of an event was erased; every proof over the log still holds."""

    subject: RedactedSubject
    reason: str = Field(description="Why; never the erased data.")
    requested_by: ActorRef | None = None


EXAMPLE: JsonObject = {
    "subject": {"trace_id": "refund-8123-a", "event_id": "0197c2f4-6e02-7b1d-8a44-93b1c07d2e5f", "log_seq": 1284023},
    "reason": "Request for erasure 2026-118.",
    "requested_by": {"actor_type": "person", "actor_id": "jonas.weber"},
}
UPCASTERS: Upcasters = {}
