"""Whether the client takes what it is sent.

An ASGI server may hold `send` back until the client has taken enough; daphne does not, it buffers
without bound. So under daphne a producer is registered with the connection's transport, which is
told to pause when its buffer is full and to go on when it has drained.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any


class Flow:
    """Open while the client keeps up. To Twisted it is a push producer."""

    def __init__(self, send: Any) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self._transport = None
        owner = send.args[0] if isinstance(send, partial) and send.args else None
        transport = getattr(owner, "transport", None)
        if transport is not None and hasattr(transport, "registerProducer"):
            transport.unregisterProducer()  # the HTTP request that became this socket
            transport.registerProducer(self, True)
            self._transport = transport

    async def ready(self) -> None:
        """Wait until the client has taken what was sent."""
        if not self._open.is_set():
            await self._open.wait()

    def pauseProducing(self) -> None:
        """The buffer is full."""
        self._open.clear()

    def resumeProducing(self) -> None:
        """The buffer has drained."""
        self._open.set()

    def stopProducing(self) -> None:
        """The connection is gone; nobody has to wait any more."""
        self._open.set()

    def release(self) -> None:
        """Let the transport close."""
        if self._transport is not None:
            self._transport.unregisterProducer()
            self._transport = None
        self._open.set()
