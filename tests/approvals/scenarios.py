"""What the workflow has to survive, as scenarios of any size: the suite runs them small, a soak large."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from django.db import IntegrityError, connection

from approvals import services
from approvals.domain.sla import Deadline, Match, Moment, Policy
from approvals.models import Item, Step, Timer
from approvals.services import timers
from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem
from tenants.access import Principal
from tests.approvals.house import House

LOUD = Policy(deadline=Deadline(seconds=1), reminder=Moment(of="start", seconds=1), incident_on_breach=False)
"""Two timers an item."""


def decide_at_once(
    house: House, item: Item, people: Sequence[Principal], decisions: int, *, threads: int = 8
) -> tuple[Counter[str], list[Problem]]:
    """W1: that many decisions about one item at the same version, in turns by these people and both ways.

    Answers what won (``doubled`` = stopped only by the database's last net) and every refusal.
    """
    start, guard = threading.Barrier(threads), threading.Lock()
    won, lost = Counter[str](), list[Problem]()
    waiting = list(itertools.islice(enumerate(itertools.cycle(people)), decisions))

    def work() -> None:
        start.wait()
        try:
            while True:
                with guard:
                    if not waiting:
                        return
                    number, who = waiting.pop()
                decision = "approved" if number % 2 else "rejected"
                try:
                    house.decide(item, decision, by=who, version=1)
                    with guard:
                        won[decision] += 1
                except Problem as problem:
                    with guard:
                        lost.append(problem)
                except IntegrityError:  # met only where a control takes the lock away
                    with guard:
                        won["doubled"] += 1
        finally:
            connection.close()

    _together(work, threads)
    return won, lost


class Rang(NamedTuple):
    """What came of `ring_over_kills`."""

    timers: int
    fired: int
    """Timers whose row says so."""
    steps: Counter[tuple[Any, str]]
    """(item, what rang) -> how often it is in the history."""
    crashes: int
    """Beats that died in the middle of a transaction."""
    late: float
    """Seconds from due to fired of the latest, by the beats' own clock."""


class Crash(BaseException):
    """A beat that dies before its commit."""


def ring_over_kills(
    house: House,
    monkeypatch: Any,
    *,
    items: int,
    over: float = 0.0,
    beats: int = 2,
    every: int = 7,
    steps: Sequence[float] = (-3, 3),
) -> Rang:
    """W2: twice as many timers as items come due within ``over`` seconds, over several beats at once, each dying
    at every ``every``-th timer, while the clock is set back and forth by ``steps`` seconds around each sweep."""
    services.create_policy(house.tenant, principal=house.alice, name="loud", definition=LOUD, applies=Match())
    trace = house.trace()
    for first in range(0, items, 200):
        house.append(*(house.exception(trace, f"EX-{number}") for number in range(first, min(items, first + 200))))
    house.follow()
    real, happen, calls, died = clock.now, timers._happen, itertools.count(1), Counter[str]()
    offset = threading.local()
    monkeypatch.setattr(clock, "now", lambda: real() + timedelta(seconds=getattr(offset, "seconds", 0.0)))
    with tenant_tx(house.tenant):
        all_timers = list(Timer.objects.all())
        for number, timer in enumerate(all_timers):
            timer.due_at = clock.now() + timedelta(seconds=0.5 + over * number / len(all_timers))
        Timer.objects.bulk_update(all_timers, ["due_at"], batch_size=500)

    def dies(tenant: Any, item: Item, timer: Timer, now: Any) -> None:
        happen(tenant, item, timer, now)
        if next(calls) % every == 3:
            died["beats"] += 1
            raise Crash

    monkeypatch.setattr(timers, "_happen", dies)

    def beat() -> None:
        chance, end = random.Random(7), time.monotonic() + 120
        try:
            while time.monotonic() < end:
                offset.seconds = chance.choice((0.0, *steps))
                try:
                    services.sweep()
                except Crash:
                    continue
                offset.seconds = 0.0
                with tenant_tx(house.tenant):
                    if not Timer.objects.filter(state="waiting").exists():
                        return
        finally:
            connection.close()

    _together(beat, beats)
    with tenant_tx(house.tenant):
        rows = list(Timer.objects.filter(item_id__in=Item.objects.filter(trace_id=trace).values("pk")))
        rang = Counter(Step.objects.filter(action__in=["remind", "breach"]).values_list("item_id", "action"))
    fired = [row for row in rows if row.state == "fired"]
    late = max(((row.fired_at - row.due_at).total_seconds() for row in fired if row.fired_at), default=0.0)
    return Rang(len(rows), len(fired), rang, died["beats"], late)


def _together(work: Any, number: int) -> None:
    threads = [threading.Thread(target=work) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
