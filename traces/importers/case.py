"""What every importer hands over: one case at a time, as client envelopes, plus what it refused.

Everything here is deterministic: the same file and the same mapping make the same ids, keys,
times and payloads, so an import can be killed and started again.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

Envelope = dict[str, Any]
"""A client envelope of SEMANTICS 1 as a JSON object."""

SOURCE_EVENT = "source-event"
"""Tag of the one event each source event becomes; start and finish events do not carry it."""
SOURCE_PART = "source-part"
"""Tag of the further events a source event needed because it was too large for one."""

MAX_TRACE_ID = 110
"""Bytes of a trace id, so that the ids made from it (``<trace id>.<mark>``) stay within 200."""
MAX_SAFE_INTEGER = 2**53 - 1
PART_BYTES = 60_000
"""Room for one piece of raw content; an event holds 256 KiB and at most four pieces."""
MAX_ITEM_BYTES = 64 * 1024 * 1024
"""A longer single JSON value is refused instead of read into memory."""
RAW_DEPTH = 24
RAW_NODES = 5_000
"""An event holds 20,000 values and at most three pieces of raw content."""

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_UNSAFE = re.compile(r"[\x00-\x20\x7f-\x9f/\\?#%]|[\ud800-\udfff]")


class ImportProblem(Exception):
    """The file or the mapping cannot be read any further; ``detail`` says how to fix it."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class Refusal(NamedTuple):
    """One source event that became no event, and why."""

    code: str
    detail: str
    where: str
    """For example ``case 173688, event 4`` or ``line 12``."""


@dataclass(slots=True)
class Case:
    """One source case: everything it becomes, in order."""

    trace_id: str
    envelopes: list[Envelope]
    position: int
    """How many bytes of the file (as it lies on the disk, packed or not) have been read."""
    source_events: int
    """Source events in the case, refused ones included."""
    outcome: str | None
    """What the finish event says; ``None`` when the case stays open."""
    refusals: list[Refusal] = field(default_factory=list)
    whole: bool = True
    """Whether the envelopes are all events of the trace, so that counting them tells completeness."""


class Source(NamedTuple):
    """An open file: its unpacked bytes, and how far the file on the disk has been read."""

    stream: BinaryIO
    position: Callable[[], int]


@contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """The file, unpacked when it is gzip (by its first two bytes, not by its name).

    Raises `ImportProblem` when it cannot be opened, read, unpacked or decoded.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            stream: BinaryIO = raw
            if packed:
                stream = cast(BinaryIO, io.BufferedReader(gzip.GzipFile(fileobj=raw), 1 << 16))
            yield Source(stream, raw.tell)
    except UnicodeDecodeError as error:
        raise ImportProblem("import.unreadable", f"{path.name} is not UTF-8: {error}.") from error
    except (OSError, EOFError, zlib.error) as error:
        raise ImportProblem("import.unreadable", f"{path.name}: {error}.") from error


def short_hash(text: str) -> str:
    """Twelve hex digits of the SHA-256 of ``text``."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def safe_id(text: str, limit: int = 180) -> str:
    """``text`` as an identifier that may be a path segment; unchanged when it already is one.

    Where something had to be replaced or cut, a short hash of the original keeps it unique.
    """
    clean = _UNSAFE.sub("-", text)
    if clean == text and text not in ("", ".", "..") and len(text.encode()) <= limit:
        return text
    cut = clean.encode()[: limit - 13].decode("utf-8", "ignore")
    return f"{cut}-{short_hash(text)}"


def plain_id(text: str) -> str:
    """``text`` as an identifier that is no path segment: inner blanks and slashes may stay."""
    clean = _CONTROL.sub("-", text).strip()
    if clean and len(clean.encode()) <= 180:
        return clean
    return safe_id(text)


def rfc3339(text: str, default_offset: str | None = None) -> str:
    """``text`` as RFC 3339, verbatim when it already is. Raises ``ValueError`` otherwise.

    Accepted besides: a space instead of ``T``, and a time without offset when the mapping says
    which offset it means.
    """
    if len(text) > 10 and text[10] == " ":
        text = f"{text[:10]}T{text[11:]}"
    if not _RFC3339.fullmatch(text):
        if default_offset is None or not _RFC3339.fullmatch(text + default_offset):
            raise ValueError(f"{text!r} is not an RFC 3339 time with an offset")
        text += default_offset
    return text


def instant(text: str) -> datetime:
    """The moment an RFC 3339 time names, for ordering. Raises ``ValueError``."""
    return datetime.fromisoformat(text)


def clean_text(text: str) -> str:
    """``text`` without the characters the log refuses (NUL, lone surrogates): U+FFFD instead."""
    if "\x00" in text:
        text = text.replace("\x00", "\ufffd")
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def clean_value(value: Any) -> Any:
    """A JSON value the log accepts: unsafe integers and non-finite numbers become strings."""
    if isinstance(value, str):
        return clean_text(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER else str(value)
    if isinstance(value, float):
        # Whole floats from 2**53 on have no unambiguous digits: readers round them differently.
        return value if abs(value) <= MAX_SAFE_INTEGER else repr(value)
    if isinstance(value, dict):
        return {clean_text(str(key)): clean_value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [clean_value(item) for item in value]
    return str(value)


def fits(value: Any) -> bool:
    """Whether a JSON value stays within the depth and node bounds of raw content."""
    nodes = 0
    stack: list[tuple[Any, int]] = [(value, 1)]
    while stack:
        item, depth = stack.pop()
        nodes += 1
        if depth > RAW_DEPTH or nodes > RAW_NODES:
            return False
        if isinstance(item, dict):
            stack.extend((child, depth + 1) for child in item.values())
        elif isinstance(item, list):
            stack.extend((child, depth + 1) for child in item)
    return True


def split_text(text: str, limit: int = PART_BYTES) -> list[str]:
    """``text`` in pieces of at most ``limit`` bytes of JSON, cut between characters.

    Half of a surrogate pair or of an escape is never cut: pieces are cut in the text, and each
    character counts with the bytes of its JSON escape.
    """
    if len(text) * 6 <= limit or len(json.dumps(text, ensure_ascii=False).encode()) <= limit:
        return [text]
    parts: list[str] = []
    start = size = 0
    for index, char in enumerate(text):
        width = len(json.dumps(char, ensure_ascii=False).encode()) - 2
        if size + width > limit:
            parts.append(text[start:index])
            start, size = index, 0
        size += width
    parts.append(text[start:])
    return parts


def json_documents(path: Path) -> Iterator[tuple[int, Any, int]]:
    """(number, value, file position) of every top-level value: items of one array, or JSON lines.

    Reads in pieces and holds one item at a time. Raises `ImportProblem` where the JSON breaks.
    """
    decoder = json.JSONDecoder()
    with open_source(path) as source:
        text = io.TextIOWrapper(source.stream, encoding="utf-8-sig")
        buffer, at, number, in_array, done = "", 0, 0, False, False
        while True:
            while at < len(buffer) and buffer[at] in " \t\r\n,":
                at += 1
            if at < len(buffer):
                if number == 0 and not in_array and buffer[at] == "[":
                    in_array, at = True, at + 1
                    continue
                if in_array and buffer[at] == "]":
                    in_array, at = False, at + 1
                    continue
                try:
                    value, end = decoder.raw_decode(buffer, at)
                    # A number at the end of the buffer may go on in the next piece.
                    if end < len(buffer) or done:
                        yield number, value, source.position()
                        number, at = number + 1, end
                        continue
                except json.JSONDecodeError as error:
                    if done or len(buffer) - at > MAX_ITEM_BYTES:
                        raise ImportProblem(
                            "import.broken_json",
                            f"{path.name}: item {number} is not JSON: {error.msg}.",
                        ) from error
                except (RecursionError, ValueError) as error:
                    raise ImportProblem(
                        "import.broken_json",
                        f"{path.name}: item {number} is nested too deeply or holds a number with thousands of digits.",
                    ) from error
            if done:
                if in_array:
                    raise ImportProblem("import.broken_json", f"{path.name} ends inside its array.")
                return
            # Doubling keeps decoding one huge item linear instead of quadratic.
            more = text.read(max(1 << 16, len(buffer) - at))
            done = not more
            buffer, at = buffer[at:] + more, 0
