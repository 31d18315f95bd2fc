"""Columns of the trace list: which there are, what is shown when nobody chose, and what a file holds of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Column(NamedTuple):
    """One that may be shown beside the trace's name."""

    label: str
    cells: tuple[str, ...]
    """What of it goes into a file: names of `projections.domain.table.COLUMNS`."""


COLUMNS: dict[str, Column] = {
    "outcome": Column("Outcome", ("status", "outcome")),
    "workflow": Column("Workflow", ("workflow",)),
    "entity": Column("Entity", ("entity_type", "entity_id")),
    "policy": Column("Last policy", ("last_policy", "last_policy_decision")),
    "actors": Column("Actors", ("actors",)),
    "waiting": Column("Waits for people", ("open_exceptions", "open_approvals")),
    "actions": Column("Actions", ("actions_committed", "actions_failed")),
    "summary": Column("Summary", ("summary",)),
    "events": Column("Events", ("event_count",)),
    "duration": Column("Duration", ("started_at", "finished_at")),
    "started": Column("Started", ("started_at",)),
    "last": Column("Last activity", ("last_event_at",)),
}
"""By the name an address uses, in the order they stand in."""

FIXED = "outcome"
"""Never leaves: a list that does not say how things stand is no list of decisions."""

DEFAULT = ("outcome", "workflow", "entity", "policy", "events", "duration", "last")

ALWAYS_IN_FILES = ("trace_id", "title")


def chosen(names: Iterable[str]) -> tuple[str, ...]:
    """A choice in the order of the list, each once, with the one that never leaves.

    Raises ``ValueError`` that names the first unknown column and the known ones.
    """
    wanted = {FIXED, *names}
    if unknown := sorted(wanted - COLUMNS.keys()):
        raise ValueError(f"there is no column {unknown[0]!r}; choose from {', '.join(COLUMNS)}")
    return tuple(name for name in COLUMNS if name in wanted)


def from_text(text: str) -> tuple[str, ...]:
    """A choice as an address writes it: names with commas between. ``ValueError`` as of `chosen`."""
    return chosen(name for name in text.split(",") if name)


def text_of(names: Iterable[str]) -> str:
    """How an address writes a choice."""
    return ",".join(names)


def cells_of(names: Iterable[str]) -> tuple[str, ...]:
    """The columns of a file that holds what the list shows. An unknown name stays, for whoever checks them."""
    known = (COLUMNS[name].cells if name in COLUMNS else (name,) for name in names)
    wanted = [*ALWAYS_IN_FILES, *(cell for cells in known for cell in cells)]
    return tuple(dict.fromkeys(wanted))
