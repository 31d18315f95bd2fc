"""The log over HTTP: appending, reading, limits."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from django.test import Client

from tests.traces.events import Desk, Json, finish, new_id, start, step

pytestmark = pytest.mark.django_db

JSON = "application/json"
NDJSON = "application/x-ndjson"


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def client(desk: Desk) -> Client:
    return desk.client("ingest", "read")


def send(client: Client, event: Any, trace_id: str, **options: Any) -> Any:
    return client.post(f"/api/v1/traces/{trace_id}/events", event, content_type=JSON, **options)


def items(client: Client, path: str) -> list[Json]:
    """Every page of a list."""
    found: list[Json] = []
    cursor = ""
    while True:
        page = client.get(path + ("&" if "?" in path else "?") + cursor).json()
        found += page["items"]
        if page["next"] is None:
            return found
        cursor = f"cursor={page['next']}"


# --- appending --------------------------------------------------------------------------------


def test_one_event(client: Client) -> None:
    trace = new_id()
    event = start(trace)
    first = send(client, event, trace)
    assert first.status_code == 201
    receipt = first.json()
    assert receipt["status"] == "created"
    assert set(receipt) == {"status", "event_id", "trace_id", "trace_seq", "log_seq", "payload_hash", "leaf_hash"}
    assert "Idempotent-Replayed" not in first.headers
    again = send(client, event, trace)
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (200, "true")
    assert again.json() == receipt | {"status": "replayed"}


def test_the_path_wins_over_the_body(client: Client) -> None:
    trace = new_id()
    event = start(trace)
    del event["trace_id"]
    assert send(client, event, trace).json()["trace_id"] == trace
    answer = send(client, start(new_id()), new_id())
    assert (answer.status_code, answer.json()["code"]) == (400, "envelope.trace_mismatch")


def test_a_trace_id_may_hold_anything_an_address_can_carry(client: Client) -> None:
    trace = "a:b&c=d;+ü\u4e2d 'x' @" + new_id()
    assert send(client, start(trace), trace).status_code == 201
    assert client.get(f"/api/v1/traces/{trace}/events").json()["items"][0]["trace_id"] == trace
    for bad in ("a%2Fb", "a%3Fb", "%2E%2E", "a%5Cb", "a%25b"):
        answer = client.post(f"/api/v1/traces/{bad}/events", start(new_id()), content_type=JSON)
        assert answer.status_code in (400, 404), bad


def test_the_key_may_come_in_the_header(client: Client) -> None:
    trace = new_id()
    event = start(trace)
    key = event.pop("idempotency_key")
    assert send(client, event, trace, headers={"Idempotency-Key": key}).status_code == 201
    same = send(client, event | {"idempotency_key": key}, trace, headers={"Idempotency-Key": key})
    assert same.status_code == 200
    other = send(client, event | {"idempotency_key": key}, trace, headers={"Idempotency-Key": "other"})
    assert (other.status_code, other.json()["code"]) == (400, "envelope.key_mismatch")
    without = send(client, event, trace)
    assert (without.status_code, without.json()["code"]) == (400, "envelope.missing_field")


def test_dry_run_of_one_event(client: Client, desk: Desk) -> None:
    trace = new_id()
    answer = send(client, start(trace), f"{trace}", query_params={"dry_run": "true"})
    assert (answer.status_code, answer.json()["status"], answer.json()["log_seq"]) == (200, "valid", None)
    assert client.get("/api/v1/events").json()["items"] == []


def test_batches_as_json_and_as_lines(client: Client) -> None:
    trace = new_id()
    answer = client.post("/api/v1/events", {"events": [start(trace), step(trace)]}, content_type=JSON)
    assert answer.status_code == 200
    assert [r["status"] for r in answer.json()["results"]] == ["created", "created"]
    lines = b"\n".join(orjson.dumps(e) for e in (step(trace), step("nowhere"))) + b"\r\n\n"
    whole = client.post("/api/v1/events", lines, content_type=NDJSON)
    assert (whole.status_code, whole.json()["errors"][0]["path"]) == (404, "events[1].trace_id")
    parts = client.post("/api/v1/events?atomic=false", lines, content_type=NDJSON)
    assert [r["status"] for r in parts.json()["results"]] == ["created", "refused"]
    assert parts.json()["results"][1]["errors"][0]["path"] == "trace_id"
    broken = client.post("/api/v1/events?atomic=false", lines + b"{", content_type=NDJSON)
    assert (broken.status_code, broken.json()["errors"][0]["path"]) == (400, "events[2]")


def test_atomic_is_said_once(client: Client) -> None:
    answer = client.post("/api/v1/events?atomic=false", {"events": []}, content_type=JSON)
    assert (answer.status_code, answer.json()["code"]) == (400, "query.invalid_parameter")
    answer = client.post("/api/v1/events?atomic=false", {"events": [], "atomic": False}, content_type=JSON)
    assert answer.json() == {"results": []}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "json.empty"),
        (b"[]", 400, "body.wrong_type"),
        (b"{}", 400, "body.missing_field"),
        (b'{"events": {}}', 400, "body.wrong_type"),
        (b'{"events": [], "atomic": 1}', 400, "body.wrong_type"),
        (b'{"events": [], "extra": 1}', 400, "body.unknown_field"),
        (b'{"events": [1]}', 400, "envelope.wrong_type"),
        (b'{"events": [' + b"{}," * 500 + b"{}]}", 400, "body.too_many_events"),
        (b'{"events": [{"payload": "' + b"x" * 300_000 + b'"}]}', 413, "event.too_large"),
        (b'{"events": [' + b"[" * 40 + b"]" * 40 + b"]}", 400, "event.too_deep"),
        (b'{"events": [' + b"[" * 90 + b"]" * 90 + b"]}", 400, "body.too_deep"),
        (b'{"events": [[' + b"0," * 20_000 + b"0]]}", 400, "event.too_many_nodes"),
        (b'{"events": "' + b"x" * (8 * 1024 * 1024) + b'"}', 413, None),
        (b" " * (8 * 1024 * 1024 + 2), 413, None),
    ],
)
def test_bounds_of_a_batch(client: Client, body: bytes, status: int, code: str | None) -> None:
    answer = client.post("/api/v1/events", body, content_type=JSON)
    assert answer.status_code == status, answer.content[:300]
    assert answer.headers["Content-Type"] == "application/problem+json"
    if code:
        assert code in {answer.json()["code"]} | {e["code"] for e in answer.json()["errors"]}


def test_bounds_of_one_event(client: Client) -> None:
    trace = new_id()
    event = start(trace)
    event["payload"] = event["payload"] | {"context": {"text": "x" * (256 * 1024)}}
    answer = send(client, event, trace)
    assert (answer.status_code, answer.json()["code"]) == (413, "event.too_large")
    event["payload"]["context"]["text"] = "x" * (256 * 1024 - len(json.dumps(event)) + 256 * 1024 - 10)
    assert len(json.dumps(event)) == 256 * 1024 - 10
    assert send(client, event, trace).status_code == 201


def test_other_media_types_are_refused(client: Client) -> None:
    for kind in ("text/plain", "application/xml", "multipart/form-data; boundary=x", ""):
        answer = client.generic("POST", "/api/v1/events", b'{"events": []}', content_type=kind)
        assert (answer.status_code, answer.json()["code"]) == (415, "request.unsupported_media_type"), kind
    assert client.post("/api/v1/traces/x/events", b"{}", content_type=NDJSON).status_code == 415
    assert (
        client.post("/api/v1/events", b'{"events": []}', content_type="Application/JSON; charset=utf-8").status_code
        == 200
    )


def test_scopes(desk: Desk) -> None:
    reader, writer = desk.client("read"), desk.client("ingest")
    trace = new_id()
    refused = send(reader, start(trace), trace)
    assert (refused.status_code, refused.json()["code"]) == (403, "permission.missing")
    assert "ingest" in refused.json()["detail"]
    assert send(writer, start(trace), trace).status_code == 201
    assert writer.get("/api/v1/events").status_code == 403
    assert reader.get("/api/v1/events").status_code == 200
    assert Client().get("/api/v1/events").status_code == 401
    for either in (reader, writer):
        assert either.get("/api/v1/event-types").status_code == 200


# --- reading ----------------------------------------------------------------------------------


def test_reading_by_cursor_gives_everything_once(client: Client, desk: Desk) -> None:
    one, two = new_id(), new_id()
    desk.append(start(one), start(two), *[step(one) for _ in range(8)], *[step(two) for _ in range(8)], finish(one))
    everything = items(client, "/api/v1/events?limit=500")
    assert [e["log_seq"] for e in everything] == list(range(1, 20))
    for limit in (1, 2, 7, 18, 19, 20):
        assert items(client, f"/api/v1/events?limit={limit}") == everything
    assert [e["log_seq"] for e in items(client, "/api/v1/events?after=17&limit=1")] == [18, 19]
    assert items(client, "/api/v1/events?type=InputObserved&limit=3") == [
        e for e in everything if e["event_type"] == "InputObserved"
    ]
    assert items(client, f"/api/v1/events?trace_id={two}&limit=4") == [e for e in everything if e["trace_id"] == two]
    assert items(client, f"/api/v1/events?trace_id={one}&type=TraceFinished") == [everything[-1]]
    assert items(client, f"/api/v1/traces/{one}/events?limit=3") == [e for e in everything if e["trace_id"] == one]
    assert client.get("/api/v1/events?type=PrecedentCited&trace_id=none").json() == {"items": [], "next": None}


def test_a_trace_of_nobody_is_404(client: Client, desk: Desk) -> None:
    foreign = Desk()
    trace = new_id()
    foreign.append(start(trace))
    answers = [client.get(f"/api/v1/traces/{t}/events") for t in (trace, "never-was")]
    assert [(a.status_code, a.json()["code"]) for a in answers] == [(404, "trace.not_found")] * 2


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("unknown=1", "query.invalid_parameter"),
        ("limit=0", "query.invalid_parameter"),
        ("limit=501", "query.invalid_parameter"),
        ("limit=ten", "query.invalid_parameter"),
        ("limit=1&limit=2", "query.repeated_parameter"),
        ("after=-1", "query.invalid_parameter"),
        ("type=Nothing", "query.invalid_parameter"),
        ("trace_id=a%00b", "query.invalid_parameter"),
        ("cursor=", "cursor.malformed"),
        ("cursor=!", "cursor.malformed"),
        ("cursor=WyJhIl0", "cursor.malformed"),
        ("cursor=WzEsMl0", "cursor.malformed"),
        ("cursor=%C3%A9", "cursor.malformed"),
        ("cursor=" + "A" * 2000, "query.invalid_parameter"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(client: Client, query: str, code: str) -> None:
    answer = client.get(f"/api/v1/events?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_the_vocabulary_explains_itself(client: Client) -> None:
    kinds = client.get("/api/v1/event-types").json()["items"]
    assert len(kinds) == 16
    assert [k["name"] for k in kinds[:2]] == ["TraceStarted", "InputObserved"]
    for kind in kinds:
        assert kind["description"]
        assert kind["schema"]["$schema"].endswith("2020-12/schema")
        assert kind["example"]
