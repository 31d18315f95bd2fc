"""A running product, hurt from outside: A2, A3, A4, C2, D1 and H1 over HTTP and sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis.asyncio
from channels.layers import get_channel_layer
from django.conf import settings
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from decisiongraph.stack.endpoints import ROOT
from tests.trust import torturer
from tests.trust.ground import Ground, eventually, finished, lag, observed, started, whole_log
from tests.trust.proxy import CuttingProxy
from tests.trust.sizes import SEED

pytestmark = pytest.mark.slow

A2_APPENDS, A2_CLIENTS = 5_000, 8
A3_KEYS, A3_PROCESSES, A3_KILLS, A3_CRASHES = 2_000, 3, 40, 3
A4_INTENTS, A4_CUTS = 1_500, 100
C2_EVENTS, C2_SECONDS = 2_000, 15.0
D1_EVENTS, D1_SOCKETS, D1_RECONNECTS = 1_000, 20, 10
H1_SECONDS, H1_PAUSE = 60.0, 0.5

Figures = Callable[..., None]


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    """One product for all of them; each test makes its own tenant."""
    running = Ground()
    try:
        yield running
    finally:
        running.close()


@pytest.fixture
def program(ground: Ground) -> Iterator[tuple[str, httpx.Client]]:
    """A new tenant: its token, and a client that has it."""
    token = ground.tenant(f"t{uuid.uuid4().hex[:12]}")
    with ground.client(token) as client:
        yield token, client


# --- A2 ---------------------------------------------------------------------------------------------


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


# --- A3 ---------------------------------------------------------------------------------------------


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


# --- A4 ---------------------------------------------------------------------------------------------


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


# --- C2 ---------------------------------------------------------------------------------------------


def pour(client: httpx.Client, prefix: str, events: int, between: Callable[[int], None] = lambda _n: None) -> None:
    """Batches of ten; traces of ten."""
    for n in range(0, events, 10):
        trace = f"{prefix}-{n}"
        batch = [started(trace, f"{trace}-0"), *(observed(trace, f"{trace}-{m}") for m in range(1, 10))]
        client.post("/events", json={"events": batch}).raise_for_status()
        between(n)


@pytest.mark.trust("C2", heavy=True)
def test_a_broker_that_forgets_and_dies_delays(
    ground: Ground, program: tuple[str, httpx.Client], figures: Figures
) -> None:
    _token, client = program

    def hurt(n: int) -> None:
        if n % 500 == 250:
            ground.flush_broker()
        if n == C2_EVENTS // 2:
            assert ground.kill("broker") == 1

    pour(client, "c2", C2_EVENTS, hurt)
    took = eventually(lambda: lag(client) == 0, "lag 0", C2_SECONDS)
    figures(events=C2_EVENTS, flushes=4, broker_kills=1, seconds_to_lag_0=round(took, 2))


@pytest.mark.trust("C2", control=True, heavy=True)
def test_the_control_without_the_reconciler_it_hangs(
    ground: Ground, program: tuple[str, httpx.Client], figures: Figures
) -> None:
    """The hint is lost while nobody works, and beat is not there to look."""
    _token, client = program
    eventually(lambda: lag(client) == 0, "lag 0", C2_SECONDS)
    with ground.frozen("beat"):
        time.sleep(1)  # what beat has sent already is worked off
        with ground.frozen("worker"):
            pour(client, "c2x", 50)
            time.sleep(1)  # the sender has sent
            ground.flush_broker()
        time.sleep(5)
        hung = lag(client)
        assert hung > 0, "somebody told the worker"
    took = eventually(lambda: lag(client) == 0, "lag 0 with the reconciler", C2_SECONDS)
    figures(without_reconciler_lag_after_5_s=hung, with_it_seconds=round(took, 2))


# --- D1 ---------------------------------------------------------------------------------------------


class Follower:
    """A socket that reads on from where it stopped, however often its line breaks."""

    def __init__(self, ground: Ground, token: str, topic: str, *, slow: bool = False) -> None:
        self.url, self.topic, self.slow = ground.sockets, topic, slow
        self.headers = {"Authorization": f"Bearer {token}"}
        self.seen: list[int] = []
        self.arrived: dict[int, float] = {}
        self.drop = False
        """Set from outside: break the line and come back."""
        self.reconnects = 0

    async def follow(self, total: int) -> None:
        """Until event ``total`` has come."""
        while not self.seen or self.seen[-1] < total:
            with contextlib.suppress(OSError, WebSocketException):
                async with connect(self.url, additional_headers=self.headers, max_queue=4) as line:
                    after = self.seen[-1] if self.seen else 0
                    await line.send(json.dumps({"type": "subscribe", "topic": self.topic, "after": after}))
                    await self._hear(line, total)
            self.reconnects += 1
            await asyncio.sleep(0.05)

    async def _hear(self, line: ClientConnection, total: int) -> None:
        while not self.seen or self.seen[-1] < total:
            frame = json.loads(await line.recv())
            if frame["type"] == "event":
                self.seen.append(frame["log_seq"])
                self.arrived.setdefault(frame["log_seq"], time.monotonic())
            if self.slow:
                await asyncio.sleep(0.01)
            if self.drop:
                self.drop = False
                return


@pytest.mark.trust("D1", heavy=True)
async def test_every_socket_sees_all_in_order(
    ground: Ground, program: tuple[str, httpx.Client], figures: Figures
) -> None:
    token, client = program
    slug = client.get("/me").json()["tenant"]["slug"]
    rng = random.Random(SEED)
    followers = [Follower(ground, token, f"tenant:{slug}:traces", slow=n < 2) for n in range(D1_SOCKETS)]
    committed: dict[int, float] = {}

    def write() -> None:
        for n in range(0, D1_EVENTS, 5):
            trace = f"d1-{n}"
            batch = [started(trace, f"{trace}-0"), *(observed(trace, f"{trace}-{m}") for m in range(1, 5))]
            answer = client.post("/events", json={"events": batch}).raise_for_status().json()
            committed.update(dict.fromkeys((result["log_seq"] for result in answer["results"]), time.monotonic()))
            if n % (D1_EVENTS // D1_RECONNECTS) == 0:
                rng.choice(followers[2:]).drop = True
            if n == D1_EVENTS // 2:
                ground.kill("broker")
            time.sleep(0.05)

    async with asyncio.timeout(180):
        reading = [asyncio.create_task(follower.follow(D1_EVENTS)) for follower in followers]
        await asyncio.sleep(1)
        await asyncio.to_thread(write)
        await asyncio.gather(*reading)
    for follower in followers:
        assert follower.seen == list(range(1, D1_EVENTS + 1)), "skipped, doubled or swapped"
    delays = sorted(at - committed[place] for follower in followers[2:] for place, at in follower.arrived.items())
    p99 = max(0.0, delays[len(delays) * 99 // 100])
    broken = sum(follower.reconnects for follower in followers) - len(followers)
    assert broken >= D1_RECONNECTS // 2
    assert p99 <= 2.0
    figures(
        events=D1_EVENTS,
        sockets=D1_SOCKETS,
        slow=2,
        reconnects=broken,
        broker_kills=1,
        p99_seconds=round(p99, 2),
        missed=0,
    )


@pytest.mark.trust("D1", control=True, heavy=True)
async def test_the_control_a_message_that_carries_the_event_is_missed(figures: Figures) -> None:
    """The layer keeps nothing for a line that broke: whoever puts the event into the message loses it."""
    layer = get_channel_layer()
    assert layer is not None
    channel, group = await layer.new_channel(), f"trust.{uuid.uuid4().hex}"
    await layer.group_add(group, channel)
    broker = redis.asyncio.Redis.from_url(settings.REDIS_URL)
    for n in range(1_000):
        if n == 500:
            await broker.client_kill_filter(_type="pubsub")
        await layer.group_send(group, {"type": "event", "log_seq": n + 1})
    await broker.aclose()
    seen = []
    with contextlib.suppress(TimeoutError):
        while True:
            async with asyncio.timeout(1):
                seen.append((await layer.receive(channel))["log_seq"])
    await layer.group_discard(group, channel)
    assert len(seen) < 1_000
    figures(payload_in_message_missed=1_000 - len(seen))


# --- H1 ---------------------------------------------------------------------------------------------


@pytest.mark.trust("H1", heavy=True)
def test_soak(ground: Ground, program: tuple[str, httpx.Client], figures: Figures) -> None:
    """Writers, readers, replays and people, while two processes a second are killed; then everything is checked."""
    token, client = program
    until = time.monotonic() + H1_SECONDS
    acknowledged: dict[str, int] = {}
    counts: Counter[str] = Counter()
    guard = threading.Lock()

    def retried(own: httpx.Client, method: str, path: str, **options: Any) -> httpx.Response:
        """An answer, however often nobody gives one."""
        while True:
            with contextlib.suppress(httpx.HTTPError):
                answer = own.request(method, path, **options)
                if answer.status_code < 500:
                    return answer
            counts["unanswered"] += 1
            time.sleep(0.1)

    def write(number: int) -> None:
        with ground.client(token) as own:
            for n in range(10**9):
                if time.monotonic() > until:
                    return
                trace = f"h1-{number}-{n}"
                batch = [started(trace, f"{trace}-0"), *(observed(trace, f"{trace}-{m}") for m in range(1, 5))]
                batch.append(finished(trace, f"{trace}-5"))
                answer = retried(own, "POST", "/events", json={"events": batch})
                assert answer.status_code == 200, answer.text
                with guard:
                    for event, result in zip(batch, answer.json()["results"], strict=True):
                        acknowledged[event["idempotency_key"]] = result["log_seq"]

    def read() -> None:
        place = 0
        with ground.client(token) as own:
            while time.monotonic() < until:
                page = retried(own, "GET", "/events", params={"after": place, "limit": 200}).json()["items"]
                assert [item["log_seq"] for item in page] == list(range(place + 1, place + len(page) + 1))
                place += len(page)
                retried(own, "GET", "/traces", params={"limit": 50})
                counts["reads"] += 2

    def replay() -> None:
        with ground.client(token) as own:
            while time.monotonic() < until:
                asked = {"projection": "all", "mode": random.choice(["verify", "rebuild"]), "reason": "soak"}
                counts["replays"] += retried(own, "POST", "/projections/replay", json=asked).status_code == 202
                time.sleep(3)

    def kill() -> None:
        rng = random.Random(SEED)
        while time.monotonic() < until:
            time.sleep(H1_PAUSE)
            part = rng.choice(["web", "sockets", "worker", "worker", "deliver", "replay", "replay", "beat", "broker"])
            counts["kills"] += ground.kill(part, whole=rng.random() < 0.2) > 0

    with ThreadPoolExecutor(8) as at_once:
        jobs = [*(at_once.submit(write, n) for n in range(3)), *(at_once.submit(f) for f in (read, read, replay, kill))]
        for job in jobs:
            job.result()
    eventually(lambda: client.get("/me").status_code == 200, "the product answers", 60)
    log = whole_log(client)
    assert [event["log_seq"] for event in log] == list(range(1, len(log) + 1))
    stored = {event["idempotency_key"]: event["log_seq"] for event in log}
    assert len(stored) == len(log), "an event twice"
    assert all(stored.get(key) == place for key, place in acknowledged.items()), "an acknowledged event is not there"
    eventually(lambda: lag(client) == 0, "lag 0", 90)
    eventually(lambda: not running(client), "every replay ends", 120)
    mismatches = [one for one in replays(client) if one["verdict"] == "mismatch" or one["status"] == "failed"]
    assert mismatches == []
    slug = client.get("/me").json()["tenant"]["slug"]
    assert f"{slug}: {len(log)} events, every hash right" in ground.manage("check_log", slug)
    assert f"{slug}: all projections match" in ground.manage("check_restore", slug)
    assert counts["kills"] > H1_SECONDS
    figures(
        events=len(log),
        acknowledged=len(acknowledged),
        kills=counts["kills"],
        unanswered=counts["unanswered"],
        replays=counts["replays"],
        lost=0,
        mismatches=0,
    )


def replays(client: httpx.Client) -> list[dict[str, Any]]:
    """The replays of the tenant."""
    found: list[dict[str, Any]] = client.get("/replays").raise_for_status().json()["items"]
    return found


def running(client: httpx.Client) -> bool:
    """Whether one is not over."""
    return any(one["status"] in ("queued", "running", "stalled") for one in replays(client))
