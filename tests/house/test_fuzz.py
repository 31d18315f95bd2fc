"""F2: random and mutated bodies. Nothing makes a 5xx, and what is accepted comes back as it was sent."""

from __future__ import annotations

import io
import math
import random
from collections.abc import Callable
from typing import Any

import orjson
import pytest
import rfc8785
from django.test import Client
from rest_framework.parsers import JSONParser

from tests.traces.events import Desk, new_id, start, step
from tests.trust.sizes import SEED, size
from traces import selectors
from traces.domain import canonical
from traces.domain.draft import Draft, validate
from traces.services import refusals

BODIES = size(20_000, 50_000)
"""Byte strings through the domain."""
REQUESTS = size(2_000, 5_000)
"""Byte strings over HTTP."""

INTERESTING = [
    b"1e400", b"-1e400", b"NaN", b"Infinity", b"9007199254740993", b"-9007199254740992", b"1e21", b"1.0", b"-0",
    b'"\\u0000"', b'"\\ud800"', b'"\\udc00\\ud800"', b'"\xff"', b'"\xed\xa0\x80"', b"\xef\xbb\xbf", b"\x00", b"null",
    b'{"a":1,"a":2}', b"[" * 40 + b"]" * 40, b'"' + b"x" * 300 + b'"', b"{}", b"[]", b"true", b'""', b'" "', b"0" * 400,
    b'"\\u00e9"', b'"e\xcc\x81"', b'{"":{"":[]}}', b",", b":", b'"', b"\\", b"/", b"{", b"}", b"1" * 20, b'"1-01-01"',
    b'"2026-02-30T00:00:00Z"', b'"9999-12-31T23:59:59-23:59"', b'"review:1"', b'".."', b'"a/b"', b"\r\n",
    b"\xe2\x80\xa8",
]  # fmt: skip


def mutate(rng: random.Random, body: bytes) -> bytes:
    """A few small damages."""
    made = bytearray(body)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(made) + 1)
        kind = rng.randrange(6)
        if kind == 0:
            made[at:at] = bytes([rng.randrange(256)])
        elif kind == 1:
            del made[at : at + rng.randint(1, 8)]
        elif kind == 2:
            made[at:at] = rng.choice(INTERESTING)
        elif kind == 3 and made:
            made[at % len(made)] = rng.randrange(256)
        elif kind == 4:
            end = min(len(made), at + rng.randint(1, 60))
            made[at:at] = made[at:end]
        else:
            replace_value(rng, made)
    return bytes(made)


def replace_value(rng: random.Random, made: bytearray) -> None:
    """Put something else after a colon: still JSON, and no longer what was meant."""
    colons = [n for n, byte in enumerate(made) if byte == 0x3A]
    if not colons:
        return
    at = rng.choice(colons) + 1
    end = at
    while end < len(made) and made[end] not in b",}]":
        end += 1
    made[at:end] = rng.choice(INTERESTING)


def seeds() -> list[bytes]:
    """Good events, small enough that damage hits something."""
    trace = new_id()
    full = start(trace, event_id="e1", trace_seq=0, occurred_at="2026-01-12T09:41:00+01:00", correlation_id="c")
    full |= {"causation_event_id": "d", "tags": ["a", "b"], "schema_version": 1}
    return [orjson.dumps(event) for event in (full, start(trace), step(trace))]


def bodies(count: int) -> list[bytes]:
    """Mostly mutated events, some noise."""
    rng = random.Random(SEED)
    good = seeds()
    made = []
    for n in range(count):
        if n % 10 == 0:
            made.append(rng.randbytes(rng.randrange(60)))
        elif n % 10 == 1:
            made.append(b"".join(rng.choice(INTERESTING) for _ in range(rng.randrange(8))))
        else:
            made.append(mutate(rng, rng.choice(good)))
    return made


@pytest.mark.trust("F2")
def test_the_domain_refuses_or_reads_exactly(figures: Callable[..., None]) -> None:
    accepted = valid = 0
    for body in bodies(BODIES):
        value = read(body)
        if isinstance(value, canonical.MalformedJson):
            assert value.status in (400, 413)
            assert value.code.partition(".")[0] in ("json", "event")
            continue
        accepted += 1
        out = canonical.jcs(value)
        assert out == rfc8785.dumps(value)
        assert canonical.jcs(orjson.loads(out)) == out, "the log would give back something else"
        draft = validate(value)
        if isinstance(draft, Draft):
            valid += 1
        else:
            assert draft
            assert all(v.status in (400, 403, 413, 422) and v.detail and "." in v.code for v in draft)
    assert accepted > BODIES / 20, "the fuzzer no longer reaches validation"
    assert valid > BODIES / 100, "the fuzzer no longer reaches the log"
    figures(byte_strings=BODIES, valid=valid)


def read(body: bytes) -> Any:
    """The value, or why there is none."""
    try:
        return canonical.parse_event(body)
    except canonical.MalformedJson as fault:
        return fault


@pytest.mark.trust("F2")
@pytest.mark.django_db
def test_no_body_breaks_the_api(monkeypatch: pytest.MonkeyPatch, figures: Callable[..., None]) -> None:
    monkeypatch.setattr(refusals, "record", lambda *_args: None)  # keeping them is most of the time
    desk = Desk()
    client = desk.client("ingest", "read")
    created: dict[int, Any] = {}
    for n, body in enumerate(bodies(REQUESTS)):
        answer = post(client, n, body)
        assert answer.status_code < 500, (body, answer.content)
        if answer.status_code >= 400:
            problem = answer.json()
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert problem["code"]
            assert problem["detail"]
            continue
        for receipt in answer.json().get("results", [answer.json()]):
            if receipt["status"] == "created":
                created[receipt["log_seq"]] = orjson.loads(body)
    assert len(created) > REQUESTS / 1000
    log = selectors.read_log(desk.tenant, after=0, limit=REQUESTS)
    assert [event.log_seq for event in log] == list(range(1, len(log) + 1))
    for event in log:
        assert event.payload == created[event.log_seq]["payload"]
        assert event.idempotency_key == created[event.log_seq]["idempotency_key"]
    figures(requests=REQUESTS, accepted=len(created), server_errors=0)


def post(client: Client, n: int, body: bytes) -> Any:
    """As one event, as a batch of one, as lines."""
    if n % 3 == 0:
        return client.post(f"/api/v1/traces/{trace_of(body)}/events", body, content_type="application/json")
    if n % 3 == 1:
        return client.post(f"/api/v1/traces/{new_id()}/events", body, content_type="application/json")
    return client.post("/api/v1/events?atomic=false", body, content_type="application/x-ndjson")


def trace_of(body: bytes) -> str:
    """The trace a body names, when it still does so in a way that fits into an address."""
    try:
        found = orjson.loads(body)["trace_id"]
    except (ValueError, TypeError, KeyError):
        return "x"
    return found if isinstance(found, str) and found and not set(found) & set("/\\?#%.\x00\r\n") else "x"


@pytest.mark.trust("F2", control=True)
def test_the_control_the_plain_parser_lets_through_what_breaks_later() -> None:
    def plain(body: bytes) -> Any:
        return JSONParser().parse(io.BytesIO(body), "application/json", {"encoding": "utf-8"})

    assert plain(b'"\\u0000"') == "\x00"
    assert plain(b'"\\ud800"') == "\ud800"
    assert plain(b'{"a":1,"a":2}') == {"a": 2}
    assert plain(b"9007199254740993") == 9007199254740993
    assert math.isinf(plain(b"1e400"))
    for body in (b'"\\u0000"', b'"\\ud800"', b'{"a":1,"a":2}', b"9007199254740993", b"1e400"):
        with pytest.raises(canonical.MalformedJson):
            canonical.parse_event(body)
