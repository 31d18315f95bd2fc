"""How long after commit an event is on a socket."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

from websockets.asyncio.client import connect

from tests.bench.figures import Figure, percentile
from tests.bench.ingest import trace_events
from tests.bench.stack import Client, Stack

EVENTS = 200
SOCKETS = 20


async def listen(address: str, token: str, topic: str, ready: asyncio.Event, seen: dict[int, float]) -> None:
    """Note the arrival of each event."""
    async with connect(address, additional_headers={"Authorization": f"Bearer {token}"}) as socket:
        await socket.send(json.dumps({"type": "subscribe", "topic": topic}))
        while json.loads(await socket.recv())["type"] != "subscribed":
            pass
        ready.set()
        while len(seen) < EVENTS:
            frame: dict[str, Any] = json.loads(await socket.recv())
            if frame["type"] == "event":
                seen[frame["log_seq"]] = time.perf_counter()


async def deliver(client: Client, address: str) -> list[float]:
    """Milliseconds from the append's answer to the arrival, for every event and socket."""
    arrivals: list[dict[int, float]] = [{} for _ in range(SOCKETS)]
    ready = [asyncio.Event() for _ in range(SOCKETS)]
    topic = f"tenant:{client.slug}:traces"
    tasks = [asyncio.create_task(listen(address, client.token, topic, ready[i], arrivals[i])) for i in range(SOCKETS)]
    await asyncio.gather(*(event.wait() for event in ready))
    committed: dict[int, float] = {}
    for number in range(EVENTS // 10):
        for event in trace_events(f"live-{number}", 10):
            body = json.dumps(event).encode()
            status, answer = await asyncio.to_thread(client.send, "POST", f"/traces/live-{number}/events", body)
            if status != 201:
                raise RuntimeError(answer[:300])
            committed[json.loads(answer)["log_seq"]] = time.perf_counter()
            await asyncio.sleep(0.01)
    async with asyncio.timeout(60):
        await asyncio.gather(*tasks)
    return [max(0.0, (seen[seq] - committed[seq]) * 1000) for seen in arrivals for seq in committed]


def measure(stack: Stack) -> Iterator[Figure]:
    """All figures of the sockets."""
    client = stack.tenant("live")
    times = asyncio.run(deliver(client, f"ws://127.0.0.1:{stack.port + 1}/ws/"))
    yield Figure(f"socket delivery p50, {SOCKETS} sockets", percentile(times, 0.5), "ms")
    yield Figure(
        f"socket delivery p95 after the append's answer, {SOCKETS} sockets", percentile(times, 0.95), "ms", 250
    )
