"""The job row: slices, cancel, takeover, fencing, progress, and the trail in the log."""

from __future__ import annotations

import itertools
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.db import DatabaseError, connections

from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem
from decisiongraph.core.telemetry import bind
from projections import engine
from projections.engine import batch as batch_module
from projections.models import Generation
from replays import selectors, services
from replays.models import Replay
from replays.services import run as run_module
from replays.services.start import group_of
from tests.projections.desk import Desk
from tests.replays.drive import drive, row, start

pytestmark = pytest.mark.django_db


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of ten events, and slices of one batch."""
    monkeypatch.setattr(engine, "REBUILD_BATCH", 10)
    monkeypatch.setattr(run_module, "NEAR", 0)


def step(desk: Desk, replay: Replay) -> bool:
    """One slice of one batch."""
    return services.run_slice(desk.tenant, str(replay.pk), budget=0.0)


def test_slices_show_progress(desk: Desk, small_steps: None, monkeypatch: pytest.MonkeyPatch) -> None:
    head = desk.fill(10)
    desk.catch_up()
    monkeypatch.setattr(run_module, "SAMPLE_INTERVAL", 0.0)
    replay = start(desk)
    queued = selectors.replay(desk.tenant, str(replay.pk))
    assert (queued.status, queued.position, queued.target, queued.rate) == ("queued", 0, head, None)
    positions = []
    for _ in range(3):
        assert step(desk, replay)
        positions.append(selectors.replay(desk.tenant, str(replay.pk)).position)
    assert positions == [10, 20, 30]
    view = selectors.replay(desk.tenant, str(replay.pk))
    assert view.status == "running"
    assert view.rate is not None
    assert view.rate > 0
    assert view.eta_seconds is not None
    assert view.row.lease_until is None, "between slices nobody holds the job"
    shown = selectors.health(desk.tenant)["replays"]
    assert [item["id"] for item in shown] == [str(replay.pk)]
    assert drive(desk, replay).row.verdict == "match"


@pytest.mark.parametrize(("waiting", "batches"), [({"replay": 1}, 3), (None, 3), ({"replay": 0}, 6)])
def test_a_slice_goes_on_while_nobody_waits(
    desk: Desk, small_steps: None, monkeypatch: pytest.MonkeyPatch, waiting: dict[str, int] | None, batches: int
) -> None:
    """Of four seconds, by a clock that goes on by one and a half a batch; twice as long at most, for here."""
    desk.fill(20)
    desk.catch_up()
    replay = start(desk)
    clock_of_slices = SimpleNamespace(monotonic=itertools.count(100, 1.5).__next__, time=time.time, sleep=time.sleep)
    monkeypatch.setattr(run_module, "time", clock_of_slices)
    monkeypatch.setattr(run_module, "queue_depths", lambda: waiting)
    monkeypatch.setattr(run_module, "STRETCH", 2)
    assert services.run_slice(desk.tenant, str(replay.pk))
    assert selectors.replay(desk.tenant, str(replay.pk)).position == 10 * batches


def test_one_task_for_each_reading_of_the_log(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that finds its replay taken would make the worker look wanted, and end the slice of another."""
    asked: list[str] = []
    monkeypatch.setattr("decisiongraph.core.jobs.enqueue", lambda task, **more: asked.append(more["replay_id"]))
    parent = start(desk, "all")
    view = selectors.replay(desk.tenant, str(parent.pk))
    children = {str(child.row.pk): child.row.projection for child in view.children}
    taken = [group_of(children[ident]) for ident in asked]
    assert sorted(name for names in taken for name in names) == sorted(engine.BOUND)


def test_all_is_a_parent_with_children(desk: Desk, small_steps: None) -> None:
    desk.fill(6)
    desk.catch_up()
    replay = start(desk, "all")
    view = selectors.replay(desk.tenant, str(replay.pk))
    assert [child.row.projection for child in view.children] == list(engine.BOUND)
    assert not services.run_slice(desk.tenant, str(replay.pk)), "the parent itself has nothing to fold"
    step(desk, view.children[0].row)
    view = selectors.replay(desk.tenant, str(replay.pk))
    assert view.status == "running"
    done = {child.row.projection: child.position for child in view.children}
    assert done["context_graph"] == 0, "the graph goes alone"
    assert done["trace_summary"] == done["policy_evaluations"] == done["precedent_index"] == 10
    listed = selectors.replays(desk.tenant)
    assert [item.row.pk for item in listed] == [replay.pk], "children stand inside their parent"
    view = drive(desk, replay)
    assert (view.row.verdict, view.position) == ("match", view.target)


@pytest.mark.trust("C1")
def test_cancel(desk: Desk, small_steps: None) -> None:
    desk.fill(8)
    desk.catch_up()
    before = desk.live()
    replay = start(desk, "trace_summary", "rebuild")
    step(desk, replay)
    services.cancel_replay(desk.tenant, principal=desk.principal, replay_id=str(replay.pk))
    assert row(desk, replay).status == "running"
    step(desk, replay)
    found = row(desk, replay)
    assert (found.status, found.verdict) == ("cancelled", None)
    assert (desk.live(), desk.generation("trace_summary")) == (before, 1)
    with tenant_tx(desk.tenant):
        assert Generation.objects.get(projection="trace_summary", number=2).state == "retired"
    with pytest.raises(Problem) as over:
        services.cancel_replay(desk.tenant, principal=desk.principal, replay_id=str(replay.pk))
    assert (over.value.status, over.value.code) == (409, "replay.over")
    assert not step(desk, replay)
    start(desk, "trace_summary")


def test_cancel_before_anybody_began(desk: Desk) -> None:
    desk.fill(2)
    desk.catch_up()
    replay = start(desk, "all")
    services.cancel_replay(desk.tenant, principal=desk.principal, replay_id=str(replay.pk))
    view = selectors.replay(desk.tenant, str(replay.pk))
    assert view.status == "cancelled"
    assert {child.status for child in view.children} == {"cancelled"}


def test_cancel_all_in_the_middle(desk: Desk, small_steps: None) -> None:
    desk.fill(8)
    desk.catch_up()
    replay = start(desk, "all", "rebuild")
    children = selectors.replay(desk.tenant, str(replay.pk)).children
    step(desk, children[0].row)
    services.cancel_replay(desk.tenant, principal=desk.principal, replay_id=str(replay.pk))
    view = drive(desk, replay)
    assert view.status == "cancelled"
    assert {desk.generation(name) for name in engine.BOUND} == {1}


def expire(desk: Desk, replay: Replay) -> None:
    """Let the worker look dead."""
    with tenant_tx(desk.tenant):
        past = clock.now() - timedelta(seconds=30)
        Replay.objects.filter(pk=replay.pk).update(lease_until=past, heartbeat_at=past)


@pytest.mark.trust("B3")
def test_one_worker_at_a_time_and_takeover(desk: Desk, small_steps: None) -> None:
    desk.fill(8)
    desk.catch_up()
    replay = start(desk)
    (dead,) = services.claim(desk.tenant, str(replay.pk))
    run_module._advance(dead, engine.Window(desk.tenant))
    assert not step(desk, replay), "the lease holds"
    assert selectors.replay(desk.tenant, str(replay.pk)).status == "running"
    expire(desk, replay)
    assert selectors.replay(desk.tenant, str(replay.pk)).status == "stalled"
    assert step(desk, replay)
    found = row(desk, replay)
    assert (found.takeovers, found.position) == (1, 20)
    with pytest.raises(services.Fenced):
        run_module._advance(dead, engine.Window(desk.tenant))
    assert row(desk, replay).position == 20, "the late commit of the dead worker was refused"
    assert drive(desk, replay).row.verdict == "match"


@pytest.mark.trust("B3", control=True)
def test_the_control_without_the_fence_two_workers_would_write(desk: Desk, small_steps: None) -> None:
    """The guard is what refuses the late commit: without it the batch goes through."""
    desk.fill(8)
    desk.catch_up()
    replay = start(desk)
    (dead,) = services.claim(desk.tenant, str(replay.pk))
    window = engine.Window(desk.tenant)
    run_module._advance(dead, window)
    expire(desk, replay)
    step(desk, replay)
    done = engine.step(window, engine.BOUND["trace_summary"], limit=10, generation=dead.row.generation, guard=None)
    assert done is not None
    assert done.cursor == 30


KILLED = """
import os, signal, sys
import django
django.setup()
from projections import engine
from projections.engine import batch
from replays import services
from tenants.models import Tenant
from replays.services import run
engine.REBUILD_BATCH, run.NEAR = 15, 0
place, times, seen = sys.argv[3], int(sys.argv[4]), 0
def die(name):
    global seen
    if name == place:
        seen += 1
        if seen == times:
            os.kill(os.getpid(), signal.SIGKILL)
batch.crash_point = die
tenant = Tenant.objects.get(slug=sys.argv[1])
while services.run_slice(tenant, sys.argv[2]):
    pass
"""


@pytest.mark.trust("B5")
def test_a_rebuild_killed_twice_ends_right(desk: Desk, stack_environ: dict[str, str]) -> None:
    desk.fill(20)
    desk.catch_up()
    replay = start(desk, "context_graph", "rebuild")
    for place, times in (("cursor", 2), ("rows", 3)):
        done = subprocess.run(
            [sys.executable, "-c", KILLED, desk.tenant.slug, str(replay.pk), place, str(times)],
            env={**os.environ, **stack_environ, "LOG_LEVEL": "WARNING"},
            cwd=Path(__file__).resolve().parents[2],
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == -signal.SIGKILL, done.stderr.decode()
        expire(desk, replay)
    view = drive(desk, replay)
    assert (view.row.verdict, view.row.promoted, view.row.takeovers) == ("match", True, 2)
    assert desk.canonical() == desk.expected()
    assert desk.rows_right()


def test_five_failures_end_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.fill(3)
    desk.catch_up()
    replay = start(desk)

    def refuse(name: str) -> None:
        if name == "rows":
            raise DatabaseError("disk full")

    monkeypatch.setattr(batch_module, "crash_point", refuse)
    for attempt in range(1, 6):
        assert row(desk, replay).status == ("queued" if attempt == 1 else "running")
        step(desk, replay)
    found = row(desk, replay)
    assert (found.status, found.failures) == ("failed", 5)
    assert "disk full" in found.error
    assert desk.generation("trace_summary") == 1


def test_a_broken_comparison_fails_the_replay_at_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.fill(2)
    desk.catch_up()
    replay = start(desk)

    def broken(*_arguments: object, **_options: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(engine, "suspects", broken)
    step(desk, replay)
    assert (row(desk, replay).status, row(desk, replay).error) == ("failed", "RuntimeError: a bug")


def test_the_tick_finds_jobs_nobody_has(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from decisiongraph.core import jobs

    asked: list[tuple[str, dict[str, object]]] = []
    monkeypatch.setattr(jobs, "_send", lambda name, arguments: asked.append((name, arguments)))
    desk.fill(2)
    desk.catch_up()
    replay = start(desk)
    asked.clear()
    services.tick()
    wanted = ("replays.run", {"tenant_id": desk.tenant.pk, "replay_id": str(replay.pk)})
    assert wanted in asked
    services.claim(desk.tenant, str(replay.pk))
    asked.clear()
    services.tick()
    assert wanted not in asked
    expire(desk, replay)
    services.tick()
    assert wanted in asked
    drive(desk, replay)
    asked.clear()
    services.tick()
    assert ("replays.sweep", {"tenant_id": desk.tenant.pk}) in asked


def test_a_parent_whose_last_worker_died_is_ended_by_the_tick(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from decisiongraph.core import jobs

    desk.fill(2)
    desk.catch_up()
    replay = start(desk, "all")
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "settle_parent", lambda *_arguments: None)
        for child in selectors.replay(desk.tenant, str(replay.pk)).children:
            services.run_slice(desk.tenant, str(child.row.pk))
    assert selectors.replay(desk.tenant, str(replay.pk)).row.finished_at is None
    asked: list[tuple[str, dict[str, object]]] = []
    monkeypatch.setattr(jobs, "_send", lambda name, arguments: asked.append((name, arguments)))
    services.tick()
    assert ("replays.run", {"tenant_id": desk.tenant.pk, "replay_id": str(replay.pk)}) in asked
    services.run_slice(desk.tenant, str(replay.pk))
    assert selectors.replay(desk.tenant, str(replay.pk)).row.verdict == "match"


@pytest.mark.trust("C1")
def test_children_that_end_at_the_same_moment_end_the_parent(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each cut-over works on its own snapshot, in which the other child is still running."""
    desk.fill(20)
    desk.catch_up()
    for _ in range(5):
        replay = start(desk, "all", "rebuild")
        children = selectors.replay(desk.tenant, str(replay.pk)).children

        def work(ident: str) -> None:
            services.run_slice(desk.tenant, ident)
            connections.close_all()

        threads = [threading.Thread(target=work, args=(str(children[n].row.pk),)) for n in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        view = selectors.replay(desk.tenant, str(replay.pk))
        assert (view.status, view.row.verdict) == ("completed", "match"), [c.row.status for c in view.children]


def test_a_replay_can_be_read_end_to_end_out_of_the_log(
    desk: Desk, small_steps: None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    desk.fill(5)
    desk.catch_up()
    caplog.clear()
    with bind(request_id="request-of-bob"):
        replay = start(desk, "context_graph", "rebuild")
    drive(desk, replay)
    lines = []
    for record in caplog.records:
        message = record.msg if isinstance(record.msg, dict) else None
        if message is None:
            try:
                message = json.loads(record.getMessage())
            except ValueError:
                continue
        if message.get("replay_id") == str(replay.pk):
            lines.append(message)
    names = [line["event"] for line in lines]
    assert names[0] == "replay.queued"
    assert names[-1] in ("replay.finished", "replay.slice")
    assert {"replay.began", "batch.folded", "replay.slice", "replay.finished"} <= set(names)
    assert {line["request_id"] for line in lines} == {"request-of-bob"}
    assert {line["tenant"] for line in lines} == {desk.tenant.slug}
    (finished,) = [line for line in lines if line["event"] == "replay.finished"]
    assert (finished["verdict"], finished["promoted"], finished["differences"]) == ("match", True, 0)
    folded = [line["cursor"] for line in lines if line["event"] == "batch.folded"]
    assert folded == sorted(folded)
    assert folded[-1] == finished["position"]
