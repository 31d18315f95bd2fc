"""Doorbells from the channel layer, for every socket of this event loop, over one connection.

The layer may lose messages, hang or die; nothing here raises into a socket for that. Once a second
the switchboard sends itself a pulse through the layer. When a pulse does not come back the layer is
``broken``: sockets then look at the database more often, and the connection is made anew until
pulses return. Whoever listens is rung when listening begins and when the layer heals, because
nobody knows what was not heard before.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

from channels.layers import get_channel_layer

from decisiongraph.core.bus import group_name
from decisiongraph.core.telemetry import log, metrics, on_behalf_of, span

PULSE_EVERY = 1.0
PULSE_LATE = 3.0
"""A pulse older than this says that the layer delivers nothing."""
LAYER_TIMEOUT = 2.0
RETRY_AFTER = 1.0

Listener = Callable[[list[str]], None]
"""Called in the event loop with the names of the messages; must not block."""


class _Broken(Exception):
    """The layer does not deliver."""


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel, and insist: a client library may swallow a cancellation while it connects."""
    for _ in range(10):
        task.cancel()
        await asyncio.wait([task], timeout=LAYER_TIMEOUT / 4)
        if task.done():
            return


class Switchboard:
    """Who listens to which topic, and one task that hears for all of them."""

    def __init__(self) -> None:
        self.broken = True
        self._listeners: dict[str, set[Listener]] = {}
        self._topics: dict[str, str] = {}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._guests = 0
        self._pulsed = 0.0

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Keep the line up while at least one socket is inside."""
        self._guests += 1
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="dg-switchboard")
        try:
            yield
        finally:
            self._guests -= 1
            if self._guests == 0 and self._task is not None:
                task, self._task = self._task, None
                await _end(task)

    def listen(self, topic: str, listener: Listener) -> None:
        """Ring ``listener`` for every doorbell of the topic that arrives."""
        self._listeners.setdefault(topic, set()).add(listener)
        self._changed.set()

    def unlisten(self, topic: str, listener: Listener) -> None:
        """Stop ringing it."""
        found = self._listeners.get(topic)
        if found is not None:
            found.discard(listener)
            if not found:
                del self._listeners[topic]
                self._changed.set()

    def _ring(self, topic: str, messages: list[str]) -> None:
        for listener in list(self._listeners.get(topic, ())):
            listener(messages)

    async def _run(self) -> None:
        layer = get_channel_layer()
        while True:
            try:
                await self._serve(layer)
            except asyncio.CancelledError:
                await self._hang_up(layer)
                raise
            except Exception as error:  # whatever the layer does, the sockets live on
                if not self.broken:
                    log.warning("sockets.layer_broken", error=type(error).__name__)
                self.broken = True
                await self._hang_up(layer)
                await asyncio.sleep(RETRY_AFTER)

    async def _serve(self, layer: Any) -> None:
        """Hear until something is wrong, then raise."""
        pulse = f"pulse:{uuid.uuid4().hex}"
        async with asyncio.timeout(LAYER_TIMEOUT):
            channel = await layer.new_channel()
            await layer.group_add(group_name(pulse), channel)
        self._pulsed = time.monotonic()
        joined: set[str] = set()
        receiver = asyncio.create_task(self._receive(layer, channel, pulse))
        try:
            while True:
                self._changed.clear()
                await self._join(layer, channel, joined)
                async with asyncio.timeout(LAYER_TIMEOUT):
                    await layer.group_send(group_name(pulse), {"type": "doorbell", "topic": pulse})
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(PULSE_EVERY):
                        await self._changed.wait()
                if receiver.done():
                    receiver.result()
                    raise _Broken
                if time.monotonic() - self._pulsed > PULSE_LATE:
                    raise _Broken
        finally:
            await _end(receiver)

    async def _join(self, layer: Any, channel: str, joined: set[str]) -> None:
        """Make the layer's groups those somebody listens to."""
        wanted = set(self._listeners)
        for topic in joined - wanted:
            async with asyncio.timeout(LAYER_TIMEOUT):
                await layer.group_discard(group_name(topic), channel)
            joined.discard(topic)
        for topic in wanted - joined:
            async with asyncio.timeout(LAYER_TIMEOUT):
                await layer.group_add(group_name(topic), channel)
            joined.add(topic)
            self._ring(topic, [])

    async def _receive(self, layer: Any, channel: str, pulse: str) -> None:
        while True:
            message = await layer.receive(channel)
            topic = message.get("topic")
            if topic == pulse:
                self._pulsed = time.monotonic()
                if self.broken:
                    self.broken = False
                    for name in list(self._listeners):
                        self._ring(name, [])
            elif isinstance(topic, str):
                self._hear(topic, message)

    def _hear(self, topic: str, message: dict[str, Any]) -> None:
        """A doorbell. One line each, not one per socket: who listens reads on its own account."""
        metrics.socket_doorbells.inc()
        messages, requests = list(message.get("messages", ())), list(message.get("requests", ()))
        if not requests:
            self._ring(topic, messages)
            return
        with on_behalf_of(requests), span("sockets.doorbell", message.get("traceparent", ""), topic=topic):
            log.info("sockets.doorbell_heard", topic=topic, messages=messages, sockets=self.listening(topic))
            self._ring(topic, messages)

    def listening(self, topic: str) -> int:
        """How many listen to a topic."""
        return len(self._listeners.get(topic, ()))

    async def _hang_up(self, layer: Any) -> None:
        """Forget the connection; a layer that keeps a dead one would go on failing."""
        try:
            async with asyncio.timeout(LAYER_TIMEOUT):
                await layer.flush()
        except Exception as error:
            log.debug("sockets.layer_flush_failed", error=type(error).__name__)
