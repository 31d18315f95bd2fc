"""How fast events come in, over HTTP, while the projections follow."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from tests.bench.figures import Figure, percentile
from tests.bench.stack import Client, Stack

BATCH = 500


def trace_events(trace_id: str, count: int) -> Iterator[dict[str, Any]]:
    """A trace of about 1 KB events as a careful agent writes them."""
    entity = {"entity_type": "account", "entity_id": f"acct-{hash(trace_id) % 997}", "system": "crm"}
    for i in range(count):
        if i == 0:
            kind: str = "TraceStarted"
            payload: dict[str, Any] = {
                "workflow": "renewal",
                "title": f"Renewal {trace_id}",
                "primary_entity": entity,
                "context": {"amount": i},
            }
        elif i == count - 1:
            kind, payload = "TraceFinished", {"outcome": "success", "summary": "Renewed."}
        elif i % 5 == 3:
            kind = "PolicyEvaluated"
            payload = {
                "policy": {"policy_id": "cap", "policy_version": "3"},
                "inputs": [f"in-{i - 1}"],
                "decision": "allow",
                "explanation": {"summary": "Within the cap. " * 20},
            }
        else:
            kind = "InputObserved"
            facts = [
                {"key": f"fact_{k}", "value": {"type": "string", "value": f"value {k} of input {i}, some words"}}
                for k in range(6)
            ]
            payload = {
                "input_id": f"in-{i}",
                "source": {"system": "crm", "object_type": "note", "object_id": f"n-{i}"},
                "facts": facts,
            }
        yield {
            "trace_id": trace_id,
            "event_type": kind,
            "occurred_at": "2026-03-14T09:41:07.112Z",
            "source": {"producer_id": "bench", "system": "bench"},
            "actor": {"actor_type": "agent", "actor_id": "agent-1"},
            "idempotency_key": f"{trace_id}:{i}",
            "tags": ["bench"],
            "payload": payload,
        }


def bodies(batches: int, events_per_trace: int = 25) -> list[bytes]:
    """Batch bodies of 500 events over 20 traces each."""
    made = []
    for _ in range(batches):
        events: list[dict[str, Any]] = []
        while len(events) < BATCH:
            events += trace_events(f"tr-{uuid.uuid4().hex[:16]}", events_per_trace)
        made.append(json.dumps({"events": events}).encode())
    return made


def http_batch(client: Client, payloads: list[bytes]) -> float:
    """Events/s of one client sending batches one after the other."""
    started = time.perf_counter()
    for body in payloads:
        status, answer = client.send("POST", "/events", body)
        if status != 200:
            raise RuntimeError(answer[:500])
    return len(payloads) * BATCH / (time.perf_counter() - started)


def single_posts(client: Client, clients: int, each: int) -> list[float]:
    """Milliseconds of single appends by several clients at once, each its own trace."""
    seen: list[float] = []

    def work(own: Client) -> None:
        trace_id = f"one-{uuid.uuid4().hex}"
        mine = []
        for event in trace_events(trace_id, each):
            body = json.dumps(event).encode()
            started = time.perf_counter()
            status, answer = own.send("POST", f"/traces/{trace_id}/events", body)
            mine.append((time.perf_counter() - started) * 1000)
            if status != 201:
                raise RuntimeError(answer[:500])
        seen.extend(mine)

    together([partial(work, client.again()) for _ in range(clients)])
    return seen


def together(calls: list[Callable[[], None]]) -> None:
    """Run at the same time, raise what any raised."""
    failures: list[BaseException] = []

    def guarded(call: Callable[[], None]) -> None:
        try:
            call()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def measure(stack: Stack) -> Iterator[Figure]:
    """All figures of ingestion."""
    client = stack.tenant("ingest")
    http_batch(client, bodies(4))
    client.await_lag_zero()
    limits, rates = [], []
    stack.manage("create_tenant", "rawinsert")
    for _ in range(3):
        stack.await_calm()
        limits.append(float(stack.python("-m", "tests.bench.raw_insert", "20").split()[-1]))
        stack.await_calm()  # what was inserted is projected as well, but is not what the next figure is about
        rates.append(http_batch(client, bodies(30)))
    limit, rate = sorted(limits)[1], sorted(rates)[1]
    ratio = sorted(r / li for r, li in zip(rates, limits, strict=True))[1]
    yield Figure("raw unnest INSERT, batches of 500, one connection", limit, "events/s")
    yield Figure("HTTP batch ingest, one client, projections following", rate, "events/s", 5000, True)
    yield Figure("HTTP batch ingest / raw INSERT (paired, median of 3)", ratio, "", 0.25, True)
    stack.await_calm()
    single_posts(client, 8, 10)
    times = single_posts(client, 8, 100)
    yield Figure("single POST p50, 8 clients", percentile(times, 0.5), "ms")
    yield Figure("single POST p95, 8 clients", percentile(times, 0.95), "ms", 25)
    client.await_lag_zero()
    http_batch(client, bodies(20))
    yield Figure("lag back to 0 after a burst of 10,000 events", client.await_lag_zero(), "s", 2)
