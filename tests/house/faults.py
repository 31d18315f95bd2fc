"""What a process does while its database or its broker is away (run as a script, with servers of its own).

Prints one JSON object; `test_faults.py` says what must be in it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import django

from decisiongraph.stack import broker, services
from decisiongraph.stack.endpoints import ROOT

CALLS = 40
WORKED = 5


def main() -> dict[str, Any]:
    """All scenes, one after the other."""
    running = services.up(os.environ, death=services.TIED)
    migrate = [sys.executable, "manage.py", "migrate", "--no-input", "--verbosity", "0"]
    subprocess.run(migrate, cwd=ROOT, env=os.environ, check=True)
    django.setup()
    seen: dict[str, Any] = {}
    client, page, tenant = visitors()
    write(client, WORKED)
    seen["normal"] = write(client, CALLS)
    seen["reads"] = read(client)
    broker_away(seen, client, running.endpoints.socket_dir, tenant)
    database_away(seen, client, page, tenant, running.postgres)
    return seen


def visitors() -> tuple[Any, Any, Any]:
    """A program, a signed-in person's browser, and their tenant."""

    from tests.factories import make_cast

    cast = make_cast()
    program = cast.program("ingest", "read")
    page = cast.browser(cast.bob)
    program.raise_request_exception = page.raise_request_exception = False
    return program, page, cast.acme


def write(client: Any, calls: int) -> dict[str, Any]:
    """Appends one after the other: median milliseconds, and every status."""
    from tests.traces.events import new_id, start, step

    trace = new_id()
    times, statuses = [], []
    for n in range(calls):
        event = step(trace) if n else start(trace)
        begun = time.perf_counter()
        answer = client.post(f"/api/v1/traces/{trace}/events", event, content_type="application/json")
        times.append((time.perf_counter() - begun) * 1000)
        statuses.append(answer.status_code)
    return {"ms": statistics.median(times), "worst": max(times), "statuses": sorted(set(statuses))}


def read(client: Any) -> list[int]:
    """Statuses of some reads."""
    paths = ("/api/v1/events", "/api/v1/traces", "/api/v1/me", "/api/v1/projections/health", "/readyz", "/healthz")
    return [client.get(path).status_code for path in paths]


def broker_away(seen: dict[str, Any], client: Any, sockets: Any, tenant: Any) -> None:
    """Stop the broker, write and read, start it, hear the doorbells that were kept."""
    from decisiongraph.core import bus

    broker.stop(sockets)
    write(client, WORKED)
    seen["without broker"] = write(client, CALLS)
    seen["reads without broker"] = read(client)
    seen["broker reported"] = client.get("/readyz").json()["broker"]
    kept = bus.sender()._topics
    seen["marks kept"] = bus.public_topic(tenant.slug, "traces") in kept
    services.start_broker(services.state_dir(os.environ), services.TIED)
    heard: list[str] = []
    listener = threading.Thread(target=lambda: heard.extend(asyncio.run(listen(tenant.slug))))
    listener.start()
    listener.join(20)
    seen["heard after healing"] = heard
    seen["after broker"] = write(client, CALLS)


async def listen(slug: str) -> list[str]:
    """The first doorbell of the tenant's log."""
    from channels.layers import get_channel_layer

    from decisiongraph.core import bus

    layer = get_channel_layer()
    while True:
        try:
            channel = await layer.new_channel()
            await layer.group_add(bus.group_name(bus.public_topic(slug, "traces")), channel)
            message = await asyncio.wait_for(layer.receive(channel), 10)
            return list(message["messages"])
        except OSError:
            await asyncio.sleep(0.05)


def database_away(seen: dict[str, Any], client: Any, page: Any, tenant: Any, server: Any) -> None:
    """Kill the database, ask, start it again, ask again."""
    from tests.traces.events import start

    number, child = server
    os.kill(number, signal.SIGKILL)
    child.wait()
    looks = {"Accept": "text/html"}
    asked = {
        "append": lambda: client.post("/api/v1/events", {"events": [start("x")]}, content_type="application/json"),
        "read": lambda: client.get("/api/v1/events"),
        "projection": lambda: client.get("/api/v1/traces"),
        "session": lambda: page.get("/api/v1/me", headers={"X-Tenant": tenant.slug}),
        "console": lambda: page.get(f"/t/{tenant.slug}/", headers=looks),
        "sign in": lambda: page.get("/signin", headers=looks),
        "landing": lambda: page.get("/", headers=looks),
        "admin": lambda: page.get("/admin/", headers=looks),
        "ready": lambda: client.get("/readyz"),
        "alive": lambda: client.get("/healthz"),
    }
    with ThreadPoolExecutor(len(asked)) as at_once:
        seen["without database"] = dict(zip(asked, at_once.map(told, asked.values()), strict=True))
    seen["write without database"] = write(client, 1)["statuses"]
    services.start_postgres(services.state_dir(os.environ), services.TIED)
    begun = time.monotonic()
    while write(client, 1)["statuses"] != [201] and time.monotonic() - begun < 30:
        time.sleep(0.1)
    seen["seconds to heal"] = time.monotonic() - begun
    seen["after database"] = write(client, CALLS)
    seen["console after database"] = page.get(f"/t/{tenant.slug}/", headers=looks).status_code
    seen["reads after database"] = read(client)


def told(call: Any) -> dict[str, Any]:
    """What an answer says and how long it took."""
    begun = time.perf_counter()
    answer = call()
    return {
        "status": answer.status_code,
        "type": answer.headers.get("Content-Type", "").split(";")[0],
        "retry": answer.headers.get("Retry-After"),
        "code": answer.json().get("code") if "json" in answer.headers.get("Content-Type", "") else None,
        "seconds": round(time.perf_counter() - begun, 2),
        "text": answer.content.decode("utf-8", "replace")[-1500:],
    }


if __name__ == "__main__":
    try:
        print(json.dumps(main()))
    finally:
        services.down(os.environ)
