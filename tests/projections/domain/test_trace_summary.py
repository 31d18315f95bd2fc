"""The row of a trace, by example."""

from __future__ import annotations

from typing import Any

from projections.domain.rule import Row
from projections.domain.rules import trace_summary
from tests.projections.fold import Fold, log, make

START: dict[str, Any] = {
    "workflow": "refund",
    "title": "Refund 7",
    "primary_entity": {"entity_type": "order", "entity_id": "7", "system": "shop"},
    "context": {"amount": 12.5},
}
POLICY = {"policy_id": "cap", "policy_version": "2"}


def exception(ident: str) -> dict[str, Any]:
    return {"exception_id": ident, "policy": POLICY, "reason": "because"}


def approval(kind: str, ident: str, trace: str | None = None) -> dict[str, Any]:
    subject = {"subject_type": kind, "subject_id": ident}
    if trace is not None:
        subject["trace_id"] = trace
    approver = {"actor_type": "person", "actor_id": "eve"}
    return {"approval_id": "p", "subject": subject, "approver": approver, "decision": "approved"}


def summary(*steps: tuple[str, str, dict[str, Any] | None], trace: str = "t") -> Row:
    return Fold(trace_summary.RULE).feed(*log(steps)).table("trace_summary")[trace]


def test_a_whole_trace() -> None:
    row = summary(
        ("t", "TraceStarted", START),
        ("t", "PolicyEvaluated", {"policy": POLICY, "decision": "deny"}),
        ("t", "ActionCommitted", {"action_id": "a", "status": "failure"}),
        ("t", "ActionCommitted", {"action_id": "a", "status": "success"}),
        ("t", "ActionCommitted", {"action_id": "b", "status": "partial"}),
        ("t", "TraceFinished", {"outcome": "success", "summary": "Done."}),
    )
    assert row == {
        "kind": "decision",
        "workflow": "refund",
        "title": "Refund 7",
        "primary_entity_type": "order",
        "primary_entity_system": "shop",
        "primary_entity_id": "7",
        "status": "finished",
        "outcome": "success",
        "started_at": "2026-01-01T00:00:01Z",
        "finished_at": "2026-01-01T00:00:06Z",
        "last_event_at": "2026-01-01T00:00:06Z",
        "event_count": 6,
        "event_counts": {
            "TraceStarted": 1,
            "PolicyEvaluated": 1,
            "ActionCommitted": 3,
            "TraceFinished": 1,
        },
        "last_policy_id": "cap",
        "last_policy_version": "2",
        "last_policy_decision": "deny",
        "policies": ["cap@2"],
        "actors": ["agent/bot"],
        "open_exceptions": 0,
        "open_exception_ids": [],
        "open_approvals": 0,
        "exceptions": {},
        "approvals": {},
        "actions_committed": 2,
        "actions_failed": 1,
        "first_log_seq": 1,
        "last_log_seq": 6,
        "summary": "Done.",
        "context": {"amount": 12.5},
    }


def test_an_exception_is_open_until_it_is_decided_and_again_when_asked_again() -> None:
    steps: list[tuple[str, str, dict[str, Any] | None]] = [
        ("t", "TraceStarted", START),
        ("t", "ExceptionRequested", exception("x")),
        ("t", "ExceptionRequested", exception("w")),
    ]
    assert summary(*steps)["open_exception_ids"] == ["w", "x"]
    steps.append(("t", "ApprovalRecorded", approval("exception", "x")))
    row = summary(*steps)
    assert (row["open_exceptions"], row["open_exception_ids"]) == (1, ["w"])
    assert row["actors"] == ["agent/bot", "person/eve"]
    assert row["policies"] == ["cap@2"]
    steps.append(("t", "ExceptionRequested", exception("x")))
    assert summary(*steps)["open_exceptions"] == 2
    # a decision about an action of the same name decides no exception
    steps.append(("t", "ApprovalRecorded", approval("action", "x")))
    assert summary(*steps)["open_exceptions"] == 2


def test_an_action_that_requires_approval_waits_for_it() -> None:
    proposed = {"action_id": "a", "action_type": "pay", "requires_approval": True}
    steps: list[tuple[str, str, dict[str, Any] | None]] = [
        ("t", "TraceStarted", START),
        ("t", "ActionProposed", proposed),
        ("t", "ActionProposed", {"action_id": "b", "action_type": "pay"}),
    ]
    assert summary(*steps)["open_approvals"] == 1
    steps.append(("t", "ApprovalRecorded", approval("action", "a")))
    assert summary(*steps)["open_approvals"] == 0


def test_a_review_trace_moves_the_row_of_its_subject() -> None:
    review = "review:1"
    subject = {"subject": {"subject_type": "exception", "subject_id": "x", "trace_id": "t"}}
    steps: list[tuple[str, str, dict[str, Any] | None]] = [
        ("t", "TraceStarted", START),
        ("t", "ExceptionRequested", exception("x")),
        (review, "TraceStarted", {**START, "workflow": "decisiongraph.review"}),
        (review, "ApprovalRequested", subject),
    ]
    row = summary(*steps)
    assert (row["open_exceptions"], row["open_approvals"]) == (1, 1)
    decided = [*steps, (review, "ApprovalRecorded", approval("exception", "x", "t"))]
    row = summary(*decided)
    assert (row["open_exceptions"], row["open_approvals"]) == (0, 0)
    assert (row["event_count"], row["last_log_seq"]) == (2, 2)
    assert row["actors"] == ["agent/bot", "person/eve"]
    fold = Fold(trace_summary.RULE).feed(*log(decided))
    assert fold.log_seqs[("trace_summary", "t")] == 5
    own = fold.table("trace_summary")[review]
    assert (own["kind"], own["event_count"], own["exceptions"]) == ("review", 3, {})
    # withdrawn: the review ends without a decision, the exception itself stays undecided
    withdrawn = [*steps, (review, "TraceFinished", {"outcome": "abandoned", **subject})]
    row = summary(*withdrawn)
    assert (row["open_exceptions"], row["open_approvals"], row["status"]) == (1, 0, "open")
    assert summary(*withdrawn, trace=review)["status"] == "finished"


def test_what_is_pending_is_decided_by_log_seq_and_not_by_arrival() -> None:
    subject = {"subject_type": "exception", "subject_id": "x", "trace_id": "t"}
    events = log(
        [
            ("t", "TraceStarted", START),
            ("t", "ExceptionRequested", exception("x")),
            ("review:1", "ApprovalRequested", {"subject": subject}),
            ("t", "ApprovalRecorded", approval("exception", "x")),
            ("t", "ExceptionRequested", exception("x")),
            ("review:1", "ApprovalRequested", {"subject": subject}),
            ("review:1", "ApprovalRecorded", approval("exception", "x", "t")),
            ("t", "ExceptionRequested", exception("y")),
            ("review:2", "ExceptionRequested", {**exception("y"), "subject": subject}),
        ]
    )
    own = [event for event in events if event.trace_id == "t"]
    foreign = [event for event in events if event.trace_id != "t"]
    expected = Fold(trace_summary.RULE).feed(*events)
    row = expected.table("trace_summary")["t"]
    assert row["exceptions"] == {"x": [5, 7], "y": [9, 0]}
    assert row["approvals"] == {"exception:x": [6, 7]}
    for order in (own + foreign, foreign + own):
        assert Fold(trace_summary.RULE).feed(*order).content() == expected.content()


def test_an_agent_cannot_speak_about_another_trace() -> None:
    fold = Fold(trace_summary.RULE).feed(
        *log(
            [
                ("t", "TraceStarted", START),
                ("t", "ExceptionRequested", exception("x")),
                ("u", "TraceStarted", START),
                ("u", "ApprovalRecorded", approval("exception", "x", "t")),
            ]
        )
    )
    assert fold.table("trace_summary")["t"]["open_exceptions"] == 1


def test_an_erased_start_leaves_what_the_envelope_says() -> None:
    row = summary(("t", "TraceStarted", None))
    assert (row["event_count"], row["workflow"], row["context"]) == (1, None, {})
    assert row["started_at"] == "2026-01-01T00:00:01Z"


def test_the_state_handed_in_is_never_changed() -> None:
    fold = Fold(trace_summary.RULE).feed(*log([("t", "TraceStarted", START)]))
    ident = ("trace_summary", "t")
    before = fold.rows[ident]
    copy = {name: repr(value) for name, value in before.items()}
    event = make(2, "ExceptionRequested", exception("x"), trace_id="t", actor=("person", "al"))
    list(trace_summary.RULE.fold(event, {ident: before}, []))
    assert {name: repr(value) for name, value in before.items()} == copy
