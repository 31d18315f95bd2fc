"""Plain BM25, as good as it gets: every document field, cut and constant of a wide grid.

Okapi BM25 over single words. The corpus of a query are the other runs: frequencies are counted
without the one that asks.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy
import snowballstemmer

from projections.domain.precedents.words import FUNCTION_WORDS
from tests.eval.airline import Desk

K1 = (0.5, 0.75, 0.9, 1.2, 1.5, 2.0)
B = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)

_WORD = re.compile(r"\w+")
_STEM = snowballstemmer.stemmer("english")


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _content(text: str) -> list[str]:
    return [word for word in _words(text) if word not in FUNCTION_WORDS]


CUTS: dict[str, Callable[[str], list[str]]] = {
    "words": _words,
    "stems": lambda text: list(_STEM.stemWords(_words(text))),
    "words without stop words": _content,
    "stems without stop words": lambda text: list(_STEM.stemWords(_content(text))),
}

Matrix = Any


class _Index:
    def __init__(self, documents: Sequence[list[str]], queries: Sequence[list[str]]) -> None:
        names = {term: place for place, term in enumerate(sorted(set(itertools.chain(*documents))))}
        self.counts = numpy.zeros((len(documents), len(names)))
        for row, document in enumerate(documents):
            for term in document:
                self.counts[row, names[term]] += 1
        self.held = self.counts > 0
        self.frequency = self.held.sum(0)
        self.lengths = self.counts.sum(1)
        self.queries = []
        for query in queries:
            places = [names[term] for term in query if term in names]
            self.queries.append(numpy.unique(numpy.array(places, dtype=int), return_counts=True))

    def scores(self, k1: float, b: float) -> Matrix:
        """A row for each query; its own document has minus infinity."""
        size = len(self.lengths) - 1
        norm = k1 * (1 - b + b * self.lengths / self.lengths.mean())
        weights = numpy.ascontiguousarray((self.counts * (k1 + 1) / (self.counts + norm[:, None])).T)
        found = numpy.zeros((len(self.queries), size + 1))
        for asking, (terms, times) in enumerate(self.queries):
            frequency = self.frequency[terms] - self.held[asking, terms]
            rarity = numpy.log1p((size - frequency + 0.5) / (frequency + 0.5))
            found[asking] = (rarity * times) @ weights[terms]
            found[asking, asking] = -numpy.inf
        return found


def rivals(desk: Desk, *, whole: bool) -> Iterator[tuple[str, list[list[str]]]]:
    """Every BM25 of the grid: its name, and what it finds for each run, the best first."""
    names = [run.trace_id for run in desk.runs]
    fields = {
        "first user turn": [run.turns[0] for run in desk.runs],
        "all user turns": ["\n".join(run.turns) for run in desk.runs],
        "all user turns, the first twice": ["\n".join((run.turns[0], *run.turns)) for run in desk.runs],
        "user turns and tool results": ["\n".join((*run.turns, run.answers)) for run in desk.runs],
    }
    asked = fields["all user turns" if whole else "first user turn"]
    for (field, texts), (label, cut) in itertools.product(fields.items(), CUTS.items()):
        index = _Index([cut(text) for text in texts], [cut(text) for text in asked])
        for k1, b in itertools.product(K1, B):
            order = numpy.argsort(-index.scores(k1, b), axis=1, kind="stable")[:, :-1]
            yield f"{label}; {field}; k1 {k1}, b {b}", [[names[place] for place in row] for row in order]
