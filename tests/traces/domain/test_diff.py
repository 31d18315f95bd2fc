"""Differences between two JSON values: examples one can read, and laws that always hold."""

from __future__ import annotations

import json
import time
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from traces.domain.diff import MAX_CELLS, apply, diff, equal, inverse, rising, spell, subsequence


def said(left: Any, right: Any) -> list[tuple[str, str]]:
    return [(change.kind, change.path) for change in diff(left, right).changes]


def test_types_are_respected() -> None:
    four = [1, 1.0, "1", True]
    for left in four:
        for right in four:
            assert said({"v": left}, {"v": right}) == ([] if left is right else [("type_changed", "v")])
    assert said({"v": None}, {}) == [("removed", "v")]
    assert said({"v": 0}, {"v": False}) == [("type_changed", "v")]
    assert said([], {}) == [("type_changed", "$")]


def test_an_amount_that_was_lowered() -> None:
    proposed = {"action_type": "refund.issue", "changes": [{"path": "amount", "new_value": {"value": "612.40"}}]}
    executed = {"action_type": "refund.issue", "changes": [{"path": "amount", "new_value": {"value": "400.00"}}]}
    (change,) = diff(proposed, executed).changes
    assert change.as_json() == {
        "kind": "changed",
        "path": "changes[0].new_value.value",
        "left_path": "changes[0].new_value.value",
        "right_path": "changes[0].new_value.value",
        "left": "612.40",
        "left_type": "string",
        "right": "400.00",
        "right_type": "string",
    }


def test_items_are_recognised_by_their_identity() -> None:
    left = [{"key": "a", "value": 1}, {"key": "b", "value": 2}, {"key": "c", "value": 3}]
    right = [{"key": "b", "value": 2}, {"key": "c", "value": 4}, {"key": "d", "value": 5}]
    assert said({"facts": left}, {"facts": right}) == [
        ("removed", "facts[0]"),
        ("changed", "facts[2].value"),
        ("added", "facts[2]"),
    ]
    assert said(left, [left[2], left[0], left[1]]) == [("moved", "[2]")]
    # no identity when two items share it
    assert said([{"key": "a"}, {"key": "a"}], [{"key": "a"}]) == [("removed", "[1]")]


def test_one_inserted_item_is_one_change() -> None:
    assert said(["a", "b", "c"], ["a", "x", "b", "c"]) == [("added", "[1]")]
    assert said(["a", "b", "c"], ["a", "x", "c"]) == [("changed", "[1]")]
    assert said(["a", {"k": 1}], ["a", "b"]) == [("removed", "[1]"), ("added", "[1]")]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), "$"),
        (("a", 0, "b"), "a[0].b"),
        (("odd name", "x"), '["odd name"].x'),
        ((1, 'say "hi"'), '[1]["say \\"hi\\""]'),
        (("a", None), "a"),
    ],
)
def test_paths_are_spelled_so_that_they_can_be_read(path: tuple[Any, ...], text: str) -> None:
    assert spell(path) == text


def test_the_answer_is_bounded() -> None:
    left, right = {str(n): n for n in range(3_000)}, {str(n): -n - 1 for n in range(3_000)}
    found = diff(left, right)
    assert len(found.changes) == 1_000
    assert found.truncated
    assert not diff(left, left).truncated
    long = [str(n % 7) for n in range(6_000)]
    other = [str(n % 5) for n in range(6_000)]
    assert len(long) * len(other) > MAX_CELLS
    began = time.perf_counter()
    assert apply(long, diff(long, other, limit=20_000).changes) == other
    assert time.perf_counter() - began < 2


def test_a_longest_run_is_found() -> None:
    assert sorted(rising([3, 0, 1, 4, 2])) == [1, 2, 4]
    assert rising([]) == frozenset()
    assert len(subsequence("abcbdab", "bdcaba")) == 4


SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, 1.0, 2.0]) | st.sampled_from("abc1")
ITEMS = st.fixed_dictionaries({"key": st.sampled_from("abcdef")}, optional={"value": SCALARS})
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(ITEMS, max_size=5)
        | st.dictionaries(st.sampled_from(["a", "b", "c d", ""]), inner, max_size=4)
    ),
    max_leaves=20,
)


def text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


@settings(max_examples=300, deadline=None)
@given(VALUES, VALUES)
def test_laws(left: Any, right: Any) -> None:
    found = diff(left, right)
    assert text(apply(left, found.changes)) == text(right)
    assert text(apply(right, inverse(found.changes))) == text(left)
    assert inverse(inverse(found.changes)) == found.changes
    assert equal(left, right) == (text(left) == text(right)) == (not found.changes)
    assert diff(left, right) == found
    turned = diff(right, left)
    assert sorted(map(repr, turned.changes)) == sorted(map(repr, inverse(found.changes)))


@settings(max_examples=100, deadline=None)
@given(VALUES)
def test_nothing_differs_from_itself(value: Any) -> None:
    assert diff(value, json.loads(text(value))).changes == ()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from("abc"), max_size=9), st.lists(st.sampled_from("abc"), max_size=9))
def test_a_common_subsequence_is_one(first: list[str], second: list[str]) -> None:
    found = subsequence(first, second)
    assert all(first[i] == second[j] for i, j in found)
    assert all(a < c and b < d for (a, b), (c, d) in pairwise(found))
