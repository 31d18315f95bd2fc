"""Nodes, edges and their keys, by example."""

from __future__ import annotations

from typing import Any

from projections.domain.rules import context_graph
from tests.projections.fold import Fold, log, make

START: dict[str, Any] = {
    "workflow": "w",
    "title": "T",
    "primary_entity": {"entity_type": "order", "entity_id": "7:a%"},
}


def edges(fold: Fold) -> set[tuple[str, str, str]]:
    rows = fold.table("edge").values()
    return {(row["edge_type"], row["from_key"], row["to_key"]) for row in rows}


def test_a_start_makes_trace_actor_and_entity() -> None:
    fold = Fold(context_graph.RULE).feed(make(1, "TraceStarted", START, trace_id="t:1"))
    assert set(fold.table("node")) == {
        "trace:t%3A1",
        "actor:agent:bot",
        "entity:order:local:7%3Aa%25",
    }
    assert fold.table("edge") == {
        "trace_started_by:trace:t%3A1:actor:agent:bot:e-1": {
            "edge_type": "trace_started_by",
            "from_key": "trace:t%3A1",
            "to_key": "actor:agent:bot",
            "trace_id": "t:1",
            "event_id": "e-1",
            "created_at": "2026-01-01T00:00:01Z",
        },
        "trace_involves_entity:trace:t%3A1:entity:order:local:7%3Aa%25:e-1": {
            "edge_type": "trace_involves_entity",
            "from_key": "trace:t%3A1",
            "to_key": "entity:order:local:7%3Aa%25",
            "trace_id": "t:1",
            "event_id": "e-1",
            "created_at": "2026-01-01T00:00:01Z",
        },
    }


def test_every_edge_type() -> None:
    policy = {"policy_id": "cap", "policy_version": "2"}
    person = {"actor_type": "person", "actor_id": "eve"}
    subject = {"subject_type": "exception", "subject_id": "x"}
    target = {"entity_type": "order", "entity_id": "7", "system": "shop"}
    fold = Fold(context_graph.RULE).feed(
        *log(
            [
                ("t", "EntityObserved", {"entity": target}),
                ("t", "InputObserved", {"input_id": "i"}),
                ("t", "PolicyEvaluated", {"policy": policy}),
                ("t", "ExceptionRequested", {"exception_id": "x"}),
                (
                    "t",
                    "ApprovalRecorded",
                    {"subject": subject, "approver": person, "decision": "approved"},
                ),
                ("t", "PrecedentCited", {"cited_trace_id": "old"}),
                ("t", "ActionProposed", {"action_id": "a", "target_entity": target}),
                ("t", "ActionCommitted", {"action_id": "a"}),
            ]
        )
    )
    assert edges(fold) == {
        ("trace_involves_entity", "trace:t", "entity:order:shop:7"),
        ("trace_observed_input", "trace:t", "input:t:i"),
        ("trace_evaluated_policy", "trace:t", "policy:cap:2"),
        ("trace_requested_exception", "trace:t", "exception:t:x"),
        ("exception_approved_by", "exception:t:x", "actor:person:eve"),
        ("trace_cited_precedent", "trace:t", "trace:old"),
        ("trace_proposed_action", "trace:t", "action:t:a"),
        ("action_targets_entity", "action:t:a", "entity:order:shop:7"),
        ("trace_committed_action", "trace:t", "action:t:a"),
    }
    assert fold.table("node")["trace:old"]["trace_id"] == "old"


def test_a_rejection_makes_the_approver_but_no_edge() -> None:
    payload = {
        "subject": {"subject_type": "exception", "subject_id": "x"},
        "approver": {"actor_type": "person", "actor_id": "eve"},
        "decision": "rejected",
    }
    fold = Fold(context_graph.RULE).feed(make(1, "ApprovalRecorded", payload))
    assert set(fold.table("node")) == {"actor:person:eve"}
    assert not fold.table("edge")


def test_a_decision_in_a_review_trace_belongs_to_its_subject() -> None:
    payload = {
        "subject": {"subject_type": "exception", "subject_id": "x", "trace_id": "t"},
        "approver": {"actor_type": "person", "actor_id": "eve"},
        "decision": "approved",
    }
    event = make(9, "ApprovalRecorded", payload, trace_id="review:1", origin="platform")
    fold = Fold(context_graph.RULE).feed(event)
    assert edges(fold) == {("exception_approved_by", "exception:t:x", "actor:person:eve")}
    assert {row["trace_id"] for row in fold.table("edge").values()} == {"t"}


def test_the_lowest_log_seq_makes_a_node_whenever_it_arrives() -> None:
    late = make(2, "EntityObserved", {"entity": START["primary_entity"]}, trace_id="b")
    early = make(1, "TraceStarted", START, trace_id="a")
    for order in ((early, late), (late, early)):
        fold = Fold(context_graph.RULE).feed(*order)
        node = fold.table("node")["entity:order:local:7%3Aa%25"]
        assert (node["trace_id"], node["created_at"]) == ("a", "2026-01-01T00:00:01Z")
