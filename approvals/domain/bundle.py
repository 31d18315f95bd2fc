"""What an exported bundle says about itself, checked without the server that made it. Pure.

The seal (`approvals.domain.seal`) proves that the file is what the tenant's key signed. What is checked
here are the hashes inside: that each payload is the one its event committed to in the log, and that the
action of an item has the digest it is bound to.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from traces.domain.canonical import commitment, jcs, leaf_hash, payload_hash, sha256_text

FORMAT = "decisiongraph/1"
ENVELOPE = (
    "log_seq", "event_id", "trace_id", "trace_seq", "event_type", "schema_version", "occurred_at", "recorded_at",
    "source", "actor", "idempotency_key", "correlation_id", "causation_event_id", "tags", "origin", "principal",
)  # fmt: skip
"""What a leaf hash is taken of, besides the commitment."""
EMBEDDED = b'<script type="application/json" id="bundle">'
"""Before the same content as JSON inside the page for people."""


def content_of(kind: str, body: bytes) -> dict[str, Any]:
    """The content of a sealed body. Raises ValueError when it is not one of ours."""
    if kind == "html":
        _, opened, rest = body.partition(EMBEDDED)
        text, closed, _ = rest.partition(b"</script>")
        if not opened or not closed:
            raise ValueError("The page holds no bundle.")
        found = json.loads(text)
    else:
        found = json.loads(body.rstrip(b",\n") + b"}")
    if not isinstance(found, dict) or found.get("bundle") != FORMAT or not isinstance(found.get("content"), dict):
        raise ValueError(f"This is no bundle of the format {FORMAT}.")
    return dict(found["content"])


def json_body(content: dict[str, Any]) -> bytes:
    """The body of the JSON file; the seal closes its object."""
    return b'{"bundle":"' + FORMAT.encode() + b'","content":' + jcs(content) + b",\n"


def embedded(content: dict[str, Any]) -> str:
    """The content as JSON that may stand inside a page: nothing in it closes the script."""
    text = (json_body(content).rstrip(b",\n") + b"}").decode()
    for char, escape in (
        ("<", "\\u003c"),
        (">", "\\u003e"),
        ("&", "\\u0026"),
        ("\u2028", "\\u2028"),
        ("\u2029", "\\u2029"),
    ):
        text = text.replace(char, escape)
    return text


def events_of(content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every event of the bundle."""
    for trace in content["traces"]:
        yield from trace["events"]


def problems(content: dict[str, Any]) -> list[str]:
    """What does not fit together in a bundle, in words; nothing when all hashes are right."""
    found = []
    for event in events_of(content):
        where = f"event {event['log_seq']} ({event['event_id']})"
        bound = bytes.fromhex(event["commitment"].removeprefix("sha256:"))
        envelope = {name: event[name] for name in ENVELOPE} | {"commitment": event["commitment"]}
        if f"sha256:{leaf_hash(envelope).hex()}" != event["leaf_hash"]:
            found.append(f"{where}: leaf_hash is not that of the envelope")
        if event["salt"] is None:
            continue  # the body was erased; the envelope still proves that it existed
        canonical = jcs(event["payload"])
        if payload_hash(canonical) != event["payload_hash"]:
            found.append(f"{where}: payload_hash is not that of the payload")
        if commitment(bytes.fromhex(event["salt"]), canonical) != bound:
            found.append(f"{where}: the payload is not the one that was committed to")
    for trace in content["traces"]:
        seqs = [event["trace_seq"] for event in trace["events"]]
        if seqs != list(range(len(seqs))):
            found.append(f"trace {trace['trace_id']}: its events are not 0, 1, 2, ...")
    for item in content["approvals"]:
        if item["action"] is not None and sha256_text(jcs(item["action"])) != item["action_digest"]:
            found.append(f"approval {item['id']}: action_digest is not that of the action")
    return found
