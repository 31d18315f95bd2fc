"""E2: proofs over all pairs up to 70 leaves hold, and nothing that differs by one bit does."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trust.sizes import LEVEL
from traces.domain import merkle
from traces.domain.merkle import Frontier, Subtree

MOST = 70
LEAVES = [sha256(b"event %d" % number).digest() for number in range(MOST)]


def plain_root(entries: list[bytes]) -> bytes:
    """The definition of RFC 6962 2.1, word by word."""
    if not entries:
        return sha256(b"").digest()
    if len(entries) == 1:
        return sha256(b"\0" + entries[0]).digest()
    split = 1
    while split * 2 < len(entries):
        split *= 2
    return sha256(b"\1" + plain_root(entries[:split]) + plain_root(entries[split:])).digest()


@cache
def root(size: int) -> bytes:
    return plain_root(LEAVES[:size])


def made(spans: list[merkle.Span], leaves: list[bytes] = LEAVES) -> list[bytes]:
    """A proof computed from what `wanted` names and nothing else."""
    known = {place: plain_root(leaves[place.start : place.end]) for place in merkle.wanted(spans)}
    return merkle.proof(spans, known)


@cache
def inclusion(index: int, size: int) -> tuple[bytes, ...]:
    return tuple(made(merkle.inclusion_spans(index, size)))


@cache
def consistency(old: int, size: int) -> tuple[bytes, ...]:
    return tuple(made(merkle.consistency_spans(old, size)))


def flipped(raw: bytes, bit: int) -> bytes:
    changed = bytearray(raw)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def forgeries(parts: tuple[bytes, ...], bits: range) -> Iterator[tuple[bytes, ...]]:
    """Each part in turn with each of these bits turned over."""
    for at, part in enumerate(parts):
        for bit in bits:
            yield (*parts[:at], flipped(part, bit), *parts[at + 1 :])


def bits(first: int, size: int) -> range:
    """Every bit where a tree is small or of a telling shape; elsewhere some, other ones for every pair.

    In the whole load of the suite (`tests.trust.sizes`) every bit of everything: minutes instead of seconds.
    """
    if LEVEL == "whole":
        return range(256)
    if size <= 8 or (size in (33, 64, MOST) and first in (0, size // 2, size - 1)):
        return range(256)
    return range((first * 7 + size) % 128, 256, 128)


@pytest.mark.trust("E2")
def test_every_leaf_of_every_tree_is_proven_and_every_forgery_refused() -> None:
    refused = 0
    for size in range(1, MOST + 1):
        for index in range(size):
            path, entry, top = inclusion(index, size), LEAVES[index], root(size)
            assert merkle.includes(entry, index, size, path, top)
            for forged_entry, forged_top, *forged in forgeries((entry, top, *path), bits(index, size)):
                assert not merkle.includes(forged_entry, index, size, forged, forged_top)
                refused += 1
            for other in range(size):  # the right path for the wrong place
                assert other == index or not merkle.includes(entry, other, size, path, top)
            assert not merkle.includes(entry, index, size, path[:-1], top) or size == 1
            assert not merkle.includes(entry, index, size, (*path, top), top)
    assert refused > 50_000


@pytest.mark.trust("E2")
def test_every_tree_is_the_beginning_of_every_later_one_and_every_forgery_refused() -> None:
    refused = 0
    for size in range(MOST + 1):
        for old in range(size + 1):
            path, before, now = consistency(old, size), root(old), root(size)
            assert merkle.consistent(old, size, path, before, now)
            for forged_before, forged_now, *forged in forgeries((before, now, *path), bits(old, size)):
                if old == 0 and forged_before == before:
                    continue  # every tree begins with the empty one: there is no second root to hold it to
                assert not merkle.consistent(old, size, forged, forged_before, forged_now)
                refused += 1
            assert not path or not merkle.consistent(old, size, path[:-1], before, now)
            assert not merkle.consistent(old, size, (*path, now), before, now)
    assert refused > 40_000


def test_what_is_out_of_range_is_refused() -> None:
    assert not merkle.includes(LEAVES[0], 1, 1, (), root(1))
    assert not merkle.includes(LEAVES[0], -1, 1, (), root(1))
    assert not merkle.consistent(3, 2, (), root(3), root(2))
    for call in (
        lambda: merkle.inclusion_spans(3, 3),
        lambda: merkle.consistency_spans(4, 3),
        lambda: Frontier(3, LEAVES[:1]),
        lambda: Frontier(1, [b"short"]),
    ):
        with pytest.raises(ValueError):
            call()


def test_the_tree_of_the_certificate_transparency_test_vectors() -> None:
    """The roots that the reference implementations of RFC 6962 publish for these eight entries."""
    entries = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    roots = {
        0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    }
    for size, expected in roots.items():
        assert merkle.root([bytes.fromhex(entry) for entry in entries[:size]]).hex() == expected


@given(sizes=st.lists(st.integers(0, 700), min_size=1, max_size=5))
def test_a_tree_grown_in_pieces_is_the_tree(sizes: list[int]) -> None:
    entries = [sha256(b"%d" % number).digest() for number in range(sum(sizes))]
    tree, kept, at = Frontier(), {}, 0
    for size in sizes:
        tree = Frontier.read(tree.size, tree.raw)  # as it is stored between two seals
        kept |= dict(tree.grow(entries[at : at + size]))
        at += size
    assert tree.root() == plain_root(entries)
    assert set(kept) == {Subtree(8, index) for index in range(len(entries) // 256)}
    for place, digest in kept.items():
        assert digest == plain_root(entries[place.start : place.end])


@given(data=st.data(), size=st.integers(1, 2_000))
def test_proofs_of_larger_trees_hold(data: st.DataObject, size: int) -> None:
    entries = [b"%d" % number for number in range(size)]
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size))
    top = merkle.root(entries)
    assert merkle.includes(entries[index], index, size, made(merkle.inclusion_spans(index, size), entries), top)
    path = made(merkle.consistency_spans(old, size), entries)
    assert merkle.consistent(old, size, path, merkle.root(entries[:old]), top)


def test_a_proof_in_a_long_log_needs_few_hashes() -> None:
    """A million events: the path has 20 hashes and is made of less than 1,500 stored ones."""
    spans = merkle.inclusion_spans(123_456, 1_000_003)
    assert len(spans) == 20
    assert len(merkle.wanted(spans)) < 1_500
