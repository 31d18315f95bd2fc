"""The one WebSocket consumer.

Three tasks per socket: one hears the client, one pumps what its topics have to say, one asks now and
then whether the client may still be here. Doorbells only mark a topic; every event comes from the
database, from the topic's own cursor, so nothing is skipped or swapped whatever the channel layer
loses. What no doorbell told is found by a look every two seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from functools import partial
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from channels.consumer import AsyncConsumer
from django.conf import settings
from django.db import Error as DatabaseError
from psycopg_pool import PoolTimeout

from decisiongraph.consumers import frames, presence, registry
from decisiongraph.consumers.feed import Feed, database
from decisiongraph.consumers.flow import Flow
from decisiongraph.consumers.schedule import Bucket, Turn, next_wait
from decisiongraph.consumers.subscriptions import (
    LOOK_SHARED,
    LogSubscription,
    StateSubscription,
)
from decisiongraph.consumers.switchboard import Switchboard
from decisiongraph.core.errors import Problem
from decisiongraph.core.telemetry import log, metrics
from tenants.access import (
    RECHECK_SECONDS,
    Principal,
    Visitor,
    authenticate_socket,
    still_allowed,
    visitor_still_allowed,
)
from tenants.services import bell

AWAY = (DatabaseError, PoolTimeout)
"""What the database raises when it is away."""

Subscribed = LogSubscription | StateSubscription


class Close(Exception):
    """End this socket with a code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Gone(Exception):
    """The client has left."""


class House:
    """What the sockets of one event loop share."""

    def __init__(self) -> None:
        self.switchboard = Switchboard()
        self.feed = Feed()
        self.open: Counter[str] = Counter()
        """Sockets per person or token, and all of them under an empty name."""

    def enter(self, holder: str) -> str | None:
        """Count a socket; or, without counting it, which limit it would exceed."""
        if self.open[""] >= settings.SOCKETS_PER_PROCESS:
            return "process"
        if self.open[holder] >= settings.SOCKETS_PER_PRINCIPAL:
            return "principal"
        self.open.update(("", holder))
        return None

    def leave(self, holder: str) -> None:
        """One socket less."""
        self.open.subtract(("", holder))
        if not self.open[holder]:
            del self.open[holder]


_houses: WeakKeyDictionary[asyncio.AbstractEventLoop, House] = WeakKeyDictionary()


def house() -> House:
    """The one of the running event loop."""
    loop = asyncio.get_running_loop()
    found = _houses.get(loop)
    if found is None:
        found = _houses[loop] = House()
    return found


class Console(AsyncConsumer):
    """A socket of the console or of a program."""

    look_every: ClassVar[float] = 2.0
    look_every_when_broken: ClassVar[float] = 0.5
    slow_after: ClassVar[float] = 15.0
    """Seconds a client may leave its buffer full."""
    retry_after: ClassVar[float] = 1.0
    """Seconds until a reading that failed is tried again."""
    recheck_every: ClassVar[float] = float(RECHECK_SECONDS)
    max_topics: ClassVar[int] = 50
    frames_per_second: ClassVar[float] = 20.0
    frames_at_once: ClassVar[float] = 120.0
    max_wrong_frames: ClassVar[int] = 20

    scope: dict[str, Any]
    visitor: Visitor

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Serve one socket from connect to close. Does not touch the layer: the switchboard does."""
        self.scope = scope
        self.base_send = send
        self._receive = receive
        self._subscriptions: dict[str, Subscribed] = {}
        self._wake = asyncio.Event()
        self._recheck = asyncio.Event()
        self._bucket = Bucket(self.frames_per_second, self.frames_at_once)
        self._wrong = 0
        self._stays = presence.Stays()
        if (await receive())["type"] != "websocket.connect":
            return
        house_ = house()
        self._feed, self._switchboard = house_.feed, house_.switchboard
        try:
            await self._enter()
        except Gone:
            return
        holder = self.visitor.holder
        over = house_.enter(holder)
        if over is not None:
            metrics.sockets_refused.labels(over).inc()
            await self.base_send({"type": "websocket.close", "code": frames.CLOSE_TOO_MANY})
            return
        self._flow = Flow(send)
        metrics.socket_clients.inc()
        try:
            async with self._switchboard.open():
                await self._serve()
        finally:
            house_.leave(holder)
            metrics.socket_clients.dec()
            self._flow.release()

    # --- coming and going ------------------------------------------------------------------------

    async def _enter(self) -> None:
        """Accept whoever has a valid credential; refuse foreign pages before the handshake ends."""
        accepted = False
        while True:
            try:
                self.visitor = await database(lambda: authenticate_socket(self.scope))
            except Problem as problem:
                if problem.status == 403:
                    await self.base_send({"type": "websocket.close"})
                else:
                    if not accepted:
                        await self.base_send({"type": "websocket.accept"})
                    await self.base_send({"type": "websocket.close", "code": frames.CLOSE_UNAUTHENTICATED})
                raise Gone from None
            except AWAY:
                if not accepted:
                    await self.base_send({"type": "websocket.accept"})
                    accepted = True
                    await self._text(frames.error("database.unavailable"))
                await asyncio.sleep(self.retry_after)
            else:
                if not accepted:
                    await self.base_send({"type": "websocket.accept"})
                return

    async def _serve(self) -> None:
        self._switchboard.listen(bell.public_topic(), self._hear_access)
        code: int | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._hear())
                tasks.create_task(self._pump())
                tasks.create_task(self._guard())
        except* Gone:
            pass
        except* Close as closes:
            code = next(error.code for error in closes.exceptions if isinstance(error, Close))
        finally:
            self._switchboard.unlisten(bell.public_topic(), self._hear_access)
            for subscription in list(self._subscriptions.values()):
                self._drop(subscription)
            self._stays.end()
        if code is not None:
            self._flow.release()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.slow_after):
                    await self.base_send({"type": "websocket.close", "code": code})

    async def _text(self, text: str) -> None:
        await self.base_send({"type": "websocket.send", "text": text})

    async def _send(self, kind: str, text: str) -> None:
        """One frame, or `Close` when the client does not take it in time."""
        try:
            async with asyncio.timeout(self.slow_after):
                await self._flow.ready()
                await self._text(text)
        except TimeoutError:
            raise Close(frames.CLOSE_TOO_SLOW) from None
        metrics.socket_messages.labels(kind).inc()

    async def _refuse(self, error: frames.FrameError) -> None:
        await self._send("error", frames.error(error.code, topic=error.topic, id=error.id))

    # --- hearing the client ----------------------------------------------------------------------

    async def _hear(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                raise Gone
            try:
                await self._take(message)
            except frames.FrameError as error:
                await self._refuse(error)
                self._wrong += error.code.startswith("frame.")
                if error.fatal or self._wrong >= self.max_wrong_frames:
                    raise Close(frames.CLOSE_PROTOCOL) from None

    async def _take(self, message: dict[str, Any]) -> None:
        if not self._bucket.take(time.monotonic()):
            raise frames.FrameError("frame.rate_limited", fatal=True)
        frame = frames.parse(message.get("text"))
        if isinstance(frame, frames.Ping):
            await self._send("pong", frames.pong(frame.id))
            await self._stays.beat(frame.doing)
        elif isinstance(frame, frames.Unsubscribe):
            subscription = self._subscriptions.get(frame.topic)
            if subscription is None:
                raise frames.FrameError("topic.not_subscribed", topic=frame.topic, id=frame.id)
            self._drop(subscription)
            await self._stays.leave(frame.topic)
        else:
            await self._subscribe(frame)

    async def _subscribe(self, frame: frames.Subscribe) -> None:
        if frame.topic in self._subscriptions:
            raise frames.FrameError("topic.already_subscribed", topic=frame.topic, id=frame.id)
        if len(self._subscriptions) >= self.max_topics:
            raise frames.FrameError("topic.limit_reached", topic=frame.topic, id=frame.id)
        try:
            subscription, cursor = await database(lambda: self._open(frame))
        except AWAY:
            raise frames.FrameError("database.unavailable", topic=frame.topic, id=frame.id) from None
        await self._send("subscribed", frames.subscribed(frame.topic, frame.id, cursor))
        # The pump may speak from here on. Listening begins before the first reading, so that
        # nothing falls between the two.
        self._subscriptions[frame.topic] = subscription
        subscription.wake = self._wake.set
        self._switchboard.listen(frame.topic, subscription.ring)
        subscription.turn.ring(time.monotonic())
        self._wake.set()
        if subscription.topic.name == presence.TOPIC:
            await self._stays.enter(subscription)

    def _open(self, frame: frames.Subscribe) -> tuple[Subscribed, int | None]:
        """Authorise and find the starting point. Blocking. A foreign tenant looks like no tenant."""
        missing = frames.FrameError("topic.not_found", topic=frame.topic, id=frame.id)
        name = frames.split_topic(frame.topic)
        topic = registry.find(name) if name else None
        if name is None or topic is None:
            raise missing
        try:
            tenant, principal = self.visitor.enter(name.slug)
        except Problem:
            raise missing from None
        if not principal.may(topic.permission):
            raise frames.FrameError("permission.denied", topic=frame.topic, id=frame.id)
        turn = Turn(interval=topic.interval if isinstance(topic, registry.StateTopic) else 0.0)
        try:
            if isinstance(topic, registry.StateTopic):
                if name.ident and topic.read(tenant, name.ident) is None:
                    raise missing
                return StateSubscription(frame.topic, name.ident, tenant, principal, turn, topic=topic), None
            head = topic.head(tenant, name.ident)
        except Problem as problem:
            if problem.status == 404:
                raise missing from None
            raise
        if head is None:
            raise missing
        if frame.after is None:
            place, cursor = head.place, head.log_seq
        elif frame.after <= head.log_seq:
            place, cursor = topic.place_of(tenant, name.ident, frame.after), frame.after
        else:
            # Beyond the last event of a trace is fine while it is inside the log.
            log = registry.find(frames.TopicName("", "", "traces", ""))
            end = log.head(tenant, "") if isinstance(log, registry.LogTopic) else None
            if end is None or frame.after > end.log_seq:
                raise frames.FrameError("cursor.ahead", topic=frame.topic, id=frame.id)
            place, cursor = head.place, frame.after
        return LogSubscription(frame.topic, name.ident, tenant, principal, turn, topic=topic, place=place), cursor

    def _drop(self, subscription: Subscribed) -> None:
        subscription.ended = True
        self._subscriptions.pop(subscription.name, None)
        self._switchboard.unlisten(subscription.name, subscription.ring)

    def _hear_access(self, messages: list[str]) -> None:
        self._recheck.set()

    # --- speaking --------------------------------------------------------------------------------

    async def _pump(self) -> None:
        """Give every topic that is due one turn, round and round; sleep when none is."""
        look_at = time.monotonic() + self._look_interval()
        while True:
            now = time.monotonic()
            if now >= look_at:
                for subscription in self._subscriptions.values():
                    subscription.turn.look(now, LOOK_SHARED)
                look_at = now + self._look_interval()
            self._wake.clear()
            for subscription in list(self._subscriptions.values()):
                if subscription.turn.ready(time.monotonic()) and not subscription.ended:
                    await self._turn(subscription)
            now = time.monotonic()
            look_at = min(look_at, now + self._look_interval())
            wait = next_wait((s.turn for s in self._subscriptions.values()), now, look_at - now)
            if wait > 0 and not self._wake.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._wake.wait()
            else:
                await asyncio.sleep(0)

    def _look_interval(self) -> float:
        every = self.look_every_when_broken if self._switchboard.broken else self.look_every
        return every * random.uniform(0.8, 1.2)

    async def _turn(self, subscription: Subscribed) -> None:
        try:
            await subscription.advance(self._feed, self._send)
        except Problem as problem:
            self._drop(subscription)
            log.info("sockets.topic_ended", topic=subscription.name, code=problem.code)
            await self._send("error", frames.error("topic.not_found", topic=subscription.name))
        except AWAY as error:
            subscription.turn.postpone(time.monotonic(), self.retry_after)
            if not subscription.failing:
                subscription.failing = True
                log.warning("sockets.reading_failed", topic=subscription.name, error=type(error).__name__)
                await self._send("error", frames.error("database.unavailable", topic=subscription.name))
        else:
            subscription.failing = False

    # --- still welcome? --------------------------------------------------------------------------

    async def _guard(self) -> None:
        """Ask again, at once on the bell and within a minute without it."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.recheck_every * random.uniform(0.8, 1.0)):
                    await self._recheck.wait()
            self._recheck.clear()
            principals = {s.principal.tenant_id: s.principal for s in self._subscriptions.values()}
            try:
                code = await database(partial(_still_welcome, self.visitor, list(principals.values())))
            except AWAY:
                # Nothing can be read either; ask again soon.
                await asyncio.sleep(self.retry_after)
                self._recheck.set()
                continue
            if code is not None:
                raise Close(code)


def _still_welcome(visitor: Visitor, principals: list[Principal]) -> int | None:
    """None, or the code to close with. Blocking."""
    return visitor_still_allowed(visitor) or next(filter(None, map(still_allowed, principals)), None)
