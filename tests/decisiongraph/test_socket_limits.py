"""How many sockets one person or token, and one process, may hold."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings

from decisiongraph.consumers import console, frames
from decisiongraph.stack.parts import SOCKETS
from tenants.access import Visitor


async def test_one_holder_fills_up_and_others_come_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "SOCKETS_PER_PRINCIPAL", 2)
    monkeypatch.setattr(settings, "SOCKETS_PER_PROCESS", 3)
    house = console.House()
    assert [house.enter("token:a") for _ in range(3)] == [None, None, "principal"]
    assert [house.enter("token:b") for _ in range(2)] == [None, "process"]
    house.leave("token:a")
    assert house.enter("token:b") is None
    for holder in ("token:a", "token:b", "token:b"):
        house.leave(holder)
    assert not +house.open


async def test_the_socket_too_many_is_told_and_counts_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "SOCKETS_PER_PRINCIPAL", 0)
    said: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    visitor = Visitor(principal=SimpleNamespace(ident="token:a"))  # type: ignore[arg-type]
    monkeypatch.setattr(console, "authenticate_socket", lambda scope: visitor)
    await console.Console()({"type": "websocket"}, receive, send)
    assert said == [
        {"type": "websocket.accept"},
        {"type": "websocket.close", "code": frames.CLOSE_TOO_MANY},
    ]
    assert not +console.house().open


def test_the_server_cuts_what_is_far_too_large() -> None:
    at = SOCKETS.index("--websocket-max-message-size")
    assert int(SOCKETS[at + 1]) == 4 * frames.MAX_FRAME_BYTES
    assert int(SOCKETS[SOCKETS.index("--websocket-max-frame-size") + 1]) == 4 * frames.MAX_FRAME_BYTES
