"""The time axis of a waterfall: milliseconds to percent of the lane, long gaps folded."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from typing import NamedTuple

from traces.domain.labels import duration

LANE_END = 98.5
"""Percent of the lane that is used; the rest leaves room for the last mark."""
FOLD_WIDTH = 18.0
FOLDS_WIDTH = 42.0
"""Percent for one fold, and at most for all together."""
MAX_FOLDS = 6
_FOLD_RATIO = 20
"""A gap is folded when it is this many times the usual gap and a tenth of the whole."""


class Tick(NamedTuple):
    """A line of the axis."""

    x: str
    label: str


class Fold(NamedTuple):
    """A stretch of the lane that is not to scale."""

    x: str
    width: str
    middle: str
    label: str
    """How long it really is."""


def percent(value: float) -> str:
    """A position as SVG attributes take it, ``46.03%``."""
    return f"{min(max(value, 0.0), 100.0):.2f}%"


class Scale:
    """Milliseconds to percent of the lane: straight pieces, narrow where a gap is folded."""

    def __init__(self, offsets: list[int], *, fold: bool) -> None:
        self.total = offsets[-1]
        folded = _long_gaps(offsets) if fold else []
        fold_width = min(FOLD_WIDTH, FOLDS_WIDTH / len(folded)) if folded else 0.0
        plain = self.total - sum(end - begin for begin, end in folded)
        self.rate = (LANE_END - fold_width * len(folded)) / plain if plain else 0.0
        """Percent per millisecond outside the folds."""
        self.times: list[int] = []
        self.places: list[float] = []
        self.rates: list[float] = []
        self.folded: list[tuple[int, int]] = folded
        time, place = 0, 0.0
        for begin, end in folded:
            self._piece(time, place, self.rate)
            place += (begin - time) * self.rate
            self._piece(begin, place, fold_width / (end - begin))
            place += fold_width
            time = end
        self._piece(time, place, self.rate)

    def _piece(self, time: int, place: float, rate: float) -> None:
        self.times.append(time)
        self.places.append(place)
        self.rates.append(rate)

    def at(self, offset: int) -> float:
        """Percent of the lane."""
        piece = bisect_right(self.times, offset) - 1
        return self.places[piece] + (offset - self.times[piece]) * self.rates[piece]

    def folds(self) -> tuple[Fold, ...]:
        """The gaps that are folded: where they stand in the lane, in percent, and how long they were."""
        shown = []
        for begin, end in self.folded:
            x, width = self.at(begin), self.at(end) - self.at(begin)
            shown.append(Fold(percent(x), percent(width), percent(x + width / 2), duration(end - begin)))
        return tuple(shown)

    def ticks(self) -> tuple[Tick, ...]:
        """Round times outside the folds and the end of each fold, at least 7 % apart."""
        candidates: list[tuple[int, bool]] = [(0, True)] + [(end, True) for _, end in self.folded]
        if self.rate:
            step = _step(self.total if not self.folded else round(LANE_END / self.rate))
            bounds = [0, *(t for gap in self.folded for t in gap), self.total]
            for begin, end in zip(bounds[::2], bounds[1::2], strict=True):
                candidates += [(time, False) for time in range(-(-begin // step) * step, end + 1, step) if time]
        chosen: list[int] = []
        for time, _ in sorted(candidates, key=lambda c: (not c[1], c[0])):
            if time == 0 or all(abs(self.at(time) - self.at(other)) >= 7 for other in chosen):
                chosen.append(time)
        return tuple(Tick(percent(self.at(time)), duration(time) if time else "0") for time in sorted(set(chosen)))


def _long_gaps(offsets: list[int]) -> list[tuple[int, int]]:
    """Gaps far longer than the usual one, the longest few; neighbours are one fold."""
    gaps = [(b - a, a, b) for a, b in pairwise(offsets) if b > a]
    if len(gaps) < 2:
        return []
    usual = sorted(length for length, _, _ in gaps)[(len(gaps) - 1) // 2]
    least = max(usual * _FOLD_RATIO, offsets[-1] // 10, 1)
    longest = sorted((gap for gap in gaps if gap[0] >= least), reverse=True)
    merged: list[tuple[int, int]] = []
    for _, begin, end in sorted(longest, key=lambda gap: gap[1]):
        if merged and merged[-1][1] == begin:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((begin, end))
    merged.sort(key=lambda gap: gap[0] - gap[1])
    return sorted(merged[:MAX_FOLDS])


_STEPS = (
    1, 2, 5, 10, 20, 50, 100, 200, 500,
    1_000, 2_000, 5_000, 10_000, 15_000, 30_000,
    60_000, 120_000, 300_000, 600_000, 900_000, 1_800_000,
    3_600_000, 7_200_000, 10_800_000, 21_600_000, 43_200_000, 86_400_000,
)  # fmt: skip


def _step(span: int) -> int:
    """A round number of milliseconds that divides ``span`` into about six."""
    wanted = max(span // 6, 1)
    for step in _STEPS:
        if step >= wanted:
            return step
    days = -(-wanted // 86_400_000)
    factor = 1
    while days > factor * 10:
        factor *= 10
    return next(n for n in (1, 2, 5, 10) if n * factor >= days) * factor * 86_400_000
