"""A tenant whose appends hang takes some threads of a process and not all."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings

from decisiongraph.core.errors import Problem
from tests.factories import TenantFactory, make_token
from traces.services.in_flight import InFlight, in_flight

ACME: Any = SimpleNamespace(pk=1)
GLOBEX: Any = SimpleNamespace(pk=2)


class Held:
    """Threads that sit on their places until they are let go."""

    def __init__(self, gate: InFlight, tenant: Any, count: int) -> None:
        self.let_go, seated = threading.Event(), threading.Barrier(count + 1)

        def sit() -> None:
            with gate.place(tenant):
                seated.wait()
                self.let_go.wait(10)

        self.threads = [threading.Thread(target=sit) for _ in range(count)]
        for thread in self.threads:
            thread.start()
        seated.wait()

    def end(self) -> None:
        self.let_go.set()
        for thread in self.threads:
            thread.join()


def test_no_more_than_the_places_and_nobody_else_is_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "APPENDS_IN_FLIGHT", 3)
    gate = InFlight()
    held = Held(gate, ACME, 3)
    started = time.monotonic()
    for waits in (True, False):  # the second is refused at once: a waiting request holds a thread as well
        with pytest.raises(Problem) as refused, gate.place(ACME):
            pass
        assert (refused.value.status, refused.value.code) == (429, "append.too_many_at_once")
        assert refused.value.headers["Retry-After"] == "1"
        assert (time.monotonic() - started > 0.2) is True
        if waits:
            started, first = time.monotonic() - 0.2, time.monotonic()
    assert time.monotonic() - first < 0.2
    with gate.place(GLOBEX):
        pass
    held.end()
    with gate.place(ACME):
        pass
    assert gate._taken == {}


def test_who_waits_gets_the_place_that_comes_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "APPENDS_IN_FLIGHT", 1)
    monkeypatch.setattr("traces.services.in_flight.PATIENCE", 10.0)
    gate = InFlight()
    held = Held(gate, ACME, 1)
    threading.Timer(0.05, held.let_go.set).start()
    with gate.place(ACME):
        assert gate._taken == {1: 1}
    held.end()


@pytest.mark.django_db
def test_both_ways_in_ask_for_a_place(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tenant: Any = TenantFactory()
    bearer = {"Authorization": f"Bearer {make_token(tenant, 'ingest')[1]}"}
    monkeypatch.setattr(settings, "APPENDS_IN_FLIGHT", 0)
    monkeypatch.setattr("traces.services.in_flight.PATIENCE", 0.0)
    for path in ("traces/t/events", "events"):
        answer = client.post(f"/api/v1/{path}", b"{}", content_type="application/json", headers=bearer)
        assert (answer.status_code, answer.json()["code"]) == (429, "append.too_many_at_once")
    assert in_flight._taken == {}
