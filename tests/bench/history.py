"""Real history: import, rebuild, reads on a large tenant, work per event as the log grows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import median

from tests.bench.figures import Figure, percentile
from tests.bench.ingest import bodies, http_batch, trace_events
from tests.bench.stack import DATA, ROOT, Client, Stack

EVENTS = 262_200


def timed(client: Client, path: str, times: int = 60) -> list[float]:
    """Milliseconds of repeated reads."""
    seen = []
    for _ in range(times + 5):
        started = time.perf_counter()
        client.get(path)
        seen.append((time.perf_counter() - started) * 1000)
    return seen[5:]


def await_replay(client: Client, replay: dict[str, object]) -> dict[str, object]:
    """The replay once it has ended."""
    while True:
        found: dict[str, object] = client.get(f"/replays/{replay['id']}")
        if found["status"] in ("completed", "failed", "cancelled"):
            return found
        time.sleep(0.1)


def work_per_event(client: Client) -> float:
    """Seconds of append and catch-up per event for a burst of 5,000 on top of what is there."""
    client.await_lag_zero()
    started = time.perf_counter()
    http_batch(client, bodies(10))
    client.await_lag_zero()
    return (time.perf_counter() - started) / 5000


def measure(stack: Stack) -> Iterator[Figure]:
    """All figures of a large tenant. Without the shared data only the note says so."""
    path = DATA / "bpi" / "bpic2012.xes.gz"
    if not path.exists():
        yield Figure("BPI 2012 (data folder absent, not measured)", 0, "")
        return
    client = stack.tenant("bpi")
    http_batch(client, bodies(20))
    client.await_lag_zero()

    large = stack.tenant("bpi2012")
    started = time.perf_counter()
    stack.manage(
        "import_traces",
        "--tenant",
        "bpi2012",
        "--format",
        "xes",
        "--mapping",
        str(ROOT / "docs" / "imports" / "bpic2012.toml"),
        str(path),
    )
    imported = time.perf_counter() - started
    large.await_lag_zero()
    whole = time.perf_counter() - started
    yield Figure("BPI 2012 import (262,200 source events)", imported, "s")
    yield Figure("BPI 2012 import + full projection", whole, "s", 90)

    head = large.get("/projections/health")["head"]
    started = time.perf_counter()
    replay = await_replay(
        large,
        large.post("/projections/replay", {"projection": "all", "mode": "rebuild", "reason": "benchmark"}, expect=202),
    )
    wall = time.perf_counter() - started
    yield Figure(
        "rebuild of all, wall time",
        head / wall,
        "events/s",
        20_000,
        True,
        f"verdict {replay['verdict']}, {head:,} events, {wall:.1f} s",
    )

    yield Figure("GET /projections/health p95", percentile(timed(large, "/projections/health"), 0.95), "ms", 50)
    yield Figure("GET /traces first page p95, 13,087 traces", percentile(timed(large, "/traces"), 0.95), "ms", 60)
    large.post("/events", {"events": list(trace_events("hundred", 100))})
    large.await_lag_zero()
    yield Figure("a 100-event trace p95", percentile(timed(large, "/traces/hundred/events"), 0.95), "ms", 30)
    small = client.again()
    # In turns, and the middle of several: a vacuum behind a burst doubles it.
    pairs = [(work_per_event(small), work_per_event(large)) for _ in range(7)]
    yield Figure("append + catch-up per event, log of 10k to 50k", median(p[0] for p in pairs) * 1e6, "us")
    yield Figure("append + catch-up per event, log of 290k", median(p[1] for p in pairs) * 1e6, "us")
    yield Figure("work per event, 290k / 10k", median(p[1] / p[0] for p in pairs), "", 1.5, note="does not grow")
