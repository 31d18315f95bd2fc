"""Signed notes, and the checkpoints of a log written as such. Pure.

Source: C2SP signed-note v1.0.0 (text, blank line, signature lines), C2SP tlog-checkpoint (origin, size, root).
Any tool of that world that holds the log's verifier key can read them.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import NamedTuple

ED25519 = b"\x01"
"""Signature type of the note format."""
MARK = "— "
"""Em dash and space: what a signature line begins with."""
MOST_SIGNATURES = 16
KEY_BYTES, ID_BYTES, SIGNATURE_BYTES, ROOT_BYTES = 32, 4, 64, 32

Verifier = Callable[[bytes, bytes, bytes], bool]
"""``verify(public_key, signature, message)``."""


class BadNote(ValueError):
    """The note cannot be trusted; the message says why."""


class Key(NamedTuple):
    """A verifier key: who signs, and with what."""

    name: str
    public: bytes

    @property
    def ident(self) -> bytes:
        """The four bytes before a signature of this key."""
        return sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:ID_BYTES]

    @property
    def text(self) -> str:
        """``name+id+key``, as such keys are handed around."""
        return f"{self.name}+{self.ident.hex()}+{_encode(ED25519 + self.public)}"


class Checkpoint(NamedTuple):
    """What a log says of itself at one size."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The lines that are signed."""
        return f"{self.origin}\n{self.size}\n{_encode(self.root)}\n"


def parse_key(text: str) -> Key:
    """A verifier key from its text. Raises `BadNote`."""
    parts = text.strip().split("+", 2)  # base64 may hold a plus of its own
    if len(parts) != 3:
        raise BadNote("A verifier key looks like name+id+key.")
    raw = _decode(parts[2])
    if len(raw) != 1 + KEY_BYTES or raw[:1] != ED25519:
        raise BadNote("The verifier key is no Ed25519 key.")
    key = Key(parts[0], raw[1:])
    if not _is_name(key.name) or key.ident.hex() != parts[1]:
        raise BadNote("The verifier key does not fit its own id.")
    return key


def sign(checkpoint: Checkpoint, key: Key, signer: Callable[[bytes], bytes]) -> str:
    """The checkpoint as a signed note. ``signer`` answers 64 bytes for a message.

    Raises ValueError when the name cannot stand in a note.
    """
    if not _is_name(key.name) or not checkpoint.origin or _has_control(checkpoint.origin):
        raise ValueError("The name of a key is neither empty nor holds spaces or a plus.")
    text = checkpoint.text
    return f"{text}\n{MARK}{key.name} {_encode(key.ident + signer(text.encode()))}\n"


def unsigned(note: str) -> Checkpoint:
    """What a note claims, before anybody has looked at its signatures. Raises `BadNote`."""
    text, _ = _parts(note)
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
        raise BadNote("A checkpoint has an origin, a size and a root hash, each on its line.")
    origin, size, root = lines[0], lines[1], _decode(lines[2])
    if not (size.isascii() and size.isdigit()) or (size[0] == "0" and size != "0") or len(size) > 18:
        raise BadNote("The size of a checkpoint is a decimal number without leading zeros.")
    if len(root) != ROOT_BYTES:
        raise BadNote("The root hash of a checkpoint has 32 bytes.")
    return Checkpoint(origin, int(size), root)


def opened(note: str, keys: Iterable[Key], verify: Verifier) -> Checkpoint:
    """The checkpoint of a note that one of these keys has signed. Raises `BadNote`.

    Signatures of other keys are passed over; a wrong one of a known key condemns the note.
    """
    known = {(key.name, key.ident): key for key in keys}
    text, lines = _parts(note)
    good = 0
    for line in lines:
        name, _, encoded = line.removeprefix(MARK).partition(" ")
        raw = _decode(encoded)
        if not line.startswith(MARK) or not _is_name(name) or len(raw) <= ID_BYTES:
            raise BadNote("A signature line of the note is malformed.")
        key = known.get((name, raw[:ID_BYTES]))
        if key is None:
            continue
        if len(raw) != ID_BYTES + SIGNATURE_BYTES or not verify(key.public, raw[ID_BYTES:], text.encode()):
            raise BadNote(f"The signature of {name} is wrong.")
        good += 1
    if not good:
        raise BadNote("No key that is known here has signed it.")
    return unsigned(note)


def notes_in(text: str) -> list[str]:
    """The notes of a file that holds one behind the other, a blank line between them or none."""
    found: list[str] = []
    lines: list[str] = []
    signed = False
    for line in text.splitlines():
        if signed and not line.startswith(MARK):
            found.append("\n".join(lines) + "\n")
            lines, signed = [], False
        if line or lines:
            lines.append(line)
        signed = signed or line.startswith(MARK)
    if lines:
        found.append("\n".join(lines) + "\n")
    return found


def _parts(note: str) -> tuple[str, list[str]]:
    text, blank, signatures = note.rpartition("\n\n")
    lines = signatures.split("\n")
    if not blank or lines.pop() != "" or not lines:
        raise BadNote("A note is a text, a blank line and signature lines.")
    if len(lines) > MOST_SIGNATURES or _has_control(note):
        raise BadNote("A note holds at most 16 signatures and no control characters.")
    return text + "\n", lines


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(char.isspace() for char in name) and not _has_control(name)


def _has_control(text: str) -> bool:
    return any(char < " " and char != "\n" for char in text)


def _encode(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _decode(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadNote("Something in the note is no base64.") from None
    if _encode(raw) != text:  # unused bits at the end must be zero: one meaning, one spelling
        raise BadNote("Something in the note is no base64.")
    return raw
