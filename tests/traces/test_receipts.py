"""A receipt can be checked by whoever holds the event; an erased payload takes nothing else with it."""

from __future__ import annotations

import hashlib

import pytest
import rfc8785
from django.db import DatabaseError, connection

from decisiongraph.core.db import tenant_tx
from tests.traces.events import Desk, Json, envelope, new_id, start, step
from traces import selectors
from traces.domain.envelope import Entry

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk() -> Desk:
    return Desk()


def salt_of(desk: Desk, log_seq: int) -> bytes:
    with tenant_tx(desk.tenant), connection.cursor() as cursor:
        cursor.execute(
            "SELECT salt FROM traces_event_body WHERE tenant_id = %s AND log_seq = %s", [desk.tenant.pk, log_seq]
        )
        return bytes(cursor.fetchone()[0])


def leaf(event: Json, commitment: str) -> str:
    """The leaf hash from what the API answers, by the library of the standard."""
    known = {k: v for k, v in event.items() if k not in ("payload", "payload_hash", "leaf_hash")}
    return "sha256:" + hashlib.sha256(rfc8785.dumps(known | {"commitment": commitment})).hexdigest()


def test_hashes_can_be_recomputed_from_the_answers(desk: Desk) -> None:
    trace = new_id()
    payload = start("x")["payload"] | {"context": {"a": 1.0, "b": 1e21, "c": "\u2028\ufb33", "d": [1e-7, -0.0]}}
    receipts = desk.append(
        start(trace, payload=payload, tags=["ü", 'q"'], occurred_at="2026-01-01T01:02:03.4+05:30"),
        step(trace, correlation_id="c", causation_event_id="e", schema_version=2),
    )
    for receipt, event in zip(receipts, desk.client("read").get("/api/v1/events").json()["items"], strict=True):
        canonical = rfc8785.dumps(event["payload"])
        assert event["payload_hash"] == receipt.payload_hash == "sha256:" + hashlib.sha256(canonical).hexdigest()
        salted = hashlib.sha256(salt_of(desk, event["log_seq"]) + canonical).hexdigest()
        assert event["leaf_hash"] == receipt.leaf_hash == leaf(event, "sha256:" + salted)


def test_equal_payloads_have_different_salts(desk: Desk) -> None:
    trace = new_id()
    desk.append(start(trace), step(trace), step(trace), step(trace))
    salts = {salt_of(desk, n) for n in range(1, 5)}
    assert len(salts) == 4
    assert {len(salt) for salt in salts} == {16}


# --- erasure ----------------------------------------------------------------------------------


def redaction(desk: Desk, log_seq: int) -> list[Json]:
    """The platform's own trace that erases one event."""
    event = selectors.event_at(desk.tenant, log_seq)
    subject = {"trace_id": event.trace_id, "event_id": event.event_id, "log_seq": log_seq}
    review = f"review:{new_id()}"
    payload = {"subject": subject, "reason": "asked for"}
    return [start(review), envelope(review, "EventRedacted", payload, causation_event_id=event.event_id)]


def erase(log_seq: int, redaction_seq: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT erase_body(%s, %s)", [log_seq, redaction_seq])
        return bool(cursor.fetchone()[0])


def test_a_body_goes_only_with_its_redaction_in_the_same_transaction(desk: Desk) -> None:
    trace = new_id()
    event = step(trace)
    first, second = desk.append(start(trace), event)

    def attempt(redacted: int | None) -> bool:
        """Erase event 2 in a transaction that redacts this one, or none."""
        with tenant_tx(desk.tenant):
            if redacted:
                desk.append(*redaction(desk, redacted), origin="platform")
            return erase(2, selectors.head(desk.tenant))

    with pytest.raises(DatabaseError, match="append-only"):
        attempt(None)
    with pytest.raises(DatabaseError, match="append-only"):
        attempt(1)
    desk.append(*redaction(desk, 2), origin="platform")  # the right one, but committed before
    with pytest.raises(DatabaseError, match="append-only"):
        attempt(None)
    assert attempt(2) is True

    stored = selectors.event_at(desk.tenant, 2)
    assert (stored.payload, stored.payload_hash, stored.leaf_hash) == (None, None, second.leaf_hash)
    assert selectors.event_at(desk.tenant, 1).payload_hash == first.payload_hash
    # Whoever folds the log is told the same, and of the one that was erased that it was there.
    said = selectors.read_said(desk.tenant, after=0, limit=100)
    whole = selectors.read_log(desk.tenant, after=0, limit=100)
    assert [list(entry) for entry in said] == [[getattr(event, name) for name in Entry._fields] for event in whole]
    assert [entry.payload is None for entry in said[:3]] == [False, True, False]
    assert selectors.read_said(desk.tenant, after=1, limit=100, until=3) == said[1:3]
    # Nothing is left to compare with, so any resend is the stored event.
    for resend in (event, event | {"payload": start("x")["payload"], "event_type": "TraceStarted"}):
        again = desk.one(resend)
        assert (again.status, again.log_seq, again.leaf_hash, again.payload_hash) == (
            "replayed",
            2,
            second.leaf_hash,
            None,
        )


def test_another_tenants_body_cannot_be_erased(desk: Desk) -> None:
    other, trace = Desk(), new_id()
    desk.append(start(trace))
    other.append(start(trace))
    with tenant_tx(other.tenant):
        other.append(*redaction(other, 1), origin="platform")
        erase(1, selectors.head(other.tenant))
    assert selectors.event_at(other.tenant, 1).payload is None
    assert selectors.event_at(desk.tenant, 1).payload is not None
