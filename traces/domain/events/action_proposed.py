"""ActionProposed: a change to the world is intended."""

from __future__ import annotations

from pydantic import Field

from traces.domain.events._values import Entity, Json, JsonObject, PolicyRef, Upcasters, Value


class Payload(Value):
    """A change to the world is intended."""

    action_id: str = Field(description="Unique inside the trace.")
    action_type: str
    target_entity: Entity
    target_system: str
    changes: list[Json] = Field(description="What would change, for example `{path, old_value, new_value}`.")
    requires_approval: bool | None = Field(None, description="True opens an approval before it may run.")
    policy: PolicyRef | None = None


EXAMPLE: JsonObject = {
    "action_id": "act-1",
    "action_type": "refund.issue",
    "target_entity": {"entity_type": "booking", "entity_id": "K7QX2M", "system": "res-core"},
    "target_system": "payments",
    "changes": [
        {
            "path": "refund.amount",
            "old_value": {"type": "decimal", "value": "0.00"},
            "new_value": {"type": "decimal", "value": "612.40"},
        }
    ],
    "requires_approval": True,
    "policy": {"policy_id": "refund.cap", "policy_version": "3"},
}
UPCASTERS: Upcasters = {}
