"""Presence: seen within a second, gone when the lease ends, back after the broker forgot everything."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from django.conf import settings
from redis import Redis

from approvals.console.present import line
from approvals.selectors import presence
from tests.approvals.house import House
from tests.factories import make_token
from tests.live import Client, blocking
from tests.pages import text

pytestmark = pytest.mark.django_db


def socket(house: House, user: Any) -> Client:
    """A person's socket, with the cookie and the origin of a page of ours."""
    cookie = house.cast.browser(user).cookies[settings.SESSION_COOKIE_NAME].value
    return Client(headers={"cookie": f"{settings.SESSION_COOKIE_NAME}={cookie}", "origin": settings.PUBLIC_URL})


def there(house: House, page: str) -> dict[str, str]:
    """Ident -> doing."""
    return {each["ident"]: each["doing"] for each in presence.presence_json(house.tenant, page)["people"]}


async def arrived(house: House, page: str) -> None:
    """Somebody is there; the lease is written beside the answer to the subscription."""
    async with asyncio.timeout(5):
        while not await blocking(there, house, page):
            await asyncio.sleep(0.01)


async def hears(client: Client, wanted: set[str], timeout: float = 15.0) -> float:
    """Seconds until the topic says that exactly these people are there."""
    begun = time.monotonic()
    async with asyncio.timeout(timeout):
        while True:
            frame = await client.hear_kind("snapshot", "state", timeout=timeout)
            if {each["label"] for each in frame["data"]["people"]} == wanted:
                return time.monotonic() - begun


def forget(house: House, page: str) -> None:
    """What a flush of the broker does to this page; the other tests' keys are not ours."""
    Redis.from_url(settings.REDIS_URL).delete(presence._key(house.tenant, page))


async def test_who_comes_is_seen_within_a_second_and_who_goes_too(db: None) -> None:
    house = await blocking(House)
    item = await blocking(house.ask)
    page = f"approval:{item.pk}"
    topic = f"tenant:{house.tenant.slug}:presence:{page}"
    async with await blocking(socket, house, house.cast.vera) as vera:
        await vera.follow(topic)
        await hears(vera, {"Vera"})
        rita = await blocking(socket, house, house.cast.rita)
        async with rita:
            await rita.follow(topic)
            assert await hears(vera, {"Vera", "Rita"}) < 1.0
            await rita.say(type="ping", doing="acting")
            frame = await vera.hear_kind("state")
            assert {each["label"]: each["doing"] for each in frame["data"]["people"]}["Rita"] == "acting"
        assert await hears(vera, {"Vera"}) < 1.0


async def test_a_program_looks_without_being_seen(db: None) -> None:
    house = await blocking(House)
    _row, token = await blocking(make_token, house.tenant, "read")
    async with Client(token) as program:
        assert (await program.follow(f"tenant:{house.tenant.slug}:presence:trace:t-1"))["type"] == "subscribed"
        assert await blocking(there, house, "trace:t-1") == {}
        missing = await program.follow(f"tenant:{house.tenant.slug}:presence:nonsense")
        assert missing["code"] == "topic.not_found"
        await program.say(type="ping", doing="dancing")
        assert (await program.hear_kind("error"))["code"] == "frame.malformed"


async def test_back_at_the_next_heartbeat_after_the_broker_forgot(db: None, monkeypatch: Any) -> None:
    monkeypatch.setattr("decisiongraph.consumers.presence.HEARTBEAT", 0.0)
    house = await blocking(House)
    async with await blocking(socket, house, house.cast.rita) as rita:
        await rita.follow(f"tenant:{house.tenant.slug}:presence:incident:i-1")
        await arrived(house, "incident:i-1")
        await blocking(forget, house, "incident:i-1")
        assert await blocking(there, house, "incident:i-1") == {}
        await rita.say(type="ping")
        await rita.hear_kind("pong")
        async with asyncio.timeout(5):
            while not await blocking(there, house, "incident:i-1"):
                await rita.say(type="ping")
                await rita.hear_kind("pong")


async def test_without_heartbeats_a_lease_ends(db: None, monkeypatch: Any) -> None:
    """A connection that was lost closes nothing: the lease does. Shortened; the real one is checked below."""
    monkeypatch.setattr(presence, "LEASE_SECONDS", 1)
    house = await blocking(House)
    async with await blocking(socket, house, house.cast.rita) as rita:
        await rita.follow(f"tenant:{house.tenant.slug}:presence:replay:r-1")
        await arrived(house, "replay:r-1")
        begun = time.monotonic()
        async with asyncio.timeout(10):
            while await blocking(there, house, "replay:r-1"):
                await asyncio.sleep(0.05)
        assert 0.5 < time.monotonic() - begun < 3.0


def test_a_lease_and_a_look_are_within_fifteen_seconds() -> None:
    from decisiongraph.consumers import Console

    assert presence.LEASE_SECONDS + 1.2 * Console.look_every < 15


def test_a_broker_that_is_away_hides_everybody_and_breaks_nothing(house: House, monkeypatch: Any) -> None:
    from approvals.services import presence as leases

    dead = presence._redis("redis://127.0.0.1:9/0", 0)
    begun = time.monotonic()
    monkeypatch.setattr(presence, "_redis", lambda *_: dead)
    assert presence.people(house.tenant, "trace:t") == []
    stay = leases.Stay(house.tenant, "trace:t", "user:x", "X", "s")
    leases.renew(stay)
    leases.leave(stay)
    assert stay.told == ""
    assert time.monotonic() - begun < 3, "three times, and redis-py by itself would try each for three seconds"


def test_tenants_do_not_see_each_other(house: House) -> None:
    other = House()
    presence.lease(house.tenant, "trace:t", "user:x", "X", "s", "viewing")
    assert there(house, "trace:t") == {"user:x": "viewing"}
    assert there(other, "trace:t") == {}


def test_the_line_and_the_warning(house: House) -> None:
    rita = house.rita
    presence.lease(house.tenant, "approval:a", rita.ident, "Rita", "s1", "acting")
    presence.lease(house.tenant, "approval:a", rita.ident, "Rita", "s2", "viewing")
    presence.lease(house.tenant, "approval:a", house.vera.ident, "<b>Vera", "s3", "viewing")
    address = f"/t/{house.tenant.slug}/presence?page=approval:a"
    seen = house.cast.browser(house.cast.alice).get(address)
    assert "Rita is deciding this, &lt;b&gt;Vera is looking at this approval" in seen.content.decode()
    assert "Rita is at the decision form." in text(seen)
    assert "Rita" not in text(house.cast.browser(house.cast.rita).get(address))
    assert house.cast.browser(house.cast.alice).get(f"/t/{house.tenant.slug}/presence?page=x").status_code == 404
    assert house.cast.browser(house.cast.mallory).get(address).status_code == 404


def test_words_for_many() -> None:
    people = [presence.Present(name, name, False) for name in ("Ana", "Ben", "Cleo", "Dan")]
    assert line("trace", people) == "Ana, Ben and 2 more are looking at this trace"
    assert line("replay", people[:2]) == "Ana and Ben are watching this replay"
