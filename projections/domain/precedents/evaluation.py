"""How good a ranking is: recall at three and mean reciprocal rank, and plain BM25 to compare with."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

DEPTH = 3


class Figures(NamedTuple):
    """Means over all questions."""

    recall: float
    """Share of the relevant cases among the first `DEPTH`."""
    mrr: float
    """One divided by the rank of the first relevant case."""


def figures(answers: Mapping[str, Sequence[str]], relevant: Mapping[str, Collection[str]]) -> Figures:
    """Figures of ranked answers.

    Args:
        answers: question -> everything found, the best first.
        relevant: question -> what should have been found, at least one each.
    """
    recall = rank = 0.0
    for question, found in answers.items():
        wanted = set(relevant[question])
        recall += len(wanted & set(found[:DEPTH])) / len(wanted)
        rank += next((1 / place for place, each in enumerate(found, start=1) if each in wanted), 0.0)
    size = len(answers) or 1
    return Figures(recall / size, rank / size)


Ranking = Callable[[str], Sequence[str]]


def measured(questions: Sequence[str], ranking: Ranking, relevant: Mapping[str, Collection[str]]) -> Figures:
    """Figures of a ranking asked every question."""
    return figures({question: ranking(question) for question in questions}, relevant)
