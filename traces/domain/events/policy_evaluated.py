"""PolicyEvaluated: a rule of the business was applied."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from traces.domain.events._values import Json, JsonObject, PolicyRef, PolicyViolation, Upcasters, Value


class Payload(Value):
    """A rule of the business was applied to the inputs."""

    policy: PolicyRef
    inputs: list[Json] = Field(description="The `input_id`s it was applied to.")
    decision: Literal["allow", "deny", "require_exception"]
    violations: list[PolicyViolation] | None = Field(None, description="Why it did not simply allow.")
    explanation: JsonObject | None = Field(None, description="How it came to that, for people.")


EXAMPLE: JsonObject = {
    "policy": {"policy_id": "refund.cap", "policy_version": "3"},
    "inputs": ["in-booking", "in-fare-rules"],
    "decision": "require_exception",
    "violations": [{"code": "EXCEEDS_CAP", "details": {"amount": "612.40", "cap": "400.00", "currency": "EUR"}}],
    "explanation": {"summary": "612.40 EUR exceeds the cap of 400.00 EUR."},
}
UPCASTERS: Upcasters = {}
