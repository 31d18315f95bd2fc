"""Health as the API shows it, findings about staleness, the reconciler, heartbeats."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection

from decisiongraph.core import bus, clock
from decisiongraph.core.db import tenant_tx
from projections import engine, selectors, services
from projections.engine import live as live_module
from projections.models import Checkpoint, Finding, WorkerHeartbeat
from projections.services import care
from tests.projections.desk import Desk

pytestmark = pytest.mark.django_db


def test_the_shape(desk: Desk) -> None:
    head = desk.fill(3)
    found = selectors.health(desk.tenant).as_json()
    assert set(found) == {"tenant", "head", "state", "projections"}
    assert (found["tenant"], found["head"], found["state"]) == (desk.tenant.slug, head, "catching_up")
    first = found["projections"][0]
    assert set(first) == {
        "name", "state", "cursor", "lag_events", "lag_seconds", "rate", "generation",
        "rule_version", "dead_letters", "last_error", "digest", "updated_at",
    }  # fmt: skip
    assert (first["lag_events"], first["cursor"], first["generation"], first["rule_version"]) == (head, 0, 1, 1)
    assert first["lag_seconds"] > 0
    desk.catch_up()
    found = selectors.health(desk.tenant).as_json()
    assert found["state"] == "fresh"
    assert all(item["lag_events"] == 0 and item["lag_seconds"] == 0 for item in found["projections"])
    assert all(item["rate"] > 0 for item in found["projections"])


def test_the_control_waiting_events_are_not_fresh(desk: Desk) -> None:
    desk.fill(1)
    desk.catch_up()
    desk.fill(1)
    assert selectors.health(desk.tenant).state == "catching_up"


def grow_old(desk: Desk, seconds: int = 120) -> None:
    """Let a cursor stand still, and its next event wait, for so long."""
    with tenant_tx(desk.tenant):
        Checkpoint.objects.update(moved_at=clock.now() - timedelta(seconds=seconds))


def test_stale_is_found_once_and_closed_when_over(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, settings: object
) -> None:
    settings.STALE_UNMOVED_SECONDS = 0  # type: ignore[attr-defined]
    heard: list[str] = []
    monkeypatch.setattr(bus, "_announce", lambda *arguments: heard.append(arguments[-1]))
    head = desk.fill(2)
    engine.catch_up(desk.tenant, "context_graph")
    grow_old(desk)
    for _ in range(3):
        services.watch_staleness(desk.tenant)
    with tenant_tx(desk.tenant):
        found = list(Finding.objects.order_by("projection"))
    assert [item.projection for item in found] == ["policy_evaluations", "precedent_index", "trace_summary"]
    assert all(item.kind == "stale" and item.log_seq == 1 for item in found)
    assert found[0].detail["lag_events"] == head
    assert heard.count("projection.stale_detected") == 3
    assert selectors.health(desk.tenant).state == "stale"
    desk.catch_up()
    services.watch_staleness(desk.tenant)
    assert selectors.findings(desk.tenant, open_only=True) == []
    assert len(selectors.findings(desk.tenant)) == 3


def test_the_reconciler_finds_who_lags(desk: Desk, enqueued: list[tuple[str, dict[str, object]]]) -> None:
    desk.fill(1)
    enqueued.clear()
    assert desk.tenant.pk in services.tick()
    assert ("projections.catch_up", {"tenant_id": desk.tenant.pk}) in enqueued
    desk.catch_up()
    assert desk.tenant.pk not in services.tick()
    with tenant_tx(desk.tenant):
        Checkpoint.objects.filter(projection="trace_summary").update(cursor=0)
    assert desk.tenant.pk in services.tick()
    assert WorkerHeartbeat.objects.get(name="beat").kind == "beat"


def test_an_append_wakes_a_worker(desk: Desk, enqueued: list[tuple[str, dict[str, object]]]) -> None:
    desk.fill(1)
    assert ("projections.catch_up", {"tenant_id": desk.tenant.pk}) in enqueued


def test_a_slice_that_ends_early_asks_for_another(
    desk: Desk, enqueued: list[tuple[str, dict[str, object]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.fill(5)
    enqueued.clear()
    whole = engine.catch_up
    monkeypatch.setattr(engine, "catch_up", lambda tenant, rest: whole(tenant, budget=0.0, batch=3))
    assert services.catch_up(desk.tenant).more
    assert ("projections.catch_up", {"tenant_id": desk.tenant.pk}) in enqueued


def test_passes_rest_between_appends_that_come_one_by_one(
    desk: Desk, enqueued: list[tuple[str, dict[str, object]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(care, "REST", engine.Rest(60.0, 60.0))
    desk.fill(3)
    desk.catch_up()
    head = desk.fill(2)
    enqueued.clear()
    done = services.catch_up(desk.tenant)
    assert (done.events, done.more) == (0, True), "the last pass has just ended"
    assert ("projections.catch_up", {"tenant_id": desk.tenant.pk}) in enqueued, "but nothing is forgotten"
    with tenant_tx(desk.tenant):
        Checkpoint.objects.update(moved_at=clock.now() - timedelta(seconds=61))
    assert services.catch_up(desk.tenant).events > 0
    assert set(desk.cursors().values()) == {head}


@pytest.mark.parametrize(
    ("waiting", "seconds"), [(0, 1.0), (1, 1.0), (499, 1.0), (500, 7.0), (11_999, 7.0), (12_000, 0.0), (10**6, 0.0)]
)
def test_the_rest_is_longer_in_a_burst_and_none_far_behind(waiting: int, seconds: float) -> None:
    assert engine.Rest(one_by_one=1.0, burst=7.0).after(waiting) == seconds


def test_who_is_far_behind_does_not_rest(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(care, "REST", engine.Rest(60.0, 60.0))
    monkeypatch.setattr(live_module, "FAR", 5)
    desk.fill(3)
    desk.catch_up()
    desk.fill(3)
    assert services.catch_up(desk.tenant).events > 0


def test_heartbeats_say_who_lives(db: None) -> None:
    services.beat("w:1", queues="project", pid=1, current="projections.catch_up tenant 1", current_since=clock.now())
    services.beat("w:2", queues="replay", pid=2)
    WorkerHeartbeat.objects.filter(name="w:2").update(at=clock.now() - timedelta(minutes=5))
    found = {worker.name: worker for worker in selectors.workers()}
    assert found["w:1"].alive
    assert found["w:1"].current == "projections.catch_up tenant 1"
    assert not found["w:2"].alive
    services.beat("w:1", queues="project", pid=1)
    assert {worker.name: worker for worker in selectors.workers()}["w:1"].current == ""
    assert services.forget_silent_workers(older_than=clock.now() - timedelta(minutes=1)) >= 1
    assert set(selectors.queue_depths() or {}) == {"project", "replay", "timers", "deliver", "learn", "default"}


def test_finder_functions_answer_numbers_only(desk: Desk) -> None:
    desk.fill(1)
    with connection.cursor() as cursor:
        cursor.execute("SELECT dg_lagging(4)")
        assert all(len(row) == 1 and isinstance(row[0], int) for row in cursor.fetchall())
