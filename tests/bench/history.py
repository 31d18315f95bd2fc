"""Real history: import, rebuild, reads on a large tenant, work per event as the log grows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from statistics import median
from urllib.parse import quote, urlencode

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


SEARCHES = (
    "outcome:failure",
    "workflow:loan-application outcome:success",
    "actor:person/11169",
    "actor:person/112",
    "policy:loan-preacceptance outcome:abandoned",
    "status:open",
    "after:2012-01-01 before:2012-02-01 outcome:abandoned",
    "loan",
    "application",
    '"loan application" outcome:success',
    "20000",
    "amount 5000",
    "173688",
    "7368",
    "lona applicaton",
    "nothingofthiskind",
)
"""What people ask of BPI 2012: common and rare values, common and rare words, parts of ids, slips, nothing."""


def searches(client: Client) -> dict[str, list[float]]:
    """Milliseconds per search, in turns."""
    seen: dict[str, list[float]] = {text: [] for text in SEARCHES}
    for turn in range(14):
        for text in SEARCHES:
            started = time.perf_counter()
            client.get("/traces?" + urlencode({"q": text, "limit": 50}))
            if turn >= 2:
                seen[text].append((time.perf_counter() - started) * 1000)
    return seen


def await_replay(client: Client, replay: dict[str, object]) -> dict[str, object]:
    """The replay once it has ended."""
    while True:
        found: dict[str, object] = client.get(f"/replays/{replay['id']}")
        if found["status"] in ("completed", "failed", "cancelled"):
            return found
        time.sleep(0.4)  # asked ten times a second, the web processes took a twentieth of the machine


def work_per_event(client: Client) -> float:
    """Seconds of append and catch-up per event for a burst of 5,000 on top of what is there."""
    client.await_lag_zero()
    started = time.perf_counter()
    http_batch(client, bodies(10))
    client.await_lag_zero()
    return (time.perf_counter() - started) / 5000


def walks(client: Client) -> dict[str, list[float]]:
    """Milliseconds of subgraphs of depth 2 around traces, what surrounds them, and the hubs all of them share."""
    centres: dict[str, list[str]] = {}
    for item in client.get("/traces?limit=500&sort=-started")["items"][::10]:
        centres.setdefault("trace", []).append(f"trace:{item['trace_id']}")
    for key in centres["trace"][:10]:
        for node in client.get(f"/graph/subgraph?node={quote(key)}")["nodes"][1:]:
            names = centres.setdefault("hub" if node["node_type"] in ("actor", "policy") else node["node_type"], [])
            if node["key"] not in names:
                names.append(node["key"])
    return {
        name: [each for key in keys[:50] for each in timed(client, f"/graph/subgraph?node={quote(key)}&depth=2", 3)]
        for name, keys in centres.items()
    }


def rebuild_all(stack: Stack, client: Client) -> float:
    """Seconds from asking for a rebuild of everything to its verdict, which must be match."""
    stack.await_calm()  # what is learned of 13,087 decisions takes longer than projecting them
    asked = time.time()
    wanted = {"projection": "all", "mode": "rebuild", "reason": "benchmark"}
    replay = await_replay(client, client.post("/projections/replay", wanted, expect=202))
    assert replay["verdict"] == "match", replay
    return datetime.fromisoformat(str(replay["finished_at"])).timestamp() - asked


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
    # Three, and the middle one: the first runs in cold workers beside the vacuum of what was imported.
    rates = [head / rebuild_all(stack, large) for _ in range(3)]
    each = ", ".join(f"{rate:,.0f}" for rate in rates)
    note = f"middle of {each}; each with verdict match over {head:,} events"
    yield Figure("rebuild of all, wall time", median(rates), "events/s", 20_000, True, note)

    stack.await_calm()
    yield Figure("GET /projections/health p95", percentile(timed(large, "/projections/health"), 0.95), "ms", 50)
    yield Figure("GET /traces first page p95, 13,087 traces", percentile(timed(large, "/traces"), 0.95), "ms", 60)
    found = searches(large)
    slowest = max(found, key=lambda text: percentile(found[text], 0.95))
    note = f"slowest: {slowest} ({percentile(found[slowest], 0.95):.0f} ms)"
    every = [each for times in found.values() for each in times]
    yield Figure("GET /traces?q= p95, 16 searches, 13,087 traces", percentile(every, 0.95), "ms", 100, False, note)
    walked = walks(large)
    note = ", ".join(f"{name} {percentile(times, 0.95):.0f}" for name, times in walked.items())
    every = [each for times in walked.values() for each in times]
    figure = "GET /graph/subgraph depth 2 p95, BPI 2012"
    yield Figure(figure, percentile(every, 0.95), "ms", 50, False, f"p95 by kind of centre: {note}")
    large.post("/events", {"events": list(trace_events("hundred", 100))})
    large.await_lag_zero()
    yield Figure("a 100-event trace p95", percentile(timed(large, "/traces/hundred/events"), 0.95), "ms", 30)
    small = client.again()
    # In turns, and the middle of several: a vacuum behind a burst doubles it.
    pairs = [(work_per_event(small), work_per_event(large)) for _ in range(7)]
    yield Figure("append + catch-up per event, log of 10k to 50k", median(p[0] for p in pairs) * 1e6, "us")
    yield Figure("append + catch-up per event, log of 290k", median(p[1] for p in pairs) * 1e6, "us")
    yield Figure("work per event, 290k / 10k", median(p[1] / p[0] for p in pairs), "", 1.5, note="does not grow")
