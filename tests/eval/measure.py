"""Figures of the ranking and of the radar beside plain BM25 on the same runs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, NamedTuple

from projections.domain.precedents import radar, ranking
from projections.domain.precedents.evaluation import Figures, figures
from projections.domain.precedents.words import Bm25, words
from tests.eval import airline
from tests.eval.airline import Desk, question

FIELDS = {
    "first user turn": ("opening",),
    "all user turns": ("asked",),
    "user turns and tool results": ("asked", "found"),
}
"""Document fields the plain BM25 may search."""
CONSTANTS = ((0.9, 0.4), (1.2, 0.75), (1.5, 0.75), (2.0, 0.9))
"""Its k1 and b."""
SHARES = tuple(step / 10 for step in range(9))
"""Shares of the kin that the split-half check may choose from."""
QUERIES = {"first": "first user turn", "all": "all user turns"}

Answers = dict[str, list[str]]
_desk: Desk | None = None
_bags: list[ranking.Prepared] = []


def _start() -> None:
    global _desk, _bags
    _desk = airline.load()
    _bags = [ranking.prepare(case.situation) for case in _desk.cases]


def _ours(job: tuple[str, str]) -> list[tuple[str, float, float]]:
    """(trace, own score, what kin lend) of everything found, the best first."""
    mode, asking = job
    assert _desk is not None
    case = next(case for case in _desk.cases if case.trace_id == asking)
    hits = ranking.rank(
        question(case, whole=mode == "all"), _desk.cases, limit=len(_desk.cases), without=asking, prepared=_bags
    )
    found = []
    for hit in hits:
        lent = next(part.points / part.most for part in hit.parts if part.name == "kin")
        own = sum(part.points for part in hit.parts if part.name != "kin") / (1 - ranking.KIN_SHARE)
        found.append((hit.case.trace_id, own, lent))
    return found


def _plain(job: tuple[str, tuple[float, float], str]) -> dict[str, list[str]]:
    """What BM25 finds for both questions of one run."""
    name, (k1, b), asking = job
    assert _desk is not None
    others = [case for case in _desk.cases if case.trace_id != asking]
    case = next(case for case in _desk.cases if case.trace_id == asking)
    documents = [words("\n".join(getattr(other.situation, field) for field in FIELDS[name])) for other in others]
    index = Bm25(documents, k1=k1, b=b)
    answers = {}
    for mode in QUERIES:
        scores = index.scores(words(question(case, whole=mode == "all").asked))
        order = sorted(range(len(others)), key=lambda place: (-scores[place], place))
        answers[mode] = [others[place].trace_id for place in order]
    return answers


class Half(NamedTuple):
    """Half of the tasks, judged with what was chosen on the other half."""

    share: float
    """Share of the kin that was best there."""
    ours: Figures
    plain: Figures
    """Of the plain BM25 that was best there."""


class Report(NamedTuple):
    """Everything measured."""

    ours: dict[str, Figures]
    plain_recall: dict[str, tuple[float, str]]
    """The best recall of any plain BM25, and which one."""
    plain_mrr: dict[str, tuple[float, str]]
    halves: dict[str, list[Half]]
    """The odd and the even tasks."""
    radar: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """What ``docs/eval/precedents.json`` holds."""
        return {
            "runs": "tau-bench airline, 200 runs of 50 tasks",
            "command": "make eval",
            "queries": [
                {
                    "query": label,
                    "recall": round(self.ours[mode].recall, 3),
                    "mrr": round(self.ours[mode].mrr, 3),
                    "plain_recall": round(self.plain_recall[mode][0], 3),
                    "plain_recall_by": self.plain_recall[mode][1],
                    "plain_mrr": round(self.plain_mrr[mode][0], 3),
                    "plain_mrr_by": self.plain_mrr[mode][1],
                    "halves": [
                        {
                            "kin_share": half.share,
                            "recall": round(half.ours.recall, 3),
                            "mrr": round(half.ours.mrr, 3),
                            "plain_recall": round(half.plain.recall, 3),
                            "plain_mrr": round(half.plain.mrr, 3),
                        }
                        for half in self.halves[mode]
                    ],
                }
                for mode, label in QUERIES.items()
            ],
            "radar": self.radar,
        }


def _subset(answers: Answers, names: Collection[str], relevant: dict[str, list[str]]) -> Figures:
    return figures({name: answers[name] for name in names}, relevant)


def _blend(found: Sequence[tuple[str, float, float]], share: float) -> list[str]:
    return [name for name, own, lent in sorted(found, key=lambda hit: -((1 - share) * hit[1] + share * hit[2]))]


def _halves(found: dict[str, list[tuple[str, float, float]]], rivals: Sequence[Answers], desk: Desk) -> list[Half]:
    relevant = desk.relevant
    even = [name for name, task in desk.task.items() if task % 2 == 0]
    odd = [name for name, task in desk.task.items() if task % 2 == 1]
    ours = {share: {name: _blend(hits, share) for name, hits in found.items()} for share in SHARES}
    measured = []
    for chosen_on, judged_on in ((even, odd), (odd, even)):

        def quality(answers: Answers, names: list[str] = chosen_on) -> float:
            return sum(_subset(answers, names, relevant))

        share = max(SHARES, key=lambda each: quality(ours[each]))
        rival = max(rivals, key=quality)
        measured.append(Half(share, _subset(ours[share], judged_on, relevant), _subset(rival, judged_on, relevant)))
    return measured


def radar_figures(desk: Desk) -> dict[str, Any]:
    """Tasks with both outcomes that the radar finds, and how many of its groups are of one such task."""
    outcomes: dict[int, set[str]] = {}
    for case in desk.cases:
        outcomes.setdefault(desk.task[case.trace_id], set()).add(case.outcome)
    mixed = {task for task, seen in outcomes.items() if len(seen) > 1}
    groups = radar.gathered([case.situation for case in desk.cases])
    found = radar.splits([[desk.cases[index] for index in group] for group in groups])
    tasks = [{desk.task[case.trace_id] for case in each.cases} for each in found]
    right = [next(iter(held)) for held in tasks if len(held) == 1 and held <= mixed]
    return {
        "mixed_tasks": len(mixed),
        "tasks_found": len(set(right)),
        "groups": len(found),
        "groups_right": len(right),
        "precision": round(len(right) / len(found), 3) if found else 0.0,
    }


def measure(*, processes: int = 2) -> Report:
    """Ask every question of every ranking."""
    _start()
    assert _desk is not None
    desk, relevant = _desk, _desk.relevant
    names = list(desk.task)
    with ProcessPoolExecutor(processes, initializer=_start) as pool:
        jobs = [(mode, name) for mode in QUERIES for name in names]
        found = dict(zip(jobs, pool.map(_ours, jobs, chunksize=10), strict=True))
        plain_jobs = [(field, constants, name) for field in FIELDS for constants in CONSTANTS for name in names]
        plain = dict(zip(plain_jobs, pool.map(_plain, plain_jobs, chunksize=50), strict=True))
    ours, recall, mrr, halves = {}, {}, {}, {}
    for mode in QUERIES:
        mine = {name: found[mode, name] for name in names}
        ours[mode] = figures({name: [hit[0] for hit in hits] for name, hits in mine.items()}, relevant)
        answers = {
            f"{field}, k1 {k1}, b {b}": {name: plain[field, (k1, b), name][mode] for name in names}
            for field in FIELDS
            for k1, b in CONSTANTS
        }
        halves[mode] = _halves(mine, list(answers.values()), desk)
        rivals = [(figures(found_by, relevant), label) for label, found_by in answers.items()]
        recall[mode] = max((rival.recall, label) for rival, label in rivals)
        mrr[mode] = max((rival.mrr, label) for rival, label in rivals)
    return Report(ours, recall, mrr, halves, radar_figures(desk))
