"""What one may ask: a situation in words and values, or a trace; and what the answer says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr, field_validator
from pydantic import model_validator as _model_validator

from projections.domain.precedents.filters import Outcome
from projections.domain.precedents.ranking import Hit
from projections.domain.precedents.situation import MAX_ASKED, MAX_FACTS, MAX_OPENING, Situation
from projections.domain.precedents.words import masked

MAX_HITS = 50
MAX_NAMES = 32

_Name = Annotated[str, Field(min_length=1, max_length=200)]


class Fact(BaseModel):
    """A fact of the situation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: _Name
    value: StrictBool | StrictInt | StrictFloat | Annotated[StrictStr, Field(max_length=200)]


class Question(BaseModel):
    """A situation, or the trace it is in. Everything is optional, but something must be said."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    trace_id: _Name | None = None
    without: _Name | None = None
    """A trace that must not be found: an agent's own earlier run. The trace that asks never is."""
    workflow: _Name | None = None
    entity_type: _Name | None = None
    policy: Annotated[str, Field(min_length=1, max_length=400)] | None = None
    violation_codes: list[_Name] = Field(default=[], max_length=MAX_NAMES)
    action_type: _Name | None = None
    facts: list[Fact] = Field(default=[], max_length=MAX_FACTS)
    text: Annotated[str, Field(max_length=MAX_ASKED)] = ""
    outcome: Outcome | None = None
    as_of: Annotated[int, Field(ge=0, le=2**53 - 1)] | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_HITS)] = 10

    @field_validator("policy")
    @classmethod
    def _policy(cls, value: str | None) -> str | None:
        if value is not None and not all(value.rpartition("@")[::2]):
            raise ValueError("must be <id>@<version>")
        return value

    @field_validator("facts")
    @classmethod
    def _once(cls, value: list[Fact]) -> list[Fact]:
        repeated = [key for key, count in Counter(fact.key for fact in value).items() if count > 1]
        if repeated:
            raise ValueError(f"names {repeated[0]} more than once")
        return value

    @_model_validator(mode="after")
    def _something(self) -> Self:
        described = self.described()
        if self.trace_id is not None and described:
            raise ValueError("give a trace_id or describe a situation, not both")
        if self.trace_id is None and not described:
            raise ValueError("describe a situation by at least one field, or give a trace_id")
        return self

    def described(self) -> bool:
        """Whether anything of a situation is said."""
        named = (self.workflow, self.entity_type, self.policy, self.action_type)
        return bool(any(named) or self.violation_codes or self.facts or self.text.strip())

    def situation(self) -> Situation:
        """The situation that is described."""
        asked = masked(self.text)
        return Situation(
            workflow=self.workflow,
            entity_type=self.entity_type,
            policies=(self.policy,) if self.policy is not None else (),
            codes=tuple(sorted(set(self.violation_codes))),
            actions=(self.action_type,) if self.action_type is not None else (),
            facts=tuple(sorted((fact.key, fact.value) for fact in self.facts)),
            opening=masked(self.text.strip().partition("\n")[0])[:MAX_OPENING],
            asked=asked,
            spoken=bool(asked.strip()),
        )


class Answer(NamedTuple):
    """Ranked hits, the other way first."""

    hits: tuple[Hit, ...]
    """Counter-precedents by score, then the others by score."""
    counters: int
    """How many of them were decided the other way."""
    outcome: str | None
    """What "the other way" is other than: the outcome asked for, else the most frequent one of the
    hits (of equally frequent ones that of the best hit)."""
    split: tuple[tuple[str, int], ...]
    """Outcome and number, the most frequent first."""

    @property
    def agreement(self) -> float:
        """Share of the hits that were decided as `outcome`, 0 to 1."""
        return (len(self.hits) - self.counters) / len(self.hits) if self.hits else 0.0


def answered(hits: Sequence[Hit], wanted: str | None) -> Answer:
    """Hits in order of score, put the other way first and counted."""
    counts = Counter(hit.case.outcome for hit in hits)
    first = {hit.case.outcome: place for place, hit in reversed(list(enumerate(hits)))}
    split = tuple(sorted(counts.items(), key=lambda pair: (-pair[1], first[pair[0]])))
    outcome = wanted or (split[0][0] if split else None)
    other = [hit for hit in hits if hit.case.outcome != outcome]
    same = [hit for hit in hits if hit.case.outcome == outcome]
    return Answer((*other, *same), len(other), outcome, split)


def typed_facts(text: str) -> list[Fact]:
    """``amount=120, vip=true`` as facts: numbers and booleans where a value reads as one.

    Raises ValueError with the part that has no ``=`` or no name.
    """
    found = []
    for part in (piece.strip() for piece in text.replace("\n", ",").split(",")):
        if not part:
            continue
        key, equals, value = (side.strip() for side in part.partition("="))
        if not key or not equals:
            raise ValueError(f"write facts as name=value, separated by commas; {part[:40]!r} is none")
        found.append(Fact(key=key, value=_typed(value)))
    return found


def _typed(text: str) -> bool | int | float | str:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        if abs(value) < 2**53:
            return value
    return text
