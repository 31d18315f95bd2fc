"""Appends over HTTP while clients, database and lines die: A2, A3 and A4."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from decisiongraph.stack.endpoints import ROOT
from tests.trust import torturer
from tests.trust.ground import Ground, eventually, observed, started, whole_log
from tests.trust.proxy import CuttingProxy
from tests.trust.sizes import SEED

pytestmark = pytest.mark.slow

A2_APPENDS, A2_CLIENTS = 5_000, 8
A3_KEYS, A3_PROCESSES, A3_KILLS, A3_CRASHES = 2_000, 3, 40, 3
A4_INTENTS, A4_CUTS = 1_500, 100

Figures = Callable[..., None]


@pytest.mark.trust("A2", heavy=True)
def test_answers_keep_real_time_order(ground: Ground, program: tuple[str, httpx.Client], figures: Figures) -> None:
    token, reader = program
    done = threading.Event()
    seen: list[str] = []

    def tail() -> None:
        """Every reading goes on exactly where the last one ended: a prefix, never a hole."""
        while True:
            last = done.is_set()
            items = reader.get("/events", params={"after": len(seen), "limit": 500}).raise_for_status().json()["items"]
            assert [item["log_seq"] for item in items] == list(range(len(seen) + 1, len(seen) + len(items) + 1))
            seen.extend(item["event_id"] for item in items)
            if last and not items:
                return

    def write(number: int) -> list[tuple[float, float, int, str]]:
        calls = []
        trace = f"a2-{number}"
        with ground.client(token) as client:
            for n in range(A2_APPENDS // A2_CLIENTS):
                event = observed(trace, f"{trace}-{n}") if n else started(trace, f"{trace}-{n}")
                begun = time.monotonic()
                receipt = client.post(f"/traces/{trace}/events", json=event).raise_for_status().json()
                calls.append((begun, time.monotonic(), int(receipt["log_seq"]), str(receipt["event_id"])))
                if n % 20 == 0:
                    got = client.get("/events", params={"after": receipt["log_seq"] - 1, "limit": 1}).json()["items"]
                    assert got[0]["event_id"] == receipt["event_id"], "one's own write is not in the log"
                if n % 100 == 0:
                    assert projected(client, trace, receipt["log_seq"]) >= receipt["log_seq"], "not in the projection"
        return calls

    with ThreadPoolExecutor(A2_CLIENTS + 1) as at_once:
        tailing = at_once.submit(tail)
        calls = [call for found in at_once.map(write, range(A2_CLIENTS)) for call in found]
        done.set()
        tailing.result()
    assert [calls_id for *_, calls_id in sorted(calls, key=lambda call: call[2])] == seen
    assert out_of_order(calls) == 0
    figures(appends=len(calls), clients=A2_CLIENTS, violations=0)
    swapped = [(*calls[0][:2], calls[-1][2], ""), (*calls[-1][:2], calls[0][2], "")]
    assert out_of_order([*swapped, *calls[1:-1]]) > 0, "the check sees an order that is wrong"


def projected(client: httpx.Client, trace: str, place: int) -> int:
    """``last_log_seq`` of a trace, read with the wish to see ``place``; asked again while it is not there."""
    for _ in range(60):
        answer = client.get(f"/traces/{trace}", params={"min_log_seq": place, "wait_ms": 2000})
        if answer.status_code == 200:
            return int(answer.json()["last_log_seq"])
        assert answer.status_code in (404, 409, 503), answer.text
        time.sleep(0.1)
    raise AssertionError("one's own write does not get into the projection")


def out_of_order(calls: list[tuple[float, float, int, str]]) -> int:
    """Calls that began after another one was answered, and got an earlier position."""
    ends = sorted((end, place) for _, end, place, _ in calls)
    worst, at, count = 0, 0, 0
    for begun, _, place, _ in sorted(calls):
        while at < len(ends) and ends[at][0] < begun:
            worst = max(worst, ends[at][1])
            at += 1
        count += place < worst
    return count


@pytest.mark.trust("A3", heavy=True)
def test_torture(ground: Ground, program: tuple[str, httpx.Client], tmp_path: Path, figures: Figures) -> None:
    token, client = program
    rng = random.Random(SEED)
    files = [tmp_path / f"answers-{n}" for n in range(A3_PROCESSES)]

    def spawn(n: int) -> subprocess.Popen[bytes]:
        argv = [ground.address, token, str(A3_KEYS), str(n), str(files[n]), str(rng.randrange(2**31))]
        return subprocess.Popen([sys.executable, str(ROOT / "tests/trust/torturer.py"), *argv])

    running = [spawn(n) for n in range(A3_PROCESSES)]
    kills = crashes = 0
    while kills < A3_KILLS or crashes < A3_CRASHES:
        time.sleep(0.1 + rng.random() * 0.3)
        victim = rng.randrange(A3_PROCESSES)
        if kills < A3_KILLS:
            running[victim].kill()
            running[victim].wait()
            running[victim] = spawn(victim)  # who was killed forgets its answers and sends everything again
            kills += 1
        if crashes < A3_CRASHES and kills >= (crashes + 1) * A3_KILLS // (A3_CRASHES + 1):
            ground.crash_database()
            crashes += 1
    assert [process.wait(240) for process in running] == [0] * A3_PROCESSES

    eventually(lambda: client.get("/me").status_code == 200, "the product is back", 60)
    log = whole_log(client)
    assert [event["log_seq"] for event in log] == list(range(1, len(log) + 1)), "a gap"
    stored = {event["idempotency_key"]: event for event in log}
    assert len(stored) == len(log), "a key twice"
    assert set(stored) == {f"k{n}" for n in range(A3_KEYS)}, "a key lost"
    traces: dict[str, list[dict[str, Any]]] = {}
    for event in log:
        traces.setdefault(event["trace_id"], []).append(event)
    for events in traces.values():
        assert [event["trace_seq"] for event in events] == list(range(len(events)))
        assert [event["event_type"] for event in events].index("TraceFinished") == len(events) - 1, "after the finish"
    created: Counter[str] = Counter()
    answers = conflicts = 0
    for key, status, place, content in answered(files):
        answers += 1
        if status == "event.idempotency_conflict":
            conflicts += 1
            assert torturer.content_of(stored[key]) != content, "a conflict about the same content"
        else:
            assert status in ("created", "replayed"), status
            assert (place, content) == (stored[key]["log_seq"], torturer.content_of(stored[key])), "a wrong answer"
            created[key] += status == "created"
    assert max(created.values()) == 1, "two were told that they made it"
    figures(keys=A3_KEYS, answers=answers, conflicts=conflicts, client_kills=kills, database_crashes=crashes, wrong=0)


def answered(files: list[Path]) -> Iterator[tuple[str, str, int | None, str]]:
    """What the clients wrote down; a killed one may have torn its last line."""
    for file in files:
        for line in file.read_text().splitlines():
            with contextlib.suppress(ValueError):
                key, status, place, content = json.loads(line)
                yield key, status, place, content


def through_the_proxy(ground: Ground, token: str, intents: int, *, keep_key: bool) -> tuple[int, int]:
    """Send each intent until it is acknowledged; cuts suffered, and attempts."""
    with CuttingProxy(ground.port, random.Random(SEED)) as proxy:
        address = f"http://127.0.0.1:{proxy.port}/api/v1"
        headers = {"Authorization": f"Bearer {token}", "Connection": "close"}

        def send(number: int) -> int:
            attempts = 0
            with httpx.Client(base_url=address, headers=headers, timeout=20) as client:
                for n in range(number, intents, 4):
                    while True:
                        attempts += 1
                        key = f"i{n}" if keep_key else f"i{n}-{attempts}"
                        with contextlib.suppress(httpx.HTTPError):
                            answer = client.post("/traces/a4/events", json=observed("a4", key, f"i{n}"))
                            if answer.status_code in (200, 201):
                                break
            return attempts

        with ThreadPoolExecutor(4) as at_once:
            attempts = sum(at_once.map(send, range(4)))
        return proxy.cuts, attempts


@pytest.mark.trust("A4", heavy=True)
def test_a_lost_acknowledgement_doubles_nothing(
    ground: Ground, program: tuple[str, httpx.Client], figures: Figures
) -> None:
    token, client = program
    client.post("/traces/a4/events", json=started("a4", "start")).raise_for_status()
    cuts, attempts = through_the_proxy(ground, token, A4_INTENTS, keep_key=True)
    assert cuts >= A4_CUTS
    written = Counter(event["payload"]["input_id"] for event in whole_log(client)[1:])
    assert written == Counter(f"i{n}" for n in range(A4_INTENTS))
    figures(intents=A4_INTENTS, cuts=cuts, attempts=attempts, duplicates=0)


@pytest.mark.trust("A4", control=True, heavy=True)
def test_the_control_without_a_key_it_would(
    ground: Ground, program: tuple[str, httpx.Client], figures: Figures
) -> None:
    token, client = program
    client.post("/traces/a4/events", json=started("a4", "start")).raise_for_status()
    cuts, _ = through_the_proxy(ground, token, 300, keep_key=False)
    written = Counter(event["payload"]["input_id"] for event in whole_log(client)[1:])
    doubled = sum(count - 1 for count in written.values())
    assert doubled > 0
    figures(new_keys_cuts=cuts, duplicates=doubled)
