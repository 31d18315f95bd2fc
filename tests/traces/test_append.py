"""SEMANTICS 4, one check after the other, on the real database."""

from __future__ import annotations

import datetime as dt

import pytest

from decisiongraph.core import clock
from decisiongraph.core.errors import Problem
from tests.traces.events import Desk, Json, envelope, finish, new_id, start, step
from traces import selectors
from traces.services import Receipt

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk() -> Desk:
    return Desk()


def replayed(first: Receipt) -> Receipt:
    return first._replace(status="replayed")


# --- the order of the checks ------------------------------------------------------------------


def test_each_check_comes_before_the_next(desk: Desk) -> None:
    trace, other, gone = new_id(), new_id(), new_id()
    desk.append(start(trace, event_id=f"e-{trace}"), start(other), finish(other))
    used = step(trace)
    desk.append(used)
    key: Json = {"idempotency_key": used["idempotency_key"]}
    secret: Json = {"tags": ["AKIA" + "IOSFODNN7EXAMPLE"]}
    taken: Json = {"event_id": f"e-{trace}"}

    # Validation sees an unknown type before the guard sees the secret,
    event = step(gone, **key, **secret, **taken, trace_seq=7)
    assert desk.each(event | {"event_type": "Nothing"}) == ["event.unknown_type"]
    # the guard before the key is known,
    assert desk.each(event) == ["event.secret_found"]
    # the key before the trace,
    event = {k: v for k, v in event.items() if k != "tags"}
    assert desk.each(event) == ["event.idempotency_conflict"]
    # the trace before the sequence and the event id,
    event |= {"idempotency_key": "fresh"}
    assert desk.each(event) == ["trace.not_found"]
    assert desk.each(event | {"trace_id": trace, "event_type": "TraceStarted", "payload": start("x")["payload"]}) == [
        "trace.already_started"
    ]
    # a finished trace before the sequence,
    assert desk.each(event | {"trace_id": other}) == ["trace.finished"]
    # the sequence before the event id,
    assert desk.each(event | {"trace_id": trace}) == ["trace.sequence_conflict"]
    assert desk.each(event | {"trace_id": trace, "trace_seq": 2}) == ["event.id_conflict"]
    # and then nothing stands in the way.
    assert desk.each(event | {"trace_id": trace, "trace_seq": 2, "event_id": None}) == ["created"]


def test_a_first_event_may_say_that_it_is_the_first_and_nothing_else(desk: Desk) -> None:
    assert desk.each(start(new_id(), trace_seq=0)) == ["created"]
    problem = desk.refused(start(new_id(), trace_seq=1))
    assert problem.code == "trace.sequence_conflict"
    assert "next trace_seq of this trace is 0" in problem.detail


def test_a_started_trace_is_started_again_only_by_its_own_key(desk: Desk) -> None:
    first = start(new_id())
    receipt = desk.one(first)
    assert desk.one(first) == replayed(receipt)
    again = desk.refused(first | {"idempotency_key": "another"})
    assert (again.code, again.status, again.errors[0]["path"]) == ("trace.already_started", 409, "events[0].event_type")


def test_a_restart_of_a_finished_trace_is_still_a_restart(desk: Desk) -> None:
    trace = new_id()
    desk.append(start(trace), finish(trace))
    assert desk.each(start(trace), step(trace), finish(trace)) == [
        "trace.already_started",
        "trace.finished",
        "trace.finished",
    ]


# --- sequence ---------------------------------------------------------------------------------


def test_the_server_counts_and_a_client_may_check(desk: Desk) -> None:
    trace = new_id()
    desk.append(start(trace))
    assert desk.one(step(trace)).trace_seq == 1
    assert desk.one(step(trace, trace_seq=2)).trace_seq == 2
    for wrong in (0, 2, 4, 2**53 - 1):
        problem = desk.refused(step(trace, trace_seq=wrong))
        assert (problem.code, problem.status) == ("trace.sequence_conflict", 409)
        assert "is 3" in problem.detail
    assert desk.one(step(trace)).trace_seq == 3


def test_log_seq_is_gapless_over_traces_and_refusals(desk: Desk) -> None:
    one, two = new_id(), new_id()
    desk.append(start(one), start(two), step(one), step(two))
    desk.each(step("nowhere"), step(one), step("nowhere"), step(two))
    desk.refused(step(one), step("nowhere"))
    desk.append(step(one))
    log = selectors.read_log(desk.tenant, after=0, limit=100)
    assert [event.log_seq for event in log] == list(range(1, 8))
    assert [event.trace_seq for event in selectors.read_trace(desk.tenant, one)] == [0, 1, 2, 3]


def test_two_tenants_share_nothing(desk: Desk) -> None:
    other, event = Desk(), start("same", event_id="same")
    assert desk.one(event).log_seq == 1
    assert other.one(event).log_seq == 1
    assert other.one(event).status == "replayed"


# --- idempotency ------------------------------------------------------------------------------


def test_a_resend_answers_the_stored_event_whatever_happened_since(desk: Desk) -> None:
    trace = new_id()
    event = step(trace, trace_seq=1, event_id=f"mine-{trace}")
    desk.append(start(trace))
    receipt = desk.one(event)
    desk.append(step(trace))
    assert desk.one(event) == replayed(receipt), "a stale trace_seq does not matter"
    desk.append(finish(trace))
    assert desk.one(event) == replayed(receipt), "nor does the finish"
    assert desk.one(event | {"event_id": "something-else", "trace_seq": 9}) == replayed(receipt), "nor do place and id"
    assert selectors.head(desk.tenant) == 4


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (
            {
                "payload": {
                    "input_id": "other",
                    "source": {"system": "s", "object_type": "o", "object_id": "1"},
                    "facts": [],
                }
            },
            ["payload"],
        ),
        ({"occurred_at": "2026-01-01T00:00:00Z"}, ["occurred_at"]),
        ({"tags": ["b"]}, ["tags"]),
        ({"schema_version": 2}, ["schema_version"]),
        ({"correlation_id": "c", "causation_event_id": "d"}, ["correlation_id", "causation_event_id"]),
        ({"actor": {"actor_type": "person", "actor_id": "refund-bot"}}, ["actor"]),
        ({"source": {"producer_id": "desk", "system": "refunds", "subsystem": "night"}}, ["source"]),
    ],
)
@pytest.mark.parametrize("in_one_call", [False, True])
def test_other_content_under_a_known_key_names_what_differs(
    desk: Desk, changed: Json, named: list[str], in_one_call: bool
) -> None:
    trace = new_id()
    event = step(trace, tags=["a"], occurred_at="2026-01-01T00:00:01Z", schema_version=1)
    desk.append(start(trace))
    if in_one_call:
        results = desk.append(event, event | changed, atomic=False)
    else:
        desk.append(event)
        results = desk.append(event | changed, atomic=False)
    refused = results[-1]
    assert refused.status == "refused"
    assert [v.path for v in refused.violations] == named
    assert {v.code for v in refused.violations} == {"event.idempotency_conflict"}
    assert refused.http_status == 409
    assert refused.as_json()["differing_fields"] == named
    assert selectors.head(desk.tenant) == 2


def test_absent_and_default_are_different_contents(desk: Desk) -> None:
    trace = new_id()
    event = step(trace)
    desk.append(start(trace), event)
    problem = desk.refused(event | {"tags": []})
    assert problem.code == "event.idempotency_conflict"
    assert "tags" in problem.detail
    assert desk.one(event | {"tags": None}).status == "replayed"


def test_a_key_belongs_to_its_producer(desk: Desk) -> None:
    trace = new_id()
    event = step(trace)
    desk.append(start(trace), event)
    other = event | {"source": {"producer_id": "night-desk", "system": "refunds"}}
    assert desk.one(other).trace_seq == 2


def test_the_same_event_twice_in_one_call(desk: Desk) -> None:
    first = start(new_id())
    later = step(first["trace_id"])
    results = desk.append(first, first, later, later)
    assert [r.status for r in results] == ["created", "replayed", "created", "replayed"]
    assert results[1] == replayed(results[0])
    assert selectors.head(desk.tenant) == 2


def test_a_used_event_id_needs_its_key(desk: Desk) -> None:
    trace = new_id()
    desk.append(start(trace), step(trace, event_id="mine"))
    problem = desk.refused(step(trace, event_id="mine"))
    assert (problem.code, problem.status, problem.errors[0]["path"]) == ("event.id_conflict", 409, "events[0].event_id")
    assert desk.each(step(trace, event_id="twice"), step(trace, event_id="twice")) == ["created", "event.id_conflict"]


# --- what is stored ---------------------------------------------------------------------------


def test_an_event_is_stored_as_sent(desk: Desk) -> None:
    trace = "Σ-" + new_id()
    payload = {
        "workflow": "w\u0001\"\\ {}', NULL",
        "title": "Zahl 1.0 und 1e21 und \U0001f600",
        "primary_entity": {"entity_type": "a", "entity_id": "b", "more": [1.0, 1e21, -0.0, 1e-7, None, True]},
        "extra": {"kept": {"\ufb33": 1, "\U0001f600": 2}},
    }
    event = envelope(
        trace,
        "TraceStarted",
        payload,
        event_id="Ω.1",
        occurred_at="0001-01-01T14:00:00.123456789+14:00",
        correlation_id="c{}",
        causation_event_id='d"',
        tags=["a,b", 'c"d', "e\\f", "{}", "", "NULL", " "],
        schema_version=3,
    )
    receipt = desk.one(event)
    (stored,) = selectors.read_trace(desk.tenant, trace)
    assert stored.payload == payload
    assert stored.occurred_at == event["occurred_at"]
    assert stored.tags == tuple(event["tags"])
    assert (stored.event_id, stored.correlation_id, stored.causation_event_id) == ("Ω.1", "c{}", 'd"')
    assert (stored.origin, stored.principal, stored.schema_version) == ("ingest", "system", 3)
    assert (stored.payload_hash, stored.leaf_hash) == (receipt.payload_hash, receipt.leaf_hash)
    assert desk.one(event) == replayed(receipt)


def test_the_servers_time_and_id_fill_in(desk: Desk) -> None:
    receipt = desk.one(start(new_id()))
    stored = selectors.event_at(desk.tenant, 1)
    assert stored.occurred_at == stored.recorded_at
    assert receipt.event_id is not None
    assert receipt.event_id[14] == "7"
    made = int(receipt.event_id.replace("-", "")[:12], 16) / 1000
    assert abs(made - clock.now().timestamp()) < 5


def test_a_clock_set_back_never_makes_the_log_run_backwards(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = new_id()
    desk.append(start(trace))
    before = selectors.event_at(desk.tenant, 1).recorded_at
    yesterday = clock.now() - dt.timedelta(days=1)
    monkeypatch.setattr(clock, "now", lambda: yesterday)
    desk.append(step(trace))
    desk.append(step(trace))
    times = [event.recorded_at for event in selectors.read_log(desk.tenant, after=0, limit=9)]
    assert times == [before] * 3


def test_origin_and_platform_types(desk: Desk) -> None:
    trace = new_id()
    desk.append(start(trace))
    assert desk.each(envelope(trace, "EventRedacted")) == ["event.platform_only"]
    assert desk.each(start("review:1")) == ["envelope.reserved_trace_id"]
    assert desk.each(start("review:2"), origin="import") == ["envelope.reserved_trace_id"]
    review = start("review:3")
    assert desk.each(review, envelope("review:3", "EventRedacted"), origin="platform") == ["created", "created"]
    assert selectors.event_at(desk.tenant, 2).origin == "platform"


def test_a_value_made_in_python_is_held_to_the_same_rules(desk: Desk) -> None:
    payload = start("x")["payload"] | {"context": {"amount": float("nan")}}
    problem = desk.refused(start(new_id(), payload=payload))
    assert (problem.code, problem.status) == ("json.not_canonical", 400)
    assert selectors.head(desk.tenant) == 0


def test_a_position_that_is_not_there(desk: Desk) -> None:
    with pytest.raises(Problem) as refused:
        selectors.event_at(desk.tenant, 1)
    assert (refused.value.code, refused.value.status) == ("event.not_found", 404)
    assert selectors.event_by_id(desk.tenant, "none") is None
    assert selectors.trace_states(desk.tenant, ["none"]) == {}
