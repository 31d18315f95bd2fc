"""Pooled connections: one whose server went away is found without asking it."""

from __future__ import annotations

import pytest
from django.db import OperationalError, connection

from decisiongraph.core.db.backend import base
from decisiongraph.stack.process import until

pytestmark = pytest.mark.django_db(transaction=True)


def ended_while_pooled() -> int:
    """A server process that ended while its connection lay in the pool."""
    first, second = connection.copy(), connection.copy()
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


def _pid(wrapper: object) -> int:
    with wrapper.cursor() as cursor:  # type: ignore[attr-defined]
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def every_backend(count: int) -> set[int]:
    """The server processes of so many connections held at once."""
    held = [connection.copy() for _ in range(count)]
    try:
        return {_pid(wrapper) for wrapper in held}
    finally:
        for wrapper in held:
            wrapper.close()


def test_a_connection_whose_server_went_away_is_replaced(db: None) -> None:
    ended = ended_while_pooled()
    assert ended not in every_backend(4)


def test_the_control_without_looking_the_dead_one_is_handed_out(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    ended_while_pooled()
    monkeypatch.setattr(base, "unanswered", lambda _connection: True)
    with pytest.raises(OperationalError):
        every_backend(8)
