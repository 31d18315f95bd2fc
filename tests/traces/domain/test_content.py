"""What a resend is compared by, and what a leaf commits to."""

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.traces.domain.drafts import EVENT, WITHOUT, changed, draft
from traces.domain.canonical import jcs, leaf_hash
from traces.domain.catalog import CATALOG
from traces.domain.content import (
    content,
    content_canonical,
    differing_fields,
    leaf_of_draft,
    secret_in,
    stored_leaf_envelope,
)
from traces.domain.draft import Draft
from traces.domain.envelope import INGEST_TYPES, StoredEvent


def test_content_is_what_the_client_sent() -> None:
    said = content(draft(EVENT))
    assert set(said) == {
        "trace_id",
        "event_type",
        "schema_version",
        "occurred_at",
        "source",
        "actor",
        "correlation_id",
        "causation_event_id",
        "tags",
        "payload",
    }
    for field in ("event_id", "trace_seq", "idempotency_key"):
        assert content(draft({**EVENT, field: {"trace_seq": 9}.get(field, "other")})) == said
    for field in ("schema_version", "occurred_at", "tags"):
        assert content(draft(changed(field, WITHOUT)))[field] is None
        assert content(draft(changed(field, WITHOUT))) == content(draft(changed(field, None)))


@given(
    st.sampled_from(INGEST_TYPES),
    st.none() | st.lists(st.text(alphabet="aé\U0001f600", max_size=4), max_size=3),
    st.dictionaries(
        st.text(alphabet="ab\ue000\U0001f600", max_size=3), st.floats(allow_nan=False, allow_infinity=False)
    ),
)
def test_content_is_put_together_around_the_payload(name: str, tags: Any, extra: dict[str, Any]) -> None:
    made = draft({**EVENT, "event_type": name, "payload": {**CATALOG[name].example, "extra": extra}, "tags": tags})
    assert content_canonical(made, jcs(made.payload)) == jcs(content(made))


def test_a_secret_is_found_in_payload_and_envelope() -> None:
    key = "sk-" + "a1B2c3D4e5F6g7H8i9J0"

    def where(event: dict[str, Any]) -> str | None:
        made = draft(event)
        found = secret_in(made, content_canonical(made, jcs(made.payload)))
        return found and found.path

    assert where(EVENT) is None
    assert where(changed("payload.title", key)) == "payload.title"
    assert where(changed("tags", ["ok", key])) == "tags[1]"
    assert where(changed("source.subsystem", key)) == "source.subsystem"
    assert where(changed("idempotency_key", f"run {key}")) == "idempotency_key"
    assert where(changed("event_id", key)) == "event_id"


def stored(made: Draft, payload: dict[str, Any] | None) -> StoredEvent:
    return StoredEvent(
        7,
        "e-1",
        made.trace_id,
        0,
        made.event_type,
        made.schema_version,
        made.occurred_at or "2026-01-12T07:41:08.000000Z",
        "2026-01-12T07:41:08.000000Z",
        made.producer_id,
        made.system,
        made.subsystem,
        made.actor_type,
        made.actor_id,
        made.idempotency_key,
        made.correlation_id,
        made.causation_event_id,
        made.tags,
        "ingest",
        "token:1a2b3c4d",
        "sha256:00",
        "sha256:11",
        payload,
    )


def test_the_leaf_commits_to_everything_and_survives_erasure() -> None:
    made = draft(EVENT)
    commitment = hashlib.sha256(b"salt").digest()
    placed = {
        "log_seq": 7,
        "event_id": "e-1",
        "trace_seq": 0,
        "occurred_at": EVENT["occurred_at"],
        "recorded_at": "2026-01-12T07:41:08.000000Z",
        "origin": "ingest",
        "principal": "token:1a2b3c4d",
    }
    envelope = stored_leaf_envelope(stored(made, None), commitment)
    assert leaf_of_draft(made, **placed, commitment=commitment) == leaf_hash(envelope)
    assert "payload" not in envelope
    assert envelope["commitment"] == "sha256:" + commitment.hex()
    told = set(stored(made, None).as_json()) - {"payload", "payload_hash", "leaf_hash"}
    assert told | {"commitment"} == set(envelope)
    hashes = {leaf_hash(envelope), leaf_of_draft(made, **placed, commitment=bytes(32))}
    for name, other in (
        ("log_seq", 8),
        ("trace_seq", 1),
        ("principal", "x"),
        ("origin", "import"),
        ("recorded_at", "y"),
    ):
        hashes.add(leaf_of_draft(made, **{**placed, name: other}, commitment=commitment))
    assert len(hashes) == 7


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("event_type", "TraceFinished", "event_type"),
        ("schema_version", 2, "schema_version"),
        ("occurred_at", "2026-01-12T09:41:08Z", "occurred_at"),
        ("source.system", "x", "source"),
        ("actor.actor_id", "x", "actor"),
        ("correlation_id", "x", "correlation_id"),
        ("causation_event_id", None, "causation_event_id"),
        ("tags", [], "tags"),
        ("payload.title", "x", "payload"),
        ("trace_id", "x", "trace_id"),
    ],
)
def test_differing_fields_are_named(path: str, value: Any, field: str) -> None:
    before = stored(draft(EVENT), EVENT["payload"])
    event = changed(path, value)
    expected = [field]
    if path == "event_type":
        event["payload"] = {"outcome": "success"}
        expected.append("payload")
    assert differing_fields(draft(event), before) == expected
    assert differing_fields(draft(EVENT), before) == []
    assert differing_fields(draft(changed("payload.title", "x")), before._replace(payload=None)) == []
