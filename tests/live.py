"""A writer and clients for tests of the live topics."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Callable
from typing import Any, TypeVar

from asgiref.testing import ApplicationCommunicator
from channels.db import database_sync_to_async
from channels.testing import WebsocketCommunicator

from tenants import services as tenant_services
from tenants.access import Principal, system_principal
from tenants.models import Tenant
from traces import services

T = TypeVar("T")

WAIT = 20.0
"""Seconds after which a test gives up; never what is measured."""


async def blocking(call: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Run something that uses the database beside the event loop."""
    return await database_sync_to_async(call, thread_sensitive=False)(*args, **kwargs)


class Writer:
    """A tenant of its own and a program that writes traces into it."""

    def __init__(self, slug: str = "") -> None:
        self.slug = slug or f"t{uuid.uuid4().hex[:12]}"
        self.tenant: Tenant = tenant_services.create_tenant(self.slug, principal=system_principal())
        self.principal: Principal = system_principal(self.tenant)
        self.written = 0

    def token(self, *scopes: str) -> str:
        """The text of a new token."""
        return self.named_token(*scopes)[1]

    def named_token(self, *scopes: str) -> tuple[str, str]:
        """Id and text of a new token."""
        token, text = tenant_services.create_token(
            self.tenant, principal=self.principal, name="test", scopes=list(scopes or ("read",))
        )
        return token.id, text

    def topic(self, rest: str = "traces") -> str:
        """A public topic of this tenant."""
        return f"tenant:{self.slug}:{rest}"

    def start(self, trace_id: str) -> None:
        """Begin a trace."""
        self._append([started(trace_id)])

    def append(self, trace_id: str, count: int = 1) -> None:
        """Some more events of a trace, in one batch."""
        self._append([observed(trace_id) for _ in range(count)])

    def finish(self, trace_id: str) -> None:
        """End a trace."""
        self._append([envelope(trace_id, "TraceFinished", {"outcome": "success"})])

    def fill(self, total: int) -> None:
        """Make the log ``total`` events long."""
        trace_id = uuid.uuid4().hex
        self.start(trace_id)
        while self.written < total:
            self.append(trace_id, min(500, total - self.written))

    def _append(self, events: list[dict[str, Any]]) -> None:
        services.append(self.tenant, principal=self.principal, events=events)
        self.written += len(events)


def envelope(trace_id: str, event_type: str, payload: dict[str, Any]) -> dict[str, Any]:
    """A client's event."""
    return {
        "trace_id": trace_id,
        "event_type": event_type,
        "source": {"producer_id": "test", "system": "tests"},
        "actor": {"actor_type": "agent", "actor_id": "a-1"},
        "idempotency_key": uuid.uuid4().hex,
        "payload": payload,
    }


def started(trace_id: str) -> dict[str, Any]:
    """The first event of a trace."""
    entity = {"entity_type": "account", "entity_id": "acct-1"}
    return envelope(trace_id, "TraceStarted", {"workflow": "renewal", "title": "Renewal", "primary_entity": entity})


def observed(trace_id: str) -> dict[str, Any]:
    """Some later event of a trace."""
    source = {"system": "crm", "object_type": "account", "object_id": "1"}
    facts = [{"key": "plan", "value": {"type": "string", "value": "gold"}}]
    return envelope(trace_id, "InputObserved", {"input_id": uuid.uuid4().hex, "source": source, "facts": facts})


class _Socket(WebsocketCommunicator):
    """Without the patch of `channels.testing` that keeps threads from giving their connections back."""

    send_input = ApplicationCommunicator.send_input
    receive_output = ApplicationCommunicator.receive_output


class Client:
    """A socket client inside this process."""

    def __init__(
        self, token: str = "", *, headers: dict[str, str] | None = None, query: str = "", application: Any = None
    ) -> None:
        if application is None:
            from decisiongraph.asgi import application
        named = {"authorization": f"Bearer {token}"} if token else {}
        named |= headers or {}
        self.socket = _Socket(
            application,
            "/ws/" + (f"?{query}" if query else ""),
            headers=[(name.encode(), value.encode()) for name, value in named.items()],
        )
        self.seen: list[int] = []
        """``log_seq`` of every event frame, in order of arrival."""
        self.other: list[dict[str, Any]] = []
        """Every frame that is not an event."""

    async def __aenter__(self) -> Client:
        accepted, _ = await self.socket.connect(timeout=WAIT)
        assert accepted
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.socket.disconnect(timeout=WAIT)

    async def say(self, **frame: Any) -> None:
        """Send one frame."""
        await self.socket.send_to(text_data=json.dumps(frame))

    async def hear(self, timeout: float = WAIT) -> dict[str, Any]:
        """The next frame; of a close its code as ``{"close": code}``."""
        output = await self.socket.receive_output(timeout)
        if output["type"] == "websocket.close":
            return {"close": output.get("code")}
        frame: dict[str, Any] = json.loads(output["text"])
        if frame["type"] == "event":
            self.seen.append(frame["log_seq"])
            assert frame["data"]["log_seq"] == frame["log_seq"]
        else:
            self.other.append(frame)
        return frame

    async def hear_kind(self, *kinds: str, timeout: float = WAIT) -> dict[str, Any]:
        """The next frame of one of these types; others are passed over."""
        end = time.monotonic() + timeout
        while True:
            frame = await self.hear(max(0.01, end - time.monotonic()))
            if frame.get("type") in kinds or ("close" in kinds and "close" in frame):
                return frame

    async def follow(self, topic: str, after: int | None = None) -> dict[str, Any]:
        """Subscribe; the answer."""
        await self.say(type="subscribe", topic=topic, id=topic, **({} if after is None else {"after": after}))
        frame = await self.hear_kind("subscribed", "error")
        assert frame["id"] == topic
        return frame

    async def until(self, log_seq: int, timeout: float = WAIT) -> None:
        """Hear until that event has come."""
        async with asyncio.timeout(timeout):
            while not self.seen or self.seen[-1] < log_seq:
                frame = await self.hear(timeout)
                assert "close" not in frame

    async def drain(self, quiet: float) -> None:
        """Hear until nothing comes for ``quiet`` seconds."""
        while not await self.socket.receive_nothing(timeout=quiet, interval=0.02):
            await self.hear()
