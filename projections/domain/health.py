"""How well a projection follows the log, said as a state and in words.

States, worst first: ``failed`` (a batch failed too often), ``stale`` (behind and not moving, or far
behind in time), ``degraded`` (traces are parked), ``catching_up`` (behind), ``fresh``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

State = Literal["failed", "stale", "degraded", "catching_up", "fresh"]

STATES: tuple[State, ...] = ("failed", "stale", "degraded", "catching_up", "fresh")
"""Worst first."""


class Thresholds(NamedTuple):
    """When lag becomes worth a word; both times are settings."""

    failures: int = 5
    """Failed batches in a row that make a projection ``failed``."""
    unmoved_seconds: float = 15.0
    """Behind with an unmoved cursor for longer than this is ``stale``."""
    lag_seconds: float = 60.0
    """An unapplied event older than this is ``stale``."""


DEFAULTS = Thresholds()


class Observation(NamedTuple):
    """What is known about one projection at one moment."""

    name: str
    cursor: int
    """Last applied ``log_seq``."""
    head: int
    """Last ``log_seq`` of the tenant's log, read in the same snapshot."""
    failures: int
    """Failed batches since the last good one."""
    dead_letters: int
    """Open dead letters."""
    unmoved_seconds: float
    """Since the cursor last moved."""
    lag_seconds: float
    """Age of the oldest unapplied event, 0 without one."""

    @property
    def lag(self) -> int:
        """Events not applied yet."""
        return max(0, self.head - self.cursor)


def projection_state(seen: Observation, thresholds: Thresholds = DEFAULTS) -> State:
    """The state of one projection."""
    if seen.failures >= thresholds.failures:
        return "failed"
    if seen.lag > 0:
        # a cursor that rested for an hour is not late for an event that came a moment ago
        waited = min(seen.unmoved_seconds, seen.lag_seconds)
        if waited > thresholds.unmoved_seconds or seen.lag_seconds > thresholds.lag_seconds:
            return "stale"
    if seen.dead_letters > 0:
        return "degraded"
    return "catching_up" if seen.lag > 0 else "fresh"


def worst(states: Iterable[State]) -> State:
    """The worst of the states; ``fresh`` when there are none."""
    return min(states, key=STATES.index, default="fresh")


def tenant_state(seen: Iterable[Observation], thresholds: Thresholds = DEFAULTS) -> State:
    """The state of a tenant: the worst of its projections."""
    return worst(projection_state(item, thresholds) for item in seen)


def hero_line(seen: Sequence[Observation], thresholds: Thresholds = DEFAULTS) -> str:
    """One sentence: what needs attention first, and how much else does."""
    if not seen:
        return "No projection has been set up yet."
    states = [(projection_state(item, thresholds), item) for item in seen]
    ranked = sorted(states, key=lambda pair: (STATES.index(pair[0]), -pair[1].lag, pair[1].name))
    state, first = ranked[0]
    if state == "fresh":
        if first.head == 0:
            return "The log is empty; every projection is ready for the first event."
        return f"All caught up: every projection stands at event {first.head:,}."
    same = sum(1 for other, _ in ranked if other != "fresh") - 1
    rest = f" {_count(same, 'other projection')} {_needs(same)} attention too." if same else ""
    return _words(state, first) + rest


def _words(state: State, seen: Observation) -> str:
    if state == "failed":
        return (
            f"{seen.name} stopped at event {seen.cursor:,}: {_count(seen.failures, 'batch')} in a "
            f"row failed and {_count(seen.lag, 'event')} {_wait(seen.lag)}."
        )
    if state == "stale":
        return (
            f"{seen.name} does not keep up: {_count(seen.lag, 'event')} {_wait(seen.lag)}, the "
            f"oldest for {duration(seen.lag_seconds)}."
        )
    if state == "degraded":
        return (
            f"{seen.name} has set {_count(seen.dead_letters, 'event')} aside that its rule could "
            "not fold; everything else is current."
            if seen.lag == 0
            else f"{seen.name} has set {_count(seen.dead_letters, 'event')} aside that its rule "
            f"could not fold, and {_count(seen.lag, 'event')} {_wait(seen.lag)}."
        )
    return f"{seen.name} is catching up: {_count(seen.lag, 'event')} to go."


def _count(number: int, noun: str) -> str:
    plural = noun + ("es" if noun.endswith("ch") else "s")
    return f"{number:,} {noun if number == 1 else plural}"


def _wait(number: int) -> str:
    return "waits" if number == 1 else "wait"


def _needs(number: int) -> str:
    return "needs" if number == 1 else "need"


def duration(seconds: float) -> str:
    """A length of time as people say it, in its largest whole unit."""
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= 2 * size or (seconds >= size and unit != "minute"):
            return _count(int(seconds // size), unit)
    return _count(int(seconds), "second")
