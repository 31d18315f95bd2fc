"""Two traces step by step: laws on made-up ones, and pairs of real runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.traces.importers.shared import SHARED, needs_data
from traces.domain.align import MAX_CELLS, align, differences
from traces.domain.catalog import CATALOG
from traces.domain.compare import compare, known
from traces.domain.envelope import StoredEvent
from traces.importers import read_cases


def stored(trace_id: str, seq: int, kind: str, payload: dict[str, Any] | None, **more: Any) -> StoredEvent:
    values: dict[str, Any] = {
        "log_seq": seq + 1,
        "event_id": f"{trace_id}.{seq}",
        "trace_id": trace_id,
        "trace_seq": seq,
        "event_type": kind,
        "schema_version": 1,
        "occurred_at": f"2026-03-14T09:41:{seq % 60:02}Z",
        "recorded_at": "2026-03-14T09:41:00.000000Z",
        "producer_id": "desk",
        "system": "refunds",
        "subsystem": None,
        "actor_type": "agent",
        "actor_id": "refund-bot",
        "idempotency_key": f"{trace_id}.{seq}",
        "correlation_id": None,
        "causation_event_id": None,
        "tags": (),
        "origin": "ingest",
        "principal": "token:1",
        "leaf_hash": "sha256:",
        "payload_hash": None,
        "payload": payload,
    }
    return StoredEvent(**(values | more))


def trace(trace_id: str, *steps: tuple[str, dict[str, Any]]) -> list[StoredEvent]:
    return [stored(trace_id, seq, kind, payload) for seq, (kind, payload) in enumerate(steps)]


def example(kind: str, **changes: Any) -> tuple[str, dict[str, Any]]:
    return kind, CATALOG[kind].example | changes


def policy(version: str, decision: str, *violations: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    named = {"policy_id": "refund.cap", "policy_version": version}
    return "PolicyEvaluated", {"policy": named, "inputs": ["x"], "decision": decision, "violations": list(violations)}


def booking(ident: str, fare: str, **changes: Any) -> tuple[str, dict[str, Any]]:
    facts = [{"key": "fare_paid", "value": {"type": "decimal", "value": fare}, "as_of": f"2026-01-12T09:4{ident[-1]}"}]
    return example("InputObserved", input_id=ident, facts=facts, **changes)


LEFT = trace(
    "one",
    example("TraceStarted"),
    booking("in-1", "612.40"),
    policy("3", "require_exception", {"code": "EXCEEDS_CAP", "details": {"amount": "612.40"}}),
    example("ExceptionRequested"),
    example("ActionProposed", action_id="a-1"),
    example("ActionCommitted", action_id="a-1", external_reference="RF-1"),
    example("TraceFinished"),
)
RIGHT = trace(
    "two",
    example("TraceStarted"),
    booking("in-7", "380.00"),
    policy("4", "allow"),
    example("ActionProposed", action_id="b-9"),
    example("ActionCommitted", action_id="b-9", external_reference="RF-2"),
    example("TraceFinished", summary="Refunded."),
)


def kinds(left: Sequence[StoredEvent], right: Sequence[StoredEvent]) -> list[tuple[str, int | None, int | None]]:
    return [
        (pair.kind, pair.left and pair.left.trace_seq, pair.right and pair.right.trace_seq)
        for pair in align(left, right).pairs
    ]


def test_two_refunds() -> None:
    assert kinds(LEFT, RIGHT) == [
        ("same", 0, 0),
        ("changed", 1, 1),
        ("changed", 2, 2),
        ("left", 3, None),
        ("same", 4, 3),
        ("same", 5, 4),
        ("changed", 6, 5),
    ]
    assert align(LEFT, RIGHT).counts == {"same": 3, "changed": 3, "left": 1, "right": 0}


def test_what_every_run_makes_up_anew_is_no_difference() -> None:
    (change,) = differences(LEFT[1], RIGHT[1]).changes
    assert (change.path, change.left, change.right) == ("facts[0].value.value", "612.40", "380.00")
    own = [
        booking("in-1", "1.00", source={"system": "s", "object_type": "b", "object_id": f"{name}.m3"})
        for name in ("run-a", "run-b")
    ]
    assert kinds(trace("run-a", own[0]), trace("run-b", own[1])) == [("same", 0, 0)]


def test_facts_and_policies_that_differ() -> None:
    found = compare(LEFT, RIGHT)
    assert [(row.name, row.left, row.right, row.shared) for row in found.facts] == [
        ("EXCEEDS_CAP.amount", ("612.40",), (), 0),
        ("booking.fare_paid", ("612.40",), ("380.00",), 0),
        ("violations", ("EXCEEDS_CAP",), (), 0),
    ]
    assert found.same_facts == 3  # workflow, primary entity, context.channel
    (row,) = found.policies
    assert (row.policy_id, row.left, row.right) == (
        "refund.cap",
        (("3", "require_exception"), ("3", "exception asked")),
        (("4", "allow"),),
    )
    assert compare(LEFT, LEFT).facts == ()
    assert compare(LEFT, LEFT).policies == ()


def test_an_erased_payload_is_a_step_like_any_other() -> None:
    erased = [stored("one", seq, event.event_type, None) for seq, event in enumerate(LEFT)]
    assert align(LEFT, erased).counts["same"] == 0
    assert align(erased, erased).counts == {"same": 7, "changed": 0, "left": 0, "right": 0}
    assert known(erased) == {"workflow": {'""': ""}, "primary_entity": {'""': ""}}


def test_very_long_traces_are_aligned_in_time() -> None:
    left = trace("one", *(booking("in-1", str(number % 900)) for number in range(3_000)))
    right = trace("two", *(booking("in-1", str(number % 700)) for number in range(100, 2_800)))
    assert len(left) * len(right) > MAX_CELLS
    began = time.perf_counter()
    found = align(left, right)
    assert time.perf_counter() - began < 5
    assert not found.exact
    assert_sound(left, right)


def assert_sound(left: Sequence[StoredEvent], right: Sequence[StoredEvent]) -> None:
    """Every step once, both orders kept, partners of one kind, the mirror image when sides are swapped."""
    found = align(left, right)
    assert [pair.left for pair in found.pairs if pair.left] == list(left)
    assert [pair.right for pair in found.pairs if pair.right] == list(right)
    for pair in found.pairs:
        assert (pair.left is None) == (pair.kind == "right")
        assert (pair.right is None) == (pair.kind == "left")
        if pair.left and pair.right:
            assert pair.left.event_type == pair.right.event_type
            assert (pair.kind == "same") == (not differences(pair.left, pair.right).changes)
    assert align(left, right) == found
    partners = [(pair.left, pair.right) for pair in found.pairs if pair.left and pair.right]
    mirrored = align(right, left)
    assert [(pair.right, pair.left) for pair in mirrored.pairs if pair.left and pair.right] == partners
    assert mirrored.exact == found.exact


STEPS = st.lists(
    st.sampled_from([event.event_type for event in LEFT]).map(example)
    | st.builds(booking, st.sampled_from(["in-1", "in-2"]), st.sampled_from(["1", "2"]))
    | st.builds(policy, st.sampled_from("34"), st.sampled_from(["allow", "deny"])),
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(STEPS, STEPS)
def test_laws(first: list[tuple[str, dict[str, Any]]], second: list[tuple[str, dict[str, Any]]]) -> None:
    left, right = trace("left", *first), trace("right", *second)
    assert_sound(left, right)
    counts = align(left, left).counts
    assert counts == {"same": len(left), "changed": 0, "left": 0, "right": 0}


@needs_data
@pytest.mark.parametrize("task", [0, 7, 21])
def test_real_runs_of_one_task(task: int) -> None:
    """Trials of the same task begin alike, and what differs is told."""
    runs = {
        case.trace_id: [
            stored(case.trace_id, seq, made["event_type"], made["payload"], occurred_at=made["occurred_at"])
            for seq, made in enumerate(case.envelopes)
        ]
        for case in read_cases("chat", SHARED / "taubench" / "gpt-4o-airline.json", None)
        if f"-task{task}-" in case.trace_id
    }
    assert len(runs) == 4
    names = sorted(runs)
    for one in names:
        for other in names:
            assert_sound(runs[one], runs[other])
            found = compare(runs[one], runs[other])
            assert found.alignment.exact
            if one == other:
                assert found.facts == ()
                assert found.policies == ()
                continue
            pairs = found.alignment.pairs
            # the start tells the trial, the written policy is the same, then the customer speaks
            assert [pair.kind for pair in pairs[:2]] == ["changed", "same"]
            assert pairs[2].kind in ("same", "changed")
            assert "context.trial" in {row.name for row in found.facts}
            assert found.alignment.counts["same"] >= 1
