"""What of an event is compared, searched for secrets and committed to (SEMANTICS 2 and 4)."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import orjson

from traces.domain.canonical import jcs
from traces.domain.draft import Draft
from traces.domain.envelope import StoredEvent
from traces.domain.secrets import Found, find_secret, suspicious


def content(draft: Draft) -> dict[str, Any]:
    """What makes a resend the same event (SEMANTICS 4): what the client sent, absent as null."""
    return {
        "trace_id": draft.trace_id,
        "event_type": draft.event_type,
        "schema_version": draft.sent_schema_version,
        "occurred_at": draft.occurred_at,
        "source": {"producer_id": draft.producer_id, "system": draft.system, "subsystem": draft.subsystem},
        "actor": {"actor_type": draft.actor_type, "actor_id": draft.actor_id},
        "correlation_id": draft.correlation_id,
        "causation_event_id": draft.causation_event_id,
        "tags": None if draft.sent_tags is None else list(draft.sent_tags),
        "payload": draft.payload,
    }


def content_canonical(draft: Draft, payload: bytes) -> bytes:
    """``jcs(content(draft))``, put together around the payload's canonical form.

    Names in their order, texts and small integers only: the encoder's output is canonical as it is.
    """
    return orjson.dumps(
        {
            "actor": {"actor_id": draft.actor_id, "actor_type": draft.actor_type},
            "causation_event_id": draft.causation_event_id,
            "correlation_id": draft.correlation_id,
            "event_type": draft.event_type,
            "occurred_at": draft.occurred_at,
            "payload": orjson.Fragment(payload),
            "schema_version": draft.sent_schema_version,
            "source": {"producer_id": draft.producer_id, "subsystem": draft.subsystem, "system": draft.system},
            "tags": draft.sent_tags,
            "trace_id": draft.trace_id,
        }
    )


def secret_in(draft: Draft, content_text: bytes) -> Found | None:
    """The first credential anywhere in the event; ``content_text`` is `content_canonical`."""
    names = f'{draft.event_id}"{draft.idempotency_key}'
    if not suspicious(content_text + names.encode()):
        return None
    return find_secret(content(draft), content_text) or find_secret(
        {"event_id": draft.event_id, "idempotency_key": draft.idempotency_key}
    )


def leaf_of_draft(
    draft: Draft,
    *,
    log_seq: int,
    event_id: str,
    trace_seq: int,
    occurred_at: str,
    recorded_at: str,
    origin: str,
    principal: str,
    commitment: bytes,
) -> bytes:
    """`canonical.leaf_hash` of a draft that gets this place, hashed in one go.

    Names in their order, texts and small integers only: the encoder's output is canonical as it is.
    """
    return sha256(
        orjson.dumps(
            {
                "actor": {"actor_id": draft.actor_id, "actor_type": draft.actor_type},
                "causation_event_id": draft.causation_event_id,
                "commitment": "sha256:" + commitment.hex(),
                "correlation_id": draft.correlation_id,
                "event_id": event_id,
                "event_type": draft.event_type,
                "idempotency_key": draft.idempotency_key,
                "log_seq": log_seq,
                "occurred_at": occurred_at,
                "origin": origin,
                "principal": principal,
                "recorded_at": recorded_at,
                "schema_version": draft.schema_version,
                "source": {"producer_id": draft.producer_id, "subsystem": draft.subsystem, "system": draft.system},
                "tags": draft.tags,
                "trace_id": draft.trace_id,
                "trace_seq": trace_seq,
            }
        )
    ).digest()


def stored_leaf_envelope(event: StoredEvent, commitment: bytes) -> dict[str, Any]:
    """What `canonical.leaf_hash` is taken of; it can be checked after the payload was erased too."""
    return {
        "log_seq": event.log_seq,
        "event_id": event.event_id,
        "trace_id": event.trace_id,
        "trace_seq": event.trace_seq,
        "event_type": event.event_type,
        "schema_version": event.schema_version,
        "occurred_at": event.occurred_at,
        "recorded_at": event.recorded_at,
        "source": {"producer_id": event.producer_id, "system": event.system, "subsystem": event.subsystem},
        "actor": {"actor_type": event.actor_type, "actor_id": event.actor_id},
        "idempotency_key": event.idempotency_key,
        "correlation_id": event.correlation_id,
        "causation_event_id": event.causation_event_id,
        "tags": list(event.tags),
        "origin": event.origin,
        "principal": event.principal,
        "commitment": "sha256:" + commitment.hex(),
    }


COMPARED: dict[str, Callable[[Draft, StoredEvent], bool]] = {
    "trace_id": lambda d, e: d.trace_id == e.trace_id,
    "event_type": lambda d, e: d.event_type == e.event_type,
    "schema_version": lambda d, e: d.schema_version == e.schema_version,
    "occurred_at": lambda d, e: d.occurred_at is None or d.occurred_at == e.occurred_at,
    "source": lambda d, e: (d.producer_id, d.system, d.subsystem) == (e.producer_id, e.system, e.subsystem),
    "actor": lambda d, e: (d.actor_type, d.actor_id) == (e.actor_type, e.actor_id),
    "correlation_id": lambda d, e: d.correlation_id == e.correlation_id,
    "causation_event_id": lambda d, e: d.causation_event_id == e.causation_event_id,
    "tags": lambda d, e: d.tags == e.tags,
    "payload": lambda d, e: e.payload is None or jcs(d.payload) == jcs(e.payload),
}


def differing_fields(draft: Draft, stored: StoredEvent) -> list[str]:
    """The fields in which a resend differs from the stored event, as far as the log still knows.

    A field that the client left out at one time and sent with its default at another compares equal
    here although the contents differ.
    """
    return [name for name, same in COMPARED.items() if not same(draft, stored)]
