"""The life of a replay, its arithmetic and what it finds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.domain.rule import Merge, Table
from replays.domain.verdict import (
    ACTIVE,
    TRANSITIONS,
    Differences,
    IllegalTransition,
    Sample,
    Stored,
    eta_seconds,
    progress,
    rate,
    shown_state,
    transition,
    verdict,
)

TABLE = Table("things", ("name", "value"), Merge.REPLACE)


def stored(key: str, value: Any, log_seq: int = 1) -> Stored:
    return Stored(TABLE, key, log_seq, {"name": key, "value": value})


def rows(content: dict[str, Any]) -> list[Stored]:
    return [stored(key, content[key]) for key in sorted(content)]


def test_a_replay_lives_forward_only() -> None:
    assert transition("queued", "running") == "running"
    assert transition("running", "completed") == "completed"
    for over in ("completed", "failed", "cancelled"):
        assert not TRANSITIONS[over]
        with pytest.raises(IllegalTransition, match="it is over"):
            transition(over, "running")
    with pytest.raises(IllegalTransition, match="cancelled, failed, running"):
        transition("queued", "completed")
    assert {state for state, targets in TRANSITIONS.items() if targets} == ACTIVE


def test_an_old_heartbeat_shows_as_stalled() -> None:
    assert shown_state("running", 14.0) == "running"
    assert shown_state("running", 16.0) == "stalled"
    assert shown_state("running", 3.0, limit=2.0) == "stalled"
    assert shown_state("running", None) == "running"
    assert shown_state("completed", 999.0) == "completed"
    assert shown_state("queued", 999.0) == "queued"


def test_rate_and_eta_come_from_what_was_seen() -> None:
    assert rate([]) is None
    assert rate([Sample(1.0, 5)]) is None
    assert rate([Sample(1.0, 5), Sample(1.0, 9)]) is None
    assert rate([Sample(0.0, 0), Sample(2.0, 100)]) == 50.0
    # only the window counts: it was slow long ago and is fast now
    assert rate([Sample(0.0, 0), Sample(90.0, 10), Sample(100.0, 1_010)]) == 100.0
    # one sample before a window that holds no other
    assert rate([Sample(0.0, 0), Sample(50.0, 500)]) == 10.0
    assert rate([Sample(0.0, 7), Sample(5.0, 7)]) == 0.0
    assert eta_seconds(50, 100, 25.0) == 2.0
    assert eta_seconds(50, 100, 0.0) is None
    assert eta_seconds(50, 100, None) is None
    assert eta_seconds(100, 100, None) == 0.0


def test_progress_stays_between_nothing_and_everything() -> None:
    assert [progress(n, 4) for n in (-1, 0, 1, 4, 9)] == [0.0, 0.0, 0.25, 1.0, 1.0]
    assert progress(0, 0) == 1.0


def test_each_kind_of_difference_is_named_with_its_event() -> None:
    found = Differences()
    live = [stored("a", 1), stored("b", 2), stored("c", {"x": 1}, 3), stored("e", 5, 9)]
    rebuilt = [stored("a", 1.0), stored("b", True, 4), stored("d", None, 7), stored("e", 5, 8)]
    found.add_bucket(live, rebuilt)
    assert [(row.key, row.kind, row.log_seq, row.columns) for row in found.rows] == [
        ("b", "changed", 4, ("log_seq", "value")),
        ("c", "surplus", 3, ()),
        ("d", "missing", 7, ()),
        ("e", "changed", 8, ("log_seq",)),
    ]
    assert (found.rows[0].live, found.rows[0].expected) == (
        {"log_seq": 1, "value": 2},
        {"log_seq": 4, "value": True},
    )
    assert found.rows[1].live == {"name": "c", "value": {"x": 1}}
    assert found.rows[2].expected == {"name": "d", "value": None}
    assert found.counts == {"changed": 2, "missing": 1, "surplus": 1}


def test_one_and_true_differ() -> None:
    found = Differences()
    found.add_bucket([stored("a", 1)], [stored("a", True)])
    assert found.rows[0].columns == ("value",)


def test_the_list_is_bounded_and_the_counts_are_not() -> None:
    found = Differences(limit=3)
    for bucket in range(4):
        found.add_bucket([], rows({f"{bucket}-{n}": n for n in range(5)}))
    assert (len(found.rows), found.total) == (3, 20)


content = st.dictionaries(st.text(max_size=3), st.integers(0, 2), max_size=10)


@given(content, content)
def test_the_comparison_finds_exactly_what_differs(live: dict[str, int], rebuilt: dict[str, int]) -> None:
    found = Differences()
    found.add_bucket(rows(live), rows(rebuilt))
    expected = {key for key in live | rebuilt if live.get(key) != rebuilt.get(key)}
    assert {row.key for row in found.rows} == expected
    assert found.total == len(expected)


@pytest.mark.parametrize(
    ("versions", "digests", "expected"),
    [
        ((1, 1), ("a", "a"), "match"),
        ((1, 1), ("a", "b"), "mismatch"),
        ((1, 2), ("a", "a"), "incomparable"),
        ((1, 1), (None, "a"), "incomparable"),
    ],
)
def test_the_verdict(versions: tuple[int, int], digests: tuple[str | None, str], expected: str) -> None:
    found = verdict(
        live_rule_version=versions[0],
        rule_version=versions[1],
        live_digest=digests[0],
        rebuilt_digest=digests[1] or "",
    )
    assert found == expected
