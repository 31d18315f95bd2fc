"""Deadlines, business time, and policies tried on made-up pasts."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from approvals.domain import sla
from approvals.domain.calendar import Calendar, Hours

WORK = Calendar(time_zone="Europe/Amsterdam")
MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2027, 12, 31)).map(lambda d: d.replace(tzinfo=UTC))
CALENDARS = st.builds(
    Calendar,
    time_zone=st.sampled_from(["UTC", "Europe/Amsterdam", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]),
    days=st.sets(st.integers(0, 6), min_size=1).map(lambda days: tuple(sorted(days))),
    hours=st.sampled_from([Hours(opens=time(9), closes=time(17)), Hours(opens=time(0), closes=time(0)),
                           Hours(opens=time(22), closes=time(0)), Hours(opens=time(1), closes=time(4))]),
    holidays=st.sets(st.dates(date(2024, 1, 1), date(2027, 12, 31)), max_size=20).map(frozenset),
)  # fmt: skip


def at(text: str, zone: str = "Europe/Amsterdam") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


@pytest.mark.parametrize(
    ("start", "hours", "end"),
    [
        ("2026-01-05T10:00", 2, "2026-01-05T12:00"),
        ("2026-01-05T16:00", 2, "2026-01-06T10:00"),
        ("2026-01-09T16:00", 2, "2026-01-12T10:00"),  # over a weekend
        ("2026-01-10T11:00", 1, "2026-01-12T10:00"),  # starting on one
        ("2026-01-05T17:00", 8, "2026-01-06T17:00"),
        ("2026-03-27T16:00", 8, "2026-03-30T16:00"),  # over the night the clock is turned
        ("2026-01-06T10:00", -2, "2026-01-05T16:00"),
        ("2026-01-05T10:00", 0, "2026-01-05T10:00"),
    ],
)
def test_working_hours(start: str, hours: int, end: str) -> None:
    assert WORK.add(at(start), hours * 3600) == at(end)


def test_holidays_and_a_calendar_without_work() -> None:
    christmas = Calendar(time_zone="Europe/Amsterdam", holidays=frozenset({date(2026, 12, 25)}))
    assert christmas.add(at("2026-12-24T16:00"), 2 * 3600) == at("2026-12-28T10:00")
    gap = Calendar(days=(0,), hours=Hours(opens=time(9), closes=time(9, 1)))
    with pytest.raises(OverflowError):
        gap.add(at("2026-01-05T10:00"), 10_000_000)


@given(MOMENTS, st.integers(1, 40 * 3600), CALENDARS)
def test_adding_and_measuring_agree(start: datetime, seconds: int, calendar: Calendar) -> None:
    end = calendar.add(start, seconds)
    assert end > start
    assert calendar.between(start, end) == pytest.approx(seconds)
    assert calendar.between(end, start) == pytest.approx(-seconds)
    assert calendar.add(end, -seconds) >= start
    assert calendar.between(start, calendar.add(end, -seconds)) == pytest.approx(0, abs=1e-6)


@given(MOMENTS, st.integers(1, 20 * 3600), st.integers(1, 20 * 3600), CALENDARS)
def test_adding_in_two_steps(start: datetime, one: int, two: int, calendar: Calendar) -> None:
    assert calendar.add(calendar.add(start, one), two) == calendar.add(start, one + two)


START = datetime(2026, 1, 5, 9, tzinfo=UTC)


def test_the_standard_plan() -> None:
    made = sla.plan(sla.STANDARD, START, {})
    assert made.deadline == START + timedelta(hours=4)
    assert [(due.kind, due.level, (due.at - START).total_seconds() / 3600) for due in made.timers] == [
        ("reminder", 0, 2),
        ("risk", 0, 3),
        ("deadline", 0, 4),
        ("escalation", 1, 4),
        ("escalation", 2, 8),
        ("expiry", 0, 72),
    ]


def test_a_deadline_that_the_case_names() -> None:
    policy = sla.Policy(deadline=sla.Deadline(fact="due"), risk=sla.Moment(seconds=-60), expiry=None)
    made = sla.plan(policy, START, {"due": "2026-01-06 12:00:00+01:00"})
    assert made.deadline == datetime(2026, 1, 6, 11, tzinfo=UTC)
    for facts in ({}, {"due": "soon"}, {"due": 5}):
        assert sla.plan(policy, START, facts) == sla.Plan(None, ())


@pytest.mark.parametrize(
    "wrong",
    [
        {"deadline": {}},
        {"deadline": {"seconds": 1, "fact": "x"}},
        {"deadline": {"seconds": 0}},
        {"clock": {"start": {"event_type": "Nonsense"}, "stop": {"event_type": "TraceFinished"}}},
        {"calendar": {"time_zone": "Mars/Olympus"}},
        {"calendar": {"days": []}},
        {"calendar": {"days": [7]}},
        {"calendar": {"hours": {"opens": "17:00", "closes": "09:00"}}},
        {"quorum": 3, "reviewers": ["user:a", "user:b"]},
        {"reviewers": ["user:a", "user:a"]},
        {"quorum": 0},
        {"unknown": 1},
    ],
)
def test_policies_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        sla.Policy.model_validate(wrong)


def test_policies_survive_json() -> None:
    policy = sla.Policy(calendar=WORK, reviewers=("user:a", "user:b"), quorum=2, escalations=(sla.Level(seconds=60),))
    assert sla.Policy.model_validate(policy.model_dump(mode="json")) == policy


@pytest.mark.parametrize(
    ("stop", "standing", "over"),
    [(4 * 3600, "in_time", 0), (4 * 3600 + 1, "late", 1), (60, "in_time", 60 - 4 * 3600), (None, "open", 3600)],
)
def test_judging_a_case(stop: int | None, standing: str, over: float) -> None:
    case = sla.Case("c", START, None if stop is None else START + timedelta(seconds=stop), {})
    judged = sla.judge(sla.STANDARD, case, START + timedelta(hours=5))
    assert (judged.standing, judged.over_seconds) == (standing, over)


def test_a_tracker_takes_the_first_start_and_the_first_stop_after_it() -> None:
    clock = sla.Clock(
        start=sla.Edge(event_type="PolicyEvaluated", where={"policy.policy_id": "cap"}),
        stop=sla.Edge(event_type="TraceFinished", at="end"),
    )
    tracker = sla.Tracker()
    for hour, kind, payload in (
        (0, "TraceStarted", {"context": {"end": "2026-01-05T12:00:00Z"}}),
        (1, "PolicyEvaluated", {"policy": {"policy_id": "other"}}),
        (2, "PolicyEvaluated", {"policy": {"policy_id": "cap"}}),
        (3, "PolicyEvaluated", {"policy": {"policy_id": "cap"}}),
        (4, "TraceFinished", {}),
    ):
        tracker.feed(clock, kind, payload, START + timedelta(hours=hour))
    case = tracker.case("t", clock)
    assert case is not None
    assert case.start == START + timedelta(hours=2)
    assert case.stop == datetime(2026, 1, 5, 12, tzinfo=UTC)
    tracker.facts.clear()
    without = tracker.case("t", clock)
    assert without is not None
    assert without.stop is None
