"""Values that several event types share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Json = Any
"""Any value of JSON."""
JsonObject = dict[str, Any]
Upcaster = Callable[[JsonObject], JsonObject]
"""Turns the payload of one schema version into that of the next; never changes its argument."""
Upcasters = Mapping[int, Upcaster]

ActorType = Literal["agent", "person", "role", "system"]
Priority = Literal["low", "normal", "high", "urgent"]
Decision = Literal["approved", "rejected"]
Evidence = Annotated[list[Json], Field(description="References or quotations that support the statement.")]


class Value(BaseModel):
    """Part of a payload. Types are exact, nothing is converted; unknown keys are kept."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)


class Entity(Value):
    """A business object outside the platform."""

    entity_type: str = Field(description="For example `account`.")
    entity_id: str = Field(description="Its id in the system that owns it.")
    system: str | None = Field(None, description="The system that owns it.")


class TypedValue(Value):
    """A value with the type its producer gives it."""

    type: str = Field(description="For example `string`, `int`, `decimal`, `timestamp`.")
    value: Json = Field(description="Any JSON value; exact numbers are best sent as strings.")


class Fact(Value):
    """One thing that was known."""

    key: str = Field(description="What is known, for example `deal_value`.")
    value: TypedValue
    as_of: str | None = Field(None, description="When it was true, RFC 3339.")


class PolicyRef(Value):
    """One version of a policy."""

    policy_id: str
    policy_version: str


class ObjectRef(Value):
    """An object of another system that was read."""

    system: str
    object_type: str
    object_id: str
    locator: Json = Field(None, description="Where exactly, for example a URL, a row, a page.")


class PolicyViolation(Value):
    """One reason why a policy did not simply allow."""

    code: str
    details: Json = Field(description="Figures that were compared, for example.")


class ActorRef(Value):
    """Who did something."""

    actor_type: ActorType
    actor_id: str


class Subject(Value):
    """What an approval is about."""

    subject_type: str = Field(description="For example `exception` or `action`.")
    subject_id: str


class TraceSubject(Value):
    """What a platform event is about; the trace is the agent's, not the review trace."""

    trace_id: str
    event_id: str | None = Field(None, description="The event of that trace, when there is one.")
    subject_type: str | None = Field(None, description="`exception`, `action`, `event`, `trace`, ...")
    subject_id: str | None = None


class Executed(Value):
    """What was really done, in the terms of the proposal."""

    action_type: str
    target_system: str
    target_entity: Entity
    changes: list[Json]
    policy: PolicyRef | None = None
