"""The people behind sockets: whoever follows ``presence:{page}`` is on that page while the client is heard."""

from __future__ import annotations

import asyncio
import time
import uuid
from functools import partial

from approvals.services import presence
from decisiongraph.consumers.feed import database
from decisiongraph.consumers.subscriptions import Subscription

TOPIC = "presence"
HEARTBEAT = 2.0
"""Leases are renewed at most so often, however fast the client pings."""


class Stays:
    """The pages one socket's person is on."""

    def __init__(self) -> None:
        self._stays: dict[str, presence.Stay] = {}
        self._socket = uuid.uuid4().hex[:12]
        self._beaten = 0.0
        self._doing = ""

    async def enter(self, subscription: Subscription) -> None:
        """Somebody is there now. Programs only look."""
        principal = subscription.principal
        if principal.kind != "user":
            return
        stay = presence.Stay(subscription.tenant, subscription.ident, principal.ident, principal.label, self._socket)
        self._stays[subscription.name] = stay
        await database(partial(presence.renew, stay))

    async def beat(self, doing: str | None) -> None:
        """The client was heard: hold its leases."""
        now = time.monotonic()
        news = doing is not None and doing != self._doing
        if not self._stays or (now - self._beaten < HEARTBEAT and not news):
            return
        self._beaten, self._doing = now, doing or self._doing
        for stay in list(self._stays.values()):
            stay.doing = doing or stay.doing
            await database(partial(presence.renew, stay))

    async def leave(self, name: str) -> None:
        """Off that page."""
        stay = self._stays.pop(name, None)
        if stay is not None:
            await database(partial(presence.leave, stay))

    def end(self) -> None:
        """The socket is closed: give everything back, on a thread nobody waits for."""
        for stay in self._stays.values():
            asyncio.get_running_loop().run_in_executor(None, presence.leave, stay)
        self._stays.clear()
