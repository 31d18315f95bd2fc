"""The producers' figures follow the log."""

from __future__ import annotations

import datetime as dt

import pytest

from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from tests.traces.events import Desk, new_id, start, step
from traces import selectors, services, tasks
from traces.models import RollUp

pytestmark = pytest.mark.django_db

NIGHT = {"source": {"producer_id": "night", "system": "batch"}}


def test_each_event_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    desk, trace = Desk(), new_id()
    first = dt.datetime(2026, 1, 1, 12, 0, 30, tzinfo=dt.UTC)
    monkeypatch.setattr(clock, "now", lambda: first)
    desk.append(start(trace), step(trace), step(trace, **NIGHT))
    assert services.roll_up(desk.tenant) == 3
    assert services.roll_up(desk.tenant) == 0
    later = first + dt.timedelta(seconds=45)
    monkeypatch.setattr(clock, "now", lambda: later)
    desk.append(step(trace))
    desk.each(step("nowhere"), step("nowhere"))
    assert services.roll_up(desk.tenant) == 1

    minutes = selectors.producer_minutes(desk.tenant, minutes=60)
    assert [(m.minute.minute, m.producer_id, m.events, m.refused, m.system) for m in minutes] == [
        (0, "desk", 2, 0, "refunds"),
        (0, "night", 1, 0, "batch"),
        (1, "desk", 1, 2, "refunds"),
    ]
    assert [
        (p.producer_id, p.events, p.first_at, p.last_at, p.last_log_seq) for p in selectors.producers(desk.tenant)
    ] == [
        ("desk", 3, first, later, 4),
        ("night", 1, first, first, 3),
    ]


def test_the_task_finds_who_lags_and_leaves_who_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = Desk(), Desk()
    one.append(start(new_id()))
    two.append(start(new_id()))
    tasks.roll_up()
    for desk in (one, two):
        with tenant_tx(desk.tenant):
            assert RollUp.objects.get().cursor == 1
    counted: list[str] = []
    monkeypatch.setattr(services, "roll_up", lambda tenant: counted.append(tenant.slug))
    two.append(start(new_id()))
    tasks.roll_up()
    assert counted == [two.tenant.slug]


def test_slices_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setattr(sys.modules["traces.services.roll_up"], "SLICE", 7)
    desk, trace = Desk(), new_id()
    desk.append(start(trace), *[step(trace) for _ in range(30)])
    assert services.roll_up(desk.tenant) == 31
    assert [p.events for p in selectors.producers(desk.tenant)] == [31]
