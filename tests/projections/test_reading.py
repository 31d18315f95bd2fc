"""Freshness: what a reader is told, and reading one's own writes."""

from __future__ import annotations

import threading
import time

import pytest
from django.db import connections

from decisiongraph.core.errors import Problem
from projections import selectors
from projections.selectors import freshness as reading_module
from tests.projections.desk import Desk, trace

pytestmark = pytest.mark.django_db


def test_headers_say_how_fresh(desk: Desk) -> None:
    head = desk.fill(4)
    seen = selectors.trace_list(desk.tenant).reading
    assert seen.headers() == {
        "X-Log-Head": str(head),
        "X-Projection-Cursor": "0",
        "X-Projection-Lag": str(head),
    }
    desk.catch_up()
    seen = selectors.trace_list(desk.tenant).reading
    assert seen.headers()["X-Projection-Lag"] == "0"
    assert seen.cursor == head


def test_a_tenant_without_events_reads_as_empty(desk: Desk) -> None:
    found = selectors.trace_list(desk.tenant)
    assert (found.rows, found.reading.cursor, found.reading.head) == ([], 0, 0)


def test_not_reached_is_409_with_a_way_out(desk: Desk) -> None:
    head = desk.fill(2)
    with pytest.raises(Problem) as behind:
        selectors.trace_list(desk.tenant, min_log_seq=head)
    problem = behind.value
    assert (problem.status, problem.code, problem.headers["Retry-After"]) == (409, "projection.behind", "1")
    started = time.monotonic()
    with pytest.raises(Problem):
        selectors.trace_list(desk.tenant, min_log_seq=head, wait_ms=200)
    assert 0.15 < time.monotonic() - started < 3


def test_waiting_reads_ones_own_write(desk: Desk) -> None:
    desk.append(trace("mine", 1)[:1])

    def follow() -> None:
        time.sleep(0.15)
        desk.catch_up()
        connections.close_all()

    thread = threading.Thread(target=follow)
    thread.start()
    seen, row = selectors.trace_summary(desk.tenant, "mine", min_log_seq=1, wait_ms=5000)
    thread.join()
    assert (row.key, seen.cursor) == ("mine", 1)


def test_waits_hold_a_quarter_of_the_threads(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    head = desk.fill(1)
    monkeypatch.setattr(reading_module, "_waiters", threading.BoundedSemaphore(1))
    reading_module._waiters.acquire()
    started = time.monotonic()
    with pytest.raises(Problem) as refused:
        selectors.trace_list(desk.tenant, min_log_seq=head, wait_ms=5000)
    assert time.monotonic() - started < 2, "beyond the quarter it answers at once"
    assert refused.value.headers["Retry-After"] == "1"


def test_cursor_and_rows_are_of_one_moment(desk: Desk) -> None:
    desk.fill(3)
    desk.catch_up()
    with selectors.reading(desk.tenant, "trace_summary") as seen:
        before = selectors.trace_list(desk.tenant).rows

        def more() -> None:
            desk.fill(3)
            desk.catch_up()
            connections.close_all()

        thread = threading.Thread(target=more)
        thread.start()
        thread.join()
        again = selectors.trace_list(desk.tenant)
        assert [row.key for row in again.rows] == [row.key for row in before]
        assert again.reading.cursor == seen.cursor
    assert len(selectors.trace_list(desk.tenant).rows) > len(before)
