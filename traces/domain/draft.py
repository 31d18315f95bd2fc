"""The envelope of a client: validated as a whole, every violation with its path (SEMANTICS 1)."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, NamedTuple

from traces.domain.canonical import MAX_SAFE_INTEGER
from traces.domain.catalog import CATALOG, validate_payload
from traces.domain.envelope import PLATFORM_PRODUCER, PLATFORM_TYPES, REVIEW_PREFIX
from traces.domain.moment import instant
from traces.domain.violations import Violation, item, member

MAX_IDENTIFIER_BYTES = 200
MAX_KEY_BYTES = 200
MAX_TAGS = 32
MAX_TAG_BYTES = 64
MAX_SCHEMA_VERSION = 2**31 - 1

ACTOR_TYPES = ("agent", "person", "role", "system")
_FIELDS = frozenset(
    (
        "event_id",
        "trace_id",
        "trace_seq",
        "event_type",
        "schema_version",
        "occurred_at",
        "source",
        "actor",
        "idempotency_key",
        "correlation_id",
        "causation_event_id",
        "tags",
        "payload",
    )
)
_SOURCE_FIELDS = frozenset(("producer_id", "system", "subsystem"))
_ACTOR_FIELDS = frozenset(("actor_type", "actor_id"))

# The common case of each kind of text in one match; what does not match is explained below.
_IDENTIFIER = re.compile(r"(?!\s)[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,200}(?<!\s)")
_SEGMENT = re.compile(r"(?!\s)(?!\.{1,2}\Z)[^\x00-\x1f\x7f-\x9f\ud800-\udfff/\\?#%]{1,200}(?<!\s)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Draft(NamedTuple):
    """An event as a client sent it: valid by itself, not yet placed in the log."""

    event_id: str | None
    trace_id: str
    trace_seq: int | None
    event_type: str
    schema_version: int
    occurred_at: str | None
    """Verbatim; None when absent (the server's time is taken)."""
    occurred_instant: datetime | None
    """The same in UTC."""
    producer_id: str
    system: str
    subsystem: str | None
    actor_type: str
    actor_id: str
    idempotency_key: str
    correlation_id: str | None
    causation_event_id: str | None
    tags: tuple[str, ...]
    payload: dict[str, Any]
    sent_schema_version: int | None
    """What the client sent, for the comparison of a resend; None when absent."""
    sent_tags: tuple[str, ...] | None
    """What the client sent, for the comparison of a resend; None when absent."""


def validate(
    envelope: Any,
    *,
    path_trace_id: str | None = None,
    header_key: str | None = None,
    origin: str = "ingest",
) -> Draft | list[Violation]:
    """The draft of a strictly parsed envelope, or everything that is wrong with it.

    ``path_trace_id`` is the trace of the address, ``header_key`` the ``Idempotency-Key`` header.
    Platform types and review traces are open to ``origin`` ``platform`` only.
    """
    if not isinstance(envelope, dict):
        return [Violation("", "envelope.wrong_type", "An event must be an object.", 400)]
    check = _Check()
    get = envelope.get
    if not envelope.keys() <= _FIELDS:
        check.unknown(envelope, _FIELDS, "")

    trace_id = _trace_id(check, get("trace_id"), path_trace_id)
    if origin != "platform" and trace_id.startswith(REVIEW_PREFIX):
        check.add(
            "trace_id",
            "envelope.reserved_trace_id",
            f'Traces whose id begins with "{REVIEW_PREFIX}" are written by the platform alone.',
            403,
        )
    event_id = check.text("event_id", get("event_id"), _SEGMENT, segment=True, optional=True)
    trace_seq = check.integer("trace_seq", get("trace_seq"), 0, MAX_SAFE_INTEGER)
    schema_version = check.integer("schema_version", get("schema_version"), 1, MAX_SCHEMA_VERSION)
    occurred_at, moment = _occurred_at(check, get("occurred_at"))

    source = check.object("source", get("source"), _SOURCE_FIELDS)
    actor = check.object("actor", get("actor"), _ACTOR_FIELDS)
    producer_id = system = actor_type = actor_id = ""
    subsystem = None
    if source is not None:
        producer_id = check.text("source.producer_id", source.get("producer_id")) or ""
        if producer_id == PLATFORM_PRODUCER and origin != "platform":
            check.add(
                "source.producer_id",
                "envelope.reserved_producer",
                f'The producer "{PLATFORM_PRODUCER}" is the platform itself. Choose another producer_id.',
                403,
            )
        system = check.text("source.system", source.get("system")) or ""
        subsystem = check.text("source.subsystem", source.get("subsystem"), optional=True)
    if actor is not None:
        actor_id = check.text("actor.actor_id", actor.get("actor_id")) or ""
        actor_type = _actor_type(check, actor.get("actor_type"))

    key = _idempotency_key(check, get("idempotency_key"), header_key)
    correlation_id = check.text("correlation_id", get("correlation_id"), optional=True)
    causation_event_id = check.text("causation_event_id", get("causation_event_id"), optional=True)
    tags = _tags(check, get("tags"))
    event_type, payload = _body(check, get("event_type"), envelope, origin)
    if check.violations:
        return check.violations
    return Draft(
        event_id,
        trace_id,
        trace_seq,
        event_type,
        schema_version or 1,
        occurred_at,
        moment,
        producer_id,
        system,
        subsystem,
        actor_type,
        actor_id,
        key,
        correlation_id,
        causation_event_id,
        tags or (),
        payload,
        schema_version,
        tags,
    )


class _Check:
    """Collects violations while reading fields; a reader gives a harmless value for a bad one."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []

    def add(self, path: str, code: str, detail: str, status: int = 400) -> None:
        self.violations.append(Violation(path, code, detail, status))

    def missing(self, path: str) -> None:
        self.add(path, "envelope.missing_field", "This field is required. Add it.")

    def unknown(self, given: dict[str, Any], known: frozenset[str], path: str) -> None:
        for key in given:
            if key not in known:
                self.add(
                    member(path, str(key)),
                    "envelope.unknown_field",
                    "The envelope has no such field. Put further data into the payload.",
                )

    def object(self, path: str, value: Any, known: frozenset[str]) -> dict[str, Any] | None:
        if isinstance(value, dict):
            if not value.keys() <= known:
                self.unknown(value, known, path)
            return value
        if value is None:
            self.missing(path)
        else:
            self.add(path, "envelope.wrong_type", "The value must be an object.")
        return None

    def text(
        self,
        path: str,
        value: Any,
        pattern: re.Pattern[str] = _IDENTIFIER,
        *,
        segment: bool = False,
        optional: bool = False,
    ) -> str | None:
        """An identifier, or None when it is absent or bad."""
        if isinstance(value, str):
            if pattern.fullmatch(value) and (value.isascii() or len(value.encode()) <= MAX_IDENTIFIER_BYTES):
                return value
            self.add(path, "envelope.invalid_identifier", _identifier_fault(value, segment=segment))
        elif value is not None:
            self.add(path, "envelope.wrong_type", "The value must be text.")
        elif not optional:
            self.missing(path)
        return None

    def integer(self, path: str, value: Any, low: int, high: int) -> int | None:
        if value is None:
            return None
        if type(value) is not int:
            self.add(path, "envelope.wrong_type", "The value must be an integer.")
        elif not low <= value <= high:
            self.add(path, "envelope.out_of_range", f"The value must be between {low:,} and {high:,}.")
        else:
            return value
        return None


def _identifier_fault(value: str, *, segment: bool) -> str:
    if not value:
        return "An identifier has at least one character."
    if _CONTROL.search(value):
        return "An identifier has no control characters."
    if value != value.strip():
        return "An identifier has no white space at its ends."
    if segment and value in (".", ".."):
        return 'The identifier is part of addresses and cannot be "." or "..".'
    if segment and any(c in value for c in "/\\?#%"):
        return "The identifier is part of addresses and cannot contain / \\ ? # or %."
    if len(value) > MAX_IDENTIFIER_BYTES or len(value.encode(errors="replace")) > MAX_IDENTIFIER_BYTES:
        return f"An identifier has at most {MAX_IDENTIFIER_BYTES} bytes of UTF-8."
    return "An identifier is valid UTF-8."


def _trace_id(check: _Check, value: Any, path_trace_id: str | None) -> str:
    if path_trace_id is None:
        return check.text("trace_id", value, _SEGMENT, segment=True) or ""
    inside = check.text("trace_id", path_trace_id, _SEGMENT, segment=True) or ""
    if value is not None and value != path_trace_id:
        check.add(
            "trace_id",
            "envelope.trace_mismatch",
            "The trace_id differs from the trace in the address. Send the same or leave it out.",
        )
    return inside


def _occurred_at(check: _Check, value: Any) -> tuple[str | None, datetime | None]:
    if value is None:
        return None, None
    if not isinstance(value, str):
        check.add("occurred_at", "envelope.wrong_type", "The value must be text.")
        return None, None
    moment = instant(value)
    if moment is None:
        check.add(
            "occurred_at",
            "envelope.invalid_time",
            "The value must be an existing RFC 3339 date and time with an offset, as 2026-01-31T09:41:07.112Z.",
        )
        return None, None
    return value, moment


def _actor_type(check: _Check, value: Any) -> str:
    if value in ACTOR_TYPES:
        return str(value)
    if value is None:
        check.missing("actor.actor_type")
    else:
        check.add(
            "actor.actor_type", "envelope.not_allowed", "The value must be one of " + ", ".join(ACTOR_TYPES) + "."
        )
    return ""


def _idempotency_key(check: _Check, value: Any, header: str | None) -> str:
    if value is None:
        value = header
        if value is None:
            check.missing("idempotency_key")
            return ""
    elif header is not None and value != header:
        check.add(
            "idempotency_key",
            "envelope.key_mismatch",
            "The Idempotency-Key header says something else. Send the same or only one of the two.",
        )
        return ""
    if not isinstance(value, str):
        check.add("idempotency_key", "envelope.wrong_type", "The value must be text.")
        return ""
    fault = _bytes_fault(value, MAX_KEY_BYTES) if value else "An idempotency key has at least one byte."
    if fault:
        check.add("idempotency_key", "envelope.invalid_key", fault)
    return value


def _bytes_fault(value: str, limit: int) -> str | None:
    if "\0" in value:
        return "The text cannot contain the character U+0000."
    if value.isascii():
        size = len(value)
    else:
        try:
            size = len(value.encode())
        except UnicodeEncodeError:
            return "The text is not valid UTF-8."
    return f"The text has at most {limit} bytes of UTF-8." if size > limit else None


def _tags(check: _Check, value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, (list, tuple)):
        check.add("tags", "envelope.wrong_type", "The value must be an array of texts.")
        return None
    if len(value) > MAX_TAGS:
        check.add("tags", "envelope.too_many_tags", f"An event has at most {MAX_TAGS} tags.")
    for index, tag in enumerate(value[: MAX_TAGS + 1]):
        if not isinstance(tag, str):
            check.add(item("tags", index), "envelope.wrong_type", "A tag is text.")
        else:
            fault = _bytes_fault(tag, MAX_TAG_BYTES)
            if fault:
                check.add(item("tags", index), "envelope.invalid_tag", fault)
    return tuple(value)


def _body(check: _Check, event_type: Any, envelope: dict[str, Any], origin: str) -> tuple[str, dict[str, Any]]:
    """Type and payload together, because the type says what the payload must be."""
    payload = envelope.get("payload")
    known = False
    if event_type is None:
        check.missing("event_type")
    elif not isinstance(event_type, str):
        check.add("event_type", "envelope.wrong_type", "The value must be text.")
    elif event_type not in CATALOG:
        check.add(
            "event_type", "event.unknown_type", "There is no such event type. GET /event-types lists them all.", 422
        )
    elif origin != "platform" and event_type in PLATFORM_TYPES:
        check.add("event_type", "event.platform_only", "Events of this type are written by the platform alone.", 403)
    else:
        known = True
    if payload is None:
        check.missing("payload")
    elif not isinstance(payload, dict):
        check.add("payload", "envelope.wrong_type", "The payload must be an object.")
    elif known:
        check.violations += validate_payload(event_type, payload)
        return event_type, payload
    return "", {}
