"""What a trace's page says about it in words, and what one event says."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.traces.domain.test_timeline import event
from traces.domain.catalog import CATALOG
from traces.domain.envelope import StoredEvent
from traces.domain.story import MILESTONES, Material, Story, hand_off, tell
from traces.domain.timeline import build
from traces.domain.verdict import raw_json, verdict

Payload = dict[str, Any]

START: Payload = {
    "workflow": "refund.request",
    "title": "Refund of K7",
    "primary_entity": {"entity_type": "booking", "entity_id": "K7", "system": "res-core"},
}
CAP: Payload = {"policy_id": "refund.cap", "policy_version": "3"}


def policy(decision: str, name: str = "refund.cap") -> Payload:
    return {"policy": {"policy_id": name, "policy_version": "3"}, "inputs": [], "decision": decision}


ASKED: Payload = {"exception_id": "EX-1", "policy": CAP, "reason": "fare class"}
PROPOSED: Payload = {"action_id": "a1", "action_type": "refund.issue", "changes": [], "target_system": "pay"}


def decided(decision: str, subject: str = "exception", ident: str = "EX-1") -> Payload:
    return {
        "approval_id": "A1",
        "subject": {"subject_type": subject, "subject_id": ident},
        "approver": {"actor_type": "person", "actor_id": "ana"},
        "decision": decision,
    }


def committed(status: str, **more: Any) -> Payload:
    return {"action_id": "a1", "status": status, **more}


def history(*steps: tuple[str, int, Payload]) -> list[StoredEvent]:
    """(type, milliseconds, payload) after a start at 0."""
    return [
        event(0, "TraceStarted", 0, START),
        *(event(number, name, ms, payload) for number, (name, ms, payload) in enumerate(steps, 1)),
    ]


def material(events: list[StoredEvent]) -> Material:
    return Material(
        events[0],
        events[-1],
        [e for e in events if e.event_type in MILESTONES],
        Counter(e.event_type for e in events),
        build(events).people_ms,
    )


def story(*steps: tuple[str, int, Payload]) -> Story:
    return tell(material(history(*steps)))


def said(found: Story) -> str:
    return "".join(span.text for span in found.spans)


def fact(found: Story, label: str) -> tuple[str, str]:
    (one,) = [each for each in found.facts if each.label == label]
    return one.value, one.detail


OUTCOME = "TraceFinished"


@pytest.mark.parametrize(
    ("steps", "state", "sentence"),
    [
        ([], "open", "Still open after its first event"),
        ([("InputObserved", 5, {})], "open", "Still open after 2 events"),
        ([(OUTCOME, 7_004, {"outcome": "success"})], "success", "Succeeded in 7 s"),
        ([(OUTCOME, 236, {"outcome": "abandoned"})], "abandoned", "Abandoned in 236 ms"),
        ([(OUTCOME, 0, {"outcome": "failure"})], "failure", "Failed"),
        ([(OUTCOME, 0, {"outcome": "odd"})], "finished", "Finished"),
        (
            [("PolicyEvaluated", 9, policy("deny")), (OUTCOME, 2_000, {"outcome": "failure"})],
            "failure",
            "Failed in 2 s: refund.cap@3 denied it",
        ),
        (
            [
                ("ActionProposed", 9, PROPOSED),
                ("ActionCommitted", 1_000, committed("failure")),
                (OUTCOME, 2_000, {"outcome": "failure"}),
            ],
            "failure",
            "Failed in 2 s: refund.issue did not go through",
        ),
        (
            [
                ("ExceptionRequested", 1_000, ASKED),
                ("ApprovalRecorded", 2_461_000, decided("approved")),
                (OUTCOME, 2_470_000, {"outcome": "success"}),
            ],
            "success",
            "Succeeded by exception, after 41 min with a person",
        ),
        (
            [
                ("ExceptionRequested", 1_000, ASKED),
                ("ApprovalRecorded", 2_461_000, decided("rejected")),
                (OUTCOME, 2_470_000, {"outcome": "failure"}),
            ],
            "failure",
            "Failed, after 41 min with a person: a person refused it",
        ),
        ([("ExceptionRequested", 9, ASKED)], "waiting", "Waiting for a person to decide on exception EX-1"),
        (
            [("ActionProposed", 9, PROPOSED | {"requires_approval": True})],
            "waiting",
            "Waiting for a person to decide on refund.issue",
        ),
        (
            [("ExceptionRequested", 9, ASKED), ("ApprovalRecorded", 90, decided("approved"))],
            "open",
            "Still open after 3 events",
        ),
        (
            [
                ("ActionProposed", 9, PROPOSED | {"requires_approval": True}),
                ("ActionCommitted", 19, committed("success")),
            ],
            "open",
            "Still open after 3 events",
        ),
    ],
)
def test_the_sentence(steps: list[tuple[str, int, Payload]], state: str, sentence: str) -> None:
    found = story(*steps)
    assert (found.state, found.sentence) == (state, sentence)


def test_the_explanation_names_agent_policy_people_and_result() -> None:
    found = story(
        ("PolicyEvaluated", 1, policy("allow", "fare")),
        ("PolicyEvaluated", 2, policy("require_exception")),
        ("ApprovalRecorded", 3, decided("approved")),
        ("ActionProposed", 4, PROPOSED),
        ("ActionCommitted", 5, committed("success", external_reference="RF-1")),
        (OUTCOME, 6, {"outcome": "success", "summary": "Refunded 612.40 EUR."}),
    )
    assert said(found) == (
        "a proposed refund.issue for booking K7. refund.cap@3 asked for an exception, fare@3 allowed it. "
        "ana approved the exception. refund.issue was committed as RF-1. Refunded 612.40 EUR."
    )
    assert [span.text for span in found.spans if span.strong] == ["a", "ana approved"]
    assert fact(found, "Policy decisions") == ("1 allow, 1 exception", "fare@3, refund.cap@3")
    assert fact(found, "Approval") == ("approved", "ana")


def test_an_error_may_be_a_text_or_an_object() -> None:
    assert "refund.issue failed: late" in said(
        story(("ActionProposed", 1, PROPOSED), ("ActionCommitted", 2, committed("failure", error="late")))
    )
    error = {"code": "timeout", "message": "no answer"}
    assert "refund.issue failed: timeout: no answer" in said(
        story(("ActionProposed", 1, PROPOSED), ("ActionCommitted", 2, committed("failure", error=error)))
    )


def test_a_long_trace_does_not_pretend_to_have_read_everything() -> None:
    events = history(*(("PolicyEvaluated", n, policy("allow")) for n in range(1, 50)))
    known = events[-10:]
    counts = Counter(e.event_type for e in events) | Counter({"ActionCommitted": 7, "ActionProposed": 9})
    found = tell(Material(events[0], events[-1], known, counts, None))
    assert fact(found, "Policy decisions") == ("49", "of the last 10: 10 allow")
    assert fact(found, "Actions") == ("7 reported", "9 proposed")


def test_the_hand_off_answers_the_questions() -> None:
    events = history(
        ("PolicyEvaluated", 2, policy("require_exception")),
        ("ExceptionRequested", 3, ASKED),
        ("ApprovalRecorded", 4, decided("approved")),
        (OUTCOME, 6_000, {"outcome": "success"}),
    )
    text = hand_off("t", tell(material(events)), material(events), "http://x/t/acme/traces/t")
    lines = text.split("\n")
    assert lines[0] == "Refund of K7"
    assert "Trace: t" in lines
    assert "Entity: booking K7 res-core" in lines
    assert "Policy: refund.cap@3 require_exception" in lines
    assert "Exception: EX-1: fare class" in lines
    assert "Decision: ana approved" in lines
    assert lines[-1] == "Link: http://x/t/acme/traces/t"


values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KEYS = sorted({key for entry in CATALOG.values() for key in entry.example})
payloads = st.none() | st.dictionaries(st.sampled_from(KEYS), values, max_size=6)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([*CATALOG, "Unheard"]), payloads), min_size=1, max_size=8))
def test_total_over_any_history(steps: list[tuple[str, Payload | None]]) -> None:
    events = [event(n, name, n * 10, payload)._replace(payload=payload) for n, (name, payload) in enumerate(steps)]
    made = material(events)
    found = tell(made)
    assert found.sentence
    assert found.facts
    assert hand_off("t", found, made, "link").endswith("Link: link")
    for each in events:
        verdict(each)


# --- one event ------------------------------------------------------------------------------------


def test_a_verdict_says_what_a_policy_found() -> None:
    payload = policy("deny") | {"violations": [{"code": "CAP", "details": {"amount": "612.40", "cap": "400"}}]}
    said_ = verdict(event(1, "PolicyEvaluated", 1, payload))
    assert said_ == ("deny", "refund.cap@3 denies it.", "CAP: amount 612.40, cap 400")
    assert verdict(event(1, "InputObserved", 1)) is None
    assert verdict(event(1, "PolicyEvaluated", 1)._replace(payload=None)) is None


@given(st.recursive(st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.text(), st.lists, max_leaves=5))
@settings(max_examples=100, deadline=None)
def test_raw_json_is_the_same_value_and_hides_nothing(value: Any) -> None:
    text = raw_json(value)
    assert json.loads(text) == value
    assert not any(unicodedata.category(char) in ("Cf", "Zl", "Zp") for char in text)


def test_raw_json_spells_out_what_turns_text() -> None:
    assert raw_json("a\u202eb\u200b\U000e0041é") == '"a\\u202eb\\u200b\\udb40\\udc41é"'


# --- stretches of a timeline ------------------------------------------------------------------------


def test_a_stretch_continues_the_one_before() -> None:
    events = history(*(("InputObserved", n * 1_000, {}) for n in range(1, 10)))
    whole = [row for phase in build(events).phases for row in phase.rows]
    late = build(events[4:], lead=1)
    rows = [row for phase in late.phases for row in phase.rows]
    assert [row.trace_seq for row in rows] == [5, 6, 7, 8, 9]
    assert [row.gap_ms for row in rows] == [row.gap_ms for row in whole[5:]]
    assert late.event_count == 5
    assert build(events[:1], lead=1).phases == ()
