"""Figures of the product's ranking and radar beside plain BM25 on the same runs.

In sample: what the product answers. Held out: five folds of ten tasks; what could be otherwise
(`GRID`, and which BM25) is chosen on four of them, the fifth is measured.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy

from projections.domain.precedents import radar
from projections.domain.precedents.evaluation import figures
from projections.domain.precedents.ranking import TUNING, Compared, Tuning
from projections.selectors.situations import comparable
from tests.eval import plain
from tests.eval.airline import Desk

QUERIES = {"first user turn": False, "all user turns": True}
FOLDS = 5
GRID = tuple(
    dict.fromkeys(
        Tuning(phrases, pairs, kin if share else 0, share)
        for (phrases, pairs), kin, share in itertools.product(
            ((1.0, 0.0), (1.0, 1.0), (0.0, 1.0)), (2, 3, 5, 8), (0.0, 0.3, 0.4, 0.5, 0.6)
        )
    )
)
"""Tunings that the folds choose from, one for both queries: text weights, kin, share of kin."""
LEVELS = (0.1, 0.1125, 0.125, 0.1375, 0.15, 0.175, 0.2)
"""Likenesses the radar is tried at."""

Quality = Any
"""An array: recall and reciprocal rank of each run."""


def _quality(relevant: dict[str, list[str]], answers: Sequence[Sequence[str]]) -> Quality:
    return numpy.array(
        [figures({name: found}, relevant) for name, found in zip(relevant, answers, strict=True)],
    )


class Answers(NamedTuple):
    """What one kind of query finds, per run."""

    ours: Quality
    tried: Quality
    """One row for each of `GRID`."""
    rivals: Quality
    """One row for each BM25."""
    labels: list[str]
    covered: float
    """Share of the relevant that are among the candidates: no ranking of them could find more."""


def _order(compared: Compared, tuning: Tuning) -> list[str]:
    scores = compared.scores(tuning)
    return [compared.cases[place].trace_id for place in sorted(range(len(scores)), key=lambda place: -scores[place])]


def answers(desk: Desk, *, whole: bool) -> Answers:
    """Ask every run, through the product's own choice of candidates."""
    ours: list[list[str]] = []
    tried: list[list[list[str]]] = [[] for _ in GRID]
    covered, relevant = 0.0, desk.relevant
    for run in desk.runs:
        wanted, cases, *_ = comparable(desk.tenant, run.question(whole=whole))
        compared = Compared(wanted, cases)
        covered += len({case.trace_id for case in cases} & set(relevant[run.trace_id])) / 3
        for place in range(len(compared.cases)):
            compared.nearest(place, max(tuning.kin for tuning in GRID))  # kept: every tuning takes from them
        ours.append([hit.case.trace_id for hit in compared.hits(TUNING)])
        for place, tuning in enumerate(GRID):
            tried[place].append(_order(compared, tuning))
    rivals = list(plain.rivals(desk, whole=whole))
    return Answers(
        _quality(relevant, ours),
        numpy.stack([_quality(relevant, each) for each in tried]),
        numpy.stack([_quality(relevant, each) for _, each in rivals]),
        [label for label, _ in rivals],
        covered / len(desk.runs),
    )


def _held_out(tasks: Quality, rows: Quality, worth: Callable[[Quality], Quality]) -> tuple[Quality, list[int]]:
    """What was chosen on the other folds, measured on each; and the choices."""
    found = numpy.zeros(rows.shape[1:])
    chosen = []
    for fold in range(FOLDS):
        inside = tasks % FOLDS == fold
        best = int(numpy.argmax(worth(rows[:, ~inside].mean(1))))
        found[inside] = rows[best][inside]
        chosen.append(best)
    return found, chosen


def _margin(difference: Quality, tasks: Quality) -> list[float]:
    """Ends of the middle 95 % of mean differences when tasks are drawn anew (paired bootstrap)."""
    dice = numpy.random.default_rng(7)
    by_task = numpy.array([difference[tasks == task].mean() for task in numpy.unique(tasks)])
    means = by_task[dice.integers(0, len(by_task), (5000, len(by_task)))].mean(1)
    return [round(float(end), 3) for end in numpy.percentile(means, (2.5, 97.5))]


def measure(desk: Desk) -> dict[str, Any]:
    """What ``docs/eval/precedents.json`` holds."""
    tasks = numpy.array([run.task for run in desk.runs])
    asked = {label: answers(desk, whole=whole) for label, whole in QUERIES.items()}
    # one tuning serves both queries, so that is what the folds choose
    both = numpy.concatenate([each.tried for each in asked.values()], axis=2)
    held, chosen = _held_out(tasks, both, lambda means: means.sum(1))
    queries = []
    for place, (label, each) in enumerate(asked.items()):
        one: dict[str, Any] = {"query": label, "covered": round(each.covered, 3)}
        for column, name in enumerate(("recall", "mrr")):
            means = each.rivals[:, :, column].mean(1)
            best = int(means.argmax())
            rival, _ = _held_out(tasks, each.rivals, lambda means, column=column: means[:, column])
            mine, apart = each.ours[:, column], held[:, 2 * place + column]
            one |= {
                name: round(float(mine.mean()), 3),
                f"plain_{name}": round(float(means[best]), 3),
                f"plain_{name}_by": each.labels[best],
                f"margin_{name}_95": _margin(mine - each.rivals[best, :, column], tasks),
                f"held_{name}": round(float(apart.mean()), 3),
                f"held_plain_{name}": round(float(rival[:, column].mean()), 3),
            }
        queries.append(one)
    return {
        "runs": "tau-bench airline, 200 runs of 50 tasks",
        "command": "make eval",
        "tuning": TUNING._asdict(),
        "plain_tried": len(next(iter(asked.values())).labels),
        "tunings_tried": len(GRID),
        "chosen": [GRID[place]._asdict() for place in chosen],
        "queries": queries,
        "radar": radar_figures(desk),
    }


def _groups(desk: Desk, groups: Sequence[Sequence[int]]) -> dict[str, Any]:
    outcomes: dict[int, set[str]] = {}
    for run, case in zip(desk.runs, desk.cases, strict=True):
        outcomes.setdefault(run.task, set()).add(case.outcome)
    mixed = {task for task, seen in outcomes.items() if len(seen) > 1}
    split = [group for group in groups if len({desk.cases[index].outcome for index in group}) > 1]
    right = [tasks for tasks in ({desk.runs[index].task for index in group} for group in split) if len(tasks) == 1]
    pairs = [
        (desk.runs[one].task == desk.runs[two].task)
        for group in split
        for one, two in itertools.combinations(group, 2)
        if desk.cases[one].outcome != desk.cases[two].outcome
    ]
    together = [
        desk.runs[one].task == desk.runs[two].task for group in groups for one, two in itertools.combinations(group, 2)
    ]
    same = sum(len(others) for others in desk.relevant.values()) // 2
    return {
        "task_f1": round(2 * sum(together) / (len(together) + same), 3),
        "mixed_tasks": len(mixed),
        "tasks_found": len(set().union(*right) if right else set()),
        "groups": len(split),
        "groups_right": len(right),
        "precision": round(len(right) / len(split), 3) if split else 0.0,
        "pairs": len(pairs),
        "pairs_right": sum(pairs),
        "pair_precision": round(sum(pairs) / len(pairs), 3) if pairs else 0.0,
    }


def radar_figures(desk: Desk) -> dict[str, Any]:
    """Tasks with both outcomes that are found, by groups and by pairs of runs that ended differently.

    A group is right when all its runs are of one task; a task is found when such a group is of it.
    """
    situations = [case.situation for case in desk.cases]
    found = _groups(desk, radar.gathered(situations))
    found["levels"] = [{"alike": level, **_groups(desk, radar.gathered(situations, alike=level))} for level in LEVELS]
    return found
