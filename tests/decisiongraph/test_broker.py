"""A broker that is away is noticed at once: a page or a probe that asked it has its answer in time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any

import pytest
from redis import RedisError

from decisiongraph.core import bus, health
from decisiongraph.stack import broker as program
from decisiongraph.stack.process import until
from projections.selectors.health import queue_depths

AWAY = "redis://127.0.0.1:9/0"
"""The port of the discard service, where nobody listens."""


def test_probes_say_within_a_second_that_it_is_away(settings: Any) -> None:
    settings.REDIS_URL = AWAY
    begun = time.monotonic()
    assert health.broker_answers() is False
    assert queue_depths() is None
    assert time.monotonic() - begun < 1


def test_no_client_tries_for_seconds() -> None:
    begun = time.monotonic()
    with pytest.raises(RedisError):
        bus.broker(AWAY, seconds=0.2).ping()
    assert time.monotonic() - begun < 1


def test_a_kept_connection_gets_over_a_restart(tmp_path: Any) -> None:
    path = tmp_path / "broker.sock"
    client = bus.broker(f"unix://{path}", seconds=2)
    child = None
    try:
        for _ in range(2):
            child = program.launch(path, None, tmp_path / "log", death_signal=None)
            assert until(lambda: program.running(path) is not None, seconds=20)
            assert client.ping()
            child.kill()
            child.wait()
    finally:
        if child is not None:
            child.kill()
            child.wait()


ENDING = """
import gc, threading, time
import django; django.setup()
from decisiongraph.core import bus
client = bus.kept_broker("{away}", seconds=1)
pool, held = client.connection_pool, threading.Event()
def hold():
    with pool._lock:
        held.set()
        time.sleep(3600)
threading.Thread(target=hold, daemon=True).start()
held.wait()
del client
gc.collect()
print("over")
"""
"""A thread has the pool's lock in its hands for good, as the sender that is stopped when a command ends just then."""

SAYING = """
import django; django.setup()
from decisiongraph.core import bus
bus.sender().ring("tenant:acme:last", "word")
"""


def run(code: str, environ: dict[str, str]) -> str:
    """What a short program says; it has to end."""
    environ = os.environ | environ | {"DJANGO_SETTINGS_MODULE": "decisiongraph.settings"}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_program_ends_whatever_its_threads_were_doing(stack_environ: dict[str, str]) -> None:
    assert run(ENDING.replace("{away}", AWAY), stack_environ) == "over\n"


def test_a_program_says_what_it_owes_before_it_ends(stack_environ: dict[str, str], settings: Any) -> None:
    """A command revokes a token and is over in the same moment: who holds the socket hears of it."""
    config = settings.CHANNEL_LAYERS["default"]["CONFIG"]
    ear = bus.broker(stack_environ.get("REDIS_URL") or settings.REDIS_URL, seconds=20).pubsub()
    try:
        ear.subscribe(f"{config['prefix']}__group__{bus.group_name('tenant:acme:last')}")
        assert (ear.get_message(timeout=20) or {})["type"] == "subscribe"
        run(SAYING, stack_environ)
        assert b"word" in (ear.get_message(timeout=20) or {})["data"]
    finally:
        ear.close()
