"""TraceStarted: a decision begins."""

from __future__ import annotations

from pydantic import Field

from traces.domain.events._values import Entity, JsonObject, Upcasters, Value


class Payload(Value):
    """A decision begins. Always the first event of a trace (`trace_seq` 0)."""

    workflow: str = Field(description="The kind of decision, for example `refund.request`.")
    title: str = Field(description="One line for people.")
    primary_entity: Entity = Field(description="What the decision is about.")
    context: JsonObject | None = Field(None, description="Anything known at the start.")


EXAMPLE: JsonObject = {
    "workflow": "refund.request",
    "title": "Refund of cancelled flight, booking K7QX2M",
    "primary_entity": {"entity_type": "booking", "entity_id": "K7QX2M", "system": "res-core"},
    "context": {"channel": "chat"},
}
UPCASTERS: Upcasters = {}
