"""Durations as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.domain.spans import read_span, write_span


@given(st.integers(min_value=-(10**10), max_value=10**10))
def test_what_is_written_is_read_again(seconds: int) -> None:
    assert read_span(write_span(seconds)) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("4 h", 14_400),
        ("1d12h", 129_600),
        ("90 minutes", 5_400),
        ("-30 Min", -1_800),
        ("\u22121 hour", -3_600),
        ("+ 2 d", 172_800),
        ("0 s", 0),
        ("", None),
        ("-", None),
        ("4", None),
        ("4 h 5", None),
        ("1 h 2 h", None),
        ("4 weeks", None),
        ("1 h - 3 min", None),
        ("four hours", None),
    ],
)
def test_spellings(text: str, seconds: int | None) -> None:
    assert read_span(text) == seconds


@given(st.text(max_size=40))
def test_anything_is_a_duration_or_not(text: str) -> None:
    assert read_span(text) is None or isinstance(read_span(text), int)
