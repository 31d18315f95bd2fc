"""What a client may say and what it is told, as pure functions over text.

The frames are the contract in ``docs/topics.md``. Nothing here waits, reads or remembers.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import orjson

MAX_FRAME_BYTES = 16 * 1024
"""A client frame is a topic and a number; more than this is somebody else's protocol."""
MAX_TOPIC_BYTES = 400
MAX_ID_CHARACTERS = 100
MAX_CURSOR = 2**53 - 1

CLOSE_PROTOCOL = 4400
CLOSE_UNAUTHENTICATED = 4401
CLOSE_NOT_A_MEMBER = 4403
CLOSE_TOO_SLOW = 4408
CLOSE_TOO_MANY = 4429

ERRORS: dict[str, str] = {
    "frame.malformed": 'A frame is one JSON object with a "type" and values of the right kind.',
    "frame.unknown_type": "Send subscribe, unsubscribe or ping.",
    "frame.unknown_field": "This frame takes other fields; they are in docs/topics.md.",
    "frame.too_large": "A frame may hold at most 16 KiB.",
    "frame.rate_limited": "Too many frames; the socket is closed. Subscribe once, then listen.",
    "topic.not_found": "There is no such topic here.",
    "topic.already_subscribed": "This socket follows the topic already; unsubscribe first to start elsewhere.",
    "topic.not_subscribed": "This socket does not follow the topic.",
    "topic.limit_reached": "One socket follows at most 50 topics; unsubscribe one or open another.",
    "cursor.ahead": "The log ends before this `after`. Send a log_seq you were given.",
    "permission.denied": "This needs the permission read.",
    "database.unavailable": "The database does not answer. What is followed goes on by itself; repeat the rest.",
}
"""Every code of an `error` frame and what to do about it."""

CLOSES: dict[int, str] = {
    CLOSE_PROTOCOL: "protocol: too large, too many or too many wrong frames",
    CLOSE_UNAUTHENTICATED: "not authenticated, or the session, token or ticket ended or was revoked",
    CLOSE_NOT_A_MEMBER: "no longer a member of a tenant this socket followed",
    CLOSE_TOO_MANY: "this person or token, or the whole process, has as many sockets open as it may",
    CLOSE_TOO_SLOW: "the client did not take its frames in time; connect again with `after`",
}
"""Every close code the server sends."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

FrameId = str | int | None
"""The client's own mark on a frame, echoed in the answer."""


class TopicName(NamedTuple):
    """A public topic, split at its first three colons."""

    text: str
    slug: str
    name: str
    ident: str
    """Empty for a topic without one."""


class Subscribe(NamedTuple):
    """Follow a topic, after a ``log_seq`` or from the head."""

    topic: str
    after: int | None
    id: FrameId


class Unsubscribe(NamedTuple):
    """Stop following a topic."""

    topic: str
    id: FrameId


class Ping(NamedTuple):
    """Are you there? It is also the heartbeat of presence."""

    id: FrameId
    doing: str | None = None
    """`viewing` or `acting`; None leaves it as it was."""


class FrameError(Exception):
    """A frame that is answered by an `error` frame; a fatal one also closes the socket."""

    def __init__(self, code: str, *, topic: str | None = None, id: FrameId = None, fatal: bool = False) -> None:
        super().__init__(code)
        self.code = code
        self.topic = topic
        self.id = id
        self.fatal = fatal


_FIELDS: dict[str, frozenset[str]] = {
    "subscribe": frozenset({"type", "topic", "after", "id"}),
    "unsubscribe": frozenset({"type", "topic", "id"}),
    "ping": frozenset({"type", "id", "doing"}),
}


def parse(message: str | bytes | None) -> Subscribe | Unsubscribe | Ping:
    """What the client wants. Raises `FrameError` and nothing else, whatever was sent."""
    if not isinstance(message, str):
        raise FrameError("frame.malformed")
    if len(message) > MAX_FRAME_BYTES or len(message.encode("utf-8", "surrogatepass")) > MAX_FRAME_BYTES:
        raise FrameError("frame.too_large", fatal=True)
    try:
        value = orjson.loads(message)
    except ValueError:
        raise FrameError("frame.malformed") from None
    if not isinstance(value, dict):
        raise FrameError("frame.malformed")
    ident = _id(value.get("id"))
    topic = value.get("topic")
    shown = topic if isinstance(topic, str) and len(topic.encode()) <= MAX_TOPIC_BYTES else None
    kind = value.get("type")
    if not isinstance(kind, str):
        raise FrameError("frame.malformed", topic=shown, id=ident)
    if kind not in _FIELDS:
        raise FrameError("frame.unknown_type", topic=shown, id=ident)
    if not value.keys() <= _FIELDS[kind]:
        raise FrameError("frame.unknown_field", topic=shown, id=ident)
    if value.get("id") is not None and ident is None:
        raise FrameError("frame.malformed", topic=shown)
    if kind == "ping":
        doing = value.get("doing")
        if doing not in (None, "viewing", "acting"):
            raise FrameError("frame.malformed", id=ident)
        return Ping(ident, doing)
    if shown is None:
        raise FrameError("frame.malformed", id=ident)
    if kind == "unsubscribe":
        return Unsubscribe(shown, ident)
    after = value.get("after")
    if after is not None and (type(after) is not int or not 0 <= after <= MAX_CURSOR):
        raise FrameError("frame.malformed", topic=shown, id=ident)
    return Subscribe(shown, after, ident)


def _id(value: Any) -> FrameId:
    if type(value) is int and abs(value) <= MAX_CURSOR:
        return value
    if isinstance(value, str) and len(value) <= MAX_ID_CHARACTERS:
        return value
    return None


def split_topic(text: str) -> TopicName | None:
    """The parts of ``tenant:{slug}:{name}`` or ``tenant:{slug}:{name}:{id}``; None when it is neither."""
    parts = text.split(":", 3)
    if len(parts) < 3 or parts[0] != "tenant" or not parts[1] or not parts[2] or _CONTROL.search(text):
        return None
    if len(parts) == 4 and not parts[3]:
        return None
    return TopicName(text, parts[1], parts[2], parts[3] if len(parts) == 4 else "")


def _dump(frame: dict[str, Any]) -> str:
    return orjson.dumps(frame).decode()


def subscribed(topic: str, id: FrameId, cursor: int | None) -> str:
    """The topic is followed; on a log topic events after ``cursor`` come next."""
    return _dump({"type": "subscribed", "topic": topic, "id": id, "cursor": cursor})


def event(topic: str, message: str, log_seq: int, data: bytes) -> str:
    """One stored event; ``data`` is its JSON, encoded once for all sockets."""
    found = {"type": "event", "topic": topic, "message": message, "log_seq": log_seq}
    return _dump(found | {"data": orjson.Fragment(data)})


def snapshot(topic: str, data: bytes) -> str:
    """The state as it is now."""
    return _dump({"type": "snapshot", "topic": topic, "data": orjson.Fragment(data)})


def state(topic: str, message: str, data: bytes) -> str:
    """The state after something happened."""
    return _dump({"type": "state", "topic": topic, "message": message, "data": orjson.Fragment(data)})


def resync(topic: str, cursor: int) -> str:
    """Too far behind: live events go on after ``cursor``, the ones before are paged by ``GET /events``."""
    return _dump({"type": "resync", "topic": topic, "cursor": cursor})


def error(code: str, *, topic: str | None = None, id: FrameId = None) -> str:
    """A refusal; ``topic`` and ``id`` when they are known."""
    frame: dict[str, Any] = {"type": "error", "code": code, "detail": ERRORS[code]}
    if topic is not None:
        frame["topic"] = topic
    if id is not None:
        frame["id"] = id
    return _dump(frame)


def pong(id: FrameId) -> str:
    """Here."""
    return _dump({"type": "pong"} if id is None else {"type": "pong", "id": id})
