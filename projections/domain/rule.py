"""What a projection rule is.

A rule says which rows an event makes. It never reads a database: the engine loads what the rule
asks for (`reads`, `history_trace`), calls `fold`, and writes what comes back. So the same rule
serves live catch-up, rebuild, verify, a retried dead letter and a test without a database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from operator import itemgetter
from typing import Any, NamedTuple, Protocol

from traces.domain.envelope import Said

Row = Mapping[str, Any]
"""Semantic columns of one row by name, without ``key`` and ``log_seq``. Values are JSON values."""

RowId = tuple[str, str]
"""(table, key)"""


class Merge(Enum):
    """How two writes of the same key meet."""

    REPLACE = "replace"
    """The rule read the current row (see `Rule.reads`) and says the whole new one."""
    FIRST = "first"
    """The write with the lowest ``log_seq`` wins, whenever it arrives."""
    APPEND = "append"
    """The key names the event, so a second write of it cannot happen."""


class Table(NamedTuple):
    """One read-model table of a projection."""

    name: str
    """For example ``node``; the engine maps (projection, name) to a model."""
    columns: tuple[str, ...]
    """Semantic columns in digest order, without ``key`` and ``log_seq``."""
    merge: Merge
    plain: bool = False
    """Every column holds text, an integer, a truth value, null or lists of them: such a row has one JSON
    form only, so writing it canonically needs no care."""


def picker(table: Table) -> Callable[[Row], tuple[Any, ...]]:
    """What takes a row's semantic columns out of it, in digest order."""
    if len(table.columns) == 1:  # itemgetter would answer with the value itself
        (only,) = table.columns
        return lambda row: (row[only],)
    return itemgetter(*table.columns)


class Put(NamedTuple):
    """Write this row."""

    table: str
    key: str
    log_seq: int
    """The event that made the row (for ``REPLACE``: the last event that changed it)."""
    row: Row


class Rule(Protocol):
    """A projection: its name, its version, and what an event does to which rows."""

    name: str
    version: int
    """Raised whenever the same events would make other rows; old generations then are incomparable."""
    tables: tuple[Table, ...]
    history_types: frozenset[str]
    """Event types `fold` wants to see from the trace named by `history_trace`."""

    def reads(self, event: Said) -> Iterable[RowId]:
        """The rows `fold` must see as they are before this event (``REPLACE`` tables only)."""

    def history_trace(self, event: Said) -> str | None:
        """The trace whose earlier events `fold` needs for this event, or None."""

    def fold(self, event: Said, state: Mapping[RowId, Row], history: Sequence[Said]) -> Iterable[Put]:
        """The rows this event makes.

        Total: an unknown event type, an unknown payload shape of a newer version or an erased
        payload yields nothing or what the envelope alone says. ``state`` holds every row named by
        `reads` that exists, including those made earlier in the same batch. ``history`` is the
        trace's earlier events of `history_types` in ``trace_seq`` order, empty when not asked for.
        """
