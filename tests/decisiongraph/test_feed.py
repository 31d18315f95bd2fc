"""Readings are shared, and an answer older than the question is never given."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from decisiongraph.consumers.feed import Feed, Line

pytestmark = pytest.mark.django_db  # the threads give back their connections, whether they used them or not


class Table:
    """A log that can be read slowly."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.reads = 0
        self.pause = 0.0

    def after(self, place: int) -> Callable[[], list[Line]]:
        def read() -> list[Line]:
            self.reads += 1
            found = [Line(n, n, "m", b"{}") for n in self.rows if n > place]
            time.sleep(self.pause)
            return found

        return read


async def test_one_reading_serves_many() -> None:
    feed, table = Feed(), Table()
    table.rows, table.pause = [1, 2], 0.1
    now = time.monotonic()
    answers = await asyncio.gather(*(feed.read("k", table.after(0), since=now, keep=True) for _ in range(20)))
    assert all([line.place for line in answer] == [1, 2] for answer in answers)
    assert table.reads == 1
    await feed.read("k", table.after(0), since=time.monotonic(), keep=True)
    assert table.reads == 1


async def test_nothing_new_asked_before_the_bell_proves_nothing() -> None:
    feed, table = Feed(), Table()
    table.pause = 0.2
    early = asyncio.create_task(feed.read("k", table.after(0), since=time.monotonic(), keep=True))
    await asyncio.sleep(0.1)  # the early reading has looked already, and is still on its way
    table.rows = [1]
    late = [asyncio.create_task(feed.read("k", table.after(0), since=time.monotonic(), keep=True)) for _ in range(5)]
    assert await early == []
    assert [line.place for line in (await asyncio.wait_for(asyncio.gather(*late), 5))[4]] == [1]
    assert table.reads == 2


async def test_a_look_takes_a_recent_answer() -> None:
    feed, table = Feed(), Table()
    await feed.read("k", table.after(0), since=time.monotonic(), keep=True)
    await feed.read("k", table.after(0), since=time.monotonic() - 1, keep=True)
    assert table.reads == 1
    await feed.read("k", table.after(0), since=time.monotonic(), keep=True)
    assert table.reads == 2


async def test_an_error_reaches_everybody_who_asked_and_is_not_kept() -> None:
    feed, fail = Feed(), True

    def read() -> list[Line]:
        time.sleep(0.05)
        if fail:
            raise ConnectionError
        return []

    now = time.monotonic()
    answers = await asyncio.gather(
        *(feed.read("k", read, since=now, keep=True) for _ in range(3)), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [ConnectionError] * 3
    fail = False
    assert await feed.read("k", read, since=time.monotonic(), keep=True) == []


async def test_somebody_who_leaves_does_not_take_the_reading_along() -> None:
    feed, table = Feed(), Table()
    table.rows, table.pause = [1], 0.1
    now = time.monotonic()
    leaver = asyncio.create_task(feed.read("k", table.after(0), since=now, keep=True))
    stayer = asyncio.create_task(feed.read("k", table.after(0), since=now, keep=True))
    await asyncio.sleep(0.02)
    leaver.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaver
    assert len(await stayer) == 1
    assert table.reads == 1
