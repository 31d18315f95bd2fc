"""Which places an erasure names."""

from __future__ import annotations

import pytest

from replays.domain.erasure import spans


@pytest.mark.parametrize(
    ("positions", "found"),
    [
        ([], []),
        ([7], [(7, 7)]),
        ([9, 7, 8, 12], [(7, 9), (12, 12)]),
        ([1, 3, 5], [(1, 1), (3, 3), (5, 5)]),
    ],
)
def test_runs_without_a_gap(positions: list[int], found: list[tuple[int, int]]) -> None:
    assert spans(positions) == found
