"""What hurts the broker delays and loses nothing, at workers and on sockets: C2 and D1."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import redis.asyncio
from channels.layers import get_channel_layer
from django.conf import settings
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from tests.trust.ground import Ground, eventually, lag, observed, started
from tests.trust.sizes import SEED

pytestmark = pytest.mark.slow

C2_EVENTS, C2_SECONDS = 2_000, 15.0
D1_EVENTS, D1_SOCKETS, D1_RECONNECTS = 1_000, 20, 10

Figures = Callable[..., None]


def pour(client: httpx.Client, prefix: str, events: int, between: Callable[[int], None] = lambda _n: None) -> None:
    """Batches of ten; traces of ten."""
    for n in range(0, events, 10):
        trace = f"{prefix}-{n}"
        batch = [started(trace, f"{trace}-0"), *(observed(trace, f"{trace}-{m}") for m in range(1, 10))]
        client.post("/events", json={"events": batch}).raise_for_status()
        between(n)


@pytest.mark.trust("C2", heavy=True)
def test_a_broker_that_forgets_and_dies_delays(
    ground: Ground, program: tuple[str, httpx.Client], figures: Figures
) -> None:
    _token, client = program

    def hurt(n: int) -> None:
        if n % 500 == 250:
            ground.flush_broker()
        if n == C2_EVENTS // 2:
            assert ground.kill("broker") == 1

    pour(client, "c2", C2_EVENTS, hurt)
    took = eventually(lambda: lag(client) == 0, "lag 0", C2_SECONDS)
    figures(events=C2_EVENTS, flushes=4, broker_kills=1, seconds_to_lag_0=round(took, 2))


@pytest.mark.trust("C2", control=True, heavy=True)
def test_the_control_without_the_reconciler_it_hangs(
    ground: Ground, program: tuple[str, httpx.Client], figures: Figures
) -> None:
    """The hint is lost while nobody works, and beat is not there to look."""
    _token, client = program
    eventually(lambda: lag(client) == 0, "lag 0", C2_SECONDS)
    with ground.frozen("beat"):
        time.sleep(1)  # what beat has sent already is worked off
        with ground.dead("worker"):  # one that is only frozen would keep what it was handed
            pour(client, "c2x", 50)
            time.sleep(1)  # the sender has sent
            ground.flush_broker()
        time.sleep(5)
        hung = lag(client)
        assert hung > 0, "somebody told the worker"
    took = eventually(lambda: lag(client) == 0, "lag 0 with the reconciler", C2_SECONDS)
    figures(without_reconciler_lag_after_5_s=hung, with_it_seconds=round(took, 2))


class Follower:
    """A socket that reads on from where it stopped, however often its line breaks."""

    def __init__(self, ground: Ground, token: str, topic: str, *, slow: bool = False) -> None:
        self.url, self.topic, self.slow = ground.sockets, topic, slow
        self.headers = {"Authorization": f"Bearer {token}"}
        self.seen: list[int] = []
        self.arrived: dict[int, float] = {}
        self.drop = False
        """Set from outside: break the line and come back."""
        self.reconnects = 0

    async def follow(self, total: int) -> None:
        """Until event ``total`` has come."""
        while not self.seen or self.seen[-1] < total:
            with contextlib.suppress(OSError, WebSocketException):
                async with connect(self.url, additional_headers=self.headers, max_queue=4) as line:
                    after = self.seen[-1] if self.seen else 0
                    await line.send(json.dumps({"type": "subscribe", "topic": self.topic, "after": after}))
                    await self._hear(line, total)
            self.reconnects += 1
            await asyncio.sleep(0.05)

    async def _hear(self, line: ClientConnection, total: int) -> None:
        while not self.seen or self.seen[-1] < total:
            frame = json.loads(await line.recv())
            if frame["type"] == "event":
                self.seen.append(frame["log_seq"])
                self.arrived.setdefault(frame["log_seq"], time.monotonic())
            if self.slow:
                await asyncio.sleep(0.01)
            if self.drop:
                self.drop = False
                line.transport.abort()  # a line that breaks says no farewell
                return


@pytest.mark.trust("D1", heavy=True)
async def test_every_socket_sees_all_in_order(
    ground: Ground, program: tuple[str, httpx.Client], figures: Figures
) -> None:
    token, client = program
    slug = client.get("/me").json()["tenant"]["slug"]
    rng = random.Random(SEED)
    followers = [Follower(ground, token, f"tenant:{slug}:traces", slow=n < 2) for n in range(D1_SOCKETS)]
    committed: dict[int, float] = {}

    def write() -> None:
        for n in range(0, D1_EVENTS, 5):
            trace = f"d1-{n}"
            batch = [started(trace, f"{trace}-0"), *(observed(trace, f"{trace}-{m}") for m in range(1, 5))]
            answer = client.post("/events", json={"events": batch}).raise_for_status().json()
            committed.update(dict.fromkeys((result["log_seq"] for result in answer["results"]), time.monotonic()))
            if n % (D1_EVENTS // D1_RECONNECTS) == 0:
                rng.choice(followers[2:]).drop = True
            if n == D1_EVENTS // 2:
                ground.kill("broker")
            time.sleep(0.05)

    async with asyncio.timeout(180):
        reading = [asyncio.create_task(follower.follow(D1_EVENTS)) for follower in followers]
        await asyncio.sleep(1)
        await asyncio.to_thread(write)
        await asyncio.gather(*reading)
    for follower in followers:
        assert follower.seen == list(range(1, D1_EVENTS + 1)), "skipped, doubled or swapped"
    delays = sorted(at - committed[place] for follower in followers[2:] for place, at in follower.arrived.items())
    p99 = max(0.0, delays[len(delays) * 99 // 100])
    broken = sum(follower.reconnects for follower in followers) - len(followers)
    assert broken >= D1_RECONNECTS // 2
    assert p99 <= 2.0
    figures(
        events=D1_EVENTS,
        sockets=D1_SOCKETS,
        slow=2,
        reconnects=broken,
        broker_kills=1,
        p99_seconds=round(p99, 2),
        missed=0,
    )


@pytest.mark.trust("D1", control=True, heavy=True)
async def test_the_control_a_message_that_carries_the_event_is_missed(stack: Any, figures: Figures) -> None:
    """The layer keeps nothing for a line that broke: whoever puts the event into the message loses it."""
    layer = get_channel_layer()
    assert layer is not None
    channel, group = await layer.new_channel(), f"trust.{uuid.uuid4().hex}"
    await layer.group_add(group, channel)
    broker = redis.asyncio.Redis.from_url(settings.REDIS_URL)
    for n in range(1_000):
        if n == 500:
            await broker.client_kill_filter(_type="pubsub")
        await layer.group_send(group, {"type": "event", "log_seq": n + 1})
    await broker.aclose()
    seen = []
    with contextlib.suppress(TimeoutError):
        while True:
            async with asyncio.timeout(1):
                seen.append((await layer.receive(channel))["log_seq"])
    await layer.group_discard(group, channel)
    assert len(seen) < 1_000
    figures(payload_in_message_missed=1_000 - len(seen))
