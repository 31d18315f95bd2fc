"""States of projections and what the console says about them."""

from __future__ import annotations

from typing import Any

import pytest

from projections.domain.health import (
    STATES,
    Observation,
    State,
    Thresholds,
    duration,
    hero_line,
    projection_state,
    tenant_state,
    worst,
)


def seen(**changes: Any) -> Observation:
    fresh = Observation("trace_summary", 100, 100, 0, 0, 3_600.0, 0.0)
    return fresh._replace(**changes)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "fresh"),
        ({"cursor": 0, "head": 0}, "fresh"),
        ({"cursor": 99, "lag_seconds": 0.1}, "catching_up"),
        ({"cursor": 99, "lag_seconds": 15.0}, "catching_up"),
        ({"cursor": 99, "lag_seconds": 15.1}, "stale"),
        ({"cursor": 99, "lag_seconds": 30.0, "unmoved_seconds": 0.2}, "catching_up"),
        ({"cursor": 99, "lag_seconds": 60.1, "unmoved_seconds": 0.2}, "stale"),
        ({"dead_letters": 1}, "degraded"),
        ({"dead_letters": 1, "cursor": 99, "lag_seconds": 0.1}, "degraded"),
        ({"dead_letters": 1, "cursor": 99, "lag_seconds": 61.0}, "stale"),
        ({"failures": 4}, "fresh"),
        ({"failures": 5, "dead_letters": 2, "cursor": 9, "lag_seconds": 99.0}, "failed"),
    ],
)
def test_the_state_of_a_projection(changes: dict[str, Any], expected: State) -> None:
    assert projection_state(seen(**changes)) == expected


def test_thresholds_are_settings() -> None:
    behind = seen(cursor=99, lag_seconds=3.0)
    assert projection_state(behind, Thresholds(unmoved_seconds=2.0)) == "stale"
    assert projection_state(seen(failures=1), Thresholds(failures=1)) == "failed"


def test_the_tenant_is_as_well_as_its_worst_projection() -> None:
    assert tenant_state([seen(), seen(dead_letters=1)]) == "degraded"
    assert tenant_state([]) == "fresh"
    assert worst(reversed(STATES)) == "failed"


@pytest.mark.parametrize(
    ("observations", "words"),
    [
        ([], "No projection"),
        ([seen(cursor=0, head=0)], "log is empty"),
        ([seen(cursor=1_234, head=1_234)], "at event 1,234."),
        (
            [seen(), seen(name="b", cursor=90, lag_seconds=1.0)],
            "b is catching up: 10 events to go.",
        ),
        ([seen(name="b", dead_letters=1)], "b has set 1 event aside"),
        (
            [seen(name="b", dead_letters=2, cursor=99, lag_seconds=1.0)],
            "2 events aside that its rule could not fold, and 1 event waits.",
        ),
        (
            [seen(name="b", cursor=98, lag_seconds=130.0), seen(name="c", failures=6, cursor=99)],
            (
                "c stopped at event 99: 6 batches in a row failed and 1 event waits. "
                "1 other projection needs attention too."
            ),
        ),
        (
            [seen(name="b", cursor=98, lag_seconds=130.0)],
            "b does not keep up: 2 events wait, the oldest for 2 minutes.",
        ),
    ],
)
def test_the_hero_line_names_what_matters_first(observations: list[Observation], words: str) -> None:
    assert words in hero_line(observations)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 seconds"),
        (1.0, "1 second"),
        (90.0, "90 seconds"),
        (120.0, "2 minutes"),
        (3_700.0, "1 hour"),
        (90_000.0, "1 day"),
        (200_000.0, "2 days"),
    ],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words
