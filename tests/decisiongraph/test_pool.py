"""Pooled connections: one whose server went away is found without asking it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.db import OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper

from decisiongraph.core.db.backend import base
from decisiongraph.stack.process import until

pytestmark = pytest.mark.django_db(transaction=True)

Wrappers = Callable[[], BaseDatabaseWrapper]


@pytest.fixture
def wrappers(db: None) -> Iterator[Wrappers]:
    """Makes wrappers over a pool that nothing else in this process takes connections from."""
    alias = "a_pool_of_its_own"
    try:
        yield lambda: connection.copy(alias)
    finally:
        connection.copy(alias).close_pool()


def ended_while_pooled(wrappers: Wrappers) -> int:
    """A server process that ended while its connection lay in the pool, as the next one to be taken."""
    first, second = wrappers(), wrappers()
    ended = _pid(first)
    _pid(second)
    first.close()
    try:
        with second.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [ended])

            def gone() -> bool:
                cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", [ended])
                return cursor.fetchone() == (0,)

            assert until(gone, seconds=10)
    finally:
        second.close()
    return ended


def _pid(wrapper: BaseDatabaseWrapper) -> int:
    with wrapper.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def every_backend(wrappers: Wrappers, count: int) -> set[int]:
    """The server processes of so many connections held at once."""
    held = [wrappers() for _ in range(count)]
    try:
        return {_pid(wrapper) for wrapper in held}
    finally:
        for wrapper in held:
            wrapper.close()


def test_a_connection_whose_server_went_away_is_replaced(wrappers: Wrappers) -> None:
    ended = ended_while_pooled(wrappers)
    alive = every_backend(wrappers, 4)
    assert len(alive) == 4
    assert ended not in alive


def test_the_control_without_looking_the_dead_one_is_handed_out(
    wrappers: Wrappers, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended_while_pooled(wrappers)
    monkeypatch.setattr(base, "unanswered", lambda _connection: True)
    with pytest.raises(OperationalError, match=r"terminating connection|closed the connection"):
        every_backend(wrappers, 1)
