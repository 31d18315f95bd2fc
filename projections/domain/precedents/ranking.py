"""Which finished decisions are most like a situation, and why.

Two steps. First every case is compared with the question: its structure part by part, its text in
five ways (`CHANNELS`), each scaled so that the best candidate has 1. Then cases lend to their kin:
a case whose nearest cases fit as well is a better precedent than a lone match of a common phrase
(cluster-based smoothing: Kurland, Lee 2004; here over the three nearest). Kin are chosen by what
was said and found in the cases, never by their outcome.

The score is the sum of its parts. Equal scores stand in the order of the log, the latest first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from projections.domain.precedents.likeness import Likeness, structure
from projections.domain.precedents.situation import Case, Situation
from projections.domain.precedents.words import Bag, Bm25, Cosine, Pruned, grams, phrases, terms, words

WEIGHTS: dict[str, float] = {
    "workflow": 0.5,
    "entity": 0.5,
    "policy": 1.0,
    "violations": 1.5,
    "actions": 1.0,
    "facts": 2.0,
    "opening_grams": 1.0,
    "opening_shape": 0.5,
    "request_words": 0.5,
    "request_phrases": 1.0,
    "request_grams": 0.5,
    "meaning": 1.0,
}
"""How much each part counts; of those the question says something about."""

KIN = 3
"""Nearest cases that lend to a case."""
KIN_SHARE = 0.4
"""Share of the score that comes from kin; 0 for a question without text."""
KIN_FIELDS = (0, 3, 4, 5)
KIN_WEIGHTS = (0.75, 0.5, 0.5, 1.0)
"""What kin are chosen by: spelling of openings, phrases and spelling of requests, findings."""
KEPT_TERMS = 128
"""Heaviest terms of a text by which cases find their kin."""
SHORTLIST = 60
"""Cases whose kin are looked up: the best by their own score."""

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
    """The bags of one text field set, made once a situation."""

    opening_grams: Bag
    opening_shape: Bag
    request_words: Bag
    request_phrases: Bag
    request_grams: Bag
    found: Bag


_three, _four = grams(3), grams(4)


def prepare(situation: Situation) -> Prepared:
    """The bags of its texts."""
    return Prepared(
        _three(situation.opening),
        _four(situation.opening),
        words(situation.asked),
        phrases(situation.asked),
        _four(situation.asked),
        terms(situation.found),
    )


class Channel(NamedTuple):
    """One way of comparing texts."""

    name: str
    field: int
    """Index in `Prepared`."""
    label: str
    cosine: bool


CHANNELS = (
    Channel("opening_grams", 0, "spelling of the opening", False),
    Channel("opening_shape", 1, "shape of the opening", True),
    Channel("request_words", 2, "words of the request", False),
    Channel("request_phrases", 3, "phrases of the request", True),
    Channel("request_grams", 4, "spelling of the request", True),
)


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


def _text(
    query: Situation, cases: Sequence[Case], bags: Sequence[Prepared], embed: Embed | None
) -> list[list[Likeness]]:
    """The text likenesses of each case; none for a question without text."""
    found: list[list[Likeness]] = [[] for _ in cases]
    if not query.asked.strip():
        return found
    asked = prepare(query)
    for channel in CHANNELS:
        documents = [bag[channel.field] for bag in bags]
        index: Bm25 | Cosine = Cosine(documents) if channel.cosine else Bm25(documents)
        for parts, value in zip(found, _scaled(index.scores(asked[channel.field])), strict=True):
            parts.append(Likeness(channel.name, value, f"{channel.label}: {value:.0%} of the best match"))
    if embed is not None:
        for parts, value in zip(found, _meaning(query, cases, embed), strict=True):
            parts.append(Likeness("meaning", value, f"meaning of the request: {value:.0%} alike"))
    return found


class Kinship:
    """Which cases are alike among themselves."""

    def __init__(self, bags: Sequence[Prepared]) -> None:
        self._indexes = tuple(Pruned(Cosine([bag[field] for bag in bags]), KEPT_TERMS) for field in KIN_FIELDS)
        self.size = len(bags)

    def nearest(self, index: int) -> list[tuple[int, float]]:
        """The `KIN` nearest others with their likeness, the nearest first."""
        totals = [0.0] * self.size
        for weight, channel in zip(KIN_WEIGHTS, self._indexes, strict=True):
            for other, value in enumerate(_scaled(channel.scores(index))):
                totals[other] += weight * value
        totals[index] = -1.0
        order = sorted(range(self.size), key=lambda other: (-totals[other], other))[:KIN]
        return [(other, totals[other]) for other in order if totals[other] > 0]


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
    prepared: Sequence[Prepared] | None = None,
) -> list[Hit]:
    """The ``limit`` cases most like the question, the best first.

    Args:
        without: a trace that must not be found: the one that asks.
        embed: turns requests into vectors; adds the part ``meaning``.
        prepared: `prepare` of each case's situation, when the caller has them.
    """
    bags = list(prepared) if prepared is not None else [prepare(case.situation) for case in cases]
    chosen = sorted(
        ((case, bag) for case, bag in zip(cases, bags, strict=True) if case.trace_id != without),
        key=lambda pair: (-pair[0].log_seq, pair[0].trace_id),
    )
    cases, bags = [case for case, _ in chosen], [bag for _, bag in chosen]
    texts = _text(query, cases, bags, embed)
    compared = [[*structure(query, case.situation), *parts] for case, parts in zip(cases, texts, strict=True)]
    own = []
    for parts in compared:
        total = math.fsum(WEIGHTS[part.name] for part in parts)
        own.append(math.fsum(WEIGHTS[part.name] * part.value for part in parts) / total if total else 0.0)
    order = sorted(range(len(cases)), key=lambda index: (-own[index], index))
    share = KIN_SHARE if query.asked.strip() and len(cases) > 1 else 0.0
    kinship = Kinship(bags) if share else None
    hits = []
    for place, index in enumerate(order):
        kin = kinship.nearest(index) if kinship is not None and place < SHORTLIST else []
        hits.append(_hit(cases[index], compared[index], share, _lent(own, kin), len(kin)))
    return sorted(hits, key=lambda hit: -hit.score)[:limit]


def _hit(case: Case, compared: Sequence[Likeness], share: float, lent: float, kin: int) -> Hit:
    total = math.fsum(WEIGHTS[part.name] for part in compared)
    parts = []
    for part in compared:
        most = (1 - share) * WEIGHTS[part.name] / total
        parts.append(Part(part.name, most * part.value, most, part.words))
    if share:
        said = f"its {kin} nearest cases fit {lent:.0%} on their own" if kin else "no case near it was looked up"
        parts.append(Part("kin", share * lent, share, said))
    return Hit(case, math.fsum(part.points for part in parts), tuple(parts))
