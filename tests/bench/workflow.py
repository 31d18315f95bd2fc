"""Human workflow: 10,000 open items, decisions, tickets, and how fast each is noticed."""

from __future__ import annotations

import asyncio
import json
import re
import time
import uuid
from collections.abc import Iterator
from datetime import datetime
from http.cookiejar import CookieJar
from typing import Any
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener

from websockets.asyncio.client import connect

from tests.bench.figures import Figure, percentile
from tests.bench.history import timed
from tests.bench.stack import Client, Stack

ITEMS = 10_000
DECISIONS = 200
MINE = 60
COMMITS = 20
ACTION = {
    "action_type": "refund.issue",
    "target_system": "payments",
    "target_entity": {"entity_type": "booking", "entity_id": "K7"},
    "changes": [{"path": "amount", "old_value": "0.00", "new_value": "612.40"}],
}


def event(trace_id: str, event_type: str, payload: dict[str, Any]) -> dict[str, Any]:
    """One event of an agent."""
    return {
        "trace_id": trace_id,
        "event_type": event_type,
        "source": {"producer_id": "bench", "system": "bench"},
        "actor": {"actor_type": "agent", "actor_id": "bench"},
        "idempotency_key": uuid.uuid4().hex,
        "payload": payload,
    }


def asking(number: int) -> list[dict[str, Any]]:
    """A trace that asks for one approval."""
    trace_id = f"ask-{number}"
    entity = {"entity_type": "booking", "entity_id": f"K{number}"}
    begun = {"workflow": "refund", "title": f"Refund {number}", "primary_entity": entity}
    proposed = {"action_id": "a-1", "requires_approval": True, **ACTION}
    return [event(trace_id, "TraceStarted", begun), event(trace_id, "ActionProposed", proposed)]


def opened(client: Client) -> int:
    """Items that are open."""
    found: int = client.get("/approvals/summary")["open"]
    return found


def decide(client: Client, item: dict[str, Any]) -> float:
    """Milliseconds of one decision."""
    body = {"decision": "approved", "reason": "Bench.", "version": item["version"]}
    started = time.perf_counter()
    client.post(f"/approvals/{item['id']}/decide", body)
    return (time.perf_counter() - started) * 1000


async def heard(client: Client, address: str, items: list[dict[str, Any]]) -> list[float]:
    """Milliseconds from the sending of a decision (before its commit) to its state on another reviewer's socket."""
    found = []
    async with connect(address, additional_headers={"Authorization": f"Bearer {client.token}"}) as socket:
        for item in items:
            topic = f"tenant:{client.slug}:approval:{item['id']}"
            await socket.send(json.dumps({"type": "subscribe", "topic": topic}))
            while json.loads(await socket.recv())["type"] != "snapshot":
                pass
            sent = time.perf_counter()
            await asyncio.to_thread(decide, client, item)
            async with asyncio.timeout(30):
                while True:
                    frame = json.loads(await socket.recv())
                    if frame["type"] == "state" and frame["data"]["status"] == "approved":
                        break
            found.append((time.perf_counter() - sent) * 1000)
            await socket.send(json.dumps({"type": "unsubscribe", "topic": topic}))
    return found


def noticed(agent: Client, client: Client, item: dict[str, Any]) -> float:
    """Seconds from a wrong commit's answer to its incident."""
    wrong = {**ACTION, "changes": []}
    payload = {"action_id": "a-1", "status": "success", "approval_id": item["id"], "executed": wrong}
    agent.post("/events", {"events": [event(item["trace_id"], "ActionCommitted", payload)]})
    started = time.perf_counter()
    while time.perf_counter() - started < 30:
        if client.get(f"/incidents?trace_id={item['trace_id']}")["items"]:
            return time.perf_counter() - started
        time.sleep(0.01)
    raise RuntimeError("no incident was opened")


def lateness(stack: Stack) -> list[float]:
    """Seconds from due to fired of 500 timers that come due within a few seconds of each other."""
    agent = stack.tenant("timers", "ingest,read,admin")
    definition = {
        "deadline": {"seconds": 10},
        "reminder": {"of": "deadline", "seconds": -2},
        "incident_on_breach": False,
    }
    agent.post("/sla-policies", {"name": "quick", "definition": definition}, expect=201)
    agent.post("/events", {"events": [entry for number in range(250) for entry in asking(number)]})
    found: list[float] = []
    deadline = time.perf_counter() + 90
    time.sleep(12)  # nobody asks while they ring
    while time.perf_counter() < deadline:
        time.sleep(1)
        if agent.get("/approvals/summary")["timers"]["due_unfired"]:
            continue
        items = agent.get("/approvals?limit=500&status=all")["items"]
        rows = [timer for item in items for timer in agent.get(f"/approvals/{item['id']}")["timers"]]
        if len(items) == 250 and all(row["state"] == "fired" for row in rows):
            for row in rows:
                due, fired = (datetime.fromisoformat(row[name]) for name in ("due_at", "fired_at"))
                found.append((fired - due).total_seconds())
            return found
    raise RuntimeError("not every timer was fired")


class Person:
    """Somebody signed in with a browser's cookies."""

    def __init__(self, stack: Stack, slug: str) -> None:
        email, password = f"reviewer@{slug}.example", uuid.uuid4().hex
        stack.manage("create_user", "--tenant", slug, "--role", "reviewer", "--password", password, email)
        self.address = f"http://127.0.0.1:{stack.port}"
        jar = CookieJar()
        self.opener = build_opener(HTTPCookieProcessor(jar))
        self.opener.addheaders = [("Referer", self.address), ("Origin", f"http://localhost:{stack.port}")]
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.page("/signin"))
        if token is None:
            raise RuntimeError("the page to sign in has no form")
        form = {"username": email, "password": password, "csrfmiddlewaretoken": token[1]}
        self.opener.open(f"{self.address}/signin", urlencode(form).encode())

    def page(self, path: str) -> str:
        """A page's HTML."""
        answer: str = self.opener.open(self.address + path).read().decode()
        return answer

    def timed(self, path: str, holds: str, times: int = 40) -> list[float]:
        """Milliseconds of repeated loads of a page that holds a word."""
        seen = []
        for _ in range(times + 5):
            started = time.perf_counter()
            found = self.page(path)
            seen.append((time.perf_counter() - started) * 1000)
            if holds not in found:
                raise RuntimeError(f"{path} does not show {holds!r}")
        return seen[5:]


SWEEP = """
import django; django.setup()
import time
from datetime import timedelta
from statistics import median
from django.db import connection
from approvals.models import Timer
from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from tenants.models import Tenant
with tenant_tx(Tenant.objects.get(slug="flow")), connection.cursor() as cursor:
    mine = list(Timer.objects.filter(state="waiting").order_by("id").values_list("pk", flat=True)[:100])
    Timer.objects.filter(pk__in=mine).update(due_at=clock.now() - timedelta(seconds=1))
    times = []
    for _ in range(60):
        started = time.perf_counter()
        cursor.execute("SELECT tenant_id, timer_id FROM dg_due_timers(%s, %s)", [clock.now(), 500])
        assert len(cursor.fetchall()) == 100
        times.append(time.perf_counter() - started)
    connection.set_rollback(True)
print(median(times[10:]) * 1000)
"""
"""What beat asks, with 100 timers due: made so inside a transaction that is undone, so that beat does not fire them."""


def fill(agent: Client, client: Client, first: int, last: int) -> float:
    """Ask for the items ``first`` to ``last`` and wait until they are open; seconds."""
    started = time.perf_counter()
    for begin in range(first, last, 250):
        agent.post(
            "/events",
            {"events": [entry for number in range(begin, min(begin + 250, last)) for entry in asking(number)]},
        )
    while opened(client) < last:
        time.sleep(0.1)
    return time.perf_counter() - started


def sweep_ms(stack: Stack) -> float:
    """Milliseconds of a sweep: the middle of three processes, for a tenth of one is soon noise."""
    return sorted(float(stack.python("-c", SWEEP)) for _ in range(3))[1]


def measure(stack: Stack) -> Iterator[Figure]:
    """All figures of the workflow."""
    agent = stack.tenant("flow", "ingest,read")
    token = stack.manage("create_token", "--tenant", "flow", "--name", "reviewer", "--scopes", "read,review").strip()
    client = Client(stack.port, token, "flow")
    person = Person(stack, "flow")
    fill(agent, client, 0, 100)
    few = sweep_ms(stack)
    seconds = fill(agent, client, 100, ITEMS)
    yield Figure("items opened by the follower, appends included", (ITEMS - 100) / seconds, "items/s")
    stack.await_calm()  # 40,000 events are projected and 10,000 requests are told
    many = sweep_ms(stack)
    yield Figure("timer sweep: 100 due of 100 open items", few, "ms")
    yield Figure(f"timer sweep: 100 due of {ITEMS:,} open items", many, "ms")
    yield Figure("timer sweep, ratio", many / few, "", 2)
    mine = client.get("/approvals?limit=500")["items"][-MINE:]
    for item in mine:
        client.post(f"/approvals/{item['id']}/claim", {"version": item["version"]})
    if len(client.get("/approvals?assignee=me&limit=500")["items"]) != MINE:
        raise RuntimeError("what was claimed is not on the desk of who claimed it")
    yield Figure(f"inbox p95, {ITEMS:,} open items", percentile(timed(client, "/approvals"), 0.95), "ms", 80)
    yield Figure(
        f"inbox of mine p95, {MINE} of them", percentile(timed(client, "/approvals?assignee=me"), 0.95), "ms", 80
    )
    first = client.get("/approvals?limit=1")["items"][0]
    page = person.timed("/t/flow/approvals?view=all", first["title"])
    yield Figure("inbox page p95", percentile(page, 0.95), "ms", 80)
    yield Figure("inbox in figures p95", percentile(timed(client, "/approvals/summary"), 0.95), "ms")
    items = client.get(f"/approvals?limit={DECISIONS + 2 * COMMITS}")["items"]
    yield Figure("GET /approvals/{id} p95", percentile(timed(client, f"/approvals/{items[0]['id']}"), 0.95), "ms")
    page = person.timed(f"/t/flow/approvals/{items[0]['id']}", items[0]["title"])
    yield Figure("item page p95", percentile(page, 0.95), "ms")
    times = [decide(client, item) for item in items[:DECISIONS]]
    yield Figure("decide p50", percentile(times, 0.5), "ms")
    yield Figure("decide p95", percentile(times, 0.95), "ms", 50)
    address = f"ws://127.0.0.1:{stack.port + 1}/ws/"
    live = asyncio.run(heard(client, address, items[DECISIONS : DECISIONS + COMMITS]))
    yield Figure("a decision on another socket p95, from its request", percentile(live, 0.95), "ms", 250)
    found = [noticed(agent, client, item) for item in items[:COMMITS]]
    yield Figure("a wrong commit becomes an incident, worst", max(found), "s", 1)
    late = lateness(stack)
    yield Figure(f"timers: the latest of {len(late)}, from due to fired", max(late), "s", 5)
