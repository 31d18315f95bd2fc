"""The slow and exact reader of JSON: agrees with a document or names the place and the reason.

`canonical.parse` comes here only for documents that its fast path cannot vouch for, which are
nearly always the refused ones.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Never

from traces.domain.violations import item, member

MAX_SAFE_INTEGER = 2**53 - 1
"""The largest integer every JSON implementation reads exactly."""

_STRING = json.JSONDecoder(strict=True)
_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"(-?(?:0|[1-9][0-9]*))((?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)")
_LITERALS: dict[str, tuple[str, Any]] = {"t": ("true", True), "f": ("false", False), "n": ("null", None)}
_NOT_A_NUMBER = re.compile(r"-?(?:NaN|Infinity|inf|nan)")
_SURROGATE = re.compile("[\ud800-\udfff]")


class MalformedJson(ValueError):
    """The bytes are not a document the log accepts."""

    def __init__(self, path: str, code: str, detail: str, status: int = 400) -> None:
        super().__init__(f"{path or 'document'}: {detail}")
        self.path = path
        """Where, for example ``events[3].payload.note``; empty for the document."""
        self.code = code
        self.detail = detail
        """What is wrong and how to mend it; never the value."""
        self.status = status
        """HTTP status, 400 or 413."""

    def under(self, prefix: str) -> MalformedJson:
        """The same fault seen from the document that holds this one at ``prefix``."""
        dot = "" if not self.path or self.path.startswith("[") else "."
        return MalformedJson(f"{prefix}{dot}{self.path}", self.code, self.detail, self.status)


def too_deep(path: str, max_depth: int, noun: str) -> MalformedJson:
    """The fault of a value nested deeper than ``max_depth``; ``noun`` begins its code."""
    return MalformedJson(
        path,
        f"{noun}.too_deep",
        f"Objects and arrays may be nested at most {max_depth} deep. Flatten the value or send it as text.",
    )


def too_many_nodes(path: str, max_nodes: int, noun: str) -> MalformedJson:
    """The fault of a document of more than ``max_nodes`` values; ``noun`` begins its code."""
    return MalformedJson(
        path,
        f"{noun}.too_many_nodes",
        f"At most {max_nodes:,} values are accepted. Store the data elsewhere and send a reference.",
    )


def scan(raw: bytes, max_depth: int, max_nodes: int, noun: str) -> Any:
    """The value of the document, strictly; raises `MalformedJson` at its first fault."""
    if raw.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise MalformedJson("", "json.byte_order_mark", "Send UTF-8 without a byte order mark.")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise _undecodable(raw, error, max_depth, max_nodes, noun) from None
    return _Scanner(text, max_depth, max_nodes, noun).document()


def _undecodable(raw: bytes, error: UnicodeDecodeError, max_depth: int, max_nodes: int, noun: str) -> MalformedJson:
    """Invalid UTF-8, with the path of the text it is in as far as the document can be followed."""
    scanner = _Scanner(raw[: error.start].decode(), max_depth, max_nodes, noun)
    try:
        scanner.document()
    except MalformedJson as fault:
        if fault.code not in ("json.syntax", "json.empty"):
            return fault
    return MalformedJson(
        scanner.path, "json.invalid_utf8", f"Byte {error.start} is not valid UTF-8. Encode the document as UTF-8."
    )


class _Scanner:
    """A recursive-descent reader; its recursion is bounded by ``max_depth``."""

    def __init__(self, text: str, max_depth: int, max_nodes: int, noun: str) -> None:
        self.text = text
        self.max_depth = max_depth
        self.max_nodes = max_nodes
        self.noun = noun
        self.nodes = 0
        self.path = ""

    def document(self) -> Any:
        start = self.space(0)
        if start == len(self.text):
            raise MalformedJson("", "json.empty", "The body is empty. Send a JSON document.")
        value, end = self.value(start, "", 1)
        end = self.space(end)
        if end != len(self.text):
            raise MalformedJson(
                "",
                "json.trailing_data",
                f"Character {end} follows the end of the document. Send exactly one JSON value.",
            )
        return value

    def space(self, at: int) -> int:
        found = _SPACE.match(self.text, at)
        return found.end() if found else at

    def fail(self, path: str, at: int, expected: str) -> Never:
        where = f"at character {at}" if at < len(self.text) else "at the end of the document"
        raise MalformedJson(path, "json.syntax", f"Not JSON: {expected} was expected {where}.")

    def value(self, at: int, path: str, depth: int) -> tuple[Any, int]:
        self.path = path
        self.nodes += 1
        if self.nodes > self.max_nodes:
            raise too_many_nodes(path, self.max_nodes, self.noun)
        first = self.text[at : at + 1]
        if first == '"':
            return self.string(at, path)
        if first in ("{", "["):
            if depth > self.max_depth:
                raise too_deep(path, self.max_depth, self.noun)
            return self.object(at + 1, path, depth) if first == "{" else self.array(at + 1, path, depth)
        if _NOT_A_NUMBER.match(self.text, at):
            raise MalformedJson(
                path, "json.not_a_number", "NaN and Infinity are not JSON. Send null or leave the key out."
            )
        if first in _LITERALS:
            word, literal = _LITERALS[first]
            if self.text.startswith(word, at):
                return literal, at + len(word)
        return self.number(at, path)

    def number(self, at: int, path: str) -> tuple[Any, int]:
        found = _NUMBER.match(self.text, at)
        if found is None:
            self.fail(path, at, "a value")
        if found[2]:
            value = float(found[0])
            if math.isinf(value):
                raise MalformedJson(
                    path, "json.number_overflow", "The number is too large for a double. Send it as a string."
                )
            return value, found.end()
        # Judged by length first: turning a very long run of digits into a number is expensive.
        if len(found[1]) > 17 or abs(int(found[1])) > MAX_SAFE_INTEGER:
            raise MalformedJson(
                path,
                "json.integer_out_of_range",
                "The integer is beyond 2^53-1 and other programs would read it wrongly. Send it as a string.",
            )
        return int(found[1]), found.end()

    def string(self, at: int, path: str) -> tuple[str, int]:
        """The text whose opening quotation mark is at ``at``."""
        try:
            value, end = _STRING.raw_decode(self.text, at)
        except json.JSONDecodeError as error:
            raise MalformedJson(path, "json.syntax", f"Not JSON: {error.msg} at character {error.pos}.") from None
        require_text(value, path)
        return value, end

    def object(self, at: int, path: str, depth: int) -> tuple[dict[str, Any], int]:
        result: dict[str, Any] = {}
        at = self.space(at)
        if self.text.startswith("}", at):
            return result, at + 1
        while True:
            if not self.text.startswith('"', at):
                self.fail(path, at, "the name of a member in double quotes")
            self.path = path
            key, at = self.string(at, path)
            inside = member(path, key)
            if key in result:
                raise MalformedJson(
                    inside, "json.duplicate_key", "The key is given twice in the same object. Keep one."
                )
            at = self.space(at)
            if not self.text.startswith(":", at):
                self.fail(inside, at, "a colon")
            result[key], at = self.value(self.space(at + 1), inside, depth + 1)
            at = self.space(at)
            if self.text.startswith("}", at):
                return result, at + 1
            if not self.text.startswith(",", at):
                self.fail(inside, at, "a comma or a closing brace")
            at = self.space(at + 1)

    def array(self, at: int, path: str, depth: int) -> tuple[list[Any], int]:
        result: list[Any] = []
        at = self.space(at)
        if self.text.startswith("]", at):
            return result, at + 1
        while True:
            value, at = self.value(at, item(path, len(result)), depth + 1)
            result.append(value)
            at = self.space(at)
            if self.text.startswith("]", at):
                return result, at + 1
            if not self.text.startswith(",", at):
                self.fail(item(path, len(result) - 1), at, "a comma or a closing bracket")
            at = self.space(at + 1)


def require_text(value: str, path: str) -> None:
    """Refuse what no PostgreSQL text and no UTF-8 document can hold."""
    if "\0" in value:
        raise MalformedJson(
            path,
            "json.nul",
            "The character U+0000 cannot be stored. Remove it or encode the content, for example as base64.",
        )
    if not value.isascii() and _SURROGATE.search(value):
        raise MalformedJson(
            path, "json.lone_surrogate", "A surrogate stands without its pair. Send the whole character."
        )


def require_values(root: Any, max_depth: int, max_nodes: int, noun: str, path: str = "") -> None:
    """Refuse a Python value that no strictly parsed document would have given."""
    stack: list[tuple[str, Any, int]] = [(path, root, 1)]
    nodes = 0
    while stack:
        where, value, depth = stack.pop()
        nodes += 1
        if nodes > max_nodes:
            raise too_many_nodes(where, max_nodes, noun)
        if isinstance(value, str):
            require_text(value, where)
        elif value is None or isinstance(value, bool):
            continue
        elif isinstance(value, int):
            if abs(value) > MAX_SAFE_INTEGER:
                raise MalformedJson(
                    where, "json.integer_out_of_range", "The integer is beyond 2^53-1. Send it as a string."
                )
        elif isinstance(value, float):
            if not math.isfinite(value):
                raise MalformedJson(
                    where, "json.not_a_number", "NaN and Infinity are not JSON. Send null or leave the key out."
                )
        elif isinstance(value, (dict, list)):
            if depth > max_depth:
                raise too_deep(where, max_depth, noun)
            if isinstance(value, list):
                stack.extend((item(where, i), inner, depth + 1) for i, inner in enumerate(value))
                continue
            for key, inner in value.items():
                if not isinstance(key, str):
                    raise MalformedJson(where, "json.wrong_type", "The name of a member must be text.")
                require_text(key, where)
                stack.append((member(where, key), inner, depth + 1))
        else:
            raise MalformedJson(where, "json.wrong_type", f"A {type(value).__name__} is not a JSON value.")
