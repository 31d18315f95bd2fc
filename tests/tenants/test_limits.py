"""Rate limits: exact however many ask at once, told in the standard headers, safe without the broker."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from redis import Redis

from decisiongraph.core.errors import Problem
from tenants import selectors, services
from tenants.access import rates, system_principal
from tenants.access.rates import Bucket
from tenants.domain.limits import Policy
from tests.factories import Cast, make_token

pytestmark = pytest.mark.django_db

CALLS, LIMIT = 960, 100


@pytest.fixture
def here() -> str:
    """An address of this test alone: counters outlive a test."""
    return f"2001:db8:{uuid.uuid4().hex[:4]}::{uuid.uuid4().hex[:4]}"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A busy machine is no broker that went away."""
    monkeypatch.setattr(rates, "TIMEOUT", 10.0)
    monkeypatch.setattr(rates, "_broker", rates._Broker())
    rates._client.cache_clear()
    yield
    rates._client.cache_clear()


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No broker: nothing listens there."""
    monkeypatch.setattr(settings, "REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setattr(rates, "_broker", rates._Broker())
    rates._packed.cache_clear()
    yield
    rates._packed.cache_clear()


def passed(ask: Any, calls: int = CALLS) -> int:
    """How many of so many calls, from 16 threads that start together, are let through."""
    gate = threading.Barrier(16)

    def work(_: int) -> int:
        gate.wait()
        return sum(bool(ask()) for _ in range(calls // 16))

    with ThreadPoolExecutor(16) as threads:
        return sum(threads.map(work, range(16)))


@pytest.mark.trust("G3")
@pytest.mark.parametrize("name", ["token", "user", "tenant", "address"])
def test_exactly_the_limit_passes_however_many_ask_at_once(stack: Any, name: str) -> None:
    bucket = Bucket(Policy(name, LIMIT, 3600), uuid.uuid4().hex)
    # One place an hour comes back: at three a second, as before, one came back while a busy machine counted.
    other = Bucket(Policy("tenant", 10_000, 36_000_000), uuid.uuid4().hex)
    assert passed(lambda: rates.take((bucket, other)).refused is None) == LIMIT
    left = rates.take((other,)).standings[0].remaining
    assert left == 10_000 - LIMIT - 1, "what one bucket refuses, the others did not pay for"


@pytest.mark.trust("G3", control=True)
def test_the_control_a_throttle_that_reads_and_then_writes_lets_more_through(stack: Any) -> None:
    broker, key = Redis.from_url(settings.REDIS_URL), f"dg:rate:control:{uuid.uuid4().hex}"

    def naive() -> bool:
        used = int(broker.get(key) or 0)  # type: ignore[arg-type]
        if used >= LIMIT:
            return False
        broker.set(key, used + 1, ex=60)
        return True

    assert passed(naive) > LIMIT


@pytest.mark.trust("G3")
def test_without_the_broker_a_process_counts_by_itself(alone: None) -> None:
    bucket = Bucket(Policy("token", LIMIT, 3600), uuid.uuid4().hex)
    assert passed(lambda: rates.take((bucket,)).refused is None) == LIMIT


def test_the_broker_is_asked_again_after_a_pause(stack: Any, monkeypatch: pytest.MonkeyPatch, alone: None) -> None:
    there = stack.redis_url
    bucket = Bucket(Policy("token", 2, 3600), uuid.uuid4().hex)
    assert rates.take((bucket,)).standings[0].remaining == 1
    monkeypatch.setattr(settings, "REDIS_URL", there)
    assert rates.take((bucket,)).standings[0].remaining == 0, "within the pause nobody waits for it"
    rates._broker._away_until = 0.0
    assert rates.take((bucket,)).standings[0].remaining == 1, "the broker never heard of the two before"


def test_a_broker_that_forgot_the_script_learns_it_again(stack: Any) -> None:
    bucket = Bucket(Policy("token", 5, 3600), uuid.uuid4().hex)
    rates.take((bucket,))
    Redis.from_url(settings.REDIS_URL).script_flush()
    assert rates.take((bucket,)).standings[0].remaining == 3


def test_a_kept_connection_that_died_is_replaced_without_a_fallback(stack: Any) -> None:
    bucket = Bucket(Policy("token", 5, 3600), uuid.uuid4().hex)
    rates.take((bucket,))
    Redis.from_url(settings.REDIS_URL).client_kill_filter(_type="normal", skipme=True)
    assert rates.take((bucket,)).standings[0].remaining == 3


def test_the_headers_of_the_draft_are_on_every_answer(cast: Cast) -> None:
    services.set_limits(cast.acme, principal=system_principal(), limits={"token": "3/3600", "tenant": "100/60"})
    _token, text = make_token(cast.acme, "read")
    program = Client(headers={"Authorization": f"Bearer {text}"})
    first = program.get("/api/v1/me")
    assert first["RateLimit-Policy"] == '"token";q=3;w=3600, "tenant";q=100;w=60'
    assert first["RateLimit"] == '"token";r=2;t=1200'
    for _ in range(2):
        assert program.get("/api/v1/me").status_code == 200
    refused = program.get("/api/v1/me")
    body = refused.json()
    assert (refused.status_code, body["code"], body["violated-policies"]) == (429, "rate.limited", ["token"])
    assert refused["Content-Type"] == "application/problem+json"
    assert 1190 <= int(refused["Retry-After"]) <= 1200
    assert refused["RateLimit"].startswith('"token";r=0;t=')
    assert program.post("/api/v1/events", b"{}", content_type="application/json").status_code == 429


def test_a_page_of_a_person_is_counted_too(cast: Cast) -> None:
    services.set_limits(cast.acme, principal=system_principal(), limits={"user": "1/3600"})
    browser = cast.browser(cast.vera)
    address = f"/t/{cast.acme.slug}/settings"
    assert browser.get(address)["RateLimit"] == '"user";r=0;t=3600'
    assert browser.get(address).status_code == 429
    assert cast.browser(cast.bob).get(address).status_code == 200


def test_guessing_credentials_is_limited_by_address(cast: Cast, here: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings.RATE_LIMITS, "address", "2/3600")
    asked: list[str] = []
    monkeypatch.setattr(selectors, "tenant_of_token", lambda ident: asked.append(ident))
    stranger = Client(REMOTE_ADDR=here)
    for status in (401, 401, 429, 429):
        guess = {"Authorization": f"Bearer dg_00000000_{'x' * 40}"}
        assert stranger.get("/api/v1/me", headers=guess).status_code == status
    assert len(asked) == 2, "a refused guess costs the database nothing"
    assert stranger.get("/api/v1/me").json()["code"] == "rate.limited"
    assert Client(REMOTE_ADDR=here + "1").get("/api/v1/me").status_code == 401


def test_a_tenant_may_differ_and_it_is_audited(cast: Cast) -> None:
    services.set_limits(
        cast.acme, principal=system_principal(), limits={"token": "7/60", "user": "0"}, reason="a big one"
    )
    told = rates.policies(cast.acme)
    assert told["token"] == Policy("token", 7, 60)
    assert "user" not in told
    assert told["tenant"] == rates.policies(cast.globex)["tenant"]
    services.set_limits(cast.acme, principal=system_principal(), limits={"token": ""})
    entry = selectors.audit_entries(cast.acme, action="tenant.limits_changed")
    assert [each.after for each in entry] == [{"user": "0"}, {"token": "7/60", "user": "0"}]
    for wrong in ({"token": "many"}, {"token": "0/1"}, {"socket": "1/1"}):
        with pytest.raises(Problem) as refused:
            services.set_limits(cast.acme, principal=system_principal(), limits=wrong)
        assert refused.value.code in ("tenant.limit_invalid", "tenant.limit_unknown")
