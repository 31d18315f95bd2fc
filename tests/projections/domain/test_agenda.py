"""What needs attention first: order, words, a producer's own rhythm."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from projections.domain import agenda
from projections.domain.health import Observation

NOW = datetime(2026, 3, 14, 10, 0, tzinfo=UTC)


def seen(name: str = "trace_summary", *, lag: int = 0, dead: int = 0, failures: int = 0) -> Observation:
    return Observation(name, 100, 100 + lag, failures, dead, 200.0 if lag else 0.0, 134.0 if lag else 0.0)


def sender(minutes: tuple[int, ...], last: float, *, sent: int = 0, refused: int = 0) -> agenda.Sender:
    return agenda.Sender("loan-sync", minutes, last, NOW - timedelta(seconds=last), sent, refused)


def test_worst_first_and_the_longest_of_equals() -> None:
    items = [
        *agenda.sender_items(sender(tuple(range(30, 60)), 1800), 15, ""),
        *agenda.health_items(seen("b", lag=926), "stale", "", NOW - timedelta(minutes=1)),
        *agenda.health_items(seen("a", lag=5), "stale", "", NOW - timedelta(minutes=9)),
        agenda.mismatch_item(agenda.Mismatch("context_graph", 1, "a replay", 90, NOW, "r-1")),
        *agenda.health_items(seen("c", dead=2), "degraded", "", NOW),
    ]
    found = agenda.ranked(items)
    assert [(item.kind, item.subject) for item in found] == [
        ("mismatch", "context_graph"),
        ("stale", "a"),
        ("stale", "b"),
        ("parked", "c"),
        ("silent", "loan-sync"),
    ]
    assert agenda.headline(found, "calm") == "Mismatch in context_graph, a is stale, and 3 more"
    assert found[0].title == "Mismatch: 1 row of context_graph differs from the log."
    assert found[3].title == "2 traces are parked in c."


def test_a_failed_projection_with_parked_traces_asks_twice() -> None:
    found = agenda.health_items(seen(lag=7, dead=1, failures=6), "failed", "no such column", NOW)
    assert [item.kind for item in found] == ["failed", "parked"]
    assert "6 batches in a row failed, 7 events behind. Last error: no such column" in found[0].why


def test_nothing_is_calm() -> None:
    assert agenda.headline([], "Everything is current") == "Everything is current"
    assert agenda.health_items(seen(), "fresh", "", NOW) == []
    assert agenda.health_items(seen(lag=3), "catching_up", "", NOW) == []


def test_silence_is_measured_by_ones_own_habit() -> None:
    every_minute = tuple(range(40, 100))
    hourly = tuple(range(60, 1440, 60))
    assert agenda.rhythm(sender(every_minute, 60)) == "sending"
    assert agenda.rhythm(sender(every_minute, 600)) == "quiet"
    assert agenda.rhythm(sender(every_minute, 1000)) == "silent"
    assert agenda.rhythm(sender(hourly, 3600 * 3)) == "quiet"
    assert agenda.rhythm(sender(hourly, 3600 * 5)) == "silent"
    assert agenda.rhythm(sender((600,), 36_000)) == "quiet"  # a single import is no habit


def test_one_long_break_does_not_hide_an_outage() -> None:
    minutes = (*range(30, 60), *range(300, 330))
    assert agenda.usual_gap(minutes) == 60.0


def test_a_burst_is_many_and_a_share() -> None:
    assert agenda.sender_items(sender((), 1, sent=1000, refused=19), 15, "x") == []
    assert agenda.sender_items(sender((), 1, sent=10_000, refused=30), 15, "x") == []
    (item,) = agenda.sender_items(sender((), 1, sent=100, refused=30), 15, "event.secret_found")
    assert item.title == "30 of 130 events of loan-sync were refused."
    assert "Mostly event.secret_found." in item.why


def test_the_machinery() -> None:
    everything = {"folding": 1, "beat_at": NOW, "beat_alive": True, "broker": True, "worker_at": NOW}
    assert agenda.machinery_items(**everything) == []  # type: ignore[arg-type]
    gone = agenda.machinery_items(folding=0, beat_at=None, beat_alive=False, broker=False, worker_at=NOW)
    assert [item.kind for item in agenda.ranked(gone)] == ["workers", "beat", "broker"]


@given(st.lists(st.integers(0, 1440), unique=True), st.floats(0, 1e6))
def test_every_producer_has_a_rhythm(minutes: list[int], last: float) -> None:
    assert agenda.rhythm(sender(tuple(sorted(minutes)), last)) in ("sending", "quiet", "silent")


def test_every_kind_has_a_place_and_a_look() -> None:
    assert set(agenda.ORDER) == set(agenda.LOOKS)
