"""Which finished decisions are most like a situation, and why.

Two steps. First every case is compared with the question: its structure part by part, its text in
two ways: its phrases (cosine of words and neighbouring words of the whole request), and near pairs of
words (BM25: the opening against each case's best turn, plus the whole request against the whole), each
scaled so that the best case has 1. Then cases lend to their kin:
a case whose nearest cases fit as well is a better precedent than a lone match of a common phrase
(cluster-based smoothing: Kurland, Lee 2004). Kin are cases whose requests are alike; nobody's
outcome, and nothing that a system answered, has a part in it.

The score is the sum of its parts. Equal scores stand in the order of the log, the latest first.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from projections.domain.precedents.likeness import Likeness, structure
from projections.domain.precedents.situation import Case, Situation
from projections.domain.precedents.words import Bag, BestTurns, Bm25, Cosine, pairs, phrases


class Tuning(NamedTuple):
    """Everything about the ranking that could be otherwise. ``make eval`` tries others."""

    phrases: float = 1.0
    """How much the phrases of the request count."""
    pairs: float = 1.0
    """How much its near pairs of words count."""
    kin: int = 3
    """Nearest cases that lend to a case."""
    share: float = 0.5
    """Share of the score that comes from kin; 0 for a question without text."""


TUNING = Tuning()
"""What the product uses."""

WEIGHTS: Mapping[str, float] = {
    "workflow": 0.5,
    "entity": 0.5,
    "policy": 1.0,
    "violations": 1.0,
    "actions": 1.0,
    "facts": 1.0,
    "meaning": 1.0,
}
"""How much each part beside the text counts, if the question says something about it. Workflow and
entity type count half: most cases share them."""

Embed = Callable[[Sequence[str]], Sequence[Sequence[float]]]
"""Texts to vectors of one length: the optional embedding backend."""


class Part(NamedTuple):
    """One summand of a score."""

    name: str
    points: float
    most: float
    """Points a perfect match would give."""
    words: str


class Hit(NamedTuple):
    """One case with its score."""

    case: Case
    score: float
    """0 to 1, the sum of the points of its parts."""
    parts: tuple[Part, ...]


class Prepared(NamedTuple):
    """The bags of a request."""

    phrases: Bag
    turns: tuple[Bag, ...]
    """The near pairs of each turn, the opening first."""
    pairs: Bag
    """Those of all turns."""


def prepare(situation: Situation) -> Prepared:
    """The bags of its request."""
    return _prepared(situation.asked)


# The same cases are candidates again and again. Some 90 KB each: at most 50 MB a process.
@lru_cache(maxsize=512)
def _prepared(asked: str) -> Prepared:
    turns = tuple(pairs(turn) for turn in asked.split("\n"))
    together: Counter[str] = Counter()
    for turn in turns:
        together.update(turn)
    return Prepared(phrases(asked), turns, together)


def _scaled(values: Sequence[float]) -> list[float]:
    most = max(values, default=0.0)
    return [value / most for value in values] if most > 0 else [0.0] * len(values)


def _inner(first: Sequence[float], second: Sequence[float]) -> float:
    return math.fsum(a * b for a, b in zip(first, second, strict=True))


def _meaning(query: Situation, cases: Sequence[Case], embed: Embed) -> list[float]:
    """Cosine of the embeddings of the requests, not below 0."""
    vectors = embed([query.asked, *(case.situation.asked for case in cases)])
    lengths = [math.sqrt(_inner(vector, vector)) for vector in vectors]
    return [
        max(0.0, _inner(vectors[0], vector) / (lengths[0] * length)) if lengths[0] and length else 0.0
        for vector, length in zip(vectors[1:], lengths[1:], strict=True)
    ]


class Compared:
    """A question compared with every case: all that a ranking needs, whatever its `Tuning`."""

    def __init__(self, query: Situation, cases: Sequence[Case], *, embed: Embed | None = None) -> None:
        self.cases = sorted(cases, key=lambda case: (-case.log_seq, case.trace_id))
        self.spoken = bool(query.asked.strip())
        self.parts = [structure(query, case.situation) for case in self.cases]
        self._alike: list[list[float]] | None = None
        """Cosines of the requests of the cases; None for a question without text."""
        self._nearest: dict[int, list[tuple[int, float]]] = {}
        if self.spoken and self.cases:
            self._text(query, embed)

    def _text(self, query: Situation, embed: Embed | None) -> None:
        asked = prepare(query)
        bags = [prepare(case.situation) for case in self.cases]
        requests = Cosine([bag.phrases for bag in bags])
        self._alike = requests.among()
        near = BestTurns([bag.turns for bag in bags]).scores(asked.turns[0])
        if len(asked.turns) > 1:
            whole = Bm25([bag.pairs for bag in bags]).scores(asked.pairs)
            near = [first + second for first, second in zip(near, whole, strict=True)]
        for parts, value in zip(self.parts, _scaled(requests.scores(asked.phrases)), strict=True):
            parts.append(Likeness("phrases", value, f"phrases of the request: {value:.0%} of the best match"))
        for parts, value in zip(self.parts, _scaled(near), strict=True):
            parts.append(Likeness("pairs", value, f"words near each other: {value:.0%} of the best match"))
        if embed is not None:
            for parts, value in zip(self.parts, _meaning(query, self.cases, embed), strict=True):
                parts.append(Likeness("meaning", value, f"meaning of the request: {value:.0%} alike"))

    def nearest(self, index: int, number: int) -> list[tuple[int, float]]:
        """The ``number`` cases whose requests are nearest to one, with their cosine, the nearest first."""
        found = self._nearest.get(index)
        if found is None or len(found) < number:
            near = self._alike[index] if self._alike is not None else []
            others = (other for other in range(len(near)) if other != index and near[other] > 0)
            best = heapq.nsmallest(number, others, key=lambda other: (-near[other], other))
            found = self._nearest[index] = [(other, near[other]) for other in best]
        return found[:number]

    def scores(self, tuning: Tuning) -> list[float]:
        """The score of each of `cases` under a tuning, without its parts: to try many."""
        weights = {**WEIGHTS, "phrases": tuning.phrases, "pairs": tuning.pairs}
        own = [_weighed(parts, weights) for parts in self.parts]
        share = tuning.share if self._alike is not None and len(self.cases) > 1 else 0.0
        if not share:
            return own
        return [
            (1 - share) * value + share * _lent(own, self.nearest(index, tuning.kin)) for index, value in enumerate(own)
        ]

    def hits(self, tuning: Tuning = TUNING, *, limit: int | None = None) -> list[Hit]:
        """The cases, the best first."""
        weights = {**WEIGHTS, "phrases": tuning.phrases, "pairs": tuning.pairs}
        own = [_weighed(parts, weights) for parts in self.parts]
        share = tuning.share if self._alike is not None and len(self.cases) > 1 else 0.0
        found = []
        for index, case in enumerate(self.cases):
            kin = self.nearest(index, tuning.kin) if share else []
            found.append(_hit(case, self.parts[index], weights, share, _lent(own, kin), len(kin)))
        # stable: cases of the same score stay in the order of the log
        return sorted(found, key=lambda hit: -hit.score)[:limit]


def _weighed(parts: Sequence[Likeness], weights: Mapping[str, float]) -> float:
    total = math.fsum(weights[part.name] for part in parts)
    return math.fsum(weights[part.name] * part.value for part in parts) / total if total else 0.0


def _lent(own: Sequence[float], kin: Sequence[tuple[int, float]]) -> float:
    """Mean of the kin's own scores, weighted by their likeness."""
    total = math.fsum(likeness for _, likeness in kin)
    return math.fsum(likeness * own[other] for other, likeness in kin) / total if total else 0.0


def rank(
    query: Situation,
    cases: Sequence[Case],
    *,
    limit: int,
    without: str | None = None,
    embed: Embed | None = None,
) -> list[Hit]:
    """The ``limit`` cases most like the question, the best first. One that shares nothing with it is none.

    Args:
        without: a trace that must not be found: the one that asks.
        embed: turns requests into vectors; adds the part ``meaning``.
    """
    others = [case for case in cases if case.trace_id != without]
    return [hit for hit in Compared(query, others, embed=embed).hits(limit=limit) if hit.score > 0]


def _hit(
    case: Case, compared: Sequence[Likeness], weights: Mapping[str, float], share: float, lent: float, kin: int
) -> Hit:
    total = math.fsum(weights[part.name] for part in compared)
    parts = []
    for part in compared:
        most = (1 - share) * weights[part.name] / total if total else 0.0
        parts.append(Part(part.name, most * part.value, most, part.words))
    if share:
        said = f"the {kin} cases nearest to it fit {lent:.0%} on their own" if kin else "no case is near it"
        parts.append(Part("kin", share * lent, share, said))
    return Hit(case, math.fsum(part.points for part in parts), tuple(parts))
