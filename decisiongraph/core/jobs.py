"""Background work starts only here, by task name, after commit.

A job is a row in the database; the message only says "look there". So a message may be lost, come
twice or come late, and beat finds the row again.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db import transaction

from decisiongraph.core import bus
from decisiongraph.core.telemetry import cause


def enqueue(task: str, **arguments: Any) -> None:
    """Ask for a task once the current transaction has committed; equal requests are coalesced.

    The message names the HTTP requests that asked (`telemetry.cause`), so that a task can be found
    from a request.
    """
    transaction.on_commit(partial(_send, task, arguments), robust=True)


def _send(task: str, arguments: dict[str, Any]) -> None:
    bus.sender().job(task, arguments, cause())
