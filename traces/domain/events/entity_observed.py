"""EntityObserved: a business object takes part in the decision."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from traces.domain.events._values import Entity, Fact, JsonObject, Upcasters, Value


class Payload(Value):
    """A business object takes part in the decision."""

    entity: Entity
    role: Literal["primary", "related"] = Field(description="`primary` is what the decision is about.")
    facts: list[Fact] = Field(description="What is known about it.")


EXAMPLE: JsonObject = {
    "entity": {"entity_type": "passenger", "entity_id": "P-88213", "system": "res-core"},
    "role": "related",
    "facts": [{"key": "tier", "value": {"type": "string", "value": "gold"}, "as_of": None}],
}
UPCASTERS: Upcasters = {}
