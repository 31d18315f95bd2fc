"""The answer key of an existing implementation, read from beside the checkout, never copied."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from traces.domain.envelope import StoredEvent

PATH = Path(__file__).resolve().parents[2].parent / "shared" / "fixtures" / "reference_bundle.json"


def scenarios() -> list[dict[str, Any]]:
    """The scenarios of the bundle; skips the test where there is no bundle."""
    if not PATH.is_file():
        pytest.skip("the reference bundle is not beside this checkout (../shared/fixtures)")
    found: list[dict[str, Any]] = json.loads(PATH.read_text(encoding="utf-8"))["scenarios"]
    return found


def stored(events: list[dict[str, Any]], first: int = 1, origin: str = "ingest") -> list[StoredEvent]:
    """The client envelopes of a scenario as a log that starts at ``first``."""
    return [
        StoredEvent(
            log_seq=log_seq,
            event_id=event["event_id"],
            trace_id=event["trace_id"],
            trace_seq=event["trace_seq"],
            event_type=event["event_type"],
            schema_version=event["schema_version"],
            occurred_at=event["occurred_at"],
            recorded_at="2026-01-01T00:00:00.000000Z",
            producer_id=event["source"]["producer_id"],
            system=event["source"]["system"],
            subsystem=event["source"]["subsystem"],
            actor_type=event["actor"]["actor_type"],
            actor_id=event["actor"]["actor_id"],
            idempotency_key=event["idempotency_key"],
            correlation_id=event["correlation_id"],
            causation_event_id=event["causation_event_id"],
            tags=tuple(event["tags"]),
            origin=origin,
            principal="token:12345678",
            leaf_hash="sha256:0",
            payload_hash=None,
            payload=event["payload"],
        )
        for log_seq, event in enumerate(events, start=first)
    ]
