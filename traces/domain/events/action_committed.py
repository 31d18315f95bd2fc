"""ActionCommitted: the change was carried out, or was not."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from traces.domain.events._values import Executed, Json, JsonObject, Upcasters, Value


class Payload(Value):
    """The change was carried out, or was not."""

    action_id: str = Field(description="That of the proposal, when there was one.")
    status: Literal["success", "failure", "partial"]
    external_reference: str | None = Field(None, description="The id the other system gave.")
    error: Json = Field(None, description="What went wrong: text, or an object with details.")
    approval_id: str | None = Field(None, description="The approval it relies on.")
    executed: Executed | None = Field(None, description="What was really done; compared with what was approved.")


EXAMPLE: JsonObject = {
    "action_id": "act-1",
    "status": "success",
    "external_reference": "RF-5520913",
    "error": None,
    "approval_id": "AP-551",
    "executed": {
        "action_type": "refund.issue",
        "target_system": "payments",
        "target_entity": {"entity_type": "booking", "entity_id": "K7QX2M", "system": "res-core"},
        "changes": [
            {
                "path": "refund.amount",
                "old_value": {"type": "decimal", "value": "0.00"},
                "new_value": {"type": "decimal", "value": "612.40"},
            }
        ],
    },
}
UPCASTERS: Upcasters = {}
