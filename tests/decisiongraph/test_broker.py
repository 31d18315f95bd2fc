"""A broker that is away is noticed at once: a page or a probe that asked it has its answer in time."""

from __future__ import annotations

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
