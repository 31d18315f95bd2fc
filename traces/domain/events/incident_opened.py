"""IncidentOpened: something needs people's attention beyond one decision."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from traces.domain.events._values import JsonObject, TraceSubject, Upcasters, Value


class Payload(Value):
    """Something needs people's attention beyond one decision."""

    incident_id: str
    subject: TraceSubject | None = Field(None, description="The trace it came from, when there is one.")
    severity: Literal["low", "medium", "high", "critical"]
    title: str
    cause: str | None = Field(None, description="For example `action.digest_mismatch` or `projection.stale`.")


EXAMPLE: JsonObject = {
    "incident_id": "0197c2f6-02be-7a55-8d3c-1c9b7e604411",
    "subject": {"trace_id": "refund-8123-a", "event_id": "0197c2f4-9d31-7e60-a1f2-0b5d8c7e6a42"},
    "severity": "high",
    "title": "Refund committed without approval",
    "cause": "action.not_approved",
}
UPCASTERS: Upcasters = {}
