"""Batches: all or nothing, or a result per item; dry runs; refusals that stay findable."""

from __future__ import annotations

import pytest

from tests.traces.events import Desk, envelope, finish, new_id, start, step
from traces import selectors
from traces.services import refusals

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_order_is_kept_over_any_traces(desk: Desk) -> None:
    one, two = new_id(), new_id()
    desk.append(start(one), start(two), step(two), step(one), finish(two), step(one))
    log = selectors.read_log(desk.tenant, after=0, limit=10)
    assert [(e.trace_id, e.trace_seq) for e in log] == [(one, 0), (two, 0), (two, 1), (one, 1), (two, 2), (one, 2)]
    assert len({e.recorded_at for e in log}) == 1


def test_an_atomic_batch_stores_nothing_and_lists_every_refused_item(desk: Desk) -> None:
    known, trace = new_id(), new_id()
    desk.append(start(known))
    problem = desk.refused(
        start(trace),  # good
        step("nowhere"),  # 404
        step(known, trace_seq=5),  # 409
        step(trace, payload={}),  # 422, three keys missing
        envelope(known, "Nothing", {}),  # 422
        step(known, nonsense=1),  # 400
    )
    assert (problem.status, problem.code) == (404, "trace.not_found"), "the first failing item decides"
    assert "5 of 6 events" in problem.detail
    assert [e["path"] for e in problem.errors] == [
        "events[1].trace_id",
        "events[2].trace_seq",
        "events[3].payload.input_id",
        "events[3].payload.source",
        "events[3].payload.facts",
        "events[4].event_type",
        "events[5].nonsense",
    ]
    assert selectors.head(desk.tenant) == 1
    assert selectors.read_trace(desk.tenant, trace) == []


def test_what_follows_a_refused_event_in_its_trace_is_not_blamed(desk: Desk) -> None:
    trace = new_id()
    problem = desk.refused(start(trace, tags="no list"), step(trace, trace_seq=1), finish(trace))
    assert [e["path"] for e in problem.errors] == ["events[0].tags"]
    assert "1 of 3 events" in problem.detail


def test_without_atomic_each_item_stands_for_itself(desk: Desk) -> None:
    trace = new_id()
    assert desk.each(
        start(trace), step("nowhere"), step(trace, trace_seq=1), step(trace, trace_seq=1), finish(trace), step(trace)
    ) == ["created", "trace.not_found", "created", "trace.sequence_conflict", "created", "trace.finished"]
    assert [e.event_type for e in selectors.read_trace(desk.tenant, trace)] == [
        "TraceStarted",
        "InputObserved",
        "TraceFinished",
    ]
    later = new_id()
    assert desk.each(start(later, payload=[]), step(later)) == ["envelope.wrong_type", "trace.not_found"]


def test_a_failed_batch_can_be_sent_again_and_stores_what_is_new(desk: Desk) -> None:
    trace = new_id()
    events = [start(trace), step(trace), step(trace)]
    desk.append(*events[:2])
    results = desk.append(*events)
    assert [r.status for r in results] == ["replayed", "replayed", "created"]
    assert [r.log_seq for r in results] == [1, 2, 3]


def test_a_dry_run_checks_everything_and_stores_nothing(desk: Desk) -> None:
    trace = new_id()
    stored = start(new_id())
    receipt = desk.one(stored)
    results = desk.append(start(trace), step(trace, trace_seq=1), finish(trace), stored, dry_run=True)
    assert [r.status for r in results] == ["valid", "valid", "valid", "replayed"]
    assert results[3].log_seq == receipt.log_seq
    assert [(r.event_id, r.trace_seq, r.log_seq, r.leaf_hash) for r in results[:3]] == [(None,) * 4] * 3
    assert all(r.payload_hash for r in results[:3])
    problem = desk.refused(start(trace), step(trace, trace_seq=2), dry_run=True)
    assert problem.code == "trace.sequence_conflict"
    assert desk.each(start(trace), step("nowhere"), dry_run=True) == ["valid", "trace.not_found"]
    assert selectors.head(desk.tenant) == 1


def test_an_empty_batch_is_no_fault(desk: Desk) -> None:
    assert desk.append() == []


def test_tokens_bound_to_producers(desk: Desk) -> None:
    bound = desk.client("ingest", producers=["desk", "night"])
    trace = new_id()
    body = [start(trace), step(trace, source={"producer_id": "mallory", "system": "s"})]
    answer = bound.post("/api/v1/events", {"events": body, "atomic": False}, content_type="application/json")
    assert [r["status"] for r in answer.json()["results"]] == ["created", "refused"]
    assert answer.json()["results"][1]["code"] == "producer.not_allowed"
    single = step(trace, source={"producer_id": "mallory", "system": "s"})
    answer = bound.post(f"/api/v1/traces/{trace}/events", single, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (403, "producer.not_allowed")
    assert answer.json()["errors"][0]["path"] == "source.producer_id"


# --- refusals ---------------------------------------------------------------------------------


def test_refusals_are_counted_and_the_last_hundred_kept_without_payload(desk: Desk) -> None:
    secret = "AKIA" + "IOSFODNN7EXAMPLE"
    trace = new_id()
    desk.append(start(trace))
    desk.each(step(trace, tags=[secret]), step("nowhere"), step("nowhere"))
    desk.each(*[step("nowhere") for _ in range(60)])
    desk.each(*[step(trace, trace_seq=9) for _ in range(60)])
    recent = selectors.recent_refusals(desk.tenant)
    assert len(recent) == refusals.KEPT == 100
    assert [r.code for r in recent] == ["trace.sequence_conflict"] * 60 + ["trace.not_found"] * 40
    assert (recent[0].path, recent[0].trace_id, recent[0].producer_id) == ("trace_seq", trace, "desk")
    counts = {row.code: (row.count, row.producer_id, row.principal) for row in selectors.refusal_counts(desk.tenant)}
    assert counts == {
        "event.secret_found": (1, "desk", "system"),
        "trace.not_found": (62, "desk", "system"),
        "trace.sequence_conflict": (60, "desk", "system"),
    }
    answer = desk.client("read").get("/api/v1/ingest/refusals?limit=3")
    assert [row["code"] for row in answer.json()["items"]] == ["trace.sequence_conflict"] * 3
    assert secret not in desk.client("read").get("/api/v1/ingest/refusals?limit=500").content.decode()


def test_a_body_that_is_no_json_is_a_refusal_too(desk: Desk) -> None:
    client = desk.client()
    for body, code in ((b"{", "json.syntax"), (b'{"a":1,"a":1}', "json.duplicate_key"), (b"\xff", "json.invalid_utf8")):
        answer = client.post(f"/api/v1/traces/{new_id()}/events", body, content_type="application/json")
        assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert {row.code for row in selectors.refusal_counts(desk.tenant)} == {
        "json.syntax",
        "json.duplicate_key",
        "json.invalid_utf8",
    }
    newest = selectors.recent_refusals(desk.tenant, limit=1)[0]
    assert newest.request_id == answer.headers["X-Request-ID"]


def test_refusals_of_one_tenant_are_not_anothers(desk: Desk) -> None:
    desk.each(step("nowhere"))
    assert Desk().client().get("/api/v1/ingest/refusals").json() == {"counts": [], "items": [], "next": None}
