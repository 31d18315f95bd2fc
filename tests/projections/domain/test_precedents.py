"""Policy evaluations, precedents and their filters, by example."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from projections.domain.precedents import COLUMNS, PrecedentFilter
from projections.domain.rules import policy_evaluations, precedent_index
from tests.projections.fold import Fold, log, make

POLICY = {"policy_id": "cap", "policy_version": "2"}
STEPS: list[tuple[str, str, dict[str, Any] | None]] = [
    (
        "t:1",
        "TraceStarted",
        {
            "workflow": "refund",
            "title": "Refund 7",
            "primary_entity": {"entity_type": "order", "entity_id": "7"},
        },
    ),
    (
        "t:1",
        "InputObserved",
        {
            "input_id": "i",
            "facts": [
                {"key": "total", "value": {"type": "int", "value": "12"}},
                {"key": "raw", "value": {"type": "json", "value": {"b": 1.0, "a": True}}},
            ],
        },
    ),
    (
        "t:1",
        "PolicyEvaluated",
        {
            "policy": POLICY,
            "decision": "require_exception",
            "inputs": ["i"],
            "violations": [{"code": "OVER", "details": {"cap": "10"}}],
            "explanation": {"summary": "Over the cap."},
        },
    ),
    ("t:1", "ExceptionRequested", {"exception_id": "x", "policy": POLICY, "reason": "Loyal."}),
    ("t:1", "ActionProposed", {"action_id": "a", "action_type": "pay"}),
    ("t:1", "TraceFinished", {"outcome": "success", "summary": "Paid."}),
]


def test_a_policy_evaluation() -> None:
    fold = Fold(policy_evaluations.RULE).feed(*log(STEPS))
    row = fold.table("policy_evaluation")["t%3A1:2"]
    assert (row["policy_id"], row["decision"], row["inputs"]) == ("cap", "require_exception", ["i"])
    assert row["violation_codes"] == ["OVER"]
    assert row["explanation"] == {"summary": "Over the cap."}
    assert fold.log_seqs[("policy_evaluation", "t%3A1:2")] == 3


def test_nothing_is_a_precedent_before_its_trace_finishes() -> None:
    assert not Fold(precedent_index.RULE).feed(*log(STEPS[:-1])).rows


def test_a_finished_trace_becomes_precedents() -> None:
    fold = Fold(precedent_index.RULE).feed(*log(STEPS))
    rows = fold.table("precedent")
    assert set(rows) == {"t%3A1:2", "t%3A1:3"}
    asked = rows["t%3A1:3"]
    assert asked["exception_id"] == "x"
    assert asked["decision"] is None
    assert (asked["source_log_seq"], asked["outcome"], asked["workflow"]) == (
        4,
        "success",
        "refund",
    )
    assert (asked["primary_entity_type"], asked["primary_entity_system"]) == ("order", None)
    found = fold.table("precedent_text")["t%3A1"]
    assert found["text"].split("\n") == ["Over the cap.", "OVER", "10", "Loyal.", "Paid."]
    assert found["facts"] == [["total", "int", "12"], ["raw", "json", '{"a":true,"b":1}']]
    assert (found["policies"], found["action_types"]) == (["cap@2"], ["pay"])
    assert not found["truncated"]


@pytest.mark.parametrize(
    ("fact", "kept"),
    [
        ({"value": {"type": "int", "value": "1"}}, []),
        ({"key": 7, "value": {"type": "int", "value": "1"}}, []),
        ({"key": "k"}, [["k", "", "null"]]),
        ({"key": "k", "value": "bare"}, [["k", "", "bare"]]),
        ({"key": "k", "value": {"type": 1, "value": [1.5]}}, [["k", "", "[1.5]"]]),
    ],
)
def test_odd_facts_are_kept_as_far_as_they_go(fact: dict[str, Any], kept: list[list[str]]) -> None:
    fold = Fold(precedent_index.RULE).feed(
        make(1, "EntityObserved", {"facts": [fact, "no fact"]}),
        make(2, "TraceFinished", None),
    )
    assert fold.table("precedent_text")["t-1"]["facts"] == kept


def test_a_review_is_no_precedent() -> None:
    steps = [("review:1", kind, payload) for _, kind, payload in STEPS]
    assert not Fold(precedent_index.RULE).feed(*log(steps)).rows


def test_what_is_searched_is_bounded_and_says_so() -> None:
    fact = {"key": "k", "value": {"type": "text", "value": "x" * 5_000}}
    fold = Fold(precedent_index.RULE).feed(
        make(1, "InputObserved", {"facts": [fact] * 100}),
        make(2, "ExceptionRequested", {"exception_id": "x", "reason": "y" * 150_000}),
        make(3, "TraceFinished", {"outcome": "success", "summary": "lost"}),
    )
    found = fold.table("precedent_text")["t-1"]
    assert len(found["text"]) == precedent_index.MAX_TEXT
    assert all(len(value) <= precedent_index.MAX_FACT for _, _, value in found["facts"])
    total = sum(len(value) for _, _, value in found["facts"])
    assert total <= precedent_index.MAX_FACT_TEXT
    assert found["truncated"]


def test_filters_name_columns_of_the_table() -> None:
    table = precedent_index.RULE.tables[0]
    assert set(COLUMNS.values()) <= set(table.columns)
    chosen = PrecedentFilter(entity_type="order", entity_id="7", outcome="success")
    assert chosen.conditions() == {
        "primary_entity_type": "order",
        "primary_entity_id": "7",
        "outcome": "success",
    }
    assert PrecedentFilter().conditions() == {}


@pytest.mark.parametrize(
    "wrong",
    [{"entity_id": "7"}, {"policy_version": "2"}, {"outcome": "great"}, {"colour": "red"}],
)
def test_half_a_filter_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PrecedentFilter.model_validate(wrong)
