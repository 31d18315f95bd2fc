"""How many appends of one tenant a process works on at once.

A tenant whose appends hang (a lock held elsewhere, a slow disk) must not take every thread of the web
process, or all others hang with it. Whoever finds no place waits a moment; once one had to be refused
the next are refused at once for a while, because a waiting request holds a thread as well.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

from decisiongraph.core.errors import Problem
from decisiongraph.core.telemetry import metrics
from tenants.models import Tenant

PATIENCE = 0.25
"""Seconds an append waits for a place."""
SATURATED = 1.0
"""Seconds after a refusal in which nobody waits."""


class InFlight:
    """Places per tenant."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._taken: dict[int, int] = {}
        self._saturated: dict[int, float] = {}

    @contextmanager
    def place(self, tenant: Tenant) -> Iterator[None]:
        """One place for the length of the block; 429 ``append.too_many_at_once`` when none comes free."""
        number, most = int(tenant.pk), settings.APPENDS_IN_FLIGHT
        with self._changed:
            if self._taken.get(number, 0) >= most:
                patience = 0.0 if time.monotonic() < self._saturated.get(number, 0.0) else PATIENCE
                if not self._changed.wait_for(lambda: self._taken.get(number, 0) < most, patience):
                    self._saturated[number] = time.monotonic() + SATURATED
                    metrics.appends_refused.inc()
                    raise Problem(
                        "append.too_many_at_once",
                        429,
                        f"{most} appends of this tenant are at work here already. Nothing was stored; "
                        "send it again, or several events in one batch.",
                        headers={"Retry-After": "1"},
                    )
            self._taken[number] = self._taken.get(number, 0) + 1
        try:
            yield
        finally:
            with self._changed:
                self._taken[number] -= 1
                if not self._taken[number]:
                    del self._taken[number]
                    self._saturated.pop(number, None)
                self._changed.notify_all()


in_flight = InFlight()
