"""PrecedentCited: an earlier decision was used as a guide."""

from __future__ import annotations

from pydantic import Field

from traces.domain.events._values import JsonObject, Upcasters, Value


class Payload(Value):
    """An earlier decision was used as a guide."""

    cited_trace_id: str
    reason: str
    similarity_score: str | None = Field(None, description="A decimal as text, for example `0.91`.")


EXAMPLE: JsonObject = {
    "cited_trace_id": "refund-7714-b",
    "reason": "Same policy, cause and fare class.",
    "similarity_score": "0.91",
}
UPCASTERS: Upcasters = {}
