"""What was proposed beside what was carried out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from traces.domain.diff import MAX_CHANGES, Difference, diff
from traces.domain.envelope import StoredEvent
from traces.domain.labels import text

MEMBERS: Final = ("action_type", "target_system", "target_entity", "changes")
"""What a proposal promises, and what ``executed`` of a commit repeats."""


class ActionPair(NamedTuple):
    """A proposal and what became of it."""

    action_id: str
    proposed: StoredEvent | None
    """None: it was carried out without having been proposed."""
    committed: StoredEvent | None
    """None: nothing has been reported yet. The last report when there are several."""

    @property
    def told(self) -> bool:
        """Both are there, and the commit says what was really done."""
        return self.proposed is not None and self.committed is not None and _executed(self.committed) is not None


def pairs(events: Iterable[StoredEvent]) -> list[ActionPair]:
    """The actions of a trace in the order they were first named."""
    proposed: dict[str, StoredEvent] = {}
    committed: dict[str, StoredEvent] = {}
    order: dict[str, None] = {}
    for event in events:
        if event.event_type not in ("ActionProposed", "ActionCommitted"):
            continue
        ident = text(event.payload or {}, "action_id")
        if not ident:
            continue
        order.setdefault(ident)
        (proposed if event.event_type == "ActionProposed" else committed)[ident] = event
    return [ActionPair(ident, proposed.get(ident), committed.get(ident)) for ident in order]


def _executed(event: StoredEvent) -> dict[str, Any] | None:
    found = (event.payload or {}).get("executed")
    return found if isinstance(found, dict) else None


def deviation(pair: ActionPair, *, limit: int = MAX_CHANGES) -> Difference | None:
    """What was done otherwise than proposed; None when one of the two does not say (see ``told``)."""
    if pair.proposed is None or pair.committed is None:
        return None
    done = _executed(pair.committed)
    if done is None or pair.proposed.payload is None:
        return None
    promised = {name: pair.proposed.payload[name] for name in MEMBERS if name in pair.proposed.payload}
    return diff(promised, done, limit=limit)
