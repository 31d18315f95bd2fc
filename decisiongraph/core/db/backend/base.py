"""A pooled connection is looked at, not asked, before a request gets it.

Django's health check sends a statement and waits for the answer at every request, a twentieth of a
small append. A server that went away closed its end of the socket, and that can be seen for free:
between statements nothing may be waiting to be read.
"""

from __future__ import annotations

import select
from typing import Any

from django.db.backends.postgresql import base
from psycopg import Connection

TRIES = 100
"""More than a pool holds, so that of a server that was restarted every dead connection is found."""


def unanswered(connection: Connection[Any]) -> bool:
    """Whether the other end has said nothing since it last answered: no farewell, no end."""
    if connection.closed:
        return False
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
    return not poll.poll(0)


class DatabaseWrapper(base.DatabaseWrapper):
    """Throws away pooled connections whose server is gone; `CONN_HEALTH_CHECKS` stays off."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """A connection of the pool, or a new one."""
        for _ in range(TRIES):
            found = super().get_new_connection(conn_params)
            if self.pool is None or unanswered(found):
                return found
            found.close()
            self.pool.putconn(found)  # the pool sees that it is closed and makes another one
        return found
