"""The state of a trace's page: what its address says, and the addresses it links to."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple
from urllib.parse import quote, urlencode

from pydantic import Field

from decisiongraph.core.api import Query
from traces import selectors
from traces.domain.envelope import StoredEvent


class TraceQuery(Query):
    """The state of the page: everything a link to it says."""

    event: int | Literal["last"] | None = None
    """``trace_seq`` of the event under the glass."""
    view: Literal["timeline", "list", "json"] = "timeline"
    scale: Literal["fold", "true"] = "fold"
    tab: Literal["payload", "envelope", "receipt", "diff"] = "payload"
    other: int | None = Field(default=None, ge=0, le=selectors.LAST)
    """The event that the one under the glass is compared with."""
    other_trace: str = Field(default="", max_length=200)
    """Its trace; empty: this one."""
    as_of: int | None = Field(default=None, ge=0, le=selectors.LAST)
    """The whole page as it was after this event."""
    part: Literal["head", "window", "inspector"] | None = None
    """Only this part of the page, for htmx."""
    start: int | None = Field(default=None, ge=0, le=2**31 - 1)
    """First event of the window asked for."""
    way: Literal["up", "down"] = "down"
    theme: str = ""

    @property
    def until(self) -> int:
        """The last event that the page knows of."""
        return selectors.LAST if self.as_of is None else self.as_of


class Stretch(NamedTuple):
    """Consecutive events of a trace."""

    events: list[StoredEvent]
    """With one event before the first, when there is one."""
    lead: int
    """1 with that event, else 0."""
    start: int
    more: bool
    """There are later events."""

    @property
    def own(self) -> list[StoredEvent]:
        """Without the one before."""
        return self.events[self.lead :]

    @property
    def whole(self) -> bool:
        """It is the whole trace."""
        return not self.start and not self.more


class Address:
    """Addresses below one trace's page, keeping the state of the page."""

    def __init__(self, slug: str, trace_id: str, query: TraceQuery) -> None:
        self.base = f"/t/{slug}/traces/{quote(trace_id, safe='')}"
        self.kept = {
            name: getattr(query, name)
            for name, default in (("view", "timeline"), ("scale", "fold"), ("as_of", None))
            if getattr(query, name) != default
        }

    def __call__(self, seq: int | str | None, *, tab: str = "payload", **changes: Any) -> str:
        """The page with this event under the glass; ``changes`` replace or (None) drop parameters."""
        values: dict[str, Any] = {} if seq is None else {"event": seq}
        if tab != "payload":
            values["tab"] = tab
        values |= self.kept | changes
        text = urlencode({name: value for name, value in values.items() if value is not None})
        return f"{self.base}?{text}" if text else self.base
