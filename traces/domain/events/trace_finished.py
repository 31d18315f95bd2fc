"""TraceFinished: the decision is over."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from traces.domain.events._values import JsonObject, Upcasters, Value


class Payload(Value):
    """The decision is over. No event is accepted after it."""

    outcome: Literal["success", "failure", "abandoned"]
    summary: str | None = Field(None, description="What came of it, for people.")


EXAMPLE: JsonObject = {"outcome": "success", "summary": "Refunded 612.40 EUR by exception."}
UPCASTERS: Upcasters = {}
