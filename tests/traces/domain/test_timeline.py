"""The waterfall of a trace: order, phases, gaps, folds, labels."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traces.domain.axis import LANE_END, MAX_FOLDS
from traces.domain.catalog import CATALOG
from traces.domain.envelope import StoredEvent
from traces.domain.labels import duration, face, headline
from traces.domain.timeline import Timeline, build

START = datetime(2026, 1, 12, 9, 41, 7, 112_000, tzinfo=UTC)


def event(
    seq: int, name: str, ms: int, payload: dict[str, Any] | None = None, *, trace: str = "t", log_seq: int | None = None
) -> StoredEvent:
    at = (START + timedelta(milliseconds=ms)).isoformat()
    return StoredEvent(
        seq + 1 if log_seq is None else log_seq,
        f"{trace}-{seq}",
        trace,
        seq,
        name,
        1,
        at,
        at,
        "p",
        "s",
        None,
        "agent",
        "a",
        f"k{seq}",
        None,
        None,
        (),
        "ingest",
        "token:x",
        "sha256:0",
        None,
        CATALOG[name].example if payload is None and name in CATALOG else payload,
    )


def percent(text: str) -> float:
    assert text.endswith("%")
    assert len(text.split(".")[1]) == 3
    return float(text[:-1])


def refund() -> tuple[list[StoredEvent], list[StoredEvent]]:
    """A refund that a person approved; the times are those of the design's picture."""
    allow = {**CATALOG["PolicyEvaluated"].example, "decision": "allow"}
    own = [
        event(0, "TraceStarted", 0),
        event(1, "InputObserved", 236),
        event(2, "InputObserved", 459),
        event(3, "EntityObserved", 908),
        event(4, "InputObserved", 2_772),
        event(5, "PolicyEvaluated", 4_228, allow),
        event(6, "PolicyEvaluated", 4_790),
        event(7, "PrecedentCited", 6_138),
        event(8, "ExceptionRequested", 6_894),
        event(9, "ActionProposed", 7_476),
        event(10, "ActionCommitted", 2_492_476, log_seq=20),
        event(11, "TraceFinished", 2_492_919, log_seq=21),
    ]
    review = [
        event(1, "ApprovalEscalated", 1_017_476, trace="review:1", log_seq=15),
        event(2, "ApprovalRecorded", 2_483_476, trace="review:1", log_seq=16),
    ]
    return own, review


def rows(timeline: Timeline) -> list[Any]:
    return [row for phase in timeline.phases for row in phase.rows]


def test_a_decision_reads_as_in_the_design() -> None:
    own, review = refund()
    made = build(own, review=review)
    assert [(p.title, p.counted, p.tone, len(p.rows)) for p in made.phases] == [
        ("Inputs", "5 events", "run", 5),
        ("Policy", "3 events", "run", 3),
        ("Exception and approval", "2 events, 2 from review", "human", 4),
        ("Action and finish", "2 events", "run", 2),
    ]
    assert [p.duration for p in made.phases] == ["2.77 s", "3.37 s", "41 min 17 s", "9.44 s"]
    assert [f"{r.label} | {r.detail} | {r.mark} | {r.tone}" for r in rows(made)] == [
        "Started | refund.request | m-in | run",
        "Input | booking, res-core | m-in | run",
        "Input | booking, res-core | m-in | run",
        "Entity | passenger P-88213 | m-in | run",
        "Input | booking, res-core | m-in | run",
        "Policy allow | refund.cap@3 | m-pol | ok",
        "Policy exception | refund.cap@3 | m-pol | warn",
        "Cited | refund-7714-b, 0.91 | m-in | run",
        "Exception asked | EX-2207, high | s-human-open | human",
        "Proposed | refund.issue | m-act | run",
        "Escalated | level 1, role:admin | s-human-open | human",
        "Approved | ana.petrov | s-human | human",
        "Committed | RF-5520913 | m-act | ok",
        "Finished | success | m-end | ok",
    ]
    assert [r.bar for r in rows(made)] == ["", *["el"] * 9, "wait", "wait", "el", "el"]
    assert [r.gap for r in rows(made)][:4] == ["", "236 ms", "223 ms", "449 ms"]
    (fold,) = made.folds
    assert fold.label == "41 min 16 s"
    assert percent(fold.width) == 18
    assert (made.people, made.machine, made.total) == ("41 min 16 s", "17 s", "41 min 33 s")
    assert [s.kind for s in made.strip] == ["machine", "people", "machine"]
    assert made.ticks[0] == ("0.00%", "0")
    assert (made.event_count, made.review_count) == (12, 2)
    assert made.started_at == own[0].occurred_at
    assert made.ended_at == own[-1].occurred_at


def test_to_scale_nothing_is_folded() -> None:
    own, review = refund()
    made = build(own, review=review, fold=False)
    assert made.folds == ()
    assert percent(rows(made)[-1].x) == LANE_END
    for row in rows(made):
        assert percent(row.x) == pytest.approx(row.offset_ms / made.total_ms * LANE_END, abs=0.006)


def test_an_empty_and_a_single_event_trace_can_be_drawn() -> None:
    assert build([]).phases == ()
    made = build([event(0, "TraceStarted", 0)])
    (row,) = rows(made)
    assert (row.x, row.bar, row.gap, row.offset) == ("0.00%", "", "", "0 ms")
    assert (made.strip, made.folds, made.total_ms) == ((), (), 0)
    assert made.ticks == (("0.00%", "0"),)


def test_order_is_the_traces_own_and_clocks_that_run_back_stand_still() -> None:
    made = build([event(2, "TraceFinished", 500), event(1, "InputObserved", -4_000), event(0, "TraceStarted", 0)])
    assert [r.trace_seq for r in rows(made)] == [0, 1, 2]
    assert [r.early for r in rows(made)] == [False, True, False]
    assert [r.gap_ms for r in rows(made)] == [0, 0, 500]
    unreadable = event(1, "InputObserved", 0)._replace(occurred_at="soon", recorded_at="later")
    assert rows(build([event(0, "TraceStarted", 0), unreadable]))[1].gap_ms == 0


def test_looking_things_up_while_acting_does_not_open_phases() -> None:
    names = [
        "TraceStarted",
        "InputObserved",
        *["ActionProposed", "ActionCommitted", "InputObserved"] * 20,
        "TraceFinished",
    ]
    made = build([event(i, name, i * 100) for i, name in enumerate(names)])
    assert [p.title for p in made.phases] == ["Inputs", "Action and finish"]
    again = build(
        [event(i, n, i) for i, n in enumerate(["TraceStarted", "ActionCommitted", "PolicyEvaluated", "TraceFinished"])]
    )
    assert [p.title for p in again.phases] == ["Inputs", "Action", "Policy", "Finish"]


def test_a_citation_comes_with_policy_not_with_inputs() -> None:
    made = build([event(0, "TraceStarted", 0), event(1, "PrecedentCited", 1), event(2, "PolicyEvaluated", 2)])
    assert [p.title for p in made.phases] == ["Inputs", "Policy"]
    assert made.phases[0].counted == "1 event"


@pytest.mark.parametrize(
    ("name", "change", "label", "tone", "mark"),
    [
        ("PolicyEvaluated", {"decision": "deny"}, "Policy deny", "bad", "m-pol"),
        ("PolicyEvaluated", {"decision": "other"}, "Policy", "run", "m-pol"),
        ("ApprovalRecorded", {"decision": "rejected"}, "Rejected", "human", "s-human"),
        (
            "ApprovalRecorded",
            {"approver": {"actor_type": "system", "actor_id": "rules"}, "decision": "rejected"},
            "Rejected",
            "bad",
            "m-pol",
        ),
        ("ActionCommitted", {"status": "failure"}, "Failed", "bad", "m-act"),
        ("ActionCommitted", {"status": "partial"}, "Partly committed", "warn", "m-act"),
        ("TraceFinished", {"outcome": "failure"}, "Finished", "bad", "m-end"),
        ("TraceFinished", {"outcome": "abandoned"}, "Finished", "idle", "m-end"),
    ],
)
def test_results_have_their_tone(name: str, change: dict[str, Any], label: str, tone: str, mark: str) -> None:
    shown = face(event(0, name, 0, {**CATALOG[name].example, **change}))
    assert (shown.label, shown.tone, shown.mark) == (label, tone, mark)


@pytest.mark.parametrize("name", [*CATALOG, "SomethingNewer"])
def test_every_type_has_a_face_whatever_it_holds(name: str) -> None:
    assert face(event(0, name, 0, {})).label
    assert face(event(0, name, 0, {"policy": 3, "subject": [], "source": {"system": {}}, "error": {"a": 1}})).label
    erased = event(0, name, 0)._replace(payload=None)
    assert rows(build([erased]))[0].redacted
    if name in CATALOG:
        assert face(erased).detail == "payload erased"
        assert headline(event(0, name, 0)).startswith(face(event(0, name, 0)).label)


def test_a_headline_says_it_in_one_line() -> None:
    assert headline(event(0, "PolicyEvaluated", 0)) == "Policy exception refund.cap@3"
    assert headline(event(0, "PolicyEvaluated", 0, {})) == "Policy"


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0 ms"),
        (999, "999 ms"),
        (1_000, "1.00 s"),
        (9_994, "9.99 s"),
        (9_995, "10 s"),
        (59_499, "59 s"),
        (59_500, "1 min"),
        (1_010_000, "16 min 50 s"),
        (7_500_000, "2 h 5 min"),
        (86_400_000, "1 d"),
        (273_600_000, "3 d 4 h"),
        (137 * 86_400_000, "137 d"),
    ],
)
def test_durations_are_words(ms: int, text: str) -> None:
    assert duration(ms) == text


GAPS = st.one_of(st.integers(0, 50), st.integers(0, 5_000), st.integers(0, 10**10), st.integers(-5_000, 0))


@given(st.lists(st.tuples(st.sampled_from(list(CATALOG)), GAPS), min_size=1, max_size=40), st.booleans(), st.randoms())
def test_any_history_can_be_drawn(history: list[tuple[str, int]], fold: bool, random: Any) -> None:
    now, events = 0, []
    for seq, (name, gap) in enumerate(history):
        now += gap
        events.append(event(seq, name, now))
    shuffled = list(events)
    random.shuffle(shuffled)
    made = build(shuffled, fold=fold)
    assert made == build(events, fold=fold)
    shown = rows(made)
    assert [r.trace_seq for r in shown] == list(range(len(events)))
    places = [percent(r.x) for r in shown]
    assert places == sorted(places)
    assert places[0] >= 0
    assert places[-1] <= LANE_END + 0.01
    for row in shown:
        assert percent(row.bar_x) + percent(row.bar_width) == pytest.approx(percent(row.x), abs=0.011)
        assert row.gap_ms >= 0
    assert made.total_ms == made.machine_ms + made.people_ms == sum(r.gap_ms for r in shown)
    assert len(made.folds) <= MAX_FOLDS
    assert sum(percent(f.width) for f in made.folds) <= 42.1
    ticks = [percent(t.x) for t in made.ticks]
    assert ticks == sorted(ticks)
    assert 1 <= len(ticks) <= 15
    if made.strip:
        assert sum(percent(s.width) for s in made.strip) == pytest.approx(100, abs=0.01 * len(made.strip))


@given(st.lists(st.integers(0, 100_000), min_size=1, max_size=12), st.lists(st.integers(0, 100_000), max_size=12))
def test_review_rows_are_woven_in_without_changing_either_order(own: list[int], review: list[int]) -> None:
    mine = [event(i, "InputObserved", ms, log_seq=2 * i + 1) for i, ms in enumerate(own)]
    theirs = [event(i, "ApprovalRequested", ms, trace="review:1", log_seq=2 * i + 2) for i, ms in enumerate(review)]
    shown = rows(build(mine, review=theirs))
    assert [r.trace_seq for r in shown if not r.review] == list(range(len(own)))
    assert [r.trace_seq for r in shown if r.review] == list(range(len(review)))
    assert len(shown) == len(own) + len(review)


def test_a_long_trace_is_quick() -> None:
    names = list(CATALOG)
    events = [event(i, names[i % len(names)], i * i % 100_003 + i * 50) for i in range(5_000)]
    began = time.perf_counter()
    made = build(events)
    assert time.perf_counter() - began < 2
    assert len(rows(made)) == 5_000
