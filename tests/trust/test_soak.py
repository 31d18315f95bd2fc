"""Everything at once for a minute, and two processes a second killed: H1."""

from __future__ import annotations

import contextlib
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.trust.ground import Ground, eventually, finished, lag, observed, started, whole_log
from tests.trust.sizes import SEED

pytestmark = pytest.mark.slow

H1_SECONDS, H1_PAUSE = 60.0, 0.5

Figures = Callable[..., None]


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
        parts = ["web", "sockets", "worker", "worker", "deliver", "replay", "replay", "beat", "broker"]
        for turn in range(int(H1_SECONDS / H1_PAUSE)):
            time.sleep(max(0.0, until - H1_SECONDS + turn * H1_PAUSE - time.monotonic()))
            rng.shuffle(parts)  # a part that is dead already is passed over
            whole = rng.random() < 0.2
            counts["kills"] += any(ground.kill(part, whole=whole) > 0 for part in parts)

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
    checked = re.search(rf"{slug}: (\d+) events, every hash right", ground.manage("check_log", slug))
    assert checked is not None
    # Meanwhile the platform may have written down an incident of its own, such as a projection that was late.
    later = whole_log(client)
    assert later[: len(log)] == log
    assert len(log) <= int(checked[1]) <= len(later)
    assert {event["origin"] for event in later[len(log) :]} <= {"platform"}
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
