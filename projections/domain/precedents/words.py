"""Text as bags of words, phrases and character grams, and how rare and common terms are weighed.

Pure and deterministic: the same texts make the same numbers in the same order of operations.
"""

from __future__ import annotations

import heapq
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

Bag = Mapping[str, int]
"""Term -> how often it occurs."""
Vector = Mapping[str, float]
"""Term -> its weight."""

_WORD = re.compile(r"\w+")
_PLAIN = re.compile(r"[^\W\d_]+|\d+")
_HANDLE = re.compile(r"\b\w*_\w*\d\w*\b")
_CODE = re.compile(r"\b(?=[^\W_]*\d[^\W\d_])(?=[^\W_]*[^\W\d_])[^\W_]{5,}\b")
_ORDINAL = re.compile(r"\d+(?:T\d+|st|nd|rd|th|am|pm|kg|lb|lbs|hrs|days?|years?)", re.IGNORECASE)


def masked(text: str, known: frozenset[str] = frozenset()) -> str:
    """``text`` without identifiers, which say who and not what.

    Taken out: words in ``known``, words that join a digit by an underscore (``mia_li_3668``) and
    codes of five characters or more in which a letter follows a digit (``H9ZU1C``). Words with a
    number at their end (``HAT136``, ``May20``) and quantities (``24hrs``) stay.
    """

    def code(found: re.Match[str]) -> str:
        return found[0] if _ORDINAL.fullmatch(found[0]) else " "

    text = _CODE.sub(code, _HANDLE.sub(" ", text))
    return _WORD.sub(lambda found: " " if found[0] in known else found[0], text) if known else text


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).lower()


def words(text: str) -> Counter[str]:
    """Its words in lower case."""
    return Counter(_WORD.findall(_folded(text)))


def terms(text: str) -> Counter[str]:
    """Runs of letters and runs of digits: takes structured text such as JSON apart."""
    return Counter(_PLAIN.findall(_folded(text)))


def phrases(text: str) -> Counter[str]:
    """Its words and every two that stand together."""
    found = _WORD.findall(_folded(text))
    bag = Counter(found)
    bag.update(f"{first} {second}" for first, second in pairwise(found))
    return bag


def grams(width: int) -> Callable[[str], Counter[str]]:
    """Runs of ``width`` characters over word borders: finds spellings, endings and scripts without blanks."""

    def bag(text: str) -> Counter[str]:
        line = f" {' '.join(_WORD.findall(_folded(text)))} "
        return Counter(line[start : start + width] for start in range(len(line) - width + 1))

    return bag


class Bm25:
    """Okapi BM25 over a fixed set of bags (Robertson, Walker, Jones, Hancock-Beaulieu, Gatford 1994).

    Args:
        bags: the documents.
        k1: how soon a repeated term stops to count.
        b: how much a long document is discounted, 0 to 1.
    """

    def __init__(self, bags: Sequence[Bag], *, k1: float = 1.5, b: float = 0.75) -> None:
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

    def scores_of(self, index: int) -> list[float]:
        """The cosines of one of its own documents with all of them."""
        return _meet(self.vectors[index], self._postings, self.size)


class Pruned:
    """How near the documents of a `Cosine` are to each other, by their heaviest terms only.

    Static pruning (Carmel et al. 2001): rare terms decide, common ones cost.
    """

    def __init__(self, full: Cosine, keep: int) -> None:
        self.size = full.size
        self._vectors = [
            dict(heapq.nlargest(keep, vector.items(), key=lambda pair: (pair[1], pair[0]))) for vector in full.vectors
        ]
        self._postings = _postings(self._vectors)

    def scores(self, index: int) -> list[float]:
        """One partial cosine of a document with each, 0 with itself."""
        found = _meet(self._vectors[index], self._postings, self.size)
        found[index] = 0.0
        return found


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
