"""What one may ask of the precedents: the filters of the precedent list."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Outcome = Literal["success", "failure", "abandoned"]

_Identifier = Annotated[str, Field(min_length=1, max_length=200)]

COLUMNS: dict[str, str] = {
    "entity_type": "primary_entity_type",
    "entity_id": "primary_entity_id",
    "policy_id": "policy_id",
    "policy_version": "policy_version",
    "outcome": "outcome",
    "workflow": "workflow",
}
"""Filter name -> column of the ``precedent`` table."""


class PrecedentFilter(BaseModel):
    """Filters that all have to hold; none given means every precedent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    entity_type: _Identifier | None = None
    entity_id: _Identifier | None = None
    policy_id: _Identifier | None = None
    policy_version: _Identifier | None = None
    outcome: Outcome | None = None
    workflow: _Identifier | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        # an id or a version alone names nothing: 42 may be a ticket and an account
        if self.entity_id is not None and self.entity_type is None:
            raise ValueError("entity_id needs entity_type beside it")
        if self.policy_version is not None and self.policy_id is None:
            raise ValueError("policy_version needs policy_id beside it")
        return self

    def conditions(self) -> dict[str, str]:
        """Column -> the value it must equal."""
        values = {name: getattr(self, name) for name in COLUMNS}
        return {COLUMNS[name]: value for name, value in values.items() if value is not None}
