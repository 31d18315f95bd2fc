"""Signed notes: our own come back, those of others are read, and nothing changed is believed."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from traces.domain import note
from traces.domain.note import BadNote, Checkpoint, Key
from traces.management.commands.verify_log import verified

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEY = Key("decisions.example.org/acme", PRIVATE.public_key().public_bytes_raw())
SAID = Checkpoint("decisions.example.org/acme", 20_852_163, bytes(range(100, 132)))
NOTE = note.sign(SAID, KEY, PRIVATE.sign)

THEIRS = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE"
    "+xeMcTOAYQ8=\n"
)
"""The example of the C2SP specification."""


def test_a_note_comes_back() -> None:
    assert note.opened(NOTE, [KEY], verified) == SAID
    assert note.parse_key(KEY.text) == KEY
    assert NOTE.splitlines()[:2] == ["decisions.example.org/acme", "20852163"]
    assert NOTE.splitlines()[4].startswith("— decisions.example.org/acme ")


def test_the_example_of_the_specification_is_read() -> None:
    found = note.unsigned(THEIRS)
    assert (found.origin, found.size) == ("example.com/behind-the-sofa", 20_852_163)
    assert found.text == THEIRS.partition("\n\n")[0] + "\n"


@given(at=st.integers(0, len(NOTE.encode()) - 1), bit=st.integers(0, 7))
def test_no_changed_bit_is_believed(at: int, bit: int) -> None:
    raw = bytearray(NOTE.encode())
    raw[at] ^= 1 << bit
    try:
        changed = raw.decode()
    except UnicodeDecodeError:
        return
    with pytest.raises(BadNote):
        note.opened(changed, [KEY], verified)


def test_signatures_of_others_are_passed_over_and_a_wrong_one_condemns() -> None:
    other = Ed25519PrivateKey.generate()
    witness = Key("witness.example.org", other.public_key().public_bytes_raw())
    line = note.sign(SAID, witness, other.sign).splitlines(keepends=True)[-1]
    assert note.opened(NOTE + line, [KEY], verified) == SAID
    assert note.opened(NOTE + line, [witness], verified) == SAID
    forged = note.sign(SAID, witness, PRIVATE.sign).splitlines(keepends=True)[-1]
    with pytest.raises(BadNote, match="wrong"):
        note.opened(NOTE + forged, [KEY, witness], verified)
    with pytest.raises(BadNote, match="No key"):
        note.opened(NOTE, [witness], verified)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a\n\n",
        "a\n1\nAAAA\n",
        NOTE.replace("20852163", "020852163"),
        NOTE.replace("20852163", "-1"),
        NOTE.replace("20852163", "٣"),
        NOTE + "x",
        NOTE + "\n",
        NOTE.replace("— ", "- "),
        NOTE.replace("acme\n", "acme\t\n", 1),
        "a\n1\n\n" + NOTE.partition("\n\n")[2],
    ],
)
def test_what_is_no_checkpoint(text: str) -> None:
    with pytest.raises(BadNote):
        note.opened(text, [KEY], verified)


@pytest.mark.parametrize("text", ["a", "a+b", "a+00000000+AAAA", KEY.text.replace("acme", "other"), "+" + KEY.text])
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(BadNote):
        note.parse_key(text)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\n"])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(ValueError):
        note.sign(SAID, Key(name, KEY.public), PRIVATE.sign)


def test_notes_one_behind_the_other() -> None:
    for between in ("", "\n", "\n\n"):
        assert note.notes_in(between.join([NOTE, THEIRS, NOTE])) == [NOTE, THEIRS, NOTE]
    assert note.notes_in("") == []
