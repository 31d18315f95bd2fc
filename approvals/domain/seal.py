"""The seal of an exported file: who signed it, and where it was changed. Pure.

A sealed file is a body (JSON or HTML) and, behind it, a seal of a fixed layout in which every byte has
its place. Besides the signature the seal holds short prints of every `PIECE` bytes, so that a change can
be pointed at: the piece whose print differs is searched for the one byte that makes it right again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NamedTuple

PIECE = 64
"""Bytes of the body under one print."""
PRINT = 8
"""Hex digits of a print. They only point; what must hold is the signed SHA-256 of the whole body."""
LENGTH = 12
"""Digits of the body's length."""
ALGORITHM = "ed25519"

Verifier = Callable[[bytes, bytes, bytes], bool]
"""``verify(public_key, signature, message)``."""


class Kind(NamedTuple):
    """What stands before and behind a seal in one kind of file."""

    name: str
    opening: bytes
    closing: bytes


KINDS = (
    Kind("json", b'"seal":{\n', b"}}\n"),
    Kind("html", b"<!-- decisiongraph seal {\n", b"} -->\n"),
)


class Fault(NamedTuple):
    """Why a file is not what was signed."""

    code: str
    first: int
    """Offset of the first wrong byte, or the first offset it can be at."""
    last: int
    """The same as ``first`` when the byte is known, else the last offset it can be at."""
    detail: str

    @property
    def exact(self) -> bool:
        """Whether the byte itself is known."""
        return self.first == self.last


class Sealed(NamedTuple):
    """A file that is what was signed."""

    kind: str
    body: bytes
    public_key: bytes
    key_id: str


class _Field(NamedTuple):
    name: str
    start: int
    end: int


def key_id(public_key: bytes) -> str:
    """The short name of a public key: sixteen hex digits of its SHA-256."""
    return hashlib.sha256(public_key).hexdigest()[:16]


def _prints(body: bytes) -> str:
    return "".join(_print(body[at : at + PIECE]) for at in range(0, len(body), PIECE))


def _print(piece: bytes) -> str:
    return hashlib.sha256(piece).hexdigest()[:PRINT]


def message(body_sha256: str, length: int, prints: str, key: str) -> bytes:
    """The bytes that are signed."""
    pointing = hashlib.sha256(prints.encode()).hexdigest()
    return f"decisiongraph.seal/1\n{length}\n{body_sha256}\n{pointing}\n{key}\n".encode()


def _check(key: str, public: str, signature: str) -> str:
    return hashlib.sha256(f"{key}\n{public}\n{signature}".encode()).hexdigest()


def seal(body: bytes, kind: str, *, public_key: bytes, sign: Callable[[bytes], bytes]) -> bytes:
    """Body and seal. ``kind`` is ``json`` or ``html``; ``sign`` answers 64 bytes for a message."""
    form = next(each for each in KINDS if each.name == kind)
    digest, prints, ident = hashlib.sha256(body).hexdigest(), _prints(body), key_id(public_key)
    signature = sign(message(digest, len(body), prints, ident)).hex()
    values = {
        "length": f"{len(body):0{LENGTH}d}",
        "sha256": digest,
        "prints": prints,
        "key_id": ident,
        "public_key": public_key.hex(),
        "signature": signature,
        "check": _check(ident, public_key.hex(), signature),
    }
    out = bytearray(body)
    for text in _layout(form, len(body)):
        out += values[text].encode() if isinstance(text, str) else text
    return bytes(out)


def _layout(kind: Kind, length: int) -> list[bytes | str]:
    """What follows the body: constant bytes, and names of fields."""
    return [
        kind.opening,
        b'"algorithm":"' + ALGORITHM.encode() + b'",\n"length":"',
        "length",
        b'",\n"sha256":"',
        "sha256",
        b'",\n"prints":"',
        "prints",
        b'",\n"key_id":"',
        "key_id",
        b'",\n"public_key":"',
        "public_key",
        b'",\n"signature":"',
        "signature",
        b'",\n"check":"',
        "check",
        b'"\n',
        kind.closing,
    ]


def _sizes(length: int) -> dict[str, int]:
    pieces = -(-length // PIECE)
    return {
        "length": LENGTH,
        "sha256": 64,
        "prints": pieces * PRINT,
        "key_id": 16,
        "public_key": 64,
        "signature": 128,
        "check": 64,
    }


def _seal_size(kind: Kind, length: int) -> int:
    sizes = _sizes(length)
    return sum(sizes[part] if isinstance(part, str) else len(part) for part in _layout(kind, length))


def _length_of(kind: Kind, total: int) -> int | None:
    """The length of the body in a file of that size; None when no body makes such a file."""
    low, high = 0, total
    while low <= high:
        middle = (low + high) // 2
        size = middle + _seal_size(kind, middle)
        if size == total:
            return middle
        low, high = (middle + 1, high) if size < total else (low, middle - 1)
    return None


def _places(kind: Kind, length: int) -> tuple[dict[str, _Field], list[tuple[int, bytes]]]:
    """Where each field lies, and which constant bytes belong where."""
    sizes, at = _sizes(length), length
    fields: dict[str, _Field] = {}
    constants: list[tuple[int, bytes]] = []
    for part in _layout(kind, length):
        if isinstance(part, str):
            fields[part] = _Field(part, at, at + sizes[part])
            at += sizes[part]
        else:
            constants.append((at, part))
            at += len(part)
    return fields, constants


def inspect(raw: bytes, verify: Verifier, *, trusted: bytes | None = None) -> Sealed | Fault:
    """The sealed body, or the first thing that is wrong with the file.

    ``trusted`` is the public key the reader already has; without one the seal proves only that whoever
    holds the key inside the file signed it.
    """
    kind = _kind(raw)
    length, opening = _length_of(kind, len(raw)), raw.rfind(kind.opening)
    if length is None or (opening >= 0 and opening != length):
        return _cut(raw, kind)
    fields, constants = _places(kind, length)
    if opening < 0 and 2 * sum(raw[at : at + len(text)] == text for at, text in constants) < len(constants):
        return Fault("seal.missing", 0, max(0, len(raw) - 1), "There is no seal in this file.")
    held = {name: raw[field.start : field.end] for name, field in fields.items()}
    found = _body(raw[:length], fields, held) or _constants(raw, constants) or _fields(length, raw, fields, held)
    if found is not None:
        return found
    public, signature = bytes.fromhex(held["public_key"].decode()), bytes.fromhex(held["signature"].decode())
    said = message(held["sha256"].decode(), length, held["prints"].decode(), held["key_id"].decode())
    at = fields["signature"]
    if trusted is not None and trusted != public:
        key = fields["public_key"]
        wrong = next(i for i in range(64) if held["public_key"][i : i + 1] != trusted.hex()[i : i + 1].encode())
        return Fault(
            "seal.other_key", key.start + wrong, key.start + wrong, "It is signed with another key than the one given."
        )
    if not verify(public, signature, said):
        return Fault(
            "seal.forged",
            0,
            len(raw) - 1,
            f"The seal fits the file but its signature (bytes {at.start} to {at.end - 1}) does not: "
            "somebody without the key wrote both anew.",
        )
    return Sealed(kind.name, raw[:length], public, held["key_id"].decode())


def _kind(raw: bytes) -> Kind:
    """Which kind of file it is, by the ends; a damaged end is outvoted by the rest."""

    def score(kind: Kind) -> int:
        start = b"{" if kind.name == "json" else b"<"
        return (raw[: len(start)] == start) + 2 * raw.endswith(kind.closing) + 2 * (raw.rfind(kind.opening) >= 0)

    return max(KINDS, key=score)


def _cut(raw: bytes, kind: Kind) -> Fault:
    """A file of a size no sealed file has: something is missing or was put in."""
    start = raw.rfind(kind.opening)
    if start < 0:
        return Fault("seal.missing", 0, max(0, len(raw) - 1), "There is no seal in this file.")
    fields, constants = _places(kind, start)
    text = raw[fields["length"].start : fields["length"].end]
    stated = int(text) if text.isdigit() and len(text) == LENGTH else start
    whole = start + _seal_size(kind, start)
    if raw[fields["sha256"].start : fields["sha256"].end] == hashlib.sha256(raw[:start]).hexdigest().encode():
        return _cut_seal(raw, whole, constants)
    prints = raw[fields["prints"].start : fields["prints"].start + _sizes(stated)["prints"]].decode("latin-1")
    for number in range(-(-max(start, stated) // PIECE)):
        at = number * PIECE
        if at >= start or _print(raw[at : min(at + PIECE, start)]) != prints[number * PRINT : (number + 1) * PRINT]:
            first, last = min(at, len(raw) - 1), min(at + PIECE - 1, len(raw) - 1)
            lost = stated - start
            word = "lost" if lost > 0 else "gained"
            said = f"The body has {word} {abs(lost)} bytes." if lost else "The body was changed, and the seal cut."
            return Fault("seal.length", first, last, said)
    return Fault("seal.changed", start, len(raw) - 1, "The seal was changed in length.")


def _cut_seal(raw: bytes, whole: int, constants: list[tuple[int, bytes]]) -> Fault:
    """The body is what was signed, the seal behind it is too long or too short."""
    sound = 0
    for at, text in constants:
        held = raw[at : at + len(text)]
        if held != text:
            if len(held) < len(text) and text.startswith(held):
                break
            return Fault("seal.length", sound, at + len(text) - 1, "Bytes are missing in the seal, or too many.")
        sound = at + len(text)
    if len(raw) < whole:
        return Fault("seal.cut", len(raw), len(raw), f"The file ends {whole - len(raw)} bytes too early.")
    return Fault("seal.length", whole, whole, f"{len(raw) - whole} bytes stand behind the seal.")


def _differs(at: int, held: bytes, right: bytes) -> int:
    """Offset of the first byte in which two texts of one length differ."""
    return at + next(i for i in range(len(right)) if held[i : i + 1] != right[i : i + 1])


def _body(body: bytes, fields: dict[str, _Field], held: dict[str, bytes]) -> Fault | None:
    digest, prints = hashlib.sha256(body).hexdigest().encode(), _prints(body).encode()
    if prints == held["prints"] and digest == held["sha256"]:
        return None
    if digest == held["sha256"]:
        at = _differs(fields["prints"].start, held["prints"], prints)
        return Fault("seal.changed", at, at, "A byte of the seal's prints was changed; the body is what was signed.")
    if prints == held["prints"]:
        at = _differs(fields["sha256"].start, held["sha256"], digest)
        return Fault("seal.changed", at, at, "A byte of the seal's digest was changed; the body is what was signed.")
    number = _differs(0, held["prints"], prints) // PRINT
    first = number * PIECE
    piece, wanted = body[first : first + PIECE], held["prints"][number * PRINT : (number + 1) * PRINT].decode("latin-1")
    others = sum(prints[i : i + PRINT] != held["prints"][i : i + PRINT] for i in range(0, len(prints), PRINT))
    repaired = _repair(piece, wanted)
    if repaired is not None:
        at, byte = first + repaired[0], repaired[1]
        more = f" {others - 1} more pieces differ." if others > 1 else ""
        return Fault("seal.changed", at, at, f"It is {body[at]:#04x} and was {byte:#04x} when it was signed.{more}")
    return Fault(
        "seal.changed", first, first + len(piece) - 1, f"More than one byte was changed; {others} pieces differ."
    )


def _repair(piece: bytes, wanted: str) -> tuple[int, int] | None:
    """The one byte that makes a piece right again: where it is, and what it was."""
    if set(wanted) - set("0123456789abcdef"):
        return None
    start, size, sha256 = bytes.fromhex(wanted), PRINT // 2, hashlib.sha256
    trial = bytearray(piece)
    for at, held in enumerate(piece):
        for byte in range(256):
            trial[at] = byte
            if byte != held and sha256(trial).digest()[:size] == start:
                return at, byte
        trial[at] = held
    return None


def _constants(raw: bytes, constants: list[tuple[int, bytes]]) -> Fault | None:
    for at, text in constants:
        if raw[at : at + len(text)] != text:
            wrong = _differs(at, raw[at : at + len(text)], text)
            return Fault("seal.changed", wrong, wrong, "A byte of the seal's own layout was changed.")
    return None


def _fields(length: int, raw: bytes, fields: dict[str, _Field], held: dict[str, bytes]) -> Fault | None:
    right = f"{length:0{LENGTH}d}".encode()
    if held["length"] != right:
        at = _differs(fields["length"].start, held["length"], right)
        return Fault("seal.changed", at, at, "A digit of the stated length was changed.")
    key, public, signature = (held[name].decode("latin-1") for name in ("key_id", "public_key", "signature"))
    check = _check(key, public, signature).encode()
    if check == held["check"] and set(public + signature + key) <= set("0123456789abcdef"):
        if key_id(bytes.fromhex(public)) != key:
            at = fields["key_id"].start
            return Fault("seal.changed", at, at + 15, "The name of the key is not that of the key.")
        return None
    spots = [(name, i) for name in ("key_id", "public_key", "signature") for i in range(len(held[name]))]
    for name, i in spots:
        texts = {"key_id": key, "public_key": public, "signature": signature}
        for digit in "0123456789abcdef":
            if digit == texts[name][i]:
                continue
            trial = texts | {name: texts[name][:i] + digit + texts[name][i + 1 :]}
            if _check(trial["key_id"], trial["public_key"], trial["signature"]).encode() == held["check"]:
                at = fields[name].start + i
                return Fault("seal.changed", at, at, f"A digit of the seal's {name} was changed.")
    at = _differs(fields["check"].start, held["check"], check)
    close = sum(held["check"][i] != check[i] for i in range(64)) == 1
    if close:
        return Fault("seal.changed", at, at, "A digit of the seal's check was changed.")
    return Fault(
        "seal.changed",
        fields["key_id"].start,
        fields["check"].end - 1,
        "Several digits of key and signature were changed.",
    )
