"""The whole log as a file, and how it is checked without the server that wrote it. Pure.

One JSON value a line, each in its canonical form (RFC 8785), so that a changed byte is never only a
matter of spelling:

- ``{"log": {...}}`` opens the file, and again each piece that a broken download was continued with;
- ``{"event": {...}}`` one event with its commitment and salt, in the order of the log;
- ``{"checkpoint": "..."}`` a signed note, behind the last event it covers;
- ``{"end": {"log_seq": n}}`` behind the last event, which the checkpoint before it covers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from traces.domain import canonical, merkle, note
from traces.domain.envelope import StoredEvent

FORMAT = "decisiongraph.log/1"
ENVELOPE = (
    "log_seq", "event_id", "trace_id", "trace_seq", "event_type", "schema_version", "occurred_at", "recorded_at",
    "source", "actor", "idempotency_key", "correlation_id", "causation_event_id", "tags", "origin", "principal",
    "commitment",
)  # fmt: skip
"""What a leaf hash is taken of."""
BODY = ("payload", "payload_hash", "salt", "leaf_hash")


class Fault(Exception):
    """The first thing that is wrong with an exported log."""

    def __init__(self, first: int, detail: str, last: int | None = None) -> None:
        """``first`` to ``last``: where the first bad event is; one position when it is known exactly."""
        super().__init__(detail)
        self.first = first
        self.last = first if last is None else last
        self.detail = detail


class Summary(NamedTuple):
    """A log that is what was signed."""

    origin: str
    size: int
    root: bytes
    checkpoints: int
    kept: int
    """Checkpoints from outside that agree with it."""
    erased: int
    """Events whose body was erased; their envelopes are proven like all others."""
    keys: tuple[note.Key, ...]
    """The keys that were believed."""


# --- writing ------------------------------------------------------------------------------------------


def opening(origin: str, keys: Iterable[note.Key], *, after: int) -> bytes:
    """The first line of a file, or of a piece that goes on behind event ``after``."""
    return _line({"log": {"after": after, "format": FORMAT, "keys": [key.text for key in keys], "origin": origin}})


def event_line(event: StoredEvent, *, commitment: bytes, salt: bytes | None, payload: bytes | None) -> bytes:
    """One event; ``payload`` is the stored canonical form."""
    value = event.as_json()
    value["commitment"] = "sha256:" + commitment.hex()
    value["salt"] = None if salt is None else salt.hex()
    value["payload"] = None if payload is None else orjson.Fragment(payload)  # as stored, even if damaged
    return _line({"event": value})


def checkpoint_line(signed: str) -> bytes:
    """One signed note."""
    return _line({"checkpoint": signed})


def closing(log_seq: int) -> bytes:
    """The last line."""
    return _line({"end": {"log_seq": log_seq}})


def _line(value: Mapping[str, Any]) -> bytes:
    # Names in ASCII, texts, small integers, and payloads that are canonical already: no other care needed.
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS) + b"\n"


# --- checking -----------------------------------------------------------------------------------------


class Check:
    """Reads a log line by line and raises `Fault` at the first thing that is not as it was signed.

    Args:
        verify: checks one Ed25519 signature.
        trusted: keys the reader already has. Without them the keys inside the file are believed, which
            proves only that whoever holds those keys signed it.
        kept: signed checkpoints the reader got earlier or elsewhere. Only these show a log that was cut
            or written anew by somebody who holds the key as well.
    """

    def __init__(self, verify: note.Verifier, *, trusted: Sequence[note.Key] = (), kept: Sequence[str] = ()) -> None:
        self._verify = verify
        self._trusted = tuple(trusted)
        self._notes = list(kept)
        self._keys: tuple[note.Key, ...] = ()
        self._kept: dict[int, bytes] = {}
        self._tree = merkle.Frontier()
        self._origin = ""
        self._opened = self._ended = False
        self._covered = self._sound = 0
        """Size of the last checkpoint line, and of the last checkpoint of any kind that agreed."""
        self._checkpoints = self._agreed = 0
        self._erased: dict[str, int] = {}
        self._erasures = 0

    @property
    def size(self) -> int:
        """Events read and found right."""
        return self._tree.size

    def feed(self, line: bytes) -> None:
        """One line without its end. Raises `Fault`."""
        kind, content = self._read(line)
        if kind == "log":
            self._open(content)
        elif not self._opened:
            raise Fault(1, "The file does not begin like an exported log.")
        elif self._ended:
            raise self._at("Something follows the end of the log.")
        elif kind == "event":
            self._event(content)
        elif kind == "checkpoint":
            self._checkpoint(content)
        else:
            self._end(content)

    def close(self) -> Summary:
        """What was found, once the file is over. Raises `Fault`."""
        if not self._opened:
            raise Fault(1, "There is no exported log in this file.")
        if not self._ended:
            raise self._at(f"The file ends in the middle of the log, after event {self.size}.")
        for size in sorted(self._kept):
            raise Fault(
                self.size + 1,
                f"A kept checkpoint covers {size} events and this log ends after {self.size}: its end was cut off.",
            )
        for event_id, log_seq in self._erased.items():
            raise Fault(log_seq, f"The body of {event_id} is gone, and no EventRedacted of the log says why.")
        return Summary(
            self._origin,
            self.size,
            self._tree.root(),
            self._checkpoints,
            self._agreed,
            self._erasures,
            self._keys,
        )

    def _at(self, detail: str) -> Fault:
        return Fault(self.size + 1, detail)

    def _read(self, line: bytes) -> tuple[str, Any]:
        try:
            value = orjson.loads(line)
            same = isinstance(value, dict) and len(value) == 1 and canonical.jcs(value) == line
        except (orjson.JSONDecodeError, canonical.NotCanonical):
            same = False
        if not same:
            raise self._at("A line is not as the log writes it: bytes in it were changed or are missing.")
        ((kind, content),) = value.items()
        wanted = {"log": dict, "event": dict, "checkpoint": str, "end": dict}.get(kind)
        if wanted is None or not isinstance(content, wanted):
            raise self._at("A line is of no kind that a log has.")
        return kind, content

    def _open(self, content: dict[str, Any]) -> None:
        if set(content) != {"after", "format", "keys", "origin"} or content["format"] != FORMAT:
            raise self._at(f"The file is no log of the format {FORMAT}.")
        if content["after"] != self.size:
            raise self._at(f"A piece begins behind event {content['after']}; event {self.size + 1} should come next.")
        if not self._opened:
            self._begin(content)
        elif content["origin"] != self._origin:
            raise self._at("A piece is of another log.")
        self._opened, self._ended = True, False

    def _begin(self, content: dict[str, Any]) -> None:
        try:
            found = tuple(note.parse_key(str(text)) for text in content["keys"])
            self._keys = self._trusted or found
            self._origin = str(content["origin"])
            if any(key.name != self._origin for key in found):
                raise note.BadNote("The file names keys of another log.")
            for text in self._notes:
                checkpoint = self._opened_note(text)
                if self._kept.setdefault(checkpoint.size, checkpoint.root) != checkpoint.root:
                    raise note.BadNote(f"Two kept checkpoints over {checkpoint.size} events contradict each other.")
        except (note.BadNote, TypeError) as error:
            raise self._at(str(error)) from None
        self._compare_kept()

    def _opened_note(self, text: str) -> note.Checkpoint:
        checkpoint = note.opened(text, self._keys, self._verify)
        if checkpoint.origin != self._origin:
            raise note.BadNote(f"A checkpoint is of the log {checkpoint.origin}, the file of {self._origin}.")
        return checkpoint

    def _event(self, event: dict[str, Any]) -> None:
        at = self.size + 1
        if set(event) != {*ENVELOPE, *BODY}:
            raise self._at("An event does not have the fields that events have.")
        if event["log_seq"] != at:
            raise self._at(f"Event {at} is missing: event {event['log_seq']} stands in its place.")
        leaf = canonical.leaf_hash({name: event[name] for name in ENVELOPE})
        if event["leaf_hash"] != f"sha256:{leaf.hex()}":
            raise self._at("The envelope is not the one that the leaf hash was taken of.")
        self._body(at, event)
        if event["event_type"] == "EventRedacted":
            self._erased.pop(str(event["causation_event_id"]), None)
        self._tree.push(leaf)
        self._compare_kept()

    def _body(self, at: int, event: dict[str, Any]) -> None:
        if event["payload"] is None and event["salt"] is None and event["payload_hash"] is None:
            self._erased[str(event["event_id"])] = at
            self._erasures += 1
            return
        try:
            salt = bytes.fromhex(event["salt"])
        except (TypeError, ValueError):
            salt = b""
        if salt.hex() != event["salt"]:
            raise self._at("The salt of the event is damaged.")
        payload = canonical.jcs(event["payload"])
        if event["payload_hash"] != canonical.payload_hash(payload):
            raise self._at("The payload does not have its hash.")
        if event["commitment"] != f"sha256:{canonical.commitment(salt, payload).hex()}":
            raise self._at("The payload is not the one that was committed to.")

    def _compare_kept(self) -> None:
        root = self._kept.pop(self.size, None)
        if root is None:
            return
        if root != self._tree.root():
            raise Fault(
                self._sound + 1,
                f"A kept checkpoint over {self.size} events has another root: the log was written anew.",
                self.size,
            )
        self._agreed += 1
        self._sound = self.size

    def _checkpoint(self, text: str) -> None:
        try:
            checkpoint = self._opened_note(text)
        except note.BadNote as error:
            raise self._at(str(error)) from None
        if checkpoint.size != self.size:
            raise self._at(f"A checkpoint over {checkpoint.size} events stands behind event {self.size}.")
        if checkpoint.root != self._tree.root():
            raise Fault(
                self._sound + 1,
                f"The checkpoint over {self.size} events was signed over other events than these.",
                self.size,
            )
        self._checkpoints += 1
        self._covered = self._sound = self.size

    def _end(self, content: dict[str, Any]) -> None:
        if content != {"log_seq": self.size}:
            raise self._at(f"The log says that it ends after event {content.get('log_seq')}; {self.size} are there.")
        if self._covered != self.size:
            raise self._at("No checkpoint covers the end of the log.")
        self._ended = True
