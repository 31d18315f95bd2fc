"""One followed topic of one socket: where it stands and what its next turn sends."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import orjson

from decisiongraph.consumers import frames
from decisiongraph.consumers.feed import Feed, Line
from decisiongraph.consumers.registry import LogTopic, StateTopic
from decisiongraph.consumers.schedule import Turn
from decisiongraph.core.telemetry import metrics
from tenants.access import Principal
from tenants.models import Tenant

PAGE = 100
"""Events per reading: small, so that the topics of a socket take turns and large payloads fit."""
MAX_BEHIND = 5_000
"""Further behind than this a client pages `GET /events`; a socket is not an export."""
LOOK_SHARED = 0.5
"""A look is content with an answer another socket got this many seconds ago."""

Send = Callable[[str, str], Awaitable[None]]
"""``send(kind, text)``: the frame's kind for the metrics, and its text."""


@dataclass(slots=True, eq=False)
class Subscription:
    """What both kinds of topic have in common."""

    name: str
    """The public topic."""
    ident: str
    tenant: Tenant
    principal: Principal
    turn: Turn = field(default_factory=Turn)
    failing: bool = False
    """Whether the client was told that the database is away."""
    ended: bool = False
    wake: Callable[[], None] = field(default=lambda: None)
    """Wakes the socket's pump."""

    def ring(self, messages: list[str]) -> None:
        """Somebody published on this topic; without messages: nobody knows whether."""
        self.turn.ring(time.monotonic(), messages, told=bool(messages))
        self.wake()


@dataclass(slots=True, eq=False)
class LogSubscription(Subscription):
    """Sends stored events in order from its own cursor."""

    topic: LogTopic = field(kw_only=True)
    place: int = field(kw_only=True)

    async def advance(self, feed: Feed, send: Send) -> None:
        """Read one page and send it; due again while pages are full."""
        told, since, messages = self.turn.begin(time.monotonic())
        key = (self.tenant.pk, self.topic.name, self.ident)
        try:
            lines = await feed.read((*key, self.place), self._page, since=since, keep=True)
            if len(lines) == PAGE and await self._resync(feed, key, send):
                return
        except BaseException:
            self.turn.messages |= messages
            raise
        if lines:
            # Told or not, a page may hold more than was announced: read on until nothing is left.
            self.turn.due, self.turn.told = True, told or self.turn.told
            self.turn.since = max(self.turn.since, since)
            if not told:
                metrics.hints_recovered.inc(len(lines))
        for line in lines:
            if self.ended:
                return
            await send("event", frames.event(self.name, line.message, line.log_seq, line.data))
            self.place = line.place

    def _page(self) -> list[Line]:
        topic = self.topic
        return [
            Line(topic.place(event), event.log_seq, topic.message(event), orjson.dumps(event.as_json()))
            for event in topic.read(self.tenant, self.ident, self.place, PAGE)
        ]

    async def _resync(self, feed: Feed, key: tuple[int, str, str], send: Send) -> bool:
        """Jump to the head when it is too far away. Only asked when there is more than one page."""
        answer = await feed.read((*key, "head"), self._head, since=time.monotonic() - LOOK_SHARED, keep=False)
        if not answer or answer[0].place - self.place <= MAX_BEHIND:
            return False
        self.place = answer[0].place
        self.turn.ring(time.monotonic())
        await send("resync", frames.resync(self.name, answer[0].log_seq))
        return True

    def _head(self) -> list[Line]:
        head = self.topic.head(self.tenant, self.ident)
        return [Line(head.place, head.log_seq, "", b"")] if head else []


@dataclass(slots=True, eq=False)
class StateSubscription(Subscription):
    """Sends the present state, and again when it changed or something was said."""

    topic: StateTopic = field(kw_only=True)
    sent: bytes | None = None

    async def advance(self, feed: Feed, send: Send) -> None:
        """Read the state; send a snapshot first, then a frame for each message, or for a change."""
        _told, since, messages = self.turn.begin(time.monotonic())
        key = (self.tenant.pk, self.topic.name, self.ident)
        try:
            lines = await feed.read(key, self._state, since=since, keep=False)
        except BaseException:
            self.turn.messages |= messages
            raise
        if not lines:
            return
        data, quiet = lines[0].data, self.topic.messages[0].name
        if self.sent is None:
            await send("snapshot", frames.snapshot(self.name, data))
        else:
            if data != self.sent and not messages:
                messages = {quiet}
            elif data == self.sent:
                messages = messages - {quiet}
            for message in sorted(messages):
                await send("state", frames.state(self.name, message, data))
        self.sent = data

    def _state(self) -> list[Line]:
        value = self.topic.read(self.tenant, self.ident)
        return [] if value is None else [Line(0, 0, "", orjson.dumps(value))]
