"""The life of a replay, its progress, and what it found.

States: queued -> running -> completed | failed | cancelled. ``stalled`` is never stored: it is what
a running job looks like while its heartbeat is old, until another worker takes it over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

from projections.domain.digest import canonical_row
from projections.domain.rule import Row, Table
from traces.domain.canonical import jcs

State = Literal["queued", "running", "completed", "failed", "cancelled"]
ShownState = Literal["queued", "running", "stalled", "completed", "failed", "cancelled"]
Verdict = Literal["match", "mismatch", "incomparable"]
Kind = Literal["changed", "missing", "surplus"]

TRANSITIONS: dict[State, frozenset[State]] = {
    "queued": frozenset(("running", "failed", "cancelled")),
    "running": frozenset(("completed", "failed", "cancelled")),
    "completed": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
}
"""State -> where it may go. A takeover changes the worker, not the state."""

ACTIVE: frozenset[State] = frozenset(("queued", "running"))
"""States that keep another replay of the same projection from starting."""

MAX_DIFFERENCES = 1_000
"""Differing rows listed; all of them are counted."""

STALLED_AFTER = 15.0
"""Seconds without a heartbeat after which a running replay shows as stalled."""


class IllegalTransition(ValueError):
    """A replay cannot go from its state to the one asked for."""


def transition(state: State, target: State) -> State:
    """``target``, when a replay in ``state`` may go there.

    Raises:
        IllegalTransition: it may not; the message names where it may.
    """
    if target not in TRANSITIONS[state]:
        allowed = ", ".join(sorted(TRANSITIONS[state])) or "nothing, it is over"
        raise IllegalTransition(f"a {state} replay cannot become {target}; it can become {allowed}")
    return target


def shown_state(state: State, heartbeat_age: float | None, limit: float = STALLED_AFTER) -> ShownState:
    """The state an operator sees.

    Args:
        heartbeat_age: seconds since the worker last reported, None before the first report.
        limit: seconds after which a heartbeat is old.
    """
    if state == "running" and heartbeat_age is not None and heartbeat_age > limit:
        return "stalled"
    return state


# -- progress -------------------------------------------------------------------------------


class Sample(NamedTuple):
    """Where a replay was at one moment."""

    at: float
    """Seconds on any clock that only goes forward."""
    position: int
    """Last folded ``log_seq``."""


def rate(samples: Sequence[Sample], window: float = 10.0) -> float | None:
    """Events per second over the last ``window`` seconds, None before two moments are known.

    A replay that stands still has the rate 0, so its ETA is unknown and not a fantasy.
    """
    if len(samples) < 2:
        return None
    last = samples[-1]
    # the newest sample at or before the window's start, so that a slow replay has a rate too
    first = samples[0]
    for sample in samples[:-1]:
        if sample.at > last.at - window:
            break
        first = sample
    elapsed = last.at - first.at
    return max(0, last.position - first.position) / elapsed if elapsed > 0 else None


def progress(position: int, target: int) -> float:
    """Share done, 0 to 1; an empty log is done."""
    return 1.0 if target <= 0 else min(1.0, max(0, position) / target)


def eta_seconds(position: int, target: int, speed: float | None) -> float | None:
    """Seconds to go, 0 at the target, None while the rate is unknown or 0."""
    if position >= target:
        return 0.0
    return (target - position) / speed if speed else None


# -- verdict --------------------------------------------------------------------------------


class Stored(NamedTuple):
    """One row of a generation as it was read back from the database."""

    table: Table
    key: str
    log_seq: int
    row: Row

    @property
    def order(self) -> tuple[str, str]:
        """The position of the row in a sorted stream."""
        return (self.table.name, self.key)


class Difference(NamedTuple):
    """One row that differs between the live generation and the rebuilt one."""

    table: str
    key: str
    kind: Kind
    """``changed``; ``missing``: the live generation lacks it; ``surplus``: only live has it."""
    log_seq: int
    """The event that made the row, as the rebuilt generation says, else the live one."""
    columns: tuple[str, ...]
    """Names of the differing columns of a changed row, ``log_seq`` among them."""
    live: dict[str, Any] | None
    """The differing columns as they are; all of them when the row is surplus."""
    expected: dict[str, Any] | None
    """The differing columns as the log says; all of them when the row is missing."""


class Differences:
    """What differs, gathered bucket by bucket; counts are complete, the list is bounded."""

    def __init__(self, limit: int = MAX_DIFFERENCES) -> None:
        self.limit = limit
        self.rows: list[Difference] = []
        self.counts: dict[Kind, int] = {"changed": 0, "missing": 0, "surplus": 0}

    @property
    def total(self) -> int:
        """All differing rows, listed or not."""
        return sum(self.counts.values())

    def add_bucket(self, live: Iterable[Stored], rebuilt: Iterable[Stored]) -> None:
        """Compare one bucket (or any other part) of both generations.

        Rows are compared by content, never by a stored hash: whoever tampered with a row need not
        have touched its hash.

        Args:
            live: the rows by (table, key), in code point order.
            rebuilt: the same of the generation made from the log.
        """
        for mine, theirs in _pairs(iter(live), iter(rebuilt)):
            found = _difference(mine, theirs)
            if found is None:
                continue
            self.counts[found.kind] += 1
            if len(self.rows) < self.limit:
                self.rows.append(found)


def _pairs(live: Iterator[Stored], rebuilt: Iterator[Stored]) -> Iterator[tuple[Stored | None, Stored | None]]:
    """Rows of two sorted streams side by side, None where one has no such row."""
    mine, theirs = next(live, None), next(rebuilt, None)
    while mine is not None or theirs is not None:
        if theirs is None or (mine is not None and mine.order < theirs.order):
            yield mine, None
            mine = next(live, None)
        elif mine is None or theirs.order < mine.order:
            yield None, theirs
            theirs = next(rebuilt, None)
        else:
            yield mine, theirs
            mine, theirs = next(live, None), next(rebuilt, None)


def _content(stored: Stored) -> dict[str, Any]:
    return {name: stored.row[name] for name in stored.table.columns}


def _difference(live: Stored | None, rebuilt: Stored | None) -> Difference | None:
    if live is None:
        if rebuilt is None:
            return None
        table, key, log_seq, _ = rebuilt
        return Difference(table.name, key, "missing", log_seq, (), None, _content(rebuilt))
    table, key = live.table, live.key
    if rebuilt is None:
        return Difference(table.name, key, "surplus", live.log_seq, (), _content(live), None)
    if canonical_row(*live) == canonical_row(*rebuilt):
        return None
    mine = {"log_seq": live.log_seq, **_content(live)}
    theirs = {"log_seq": rebuilt.log_seq, **_content(rebuilt)}
    columns = tuple(name for name in mine if jcs(mine[name]) != jcs(theirs[name]))
    return Difference(
        table.name,
        key,
        "changed",
        rebuilt.log_seq,
        columns,
        {name: mine[name] for name in columns},
        {name: theirs[name] for name in columns},
    )


def verdict(*, live_rule_version: int, rule_version: int, live_digest: str | None, rebuilt_digest: str) -> Verdict:
    """What a comparison says.

    Args:
        live_rule_version: of the rule that made the live generation.
        rule_version: of the rule that made the rebuilt one.
        live_digest: of the live rows at the compared position, recomputed from the rows; None when
            none is known at that position (``until_log_seq`` without a recorded digest).
        rebuilt_digest: of the rebuilt rows at the same position and of the same kind.
    """
    if live_rule_version != rule_version or live_digest is None:
        return "incomparable"
    return "match" if live_digest == rebuilt_digest else "mismatch"
