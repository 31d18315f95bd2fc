"""The seal: every change of one byte is caught and pointed at; nothing is pointed at that is right."""

from __future__ import annotations

import json

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from approvals.domain import seal

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
PUBLIC = KEY.public_key().public_bytes_raw()
BODY = b'{"bundle":"decisiongraph/1","content":{"a":"the reason, in words","b":[1,2,3],"c":"' + b"x" * 70 + b'"},\n'
PAGE = b"<!doctype html><title>t</title><p>Refund K7 was approved by Rita because the fare class allows it.</p>\n"


def verify(public: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def made(body: bytes = BODY, kind: str = "json") -> bytes:
    return seal.seal(body, kind, public_key=PUBLIC, sign=KEY.sign)


def fault(raw: bytes, **more: bytes) -> seal.Fault:
    found = seal.inspect(raw, verify, **more)
    assert isinstance(found, seal.Fault), "a changed file was taken for the signed one"
    return found


@pytest.mark.parametrize(("body", "kind"), [(BODY, "json"), (PAGE, "html"), (b"", "html"), (b"x" * 64, "html")])
def test_what_was_sealed_is_right(body: bytes, kind: str) -> None:
    found = seal.inspect(made(body, kind), verify, trusted=PUBLIC)
    assert isinstance(found, seal.Sealed)
    assert (found.body, found.kind, found.public_key) == (body, kind, PUBLIC)


def test_a_sealed_json_file_is_json() -> None:
    assert json.loads(made())["seal"]["key_id"] == seal.key_id(PUBLIC)


@pytest.mark.parametrize(("body", "kind"), [(BODY, "json"), (PAGE, "html")])
def test_every_change_of_one_byte_is_named(body: bytes, kind: str) -> None:
    """All positions, one bit each: another bit every time, so that every bit is tried."""
    raw = made(body, kind)
    for at in range(len(raw)):
        for mask in (1 << at % 8,):
            changed = raw[:at] + bytes((raw[at] ^ mask,)) + raw[at + 1 :]
            found = fault(changed)
            assert (found.first, found.last) == (at, at), (at, mask, found)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_several_changes_are_caught_near_the_first(data: st.DataObject) -> None:
    raw = bytearray(made())
    places = data.draw(st.lists(st.integers(0, len(BODY) - 1), min_size=2, max_size=8, unique=True))
    for at in places:
        raw[at] ^= data.draw(st.integers(1, 255))
    found = fault(bytes(raw))
    assert found.first <= min(places) <= found.last
    assert found.last - found.first < seal.PIECE


@given(st.integers(0, len(made()) - 1))
@settings(max_examples=60, deadline=None)
def test_a_cut_file_is_caught(size: int) -> None:
    fault(made()[:size])


@given(st.integers(0, len(BODY) - 1), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_what_was_put_in_or_taken_out_is_found(at: int, number: int) -> None:
    raw = made()
    # A byte no neighbour has: what is put into a run of equal letters has no place of its own.
    found = fault(raw[:at] + b"\x00" * number + raw[at:])
    assert found.first <= at <= found.last
    less = raw[:at] + raw[at + number :]
    # In a run of equal letters the first byte that differs stands behind the run.
    differs = next(i for i in range(len(less)) if less[i] != raw[i])
    assert fault(less).first <= differs


def test_bytes_behind_the_seal_are_named() -> None:
    raw = made()
    assert fault(raw + b"more").first == len(raw)


def test_a_file_without_a_seal() -> None:
    assert fault(b"").code == "seal.missing"
    assert fault(b"hello" * 200).code == "seal.missing"


def test_a_file_sealed_anew_by_somebody_else() -> None:
    """The control: whoever rewrites body and seal alike needs the key, or is another signer."""
    other = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
    changed = BODY.replace(b"words", b"lies!")
    theirs = seal.seal(changed, "json", public_key=other.public_key().public_bytes_raw(), sign=other.sign)
    assert isinstance(seal.inspect(theirs, verify), seal.Sealed)
    assert fault(theirs, trusted=PUBLIC).code == "seal.other_key"
    forged = seal.seal(changed, "json", public_key=PUBLIC, sign=other.sign)
    assert fault(forged).code == "seal.forged"
