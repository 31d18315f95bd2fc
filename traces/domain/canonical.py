"""Strict JSON in, RFC 8785 out, and the hashes over it (SEMANTICS 2).

Reading is done by a fast parser whose result is used only when cheap proofs over the bytes show
that nothing was lost; everything else goes through the slow scanner of `scanner`, which either
agrees or names the place and the reason. Writing works the same way round.
"""

from __future__ import annotations

import hashlib
import hmac
import marshal
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, cast

import orjson
import rfc8785

from traces.domain import scanner
from traces.domain.scanner import MAX_SAFE_INTEGER, MalformedJson
from traces.domain.violations import item, member

__all__ = [
    "BODY_LIMITS",
    "EVENT_LIMITS",
    "MAX_BODY_BYTES",
    "MAX_BODY_EVENTS",
    "MAX_EVENT_BYTES",
    "MAX_EVENT_DEPTH",
    "MAX_EVENT_NODES",
    "MAX_SAFE_INTEGER",
    "Batch",
    "JsonValue",
    "Limits",
    "MalformedJson",
    "NotCanonical",
    "commitment",
    "content_hmac",
    "jcs",
    "leaf_hash",
    "parse",
    "parse_batch",
    "parse_event",
    "parse_ndjson",
    "payload_hash",
    "require_json",
    "sha256_text",
    "split_ndjson",
    "uuid7",
]

JsonValue = Any
"""A value of JSON: None, bool, int, float, str, list of them, dict of str to them."""

MAX_EVENT_BYTES = 256 * 1024
MAX_EVENT_DEPTH = 32
"""Containers inside each other; the event object itself is the first."""
MAX_EVENT_NODES = 20_000
"""Values of an event, containers and scalars alike; member names do not count."""
MAX_BODY_BYTES = 8 * 1024 * 1024
MAX_BODY_EVENTS = 500


class Limits(NamedTuple):
    """What one document may be."""

    max_bytes: int
    max_depth: int
    max_nodes: int
    noun: str
    """First half of the codes, ``event`` or ``body``."""


EVENT_LIMITS = Limits(MAX_EVENT_BYTES, MAX_EVENT_DEPTH, MAX_EVENT_NODES, "event")
BODY_LIMITS = Limits(MAX_BODY_BYTES, 2 * MAX_EVENT_DEPTH, MAX_BODY_EVENTS * (MAX_EVENT_NODES + 1) + 8, "body")
"""A batch as a whole, bounded roughly; each event in it is then held to `EVENT_LIMITS`."""


class Batch(NamedTuple):
    """The body of a batch request."""

    events: list[JsonValue]
    atomic: bool


class NotCanonical(ValueError):
    """The value has no RFC 8785 form (NaN, a lone surrogate, a name that is not text, ...)."""


# --- reading ---------------------------------------------------------------------------------

_SMALLER = "Split it, or store large content elsewhere and send a reference."
_DIGITS = bytes.maketrans(b"0123456789", b"0000000000")
_LONG_RUN = b"0" * 16
_LONG_INTEGER = re.compile(rb"(?:^|[\s\[:,-])([0-9]{16,})")


def parse(raw: bytes, *, limits: Limits = EVENT_LIMITS) -> JsonValue:
    """The value of a JSON document, or `MalformedJson` with the place and the reason.

    Equal to a strict parse: the fast parser already refuses wrong UTF-8, a byte order mark, lone
    surrogates, NaN and overflow; what it lets pass is proven absent by counting.
    """
    size = len(raw)
    if size > limits.max_bytes:
        raise MalformedJson(
            "",
            f"{limits.noun}.too_large",
            f"The {limits.noun} has {size:,} bytes; at most {limits.max_bytes:,} are accepted. {_SMALLER}",
            413,
        )
    try:
        value = orjson.loads(raw)
        shown = orjson.dumps(value, option=orjson.OPT_INDENT_2)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        shown = b""
    # A name given twice vanishes from the value together with its colon, so as many colons in as
    # out proves that every name was there once (a colon inside text counts on both sides).
    if not shown or raw.count(b":") != shown.count(b":") or _may_hide(raw):
        return scanner.scan(raw, limits.max_depth, limits.max_nodes, limits.noun)
    # Indented two spaces a level, only a value inside `max_depth` containers has this margin.
    # Every value needs two bytes (itself and what separates it).
    if b"\n" + b"  " * limits.max_depth in shown or size > 2 * limits.max_nodes:
        _require_shape(value, limits)
    return value


def _may_hide(raw: bytes) -> bool:
    """Whether the bytes may hold a NUL, a colon that is not one byte, or an integer beyond 2^53-1."""
    escaped = b"\\u00" in raw and (b"\\u0000" in raw or b"\\u003a" in raw or b"\\u003A" in raw)
    return escaped or _has_big_integer(raw)


def _has_big_integer(raw: bytes) -> bool:
    if _LONG_RUN not in raw.translate(_DIGITS):
        return False
    return any(len(run) > 16 or int(run) > MAX_SAFE_INTEGER for run in _LONG_INTEGER.findall(raw))


def _require_shape(value: JsonValue, limits: Limits, root: str = "") -> None:
    """Depth and number of nodes, exactly."""
    nodes = 1
    level: list[tuple[str, JsonValue]] = [(root, value)] if isinstance(value, (dict, list)) else []
    depth = 0
    while level:
        depth += 1
        if depth > limits.max_depth:
            raise scanner.too_deep(level[0][0], limits.max_depth, limits.noun)
        deeper: list[tuple[str, JsonValue]] = []
        for path, container in level:
            nodes += len(container)
            if nodes > limits.max_nodes:
                raise scanner.too_many_nodes(path, limits.max_nodes, limits.noun)
            if isinstance(container, dict):
                deeper += [(member(path, k), v) for k, v in container.items() if isinstance(v, (dict, list))]
            else:
                deeper += [(item(path, i), v) for i, v in enumerate(container) if isinstance(v, (dict, list))]
        level = deeper


def parse_event(raw: bytes) -> JsonValue:
    """One event as a client sent it."""
    return parse(raw, limits=EVENT_LIMITS)


def parse_batch(raw: bytes) -> Batch:
    """``{"events": [...], "atomic": true}``: its events, each within the limits of one event."""
    swift = _swift_batch(raw)
    if swift is not None:
        return swift
    body = parse(raw, limits=BODY_LIMITS)
    if not isinstance(body, dict):
        raise MalformedJson("", "body.wrong_type", 'Send an object with the key "events".')
    for key in body:
        if key not in ("events", "atomic"):
            raise MalformedJson(
                member("", key), "body.unknown_field", 'A batch has only the keys "events" and "atomic".'
            )
    events = body.get("events")
    if not isinstance(events, list):
        code = "body.wrong_type" if "events" in body else "body.missing_field"
        raise MalformedJson("events", code, '"events" must be an array of event objects.')
    atomic = body.get("atomic")
    if atomic is not None and not isinstance(atomic, bool):
        raise MalformedJson("atomic", "body.wrong_type", '"atomic" must be true or false.')
    _require_count(len(events))
    _require_event_limits(events, len(raw))
    return Batch(events, atomic is not False)


def _swift_batch(raw: bytes) -> Batch | None:
    """The batch, when every cheap proof holds that it is a good one; None leaves judging to the long way.

    The proofs are those of `parse` and `_require_event_limits`, over one compact form per event
    instead of an indented one of the whole and another of each event.
    """
    if len(raw) > MAX_BODY_BYTES or _may_hide(raw):
        return None
    try:
        body = orjson.loads(raw)
        if not isinstance(body, dict) or not body.keys() <= _BATCH_KEYS:
            return None
        events, atomic = body.get("events"), body.get("atomic")
        if (
            not isinstance(events, list)
            or len(events) > MAX_BODY_EVENTS
            or not (atomic is None or isinstance(atomic, bool))
        ):
            return None
        colons = len(body)
        for event in events:
            text = orjson.dumps(event)
            colons += text.count(b":")
            length = len(text)
            if length > 2 * MAX_EVENT_NODES or (length > 2 * MAX_EVENT_DEPTH and _may_be_deep(event, text)):
                return None
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None
    return Batch(events, atomic is not False) if colons == raw.count(b":") else None


_BATCH_KEYS = frozenset(("events", "atomic"))


def _require_count(count: int) -> None:
    if count > MAX_BODY_EVENTS:
        raise MalformedJson(
            "events",
            "body.too_many_events",
            f"The body has {count:,} events; at most {MAX_BODY_EVENTS} are accepted. Split it.",
        )


def _require_event_limits(events: list[JsonValue], size: int) -> None:
    """Hold every event of a batch to the limits of one; its size is that of its compact form."""
    if size <= 2 * MAX_EVENT_DEPTH:
        return
    for index, event in enumerate(events):
        text = orjson.dumps(event)
        # Every value needs two bytes, every level of depth two brackets.
        length = len(text)
        if length > 2 * MAX_EVENT_NODES or (length > 2 * MAX_EVENT_DEPTH and _may_be_deep(event, text)):
            _require_shape(event, EVENT_LIMITS, item("events", index))
        if length > MAX_EVENT_BYTES:
            raise MalformedJson(
                item("events", index),
                "event.too_large",
                f"The event has {length:,} bytes; at most {MAX_EVENT_BYTES:,} are accepted. {_SMALLER}",
                413,
            )


def _may_be_deep(event: JsonValue, text: bytes) -> bool:
    """False proves that nothing is nested too deeply: every level opens a bracket, and indents its content."""
    if text.count(b"{") + text.count(b"[") <= MAX_EVENT_DEPTH:
        return False
    return b"\n" + b"  " * MAX_EVENT_DEPTH in orjson.dumps(event, option=orjson.OPT_INDENT_2)


def split_ndjson(raw: bytes) -> list[bytes]:
    """The lines of a newline-delimited body that are not blank, at most `MAX_BODY_EVENTS`."""
    if len(raw) > MAX_BODY_BYTES:
        raise MalformedJson(
            "",
            "body.too_large",
            f"The body has {len(raw):,} bytes; at most {MAX_BODY_BYTES:,} are accepted. Split it.",
            413,
        )
    lines = [line for line in raw.split(b"\n") if line and not line.isspace()]
    _require_count(len(lines))
    return lines


def parse_ndjson(raw: bytes) -> list[JsonValue]:
    """One event per line; a fault is named at ``events[i]``."""
    events: list[JsonValue] = []
    for index, line in enumerate(split_ndjson(raw)):
        try:
            events.append(parse(line, limits=EVENT_LIMITS))
        except MalformedJson as fault:
            raise fault.under(item("events", index)) from None
    return events


def require_json(value: JsonValue, *, limits: Limits = EVENT_LIMITS, path: str = "") -> None:
    """Hold a value made in Python (by an importer, say) to what `parse` guarantees of its result."""
    scanner.require_values(value, limits.max_depth, limits.max_nodes, limits.noun, path)


# --- writing ---------------------------------------------------------------------------------

_PLAIN = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER | orjson.OPT_PASSTHROUGH_SUBCLASS
_PLAIN |= orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
_ORDERED = orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
_WHOLE_FLOAT = re.compile(rb"\.0[,}\]]")
_EXPONENT = re.compile(rb"e[+-][0-9]{1,3}[,}\]]")


def jcs(value: JsonValue, *, checked: bool = False) -> bytes:
    """The RFC 8785 canonical form, UTF-8.

    Byte-equal with the ``rfc8785`` library, and total over what the log gives back: a float of
    1e16 or more is written as plain digits, so it is read back as an integer, which has the same
    canonical form here and is refused there. ``checked`` promises that the value came out of
    `parse` or passed `require_json`, so that it holds no NaN; without it that is looked up.
    """
    try:
        out = orjson.dumps(value, option=_PLAIN)
    except TypeError:
        return _jcs_careful(value, reorder=True)
    # Where the two forms can differ: whole floats ("1.0"), exponents, NaN (written as null), and
    # the order of names outside the basic plane relative to names at its end. Text that merely
    # looks so only costs the careful path.
    if not out.isascii() and _may_order_differ(out):
        return _jcs_careful(value, reorder=True)
    if (
        (b".0" in out and _WHOLE_FLOAT.search(out))
        or ((b"e-" in out or b"e+" in out) and _EXPONENT.search(out))
        or (not checked and b"null" in out and _may_hold_nan(value))
        or isinstance(value, float)
    ):
        return _jcs_careful(value, reorder=False)
    return out


def _may_hold_nan(value: JsonValue) -> bool:
    """False only if no NaN or infinity is inside: its last byte is 7f or ff in marshal's binary form."""
    try:
        binary = marshal.dumps(value, 2)
    except ValueError:
        return True
    return b"\x7f" in binary or b"\xff" in binary


def _may_order_differ(out: bytes) -> bool:
    if b"\xee" not in out and b"\xef" not in out:
        return False
    return any(lead in out for lead in (b"\xf0", b"\xf1", b"\xf2", b"\xf3", b"\xf4"))


def _jcs_careful(value: JsonValue, *, reorder: bool) -> bytes:
    try:
        return orjson.dumps(_rebuild(value, reorder), option=_ORDERED if reorder else _ORDERED | orjson.OPT_SORT_KEYS)
    except RecursionError:
        raise NotCanonical("The value is nested too deeply to be written.") from None
    except (TypeError, UnicodeEncodeError) as error:
        raise NotCanonical(f"The value has no canonical form: {error}") from None


def _utf16(pair: tuple[str, JsonValue]) -> bytes:
    return pair[0].encode("utf-16-be")


_SAME = frozenset((str, bool, type(None)))


def _rebuild(value: JsonValue, reorder: bool) -> JsonValue:
    """The same value in which numbers that the encoder would spell otherwise are text already."""
    kind = type(value)
    if kind in _SAME:
        return value
    if kind is dict:
        if not reorder:
            return {k: v if type(v) in _SAME else _rebuild(v, False) for k, v in value.items()}
        if not all(type(key) is str for key in value):
            raise NotCanonical("The name of a member must be text.")
        return {k: _rebuild(v, True) for k, v in sorted(value.items(), key=_utf16)}
    if kind is list or kind is tuple:
        return [v if type(v) in _SAME else _rebuild(v, reorder) for v in value]
    if kind is float:
        if value.is_integer() and -1e15 < value < 1e15:
            return int(value)
        return value if 1e-4 < abs(value) < 1e15 else orjson.Fragment(_number(value))
    if kind is int and not -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
        return orjson.Fragment(_big_integer(value))
    return value


def _number(value: float) -> bytes:
    try:
        return rfc8785.dumps(value)
    except rfc8785.CanonicalizationError:
        raise NotCanonical("NaN and infinity have no canonical form.") from None


def _big_integer(value: int) -> bytes:
    digits = str(value).encode() if abs(value) < 10**22 else b""
    if digits and _number(float(value)) == digits:
        return digits
    raise NotCanonical("An integer beyond 2^53-1 has no exact canonical form.")


# --- hashes ----------------------------------------------------------------------------------


def sha256_text(data: bytes) -> str:
    """``sha256:`` + hex."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def payload_hash(canonical: bytes) -> str:
    """``sha256:`` + hex of the canonical payload."""
    return "sha256:" + hashlib.sha256(canonical).hexdigest()


def commitment(salt: bytes, canonical: bytes) -> bytes:
    """SHA-256 of salt and canonical payload: binds to the payload, reveals nothing without the salt."""
    return hashlib.sha256(salt + canonical).digest()


def leaf_hash(envelope: Mapping[str, JsonValue]) -> bytes:
    """SHA-256 of the canonical envelope in which ``commitment`` stands for the payload (no floats in it)."""
    return hashlib.sha256(jcs(dict(envelope), checked=True)).digest()


def content_hmac(salt: bytes, content: bytes) -> bytes:
    """HMAC-SHA256 of the canonical content under the event's salt."""
    return hmac.digest(salt, content, "sha256")


def uuid7(ms: int, rand: bytes) -> str:
    """A UUID version 7 of RFC 9562 from Unix milliseconds and ten random bytes."""
    if len(rand) != 10 or not 0 <= ms < 1 << 48:
        raise ValueError("uuid7 takes 48 bits of milliseconds and ten random bytes.")
    bits = int.from_bytes(rand, "big")
    high = ms << 16 | 0x7000 | bits >> 68 & 0xFFF
    low = 0b10 << 62 | bits & (1 << 62) - 1
    text = f"{high << 64 | low:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def strings(value: JsonValue, path: str = "") -> Iterator[tuple[str, str]]:
    """Every text inside a value with its path, names of members included (at the path of the member)."""
    stack: list[tuple[str, JsonValue]] = [(path, value)]
    while stack:
        where, current = stack.pop()
        if isinstance(current, str):
            yield where, current
        elif isinstance(current, dict):
            pairs = cast("dict[str, JsonValue]", current)
            for key, inner in pairs.items():
                yield where, key
                stack.append((member(where, key), inner))
        elif isinstance(current, (list, tuple)):
            stack.extend((item(where, i), inner) for i, inner in enumerate(current))
