"""Same situation, other outcome: groups of finished decisions that somebody should look at.

Where persons spoke, situations match when what they asked for is alike: average linkage (Sokal,
Michener 1958) over the cosines of their phrases and near pairs of words, down to `ALIKE`. Elsewhere they
match when everything known about their structure is the same, numbers within a quarter of a power
of ten. Neither looks at an outcome, a reward or who it was about; outcomes are compared only in
groups that stand already.
"""

from __future__ import annotations

import hashlib
import heapq
import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from projections.domain.precedents.ranking import prepare
from projections.domain.precedents.situation import Case, Situation, Value
from projections.domain.precedents.words import Cosine
from traces.domain.canonical import jcs

ALIKE = 0.125
"""Mean likeness from which two groups become one: where pairs of runs of one task are told best from
other pairs (F1, ``make eval`` prints it), outcomes not looked at."""
NUMBER_STEPS = 4
"""Steps of a power of ten in which numbers count as the same."""


def step(value: Value) -> Value:
    """A number as the step of a power of ten it stands in; anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value == 0:
        return value
    place = round(math.log10(abs(value)) * NUMBER_STEPS)
    return f"{'-' if value < 0 else ''}10^({place}/{NUMBER_STEPS})"


def fingerprint(situation: Situation) -> bytes:
    """32 bytes that are the same for structurally equal situations."""
    content = [
        situation.workflow,
        situation.entity_type,
        list(situation.policies),
        list(situation.codes),
        list(situation.actions),
        [[key, step(value)] for key, value in situation.facts],
    ]
    return hashlib.sha256(jcs(content)).digest()


def gathered(situations: Sequence[Situation], *, alike: float = ALIKE) -> list[list[int]]:
    """Indices of situations that ask for the same, largest likeness joined first; singles included.

    The order of the answer and of each group is that of the input.
    """
    prepared = [prepare(each) for each in situations]
    views = (Cosine([each.phrases for each in prepared]), Cosine([each.pairs for each in prepared]))
    first, second = (view.among() for view in views)
    likeness = [[(a + b) / 2 for a, b in zip(*rows, strict=True)] for rows in zip(first, second, strict=True)]
    return _linked(likeness, alike)


def _linked(likeness: Sequence[Sequence[float]], alike: float) -> list[list[int]]:
    members: dict[int, list[int]] = {index: [index] for index in range(len(likeness))}
    # sums of likeness between living groups: a join adds two rows (Lance, Williams 1967)
    sums: dict[int, dict[int, float]] = {
        index: {other: value for other, value in enumerate(row) if other != index} for index, row in enumerate(likeness)
    }
    heap = [
        (-value, first, second)
        for first, row in sums.items()
        for second, value in row.items()
        if first < second and value >= alike
    ]
    heapq.heapify(heap)
    next_group = len(likeness)
    while heap:
        _, first, second = heapq.heappop(heap)
        if first not in members or second not in members:
            continue
        joined = sorted(members.pop(first) + members.pop(second))
        one, two = sums.pop(first), sums.pop(second)
        sums[next_group] = {}
        for other, held in members.items():
            total = one[other] + two[other]
            sums[next_group][other] = sums[other][next_group] = total
            mean = total / (len(joined) * len(held))
            if mean >= alike:
                heapq.heappush(heap, (-mean, other, next_group))
        members[next_group] = joined
        next_group += 1
    return sorted(members.values())


class Split(NamedTuple):
    """A group whose outcomes differ."""

    cases: tuple[Case, ...]
    """The latest first."""
    outcomes: tuple[tuple[str, int], ...]
    """Outcome and number, the most frequent first."""


def splits(groups: Sequence[Sequence[Case]]) -> list[Split]:
    """The groups whose outcomes differ, the most evenly divided large ones first."""
    found = []
    for group in groups:
        counts = Counter(case.outcome for case in group)
        if len(counts) > 1:
            outcomes = tuple(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))
            found.append(Split(tuple(sorted(group, key=lambda case: -case.log_seq)), outcomes))
    return sorted(found, key=lambda each: (-minority(each.outcomes), -len(each.cases), -each.cases[0].log_seq))


def minority(outcomes: Sequence[tuple[str, int]]) -> int:
    """How many cases went another way than the most frequent one."""
    return sum(number for _, number in outcomes) - max((number for _, number in outcomes), default=0)
