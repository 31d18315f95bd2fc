"""The life of an incident. Pure."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

State = Literal["open", "acknowledged", "mitigated", "resolved"]
STATES: tuple[State, ...] = get_args(State)
UNRESOLVED: tuple[State, ...] = ("open", "acknowledged", "mitigated")
SEVERITIES: tuple[str, ...] = ("low", "medium", "high", "critical")
"""From the least to the worst."""
LINKS: tuple[str, ...] = ("trace", "approval", "incident", "replay", "finding")


class Rule(NamedTuple):
    """What people can do with an incident."""

    sources: tuple[State, ...]
    target: State | None
    past: str
    """For the audit log."""
    text: bool = False
    """Whether words are demanded."""
    versioned: bool = True
    """Whether it contradicts what somebody else does at the same time."""


TABLE: dict[str, Rule] = {
    "acknowledge": Rule(("open",), "acknowledged", "acknowledged"),
    "mitigate": Rule(("open", "acknowledged"), "mitigated", "mitigated", text=True),
    "resolve": Rule(UNRESOLVED, "resolved", "resolved", text=True),
    "reopen": Rule(("resolved",), "open", "reopened", text=True),
    "assign": Rule(UNRESOLVED, None, "assigned"),
    "rate": Rule(UNRESOLVED, None, "rated"),
    "link": Rule(STATES, None, "linked", versioned=False),
    "comment": Rule(STATES, None, "commented", text=True, versioned=False),
}


def allowed(status: str) -> tuple[str, ...]:
    """The actions a state knows."""
    return tuple(name for name, rule in TABLE.items() if status in rule.sources)
