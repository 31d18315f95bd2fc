"""Text as bags of words, phrases and pairs of words, and how rare and common terms are weighed.

Pure and deterministic: the same texts make the same numbers in the same order of operations.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from projections.domain.words import tokens

Bag = Mapping[str, int]
"""Term -> how often it occurs."""
Vector = Mapping[str, float]
"""Term -> its weight."""

_WORD = re.compile(r"\w+")
_HANDLE = re.compile(r"\b\w*_\w*\d\w*\b")
_CODE = re.compile(r"\b(?=[^\W_]*\d[^\W\d_])(?=[^\W_]*[^\W\d_])[^\W_]{5,}\b")
_CAPITALS = re.compile(r"(?<![A-Z]{2} )\b[A-Z]{5,}\b(?! [A-Z]{2})")
_ORDINAL = re.compile(r"\d+(?:T\d+|st|nd|rd|th|am|pm|kg|lb|lbs|hrs|days?|years?)", re.IGNORECASE)


def masked(text: str, known: frozenset[str] = frozenset()) -> str:
    """``text`` without identifiers, which say who and not what.

    Taken out: words in ``known``, words that join a digit by an underscore (``mia_li_3668``) and
    codes of five characters or more in which a letter follows a digit (``H9ZU1C``) or that are
    capitals with hardly a vowel among other words (``HXDUBJ``; ``URGENT`` stays). Words with a number
    at their end (``HAT136``, ``May20``) and quantities (``24hrs``) stay.
    """

    def code(found: re.Match[str]) -> str:
        return found[0] if _ORDINAL.fullmatch(found[0]) else " "

    def capitals(found: re.Match[str]) -> str:
        vowels = sum(map(found[0].count, "AEIOUY"))
        return " " if 4 * vowels <= len(found[0]) else found[0]

    text = _CAPITALS.sub(capitals, _CODE.sub(code, _HANDLE.sub(" ", text)))
    return _WORD.sub(lambda found: " " if found[0] in known else found[0], text) if known else text


def cut(text: str) -> list[str]:
    """Its words in order, folded; runs of scripts without spaces as overlapping pairs of characters."""
    return [token.text for token in tokens(text) if not token.part]


def words(text: str) -> Counter[str]:
    """Its words."""
    return Counter(cut(text))


def phrases(text: str) -> Counter[str]:
    """Its words and every two that stand together."""
    found = cut(text)
    bag = Counter(found)
    bag.update(f"{first} {second}" for first, second in pairwise(found))
    return bag


REACH = 4
"""How many words further on the partner of a word may stand, function words not counted."""
FUNCTION_WORDS = frozenset(
    """a about above after again against all am an and any are as at be because been before being below between both
    but by can could did do does doing down during each few for from further had has have having he her here hers
    herself him himself his how i if in into is it its itself just me more most my myself no nor not now of off on once
    only or other our ours ourselves out over own same she should so some such t than that the their theirs them
    themselves then there these they this those through to too under until up very was we were what when where which
    while who whom why will with would you your yours yourself yourselves""".split()  # noqa: SIM905
)
"""English words that say nothing alone; in other languages how common a pair is has to do."""


def pairs(text: str) -> Counter[str]:
    """Pairs of words near each other, whatever their order, without `FUNCTION_WORDS`.

    Words that stand near each other in two texts say more than the same words far apart (term
    proximity: Metzler, Croft 2005).
    """
    found = [word for word in cut(text) if word not in FUNCTION_WORDS]
    bag: Counter[str] = Counter()
    for distance in range(1, REACH + 1):
        bag.update(f"{a} {b}" if a < b else f"{b} {a}" for a, b in zip(found, found[distance:], strict=False))
    return bag


class Bm25:
    """Okapi BM25 over a fixed set of bags (Robertson, Walker, Jones, Hancock-Beaulieu, Gatford 1994).

    Args:
        bags: the documents.
        k1: how soon a repeated term stops to count.
        b: how much a long document is discounted, 0 to 1.
    """

    def __init__(self, bags: Sequence[Bag], *, k1: float = 1.2, b: float = 0.75) -> None:
        self.size = len(bags)
        lengths = [sum(bag.values()) for bag in bags]
        average = sum(lengths) / self.size if self.size else 0.0
        self._postings: dict[str, list[tuple[int, float]]] = {}
        for index, bag in enumerate(bags):
            norm = k1 * (1 - b + b * lengths[index] / average) if average else k1
            for term, count in bag.items():
                self._postings.setdefault(term, []).append((index, count * (k1 + 1) / (count + norm)))

    def scores(self, query: Bag) -> list[float]:
        """One score for each document, 0 without a common term."""
        found = [0.0] * self.size
        for term, count in query.items():
            held = self._postings.get(term)
            if held is None:
                continue
            weight = count * math.log1p((self.size - len(held) + 0.5) / (len(held) + 0.5))
            for index, part in held:
                found[index] += weight * part
        return found


class Cosine:
    """Cosine of tf-idf vectors, sublinear in the count (Salton, Buckley 1988)."""

    def __init__(self, bags: Sequence[Bag]) -> None:
        self.size = len(bags)
        frequency: Counter[str] = Counter()
        for bag in bags:
            frequency.update(bag.keys())
        self._rarity = {term: math.log1p(self.size / count) for term, count in frequency.items()}
        self.vectors = [self._vector(bag) for bag in bags]
        self._postings = _postings(self.vectors)

    def _vector(self, bag: Bag) -> Vector:
        rarity = self._rarity
        weights = {term: (1 + math.log(count)) * rarity[term] for term, count in bag.items() if term in rarity}
        length = math.sqrt(sum(weight * weight for weight in weights.values()))
        return {term: weight / length for term, weight in weights.items()} if length else {}

    def scores(self, query: Bag) -> list[float]:
        """One cosine for each document, 0 to 1."""
        return _meet(self._vector(query), self._postings, self.size)

    def among(self) -> list[list[float]]:
        """The cosines of its own documents with each other; 0 with itself."""
        rows = [[0.0] * self.size for _ in range(self.size)]
        for held in self._postings.values():
            # documents stand in order, so every pair is met once
            for place, (index, weight) in enumerate(held):
                row = rows[index]
                for other, value in held[place + 1 :]:
                    row[other] += weight * value
        for index, row in enumerate(rows):
            for other in range(index + 1, self.size):
                rows[other][index] = row[other]
        return rows


class BestTurns:
    """What the best turn of each document is worth to a query, by BM25 (passage retrieval: Callan 1994).

    The length is that of turns; rare is what few documents hold.

    Args:
        documents: the turns of each document, as bags.
    """

    def __init__(self, documents: Sequence[Sequence[Bag]], *, k1: float = 1.2, b: float = 0.75) -> None:
        self.size = len(documents)
        self._owners = [index for index, document in enumerate(documents) for _ in document]
        turns = [bag for document in documents for bag in document]
        lengths = [sum(bag.values()) for bag in turns]
        average = sum(lengths) / len(turns) if turns else 0.0
        self._postings: dict[str, list[tuple[int, float]]] = {}
        for turn, bag in enumerate(turns):
            norm = k1 * (1 - b + b * lengths[turn] / average) if average else k1
            for term, count in bag.items():
                self._postings.setdefault(term, []).append((turn, count * (k1 + 1) / (count + norm)))

    def scores(self, query: Bag) -> list[float]:
        """One score for each document, 0 without a common term."""
        found = [0.0] * len(self._owners)
        for term in query:
            held = self._postings.get(term, [])
            holders = len({self._owners[turn] for turn, _ in held})
            rarity = math.log1p((self.size - holders + 0.5) / (holders + 0.5))
            for turn, part in held:
                found[turn] += rarity * part
        best = [0.0] * self.size
        for owner, value in zip(self._owners, found, strict=True):
            best[owner] = max(best[owner], value)
        return best


def _postings(vectors: Sequence[Vector]) -> dict[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    for index, vector in enumerate(vectors):
        for term, weight in vector.items():
            held = found.get(term)
            if held is None:
                found[term] = [(index, weight)]
            else:
                held.append((index, weight))
    return found


def _meet(vector: Vector, postings: Mapping[str, Sequence[tuple[int, float]]], size: int) -> list[float]:
    found = [0.0] * size
    for term, weight in vector.items():
        for index, other in postings.get(term, ()):
            found[index] += weight * other
    return found


class Ranked(NamedTuple):
    """A place in a fused list."""

    key: str
    score: float


def fused(lists: Iterable[Sequence[str]], *, constant: int = 60) -> list[Ranked]:
    """Reciprocal rank fusion (Cormack, Clarke, Büttcher 2009): each list gives ``1 / (constant + rank)``.

    Keys of the same score stand in the order of their text.
    """
    totals: dict[str, float] = {}
    for keys in lists:
        for rank, key in enumerate(keys, start=1):
            totals[key] = totals.get(key, 0.0) + 1 / (constant + rank)
    return [Ranked(key, score) for key, score in sorted(totals.items(), key=lambda pair: (-pair[1], pair[0]))]
