"""What `make eval` measures keeps its margins on the real runs."""

from __future__ import annotations

import json
import re

import pytest

from projections.domain.precedents.evaluation import figures
from projections.domain.precedents.ranking import prepare, rank
from projections.domain.precedents.words import Bm25, words
from tests.eval import airline
from tests.eval.measure import radar_figures

needs_runs = pytest.mark.skipif(
    not airline.RUNS.is_file(), reason=f"real runs are not at {airline.RUNS}; set DG_SHARED_DATA to their folder"
)


@pytest.fixture(scope="module")
def desk() -> airline.Desk:
    return airline.load()


def test_the_figures_shown_hold_the_margins() -> None:
    made = json.loads((airline.REPO / "docs" / "eval" / "precedents.json").read_bytes())
    for each in made["queries"]:
        assert each["recall"] >= each["plain_recall"] + 0.03
        assert each["mrr"] >= each["plain_mrr"] + 0.02
    assert made["radar"]["tasks_found"] >= 18
    assert made["radar"]["precision"] >= 0.7


@needs_runs
def test_identifiers_are_masked_and_the_judge_is_hidden(desk: airline.Desk) -> None:
    assert len(desk.cases) == 200
    assert len(set(desk.task.values())) == 50
    for case in desk.cases:
        told = case.situation
        said = set(re.findall(r"\w+", f"{told.opening} {told.asked} {told.found}"))
        assert not said & desk.identifiers
        assert all(key not in ("task_id", "reward", "trial") for key, _ in told.facts)


@needs_runs
def test_the_radar(desk: airline.Desk) -> None:
    found = radar_figures(desk)
    assert found["mixed_tasks"] == 26
    assert found["tasks_found"] >= 18
    assert found["precision"] >= 0.7


@needs_runs
@pytest.mark.parametrize("whole", [False, True], ids=["first turn", "all turns"])
def test_better_than_plain_bm25_on_one_trial_of_every_fourth_task(desk: airline.Desk, whole: bool) -> None:
    """`make eval` asks for every run; that takes minutes."""
    asking = [case for case in desk.cases if case.trace_id.endswith("-trial0")][::4]
    bags = [prepare(case.situation) for case in desk.cases]
    ours, plain = {}, {}
    for case in asking:
        question = airline.question(case, whole=whole)
        hits = rank(question, desk.cases, limit=199, without=case.trace_id, prepared=bags)
        ours[case.trace_id] = [hit.case.trace_id for hit in hits]
        others = [other for other in desk.cases if other.trace_id != case.trace_id]
        texts = [other.situation.asked if whole else other.situation.opening for other in others]
        scores = Bm25([words(text) for text in texts]).scores(words(question.asked))
        order = sorted(range(len(others)), key=lambda place: -scores[place])
        plain[case.trace_id] = [others[place].trace_id for place in order]
    assert len(asking) == 13
    mine, theirs = figures(ours, desk.relevant), figures(plain, desk.relevant)
    assert mine.recall > theirs.recall
    assert mine.mrr > theirs.mrr
