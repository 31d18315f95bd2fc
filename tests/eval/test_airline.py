"""What `make eval` measures, on the real runs through the product; and that the figures shown are of this ranking."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest
from django.test import Client

from projections.domain.precedents.evaluation import figures
from projections.domain.precedents.ranking import TUNING, rank
from projections.selectors.situations import comparable
from tests.eval import airline, measure, plain
from tests.factories import TenantFactory, make_token

pytestmark = pytest.mark.django_db

needs_runs = pytest.mark.skipif(
    not airline.RUNS.is_file(), reason=f"real runs are not at {airline.RUNS}; set DG_SHARED_DATA to their folder"
)


@pytest.fixture(scope="module")
def desk(django_db_setup: None, django_db_blocker: pytest.Blocker) -> airline.Desk:  # type: ignore[name-defined]
    with django_db_blocker.unblock():
        return airline.load(TenantFactory())


def shown() -> Any:
    return json.loads((airline.REPO / "docs" / "eval" / "precedents.json").read_bytes())


def test_the_figures_shown_are_of_this_ranking() -> None:
    made = shown()
    assert made["tuning"] == TUNING._asdict(), "the ranking changed: run make eval"
    for each in made["queries"]:
        assert each["recall"] >= each["plain_recall"] + 0.03
        assert each["mrr"] >= each["plain_mrr"] + 0.02
        assert each["held_recall"] >= each["held_plain_recall"] + 0.03
        assert each["held_mrr"] >= each["held_plain_mrr"] + 0.02
    assert made["radar"]["tasks_found"] >= 18
    assert made["radar"]["precision"] >= 0.7


@needs_runs
def test_identifiers_are_masked_and_the_judge_is_hidden(desk: airline.Desk) -> None:
    assert len(desk.runs) == len(desk.cases) == 200
    assert len(set(desk.task.values())) == 50
    for run, case in zip(desk.runs, desk.cases, strict=True):
        told = case.situation
        said = set(re.findall(r"\w+", f"{told.opening} {told.asked} {' '.join(run.turns)} {run.answers}"))
        assert said & desk.identifiers == set(), run.trace_id
        assert all(key not in ("task_id", "reward", "trial") for key, _ in told.facts)


@needs_runs
def test_the_api_answers_in_the_order_that_is_measured(desk: airline.Desk) -> None:
    _token, text = make_token(desk.tenant, "read")
    client = Client(headers={"Authorization": f"Bearer {text}"})
    for run, whole in ((desk.runs[3], False), (desk.runs[77], True), (desk.runs[160], True)):
        question = run.question(whole=whole)
        asked = question.model_dump(exclude_none=True, exclude_defaults=True) | {"limit": 50}
        answer = client.post("/api/v1/precedents/search", asked, content_type="application/json")
        assert answer.status_code == 200, answer.json()
        items = answer.json()["items"]
        by_score = sorted(items, key=lambda item: (-item["score"], -item["finished_log_seq"]))
        wanted, cases, *_ = comparable(desk.tenant, question)
        hits = rank(wanted, cases, limit=50)
        assert [item["trace_id"] for item in by_score] == [hit.case.trace_id for hit in hits]
        assert run.trace_id not in {item["trace_id"] for item in items}
        counters = [item["counter"] for item in items]
        assert counters == sorted(counters, reverse=True)


@needs_runs
def test_the_radar(desk: airline.Desk) -> None:
    found = measure.radar_figures(desk)
    assert found["mixed_tasks"] == 26
    assert found["tasks_found"] >= 18
    assert found["precision"] >= 0.7
    assert {name: found[name] for name in ("tasks_found", "groups", "pairs")} == {
        name: shown()["radar"][name] for name in ("tasks_found", "groups", "pairs")
    }


@needs_runs
@pytest.mark.parametrize("whole", [False, True], ids=["first turn", "all turns"])
def test_better_than_plain_bm25_on_one_trial_of_every_task(desk: airline.Desk, whole: bool) -> None:
    """`make eval` asks for every run and a wider grid of rivals."""
    relevant = desk.relevant
    asking = [run for run in desk.runs if run.trace_id.endswith("-trial0")]
    ours = {}
    started = time.process_time()
    for run in asking:
        wanted, cases, *_ = comparable(desk.tenant, run.question(whole=whole))
        ours[run.trace_id] = [hit.case.trace_id for hit in rank(wanted, cases, limit=50)]
    assert (time.process_time() - started) / len(asking) < 0.4  # 0.15 on an idle processor
    label, found = next(iter(plain.rivals(desk, whole=whole)))
    theirs = {run.trace_id: answer for run, answer in zip(desk.runs, found, strict=True) if run.trace_id in ours}
    assert len(asking) == 50, label
    mine, rival = figures(ours, relevant), figures(theirs, relevant)
    assert mine.recall > rival.recall
    assert mine.mrr > rival.mrr
