"""The consumer against a real log: every event once and in order, whatever is lost on the way."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from channels.layers import InMemoryChannelLayer
from django.db import OperationalError

from decisiongraph.consumers import Console, console, frames, registry, subscriptions
from decisiongraph.core import bus
from decisiongraph.core.telemetry import metrics
from tests.live import Client, Writer, blocking

pytestmark = pytest.mark.django_db


class DeafLayer(InMemoryChannelLayer):
    """Takes everything and delivers nothing, without a word."""

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        """Lost."""


class ForgetfulLayer(InMemoryChannelLayer):
    """Looks healthy to the switchboard and loses every doorbell."""

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        """Only the pulse arrives."""
        if message["topic"].startswith("pulse:"):
            await super().group_send(group, message)


class DeadLayer(InMemoryChannelLayer):
    """Refuses everything."""

    async def new_channel(self, prefix: str = "specific.") -> str:
        """Nobody answers."""
        raise ConnectionError

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        """Nobody answers."""
        raise ConnectionError


class HangingLayer(InMemoryChannelLayer):
    """Neither answers nor refuses."""

    async def new_channel(self, prefix: str = "specific.") -> str:
        """For ever."""
        await asyncio.Event().wait()
        return ""

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        """For ever."""
        await asyncio.Event().wait()


class TrustingConsole(Console):
    """The control: believes that every doorbell arrives."""

    look_every = look_every_when_broken = 3600.0


@pytest.fixture
def writer(db: None) -> Writer:
    return Writer()


@pytest.fixture(params=[DeafLayer, ForgetfulLayer, DeadLayer, HangingLayer])
def bad_layer(request: pytest.FixtureRequest, settings: Any) -> Iterator[None]:
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": f"{__name__}.{request.param.__name__}"}}
    return


async def test_backfill_then_live_in_order(writer: Writer) -> None:
    await blocking(writer.fill, 120)
    token = await blocking(writer.token, "read")
    async with Client(token) as early, Client(token) as late:
        assert (await early.follow(writer.topic(), after=0))["cursor"] == 0
        assert (await late.follow(writer.topic()))["cursor"] == 120
        for size in (1, 7, 130, 1, 240):
            await blocking(writer.fill, writer.written + size)
        await early.until(writer.written)
        await late.until(writer.written)
    assert early.seen == list(range(1, writer.written + 1))
    assert late.seen == list(range(121, writer.written + 1))


async def test_twenty_sockets_thousand_events(writer: Writer) -> None:
    token = await blocking(writer.token, "read")
    clients = [Client(token) for _ in range(20)]
    delays: list[float] = []
    for client in clients:
        await client.__aenter__()
        await client.follow(writer.topic())

    async def write() -> None:
        trace = "d1"
        await blocking(writer.start, trace)
        while writer.written < 1000:
            await blocking(writer.append, trace, 9)

    async def listen(client: Client) -> None:
        await client.until(1000)
        delays.append(time.monotonic() - ended[0] if ended else 0.0)

    ended: list[float] = []
    listening = [asyncio.create_task(listen(client)) for client in clients]
    await write()
    ended.append(time.monotonic())
    await asyncio.gather(*listening)
    for client in clients:
        assert client.seen[:1000] == list(range(1, 1001))
        await client.__aexit__()
    assert max(delays) <= 2.0


async def test_ten_reconnects_lose_nothing(writer: Writer) -> None:
    token = await blocking(writer.token, "read")
    await blocking(writer.start, "t")
    seen: list[int] = []
    for _ in range(10):
        async with Client(token) as client:
            await client.follow(writer.topic(), after=seen[-1] if seen else 0)
            await blocking(writer.append, "t", 60)
            await client.until((seen[-1] if seen else 0) + 25)
            seen += client.seen
    assert seen == list(range(1, len(seen) + 1))


async def test_a_trace_topic_carries_one_trace(writer: Writer) -> None:
    for trace in ("a", "b:c"):
        await blocking(writer.start, trace)
    await blocking(writer.append, "b:c", 3)
    token = await blocking(writer.token, "read")
    async with Client(token) as client:
        assert (await client.follow(writer.topic("trace:b:c"), after=3))["cursor"] == 3
        await blocking(writer.append, "a", 2)
        await blocking(writer.append, "b:c", 2)
        await blocking(writer.append, "a", 1)
        await blocking(writer.finish, "b:c")
        await client.until(11)
        assert client.seen == [4, 5, 8, 9, 11]
        await client.say(type="unsubscribe", topic=writer.topic("trace:b:c"))
        assert (await client.follow(writer.topic("trace:b:c"), after=10))["cursor"] == 10
        frame = await client.hear_kind("event")
        assert (frame["log_seq"], frame["message"]) == (11, "trace.finished")
        assert frame["data"]["trace_id"] == "b:c"


async def test_more_than_five_thousand_behind_is_a_resync(writer: Writer) -> None:
    await blocking(writer.fill, 5101)
    token = await blocking(writer.token, "read")
    async with Client(token) as far, Client(token) as near:
        assert (await far.follow(writer.topic(), after=100))["cursor"] == 100
        assert await far.hear() == {"type": "resync", "topic": writer.topic(), "cursor": 5101}
        await near.follow(writer.topic(), after=101)
        await near.until(5101)
        await blocking(writer.fill, 5103)
        await near.until(5103)
        await far.until(5103)
    assert far.seen == [5102, 5103]
    assert near.seen == list(range(102, 5104))


async def test_a_layer_that_delivers_nothing_only_delays(writer: Writer, bad_layer: None) -> None:
    token = await blocking(writer.token, "read")
    before = metrics.hints_recovered._value.get()
    async with Client(token) as one, Client(token) as two:
        await one.follow(writer.topic())
        await two.follow(writer.topic(), after=0)
        await blocking(writer.start, "t")
        for _ in range(20):
            await blocking(writer.append, "t", 15)
        await one.until(301)
        await two.until(301)
    assert one.seen == two.seen == list(range(1, 302))
    assert metrics.hints_recovered._value.get() > before


async def test_control_trusting_the_doorbell_misses_events(writer: Writer, settings: Any) -> None:
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": f"{__name__}.ForgetfulLayer"}}
    token = await blocking(writer.token, "read")
    async with Client(token, application=TrustingConsole.as_asgi()) as client:
        await client.follow(writer.topic())
        await asyncio.sleep(1.5)  # the rings of the beginning have passed
        await blocking(writer.fill, 10)
        await client.drain(quiet=5.0)
    assert client.seen == []


async def test_control_payloads_in_group_messages_are_lost() -> None:
    """Why doorbells carry no data: a channel layer drops what a consumer has not taken in time."""
    layer = InMemoryChannelLayer()
    channel = await layer.new_channel()
    await layer.group_add("g", channel)
    for number in range(1, 1001):
        await layer.group_send("g", {"type": "event", "log_seq": number})
    arrived = []
    with contextlib.suppress(TimeoutError):
        while True:
            async with asyncio.timeout(0.2):
                arrived.append((await layer.receive(channel))["log_seq"])
    assert len(arrived) < 1000


async def test_the_database_away_is_said_once_and_heals(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    await blocking(writer.start, "t")
    away = False
    topic = registry.find(frames.TopicName("", "", "traces", ""))
    assert isinstance(topic, registry.LogTopic)

    def read(*args: Any) -> Any:
        if away:
            raise OperationalError("gone")
        return topic.read(*args)

    monkeypatch.setitem(registry._BY_SPELLING, ("traces", False), replace(topic, read=read))
    monkeypatch.setattr(Console, "retry_after", 0.1)
    token = await blocking(writer.token, "read")
    async with Client(token) as client:
        await client.follow(writer.topic())
        away = True
        await blocking(writer.append, "t", 5)
        error = await client.hear_kind("error")
        assert (error["code"], error["topic"]) == ("database.unavailable", writer.topic())
        assert await client.socket.receive_nothing(timeout=0.5)
        away = False
        await client.until(6)
    assert client.seen == [2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ({"type": "subscribe", "topic": "nonsense"}, "topic.not_found"),
        ({"type": "subscribe", "topic": "tenant:{slug}:nothing"}, "topic.not_found"),
        ({"type": "subscribe", "topic": "tenant:{slug}:traces:x"}, "topic.not_found"),
        ({"type": "subscribe", "topic": "tenant:{slug}:trace"}, "topic.not_found"),
        ({"type": "subscribe", "topic": "tenant:{slug}:trace:nobody"}, "topic.not_found"),
        ({"type": "subscribe", "topic": "tenant:{slug}:access"}, "topic.not_found"),
        ({"type": "subscribe", "topic": "tenant:platform:access"}, "topic.not_found"),
        ({"type": "subscribe", "topic": "tenant:nobody-here:traces"}, "topic.not_found"),
        ({"type": "subscribe", "topic": "tenant:{slug}:traces", "after": 99}, "cursor.ahead"),
        ({"type": "subscribe", "topic": "tenant:{slug}:trace:t", "after": 99}, "cursor.ahead"),
        ({"type": "unsubscribe", "topic": "tenant:{slug}:traces"}, "topic.not_subscribed"),
    ],
)
async def test_refused_frames(writer: Writer, frame: dict[str, Any], code: str) -> None:
    await blocking(writer.start, "t")
    token = await blocking(writer.token, "read")
    topic = frame["topic"].format(slug=writer.slug)
    async with Client(token) as client:
        await client.say(**(frame | {"topic": topic, "id": 5}))
        error = await client.hear()
        assert error == {"type": "error", "code": code, "detail": frames.ERRORS[code], "topic": topic, "id": 5}
        await client.say(type="ping", id="still here")
        assert await client.hear() == {"type": "pong", "id": "still here"}


async def test_following_twice_and_too_much(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    await blocking(writer.start, "t")
    monkeypatch.setattr(Console, "max_topics", 2)
    token = await blocking(writer.token, "read")
    async with Client(token) as client:
        assert (await client.follow(writer.topic()))["type"] == "subscribed"
        assert (await client.follow(writer.topic()))["code"] == "topic.already_subscribed"
        assert (await client.follow(writer.topic("trace:t")))["type"] == "subscribed"
        assert (await client.follow(writer.topic("projection_health")))["code"] == "topic.limit_reached"


async def test_wrong_frames_end_in_4400(writer: Writer) -> None:
    token = await blocking(writer.token, "read")
    async with Client(token) as client:
        for _ in range(Console.max_wrong_frames):
            await client.socket.send_to(text_data="{")
            assert (await client.hear())["code"] == "frame.malformed"
        assert await client.hear() == {"close": frames.CLOSE_PROTOCOL}
    async with Client(token) as client:
        await client.socket.send_to(text_data="x" * 20_000)
        assert (await client.hear())["code"] == "frame.too_large"
        assert await client.hear() == {"close": frames.CLOSE_PROTOCOL}
    async with Client(token) as client:
        await client.socket.send_to(bytes_data=b"\x00")
        assert (await client.hear())["code"] == "frame.malformed"
    async with Client(token) as client:
        for _ in range(200):
            await client.say(type="ping")
        assert (await client.hear_kind("error"))["code"] == "frame.rate_limited"
        assert await client.hear() == {"close": frames.CLOSE_PROTOCOL}


async def test_a_client_that_takes_nothing_is_closed_and_resumes(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await blocking(writer.fill, 300)
    token = await blocking(writer.token, "read")
    monkeypatch.setattr(Console, "slow_after", 0.4)
    flows: list[console.Flow] = []
    original = console.Flow

    def flow(send: Any) -> console.Flow:
        flows.append(original(send))
        return flows[-1]

    monkeypatch.setattr(console, "Flow", flow)
    async with Client(token) as client:
        await client.follow(writer.topic(), after=0)
        await client.until(10)
        flows[0].pauseProducing()
        assert "close" in await client.hear_kind("close")
        assert client.other[-1]["type"] != "error"
        reached = client.seen[-1]
    assert client.seen == list(range(1, reached + 1))
    async with Client(token) as client:
        await client.follow(writer.topic(), after=reached)
        await client.until(300)
    assert client.seen == list(range(reached + 1, 301))


async def test_state_topics_send_a_snapshot_then_changes(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    state = {"lag": 0}
    topic = registry.find(frames.TopicName("", "", "projection_health", ""))
    assert isinstance(topic, registry.StateTopic)
    fake = replace(topic, read=lambda tenant, ident: dict(state))
    monkeypatch.setitem(registry._BY_SPELLING, ("projection_health", False), fake)
    token = await blocking(writer.token, "read")
    name = writer.topic("projection_health")
    async with Client(token) as client:
        assert (await client.follow(name))["cursor"] is None
        assert await client.hear() == {"type": "snapshot", "topic": name, "data": {"lag": 0}}
        started, frames_heard = time.monotonic(), 0
        while time.monotonic() - started < 2.0:
            state["lag"] += 1
            await blocking(bus.publish, writer.tenant, "projection_health", "projection.cursor_advanced")
            await asyncio.sleep(0.02)
            while not await client.socket.receive_nothing(timeout=0.0):
                frame = await client.hear()
                assert frame["message"] == "projection.cursor_advanced"
                frames_heard += 1
        assert 4 <= frames_heard <= 9  # at most four a second
        state["lag"] = 1_000
        await blocking(bus.publish, writer.tenant, "projection_health", "projection.cursor_advanced")
        while (await client.hear_kind("state"))["data"] != state:
            pass
        await blocking(bus.publish, writer.tenant, "projection_health", "projection.digest_mismatch")
        assert (await client.hear_kind("state"))["message"] == "projection.digest_mismatch"
        state["lag"] = -1  # nobody says so: found by looking
        assert (await client.hear_kind("state"))["data"] == {"lag": -1}


def test_constants_agree() -> None:
    assert subscriptions.MAX_BEHIND == 5000
    assert Console.look_every <= 2.0
