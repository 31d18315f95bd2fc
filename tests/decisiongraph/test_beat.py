"""Beat looks at its schedule when something is due, not all the time before."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from celery import Celery
from celery.beat import PersistentScheduler

from decisiongraph.celery import Punctual, app


def looks(kind: type[PersistentScheduler], folder: Path) -> tuple[list[float], int]:
    """When an entry of every 50 ms was sent over half a second, and how often the schedule was looked at."""
    sent: list[float] = []

    class Counted(kind):  # type: ignore[misc, valid-type]
        def apply_entry(self, entry: Any, producer: Any = None) -> None:
            sent.append(time.monotonic())

    of_its_own = Celery("looks", broker="memory://", set_as_current=False)
    of_its_own.conf.beat_schedule = {"often": {"task": "often", "schedule": 0.05}}
    scheduler = Counted(app=of_its_own, schedule_filename=str(folder / kind.__name__), lazy=False)
    ends, times = time.monotonic() + 0.5, 0
    while time.monotonic() < ends:
        wait = scheduler.tick()
        times += 1
        if wait and wait > 0:
            time.sleep(wait)
    scheduler.close()
    return sent, times


def test_it_is_the_one_we_use() -> None:
    assert app.conf.beat_scheduler == "decisiongraph.celery:Punctual"


def test_few_looks_for_each_sending(tmp_path: Path) -> None:
    sent, times = looks(Punctual, tmp_path)
    assert len(sent) >= 5
    assert min(later - earlier for earlier, later in pairwise(sent)) > 0.04
    assert times <= 4 * len(sent) + 4
    # The control: Celery's own asks hundreds of times before each.
    sent, times = looks(PersistentScheduler, tmp_path)
    assert times > 20 * len(sent)
