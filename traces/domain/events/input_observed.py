"""InputObserved: data was read from another system."""

from __future__ import annotations

from pydantic import Field

from traces.domain.events._values import Fact, JsonObject, ObjectRef, Upcasters, Value


class Payload(Value):
    """Data was read from another system."""

    input_id: str = Field(description="Unique inside the trace; policies name it in `inputs`.")
    source: ObjectRef = Field(description="What was read and where.")
    facts: list[Fact] = Field(description="What it said.")


EXAMPLE: JsonObject = {
    "input_id": "in-booking",
    "source": {"system": "res-core", "object_type": "booking", "object_id": "K7QX2M", "locator": "/bookings/K7QX2M"},
    "facts": [
        {"key": "fare_paid", "value": {"type": "decimal", "value": "612.40"}, "as_of": "2026-01-12T09:41:00Z"},
        {"key": "currency", "value": {"type": "string", "value": "EUR"}},
    ],
}
UPCASTERS: Upcasters = {}
