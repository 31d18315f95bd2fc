"""Learning in bounded slices that are in nobody's way."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from decisiongraph.core.db import tenant_tx
from projections import engine, selectors, services
from projections.domain.precedents import radar
from projections.domain.precedents.situation import MAX_ASKED, MAX_OPENING, Situation
from projections.models import SituationCursor, SituationRow
from projections.selectors.situations import as_situation
from projections.services import situations
from tests.projections.desk import Desk
from tests.projections.test_precedent_search import BROKEN, LATE, refund

pytestmark = pytest.mark.django_db


def groups(desk: Desk) -> dict[str, bytes]:
    """Trace -> its group."""
    with tenant_tx(desk.tenant):
        return {row.trace_id: bytes(row.group_sha) for row in SituationRow.objects.all()}


def long_ago(desk: Desk) -> None:
    """As if the last comparison were long past."""
    with tenant_tx(desk.tenant):
        cursor = SituationCursor.objects.get()
        assert cursor.gathered_at is not None
        SituationCursor.objects.update(gathered_at=cursor.gathered_at - situations.GATHER_EVERY - timedelta(seconds=1))


def finish(desk: Desk, *decided: tuple[int, str, str]) -> None:
    """Finished refunds: number, outcome, what was asked."""
    for number, outcome, words in decided:
        desk.append(refund(number, outcome, words=words))
    desk.catch_up()


def test_requests_are_compared_outside_of_any_transaction(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    whole = radar.gathered

    def watched(found: Sequence[Situation]) -> list[list[int]]:
        seen.append(connection.in_atomic_block)
        return whole(found)

    monkeypatch.setattr(radar, "gathered", watched)
    finish(desk, (1, "success", LATE), (2, "failure", LATE))
    services.learn(desk.tenant)
    assert seen == [False]


def test_who_finds_the_cursor_held_leaves_it(desk: Desk) -> None:
    finish(desk, (1, "success", LATE))
    services.learn(desk.tenant)
    finish(desk, (2, "success", LATE))
    held, let_go = threading.Event(), threading.Event()

    def holder() -> None:
        with tenant_tx(desk.tenant):
            SituationCursor.objects.select_for_update().get()
            held.set()
            let_go.wait(30)
        connection.close()

    thread = threading.Thread(target=holder)
    thread.start()
    assert held.wait(10)
    try:
        began = time.monotonic()
        assert services.learn(desk.tenant) == 0
        assert time.monotonic() - began < 1.5  # not the 2 s of lock_timeout
    finally:
        let_go.set()
        thread.join()
    assert services.learn(desk.tenant) == 1


def test_a_piece_is_bounded_by_events_too(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five events a trace: with room for seven a piece holds one, and no trace is left out."""
    monkeypatch.setattr(situations, "PIECE_EVENTS", 7)
    read: list[int] = []
    rows = situations._rows

    def watched(tenant: Any, ends: Any) -> list[SituationRow]:
        read.append(len(ends))
        return rows(tenant, ends)

    monkeypatch.setattr(situations, "_rows", watched)
    finish(desk, *((number, "success", LATE) for number in range(5)))
    assert services.learn(desk.tenant) == 5
    assert [count for count in read if count] == [1] * 5
    assert len(groups(desk)) == 5


def test_a_slice_that_is_over_asks_for_another(
    desk: Desk, enqueued: list[tuple[str, dict[str, object]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(situations, "PIECE", 2)
    monkeypatch.setattr(situations, "SLICE_SECONDS", 0.0001)
    finish(desk, *((number, "success", LATE) for number in range(5)))
    learned = []
    for _ in range(4):
        enqueued.clear()
        learned.append(services.learn(desk.tenant))
        if ("projections.learn", {"tenant_id": desk.tenant.pk}) not in enqueued:
            break
    assert sum(learned) == 5
    assert max(learned) == 2


def test_comparing_comes_at_most_every_so_often(desk: Desk) -> None:
    finish(desk, (1, "success", LATE), (2, "success", BROKEN))
    services.learn(desk.tenant)
    finish(desk, (3, "failure", LATE))
    services.learn(desk.tenant)
    found = groups(desk)
    assert len(set(found.values())) == 3  # learned, not compared yet
    assert desk.tenant.pk not in services.learn_all()
    long_ago(desk)
    assert desk.tenant.pk in services.learn_all()
    services.learn(desk.tenant)
    found = groups(desk)
    assert found["refund-1"] == found["refund-3"] != found["refund-2"]
    assert desk.tenant.pk not in services.learn_all()
    (split,) = selectors.radar(desk.tenant)
    assert split.size == 2


def test_a_group_keeps_its_name_when_its_first_is_not_compared_any_more(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(situations, "BLOCK", 2)
    finish(desk, (1, "success", LATE), (2, "success", LATE))
    services.learn(desk.tenant)
    name = groups(desk)["refund-1"]
    finish(desk, (3, "failure", LATE))
    long_ago(desk)
    services.learn(desk.tenant)
    assert set(groups(desk).values()) == {name}


def test_only_the_beginning_of_long_requests_is_learned(desk: Desk) -> None:
    """What bounds a comparison: ``BLOCK`` requests of bounded length, whatever people wrote."""
    words = " ".join(f"w{number:x}" for number in range(4_000))
    finish(desk, (1, "success", words))
    services.learn(desk.tenant)
    with tenant_tx(desk.tenant):
        told = as_situation(SituationRow.objects.get().situation)
    assert 0 < len(told.asked) <= MAX_ASKED < len(words)
    assert 0 < len(told.opening) <= MAX_OPENING


def test_not_more_than_a_block_is_compared(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []
    whole = radar.gathered
    monkeypatch.setattr(situations, "BLOCK", 3)
    monkeypatch.setattr(radar, "gathered", lambda found: compared.append(len(found)) or whole(found))
    finish(desk, *((number, "success", LATE) for number in range(5)))
    services.learn(desk.tenant)
    assert compared == [3]
    assert desk.tenant.pk not in services.learn_all()  # the older two do not wait for ever


def test_learning_waits_for_a_rebuild(desk: Desk) -> None:
    finish(desk, (1, "success", LATE))
    number = engine.begin(desk.tenant, "trace_summary")
    assert services.learn(desk.tenant) == 0
    engine.retire(desk.tenant, "trace_summary", number)
    assert services.learn(desk.tenant) == 1
