"""Appends that wait for the same turn go together, and each keeps its own fate."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from django.db import OperationalError, connection

from decisiongraph.core.db import arrays, current_tenant_id, swift_tenant_tx, tenant_tx
from decisiongraph.core.errors import Problem
from decisiongraph.stack.process import until
from tests.traces.events import Desk, new_id, start, step
from traces import selectors, services, store
from traces.services import Receipt
from traces.services.turns import MOST, Turns


class Desks:
    """Work that can be held back, and what it was called with."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.free = threading.Event()
        self.turns: Turns[int, int] = Turns()
        self.wrong: dict[int, Exception] = {}

    def work(self, items: list[int]) -> list[int]:
        self.calls.append(items)
        assert self.free.wait(10)
        for item in items:
            if item in self.wrong:
                raise self.wrong[item]
        return [item * 10 for item in items]

    def waiting(self) -> int:
        return sum(map(len, self.turns._waiting.values()))


@pytest.fixture
def desks() -> Desks:
    return Desks()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(MOST + 10) as pool:
        yield pool


def gather(desks: Desks, threads: ThreadPoolExecutor, count: int) -> list[Future[int]]:
    """The first works and is held back, the others have come behind it in order."""
    futures = []
    for item in range(count):
        futures.append(threads.submit(desks.turns.take, "turn", item, desks.work))
        assert until(lambda: len(desks.calls) == 1 and desks.waiting() == len(futures) - 1, seconds=10)
    return futures


def test_whoever_finds_nobody_starts_at_once(desks: Desks) -> None:
    desks.free.set()
    assert [desks.turns.take("turn", item, desks.work) for item in (1, 2)] == [10, 20]
    assert desks.calls == [[1], [2]]
    assert not desks.turns._waiting


def test_those_behind_go_together_in_their_order(desks: Desks, threads: ThreadPoolExecutor) -> None:
    futures = gather(desks, threads, 6)
    desks.free.set()
    assert [future.result(10) for future in futures] == [0, 10, 20, 30, 40, 50]
    assert desks.calls == [[0], [1, 2, 3, 4, 5]]
    assert until(lambda: not desks.turns._waiting, seconds=5)


def test_other_turns_are_not_waited_for(desks: Desks, threads: ThreadPoolExecutor) -> None:
    futures = gather(desks, threads, 2)
    assert desks.turns.take("other", 7, lambda items: [item + 1 for item in items]) == 8
    desks.free.set()
    assert [future.result(10) for future in futures] == [0, 10]


def test_a_transaction_takes_so_many_and_no_more(desks: Desks, threads: ThreadPoolExecutor) -> None:
    futures = gather(desks, threads, MOST + 5)
    desks.free.set()
    assert [future.result(10) for future in futures] == [item * 10 for item in range(MOST + 5)]
    assert list(map(len, desks.calls)) == [1, MOST, 4]


def test_a_lost_database_is_everybodys(desks: Desks, threads: ThreadPoolExecutor) -> None:
    desks.wrong[3] = OperationalError("away")
    futures = gather(desks, threads, 5)
    desks.free.set()
    assert futures[0].result(10) == 0
    for future in futures[1:]:
        with pytest.raises(OperationalError):
            future.result(10)
    assert len(desks.calls) == 2, "nobody asked a lost database again"
    desks.wrong.clear()
    assert desks.turns.take("turn", 9, desks.work) == 90


def test_any_other_failure_has_one_culprit(desks: Desks, threads: ThreadPoolExecutor) -> None:
    desks.wrong[2] = RuntimeError("a bug")
    futures = gather(desks, threads, 5)
    desks.free.set()
    assert [futures[item].result(10) for item in (0, 1, 3, 4)] == [0, 10, 30, 40]
    with pytest.raises(RuntimeError, match="a bug"):
        futures[2].result(10)


@pytest.fixture
def desk(db: None) -> Desk:
    return Desk()


def posted(desk: Desk, event: dict[str, Any]) -> Receipt | Problem:
    """The answer to an append of one event as the address of a trace does it."""
    try:
        raw = json.dumps(event).encode()
        return services.append_one(desk.tenant, principal=desk.principal, raw=raw, trace_id=event["trace_id"])
    except Problem as problem:
        return problem
    finally:
        connection.close()


@pytest.mark.django_db
def test_appends_that_came_together_share_a_transaction(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """While one writer has the tenant's turn, others come: good, refused, twice the same, wrong sequence."""
    settings.APPENDS_IN_FLIGHT = 64
    traces = [new_id() for _ in range(4)]
    desk.append(*[start(trace) for trace in traces])
    inserted: list[int] = []
    real = store.insert

    def insert(rows: Any, **options: Any) -> None:
        inserted.append(len(rows))
        real(rows, **options)

    monkeypatch.setattr(store, "insert", insert)
    same = step(traces[0])
    events = [step(trace) for trace in traces] + [same, same, step(new_id()), step(traces[1], trace_seq=9)]
    events += [step(traces[2]) for _ in range(4)]

    turns = services.append.__globals__["_turns"]
    with ThreadPoolExecutor(len(events)) as pool:
        with tenant_tx(desk.tenant):
            store.look([], [], [])  # ours, until everybody waits for it
            futures = [pool.submit(posted, desk, event) for event in events]
            assert until(lambda: sum(map(len, turns._waiting.values())) == len(events) - 1, seconds=2)
        answers = [future.result(10) for future in futures]
    words = [a.code if isinstance(a, Problem) else a.status for a in answers]
    assert sorted(words) == sorted(["created"] * 9 + ["replayed", "trace.not_found", "trace.sequence_conflict"])
    assert sum(inserted) == 9
    assert len(inserted) == 2, "the first alone, everybody else together"
    log = selectors.read_log(desk.tenant, after=0, limit=100)
    assert [event.log_seq for event in log] == list(range(1, 4 + 9 + 1))
    assert {a.log_seq for a in answers if not isinstance(a, Problem)} == set(range(5, 14))


class Stopped(Exception):
    """A writer changes its mind."""


@pytest.mark.django_db
def test_a_swift_transaction_is_one(desk: Desk) -> None:
    """All or nothing, scoped to its tenant, and the connection is as good as before."""
    desk.append(start(trace := new_id()))

    def change_and_stop() -> None:
        with swift_tenant_tx(desk.tenant):
            store.look([], [], [])
            with connection.cursor() as cursor:
                cursor.execute("UPDATE tenants_tenant SET name = 'changed' WHERE id = %s", [desk.tenant.pk])
            raise Stopped

    with pytest.raises(Stopped):
        change_and_stop()
    desk.tenant.refresh_from_db()
    assert desk.tenant.name != "changed"
    with swift_tenant_tx(desk.tenant):
        assert current_tenant_id() == desk.tenant.pk
        assert set(store.traces([trace])) == {trace}
    with swift_tenant_tx(Desk().tenant):
        assert not store.traces([trace]), "another tenant's trace"
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM traces_event")
        assert cursor.fetchone() == (0,), "outside, no tenant is set"


@pytest.mark.django_db
def test_a_statement_that_fails_last_is_not_taken_for_a_commit(desk: Desk) -> None:
    """What is sent with COMMIT is answered with it: the failure arrives, nothing is stored."""
    desk.append(start(new_id()))
    with pytest.raises(Exception, match="no_such_table"), swift_tenant_tx(desk.tenant):
        arrays.cursor().execute("SELECT * FROM no_such_table")
    assert selectors.head(desk.tenant) == 1
    desk.append(start(new_id()))
    assert selectors.head(desk.tenant) == 2
