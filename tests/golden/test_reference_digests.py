"""The reference digests against an answer key that nobody here wrote."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from projections.domain.reference import NAMES, ReferenceFold
from tests.golden.bundle import scenarios, stored
from tests.projections.domain.strategies import event_types, nonsense
from tests.projections.fold import make


def test_all_twenty_digests_of_the_answer_key() -> None:
    compared = 0
    for scenario in scenarios():
        digests = ReferenceFold().feed_all(stored(scenario["events"])).digests()
        assert digests == scenario["expected_digests"], scenario["scenario"]
        compared += len(digests)
    assert compared == 20


def test_a_changed_event_is_noticed() -> None:
    for scenario in scenarios():
        events = stored(scenario["events"])
        started = events[0]
        assert started.payload is not None
        changed = started._replace(payload={**started.payload, "title": "Another"})
        digests = ReferenceFold().feed_all([changed, *events[1:]]).digests()
        expected = scenario["expected_digests"]
        assert digests["trace_summary"] != expected["trace_summary"]
        assert digests["full_projection"] != expected["full_projection"]
        assert digests["context_graph"] == expected["context_graph"]


def test_only_ingested_events_count() -> None:
    for scenario in scenarios():
        events = stored(scenario["events"])
        foreign = stored(scenario["events"], first=100, origin="platform")
        imported = stored(scenario["events"], first=200, origin="import")
        digests = ReferenceFold().feed_all([*events, *foreign, *imported]).digests()
        assert digests == scenario["expected_digests"]


def test_an_empty_log_has_digests_too() -> None:
    assert tuple(ReferenceFold().digests()) == NAMES


@given(st.lists(st.tuples(event_types, nonsense), max_size=5))
def test_no_payload_makes_it_raise(payloads: list[tuple[str, dict[str, Any] | None]]) -> None:
    fold = ReferenceFold()
    for log_seq, (kind, payload) in enumerate(payloads, start=1):
        fold.feed(make(log_seq, kind, payload))
    assert set(fold.digests()) == set(NAMES)
