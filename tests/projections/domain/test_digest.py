"""Digests: equal content gives equal digests, and nothing else does."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.domain.digest import BUCKETS, Buckets, CanonicalDigest, key_sha, row_hash
from projections.domain.rule import Merge, Table

TABLE = Table("things", ("name", "value"), Merge.REPLACE)
OTHER = Table("others", ("name", "value"), Merge.REPLACE)

rows = st.dictionaries(st.text(max_size=4), st.integers(0, 3), max_size=12)


def hashed(key: str, value: Any, secret: bytes = b"k", log_seq: int = 1) -> bytes:
    return row_hash(secret, TABLE, key, log_seq, {"name": key, "value": value})


def live(content: dict[str, int]) -> Buckets:
    buckets = Buckets()
    for key, value in content.items():
        buckets.add(key_sha(key), hashed(key, value))
    return buckets


@given(rows, rows)
def test_equal_rows_and_only_those_have_equal_digests(one: dict[str, int], two: dict[str, int]) -> None:
    assert (live(one) == live(two)) == (one == two)
    assert (live(one).digest() == live(two).digest()) == (one == two)
    expected = {key_sha(key)[0] for key in one | two if one.get(key) != two.get(key)}
    assert set(live(one).differing(live(two))) == expected


@given(rows, rows)
def test_changing_rows_one_by_one_ends_where_starting_afresh_does(
    before: dict[str, int], after: dict[str, int]
) -> None:
    buckets = live(before)
    for key, value in after.items():
        buckets.add(key_sha(key), hashed(key, value))
    for key, value in before.items():
        buckets.remove(key_sha(key), hashed(key, value))
    assert buckets == live(after)


@given(st.dictionaries(st.binary(min_size=2, max_size=2), st.binary(min_size=32, max_size=32)), rows)
def test_many_at_once_are_as_many_one_by_one(many: dict[bytes, bytes], before: dict[str, int]) -> None:
    at_once, one_by_one = live(before), live(before)
    shas = sorted(many)
    for sha in shas:
        one_by_one.add(sha, many[sha])
    assert at_once.add_all(shas, [many[sha] for sha in shas]) == {sha[0] for sha in shas}
    assert at_once == one_by_one


@given(rows)
def test_parts_combine_and_survive_storage(content: dict[str, int]) -> None:
    items = list(content.items())
    half = len(items) // 2
    whole = live(dict(items[:half])).combine(live(dict(items[half:])))
    assert whole == live(content)
    packed = whole.to_bytes()
    assert len(packed) == BUCKETS * 32
    assert Buckets.from_bytes(packed) == whole
    assert hash(Buckets.from_bytes(packed)) == hash(whole)


def test_every_part_of_a_row_counts() -> None:
    base = hashed("a", 1)
    assert len(base) == 32
    others = [
        hashed("b", 1),
        hashed("a", "1"),
        hashed("a", True),
        hashed("a", 1, secret=b"another"),
        hashed("a", 1, log_seq=2),
        row_hash(b"k", OTHER, "a", 1, {"name": "a", "value": 1}),
    ]
    assert base not in others
    assert len(set(others)) == len(others)


def test_the_canonical_digest_is_what_anybody_can_compute() -> None:
    digest = CanonicalDigest()
    digest.feed(TABLE, "a", 1, {"value": 1.0, "name": "é"})
    digest.feed(TABLE, "b", 2, {"name": None, "value": {"y": [], "x": False}})
    text = '["things","a",1,"é",1]\n["things","b",2,null,{"x":false,"y":[]}]\n'
    assert digest.digest() == "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    assert digest.rows == 2


def test_rows_out_of_order_are_refused() -> None:
    digest = CanonicalDigest()
    digest.feed(TABLE, "b", 1, {"name": "b", "value": 1})
    for key in ("a", "b"):
        with pytest.raises(ValueError, match="does not come after"):
            digest.feed(TABLE, key, 1, {"name": key, "value": 1})


def test_a_damaged_digest_is_refused() -> None:
    assert Buckets.from_bytes(b"") == Buckets()
    with pytest.raises(ValueError, match="bytes"):
        Buckets.from_bytes(b"x")
    with pytest.raises(ValueError, match="buckets"):
        Buckets([1])
