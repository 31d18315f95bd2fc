"""Projections and jobs whose workers die, freeze, or differ: B1, B3, B5, B6, C1, C3."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, connections

from approvals import services as approvals
from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from decisiongraph.stack.endpoints import ROOT
from projections import engine
from projections import selectors as projections_selectors
from projections import services as projections
from projections.models import Checkpoint, Finding, TraceSummary
from replays import selectors, services
from replays.models import Replay
from tenants.models import Tenant
from tests.projections.desk import Desk, interleaved
from tests.replays.drive import drive, row, start
from tests.trust.sizes import SEED, size
from traces import selectors as log

pytestmark = pytest.mark.django_db

Figures = Callable[..., None]


@pytest.fixture
def desk(db: None) -> Desk:
    """A tenant of its own."""
    return Desk()


@pytest.fixture
def script(stack_environ: dict[str, str]) -> Callable[..., subprocess.Popen[str]]:
    """Start a script of this folder on this test's database."""

    def begin(name: str, *arguments: object, **environ: str) -> subprocess.Popen[str]:
        settings = {"DJANGO_SETTINGS_MODULE": "decisiongraph.settings", "PYTHONPATH": str(ROOT), "LOG_LEVEL": "ERROR"}
        return subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "trust" / name), *map(str, arguments)],
            env=os.environ | stack_environ | settings | environ,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )

    return begin


def answer(process: subprocess.Popen[str], seconds: float = 280) -> dict[str, Any]:
    """What a script printed."""
    said, _ = process.communicate(timeout=seconds)
    assert process.returncode == 0
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


# --- B1: the kill loop --------------------------------------------------------------------------------

B1_TRACES, B1_KILLS, B1_WORKERS = size(240, 2_000), size(12, 100), 3


@pytest.mark.trust("B1")
def test_projectors_killed_again_and_again(desk: Desk, script: Any, figures: Figures) -> None:
    head = desk.fill(B1_TRACES)
    done = answer(script("crew.py", "project", desk.tenant.slug, "-", B1_WORKERS, B1_KILLS, SEED))
    assert done["failed"] == 0
    assert done["kills"] == B1_KILLS, "the work was over before there were enough kills"
    desk.catch_up()
    assert set(desk.cursors().values()) == {head}
    assert desk.canonical() == desk.expected()
    assert desk.rows_right()
    figures(kills=done["kills"], workers=B1_WORKERS, events=head, digests="equal")


# --- B3: a frozen worker ------------------------------------------------------------------------------

FROZEN = """
import os, signal, sys
import django
django.setup()
from projections import engine
from projections.engine import batch
from replays import services
from replays.services import run
from tenants.models import Tenant
engine.REBUILD_BATCH, run.NEAR, run.LEASE_SECONDS = 10, 0, int(sys.argv[3])
run.Job.beat.__kwdefaults__["lease"] = run.LEASE_SECONDS
seen = 0
def freeze(name):
    global seen
    seen += name == "committed"
    if seen == 2:
        seen += 1
        os.kill(os.getpid(), signal.SIGSTOP)
batch.crash_point = freeze
fenced = []
run.log = type("Log", (), {"__getattr__": lambda self, name: lambda event, **more: fenced.append(event)})()
services.run_slice(Tenant.objects.get(slug=sys.argv[1]), sys.argv[2], budget=60.0)
print("fenced" if "replay.fenced" in fenced else fenced)
"""
LEASE = size(2, 5)


@pytest.mark.trust("B3")
def test_a_frozen_worker_is_taken_over_and_refused(
    desk: Desk, stack_environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, figures: Figures
) -> None:
    monkeypatch.setattr(engine, "REBUILD_BATCH", 10)
    monkeypatch.setattr("replays.services.run.NEAR", 0)
    head = desk.fill(20)
    desk.catch_up()
    replay = start(desk)
    child = subprocess.Popen(
        [sys.executable, "-c", FROZEN, desk.tenant.slug, str(replay.pk), str(LEASE)],
        env=os.environ | stack_environ | {"DJANGO_SETTINGS_MODULE": "decisiongraph.settings", "LOG_LEVEL": "ERROR"},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
        frozen_at, position = time.monotonic(), row(desk, replay).position
        assert position == 20
        while not services.run_slice(desk.tenant, str(replay.pk), budget=0.0):
            time.sleep(0.02)
        takeover = time.monotonic() - frozen_at
        assert row(desk, replay).takeovers == 1
        moved = row(desk, replay).position
        os.kill(child.pid, signal.SIGCONT)
        said, _ = child.communicate(timeout=60)
        assert said.strip() == "fenced"
        assert row(desk, replay).position == moved, "the late commit was refused"
    finally:
        child.kill()
        child.wait()
    assert takeover <= LEASE + 1
    assert drive(desk, replay).row.verdict == "match"
    figures(events=head, lease_seconds=LEASE, takeover_seconds=round(takeover, 2), late_commit="refused")


# --- B5: a rebuild under load -------------------------------------------------------------------------

B5_TRACES, B5_LOAD = size(60, 6_000, 25_600), size(20, 400, 2_000)
CUT_OVER_MS = size(500, 100)


def killed_at_work(desk: Desk, replay: Replay, share: float) -> bool:
    """Kill the worker that holds the replay once this share of it is done; False when it is not so far."""
    found = row(desk, replay)
    if found.lease_until is None or found.position < share * found.target:
        return False
    worker = int(found.worker.rpartition(":")[2])
    os.kill(worker, signal.SIGSTOP)
    time.sleep(0.02)  # what it had asked the database for is over
    found = row(desk, replay)
    caught = found.lease_until is not None and found.worker.endswith(f":{worker}") and found.status == "running"
    os.kill(worker, signal.SIGKILL if caught else signal.SIGCONT)
    return caught


@pytest.mark.trust("B5")
def test_a_rebuild_under_load_killed_twice(desk: Desk, script: Any, figures: Figures) -> None:
    desk.fill(B5_TRACES)
    desk.catch_up()
    replay = start(desk, "trace_summary", "rebuild")
    crew = script("crew.py", "victims", desk.tenant.slug, replay.pk, 2, 2, SEED)
    over, failures = threading.Event(), list[BaseException]()
    reads = wrong = written = 0

    def write() -> None:
        nonlocal written
        for n in range(B5_LOAD):
            if over.is_set() and n > 10:
                return
            desk.append(interleaved(1, prefix=f"load-{n}", seed=n))
            written += 1
            projections.catch_up(desk.tenant)

    def read() -> None:
        """In one snapshot: as many summaries as traces have started up to the cursor."""
        nonlocal reads, wrong
        while not over.is_set():
            with tenant_tx(desk.tenant, isolation="REPEATABLE READ"), connection.cursor() as cursor:
                live = Checkpoint.objects.get(projection="trace_summary", active=True)
                rows = TraceSummary.objects.filter(generation=live.generation, first_log_seq__gt=0).count()
                cursor.execute(
                    "SELECT count(*) FROM traces_event WHERE tenant_id = %s AND log_seq <= %s "
                    "AND event_type = 'TraceStarted'",
                    [desk.tenant.pk, live.cursor],
                )
                (started,) = cursor.fetchone() or (0,)
            reads += 1
            wrong += rows != started

    def kill() -> None:
        """Whoever works on it, after a third and after two thirds."""
        for share in (1 / 3, 2 / 3):
            while not over.is_set() and not killed_at_work(desk, replay, share):
                time.sleep(0.005)

    def guarded(job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=guarded, args=(job,)) for job in (write, read, kill)]
    for thread in threads:
        thread.start()
    try:
        done = answer(crew, size(280, 280, 2_000))
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert not failures, failures
    view = selectors.replay(desk.tenant, str(replay.pk))
    assert (view.row.verdict, view.row.promoted) == ("match", True)
    assert done == {"kills": 2, "failed": 0}
    assert view.row.takeovers >= 2
    assert view.row.held_seconds is not None
    assert view.row.held_seconds * 1000 <= CUT_OVER_MS
    assert (wrong, reads > 3) == (0, True)
    desk.catch_up()
    assert desk.canonical() == desk.expected()
    figures(
        events=log.head(desk.tenant),
        kills=2,
        traces_written_meanwhile=written,
        reads=reads,
        inconsistent=wrong,
        cut_over_ms=round(view.row.held_seconds * 1000, 1),
    )


# --- B6: determinism ----------------------------------------------------------------------------------

B6_EVENTS = size(400, 20_000)
B6_RUNS = [(B6_EVENTS, 500), (size(200, 6_000, 20_000), 7), (size(60, 2_000), 1)]
"""Events and batch."""
PLACES = [{"PYTHONHASHSEED": "1", "TZ": "UTC"}, {"PYTHONHASHSEED": "4711", "TZ": "Pacific/Kiritimati"}]


@pytest.mark.trust("B6")
def test_one_digest_whatever_the_batches_seeds_and_zones(desk: Desk, script: Any, figures: Figures) -> None:
    while log.head(desk.tenant) < B6_EVENTS:
        desk.fill(size(40, 500), prefix=f"p{log.head(desk.tenant)}", seed=SEED % 1000 + log.head(desk.tenant))
    seconds = 0.0
    by_length: dict[int, set[str]] = {}
    for until, batch in [*B6_RUNS, *((until, 500) for until, batch in B6_RUNS[1:])]:
        running = [script("fold.py", desk.tenant.slug, until, batch, **place) for place in PLACES]
        for process in running:
            done = answer(process)
            seconds += done["seconds"]
            by_length.setdefault(until, set()).add(json.dumps(done["digests"], sort_keys=True))
    assert {until: len(found) for until, found in by_length.items()} == dict.fromkeys(by_length, 1)
    desk.catch_up()
    events = log.head(desk.tenant)
    whole = answer(script("fold.py", desk.tenant.slug, events, 2_000, **PLACES[1]))
    assert whole["digests"] == desk.canonical(), "folded live"
    runs = ", ".join(f"{until:,} by {batch}" for until, batch in B6_RUNS)
    figures(events_by_batch=runs, hash_seeds=2, time_zones=2, digests=1)


@pytest.mark.trust("B6", control=True)
def test_the_control_a_rule_over_a_set_differs(desk: Desk, script: Any, figures: Figures) -> None:
    desk.fill(5)
    until = log.head(desk.tenant)
    running = [script("fold.py", desk.tenant.slug, until, 50, "careless", **place) for place in PLACES]
    found = {answer(process)["digests"]["trace_summary"] for process in running}
    assert len(found) == 2
    figures(rule_over_a_set_digests=len(found))


# --- C1: jobs -----------------------------------------------------------------------------------------

C1_TRACES, C1_KILLS = size(40, 900), size(4, 12)


@pytest.mark.trust("C1")
def test_slices_killed_happen_once(desk: Desk, script: Any, figures: Figures) -> None:
    head = desk.fill(C1_TRACES)
    desk.catch_up()
    replay = start(desk, "policy_evaluations", "rebuild")
    done = answer(script("crew.py", "replay", desk.tenant.slug, replay.pk, 2, C1_KILLS, SEED))
    view = selectors.replay(desk.tenant, str(replay.pk))
    assert done["failed"] == 0
    assert (view.row.verdict, view.row.promoted) == ("match", True)
    assert view.position == head
    assert desk.canonical() == desk.expected(), "a slice twice, or not at all"
    figures(slices=head // 20, kills=done["kills"], takeovers=view.row.takeovers, twice=0)


@pytest.mark.trust("C1")
def test_cancel_within_a_second_and_a_stall_is_shown(
    desk: Desk, script: Any, monkeypatch: pytest.MonkeyPatch, figures: Figures
) -> None:
    desk.fill(size(60, 400))
    desk.catch_up()
    replay = start(desk, "context_graph", "verify")
    crew = script("crew.py", "replay", desk.tenant.slug, replay.pk, 1, 0, SEED)
    while row(desk, replay).position == 0:
        time.sleep(0.02)
    services.cancel_replay(desk.tenant, principal=desk.principal, replay_id=str(replay.pk))
    asked = time.monotonic()
    while row(desk, replay).status == "running":
        time.sleep(0.01)
    took = time.monotonic() - asked
    assert row(desk, replay).status == "cancelled"
    assert took <= 1.0
    answer(crew)

    monkeypatch.setattr("replays.selectors.jobs.STALLED_AFTER", 0.5)
    stalled = start(desk, "trace_summary", "verify")
    (job,) = services.claim(desk.tenant, str(stalled.pk))  # and its worker dies here
    assert job.row.status == "running"
    died = time.monotonic()
    while selectors.replay(desk.tenant, str(stalled.pk)).status != "stalled":
        assert time.monotonic() - died < 5
        time.sleep(0.02)
    figures(cancel_seconds=round(took, 2), stall_shown_after_s=round(time.monotonic() - died, 2))


# --- C3: two beats ------------------------------------------------------------------------------------


@pytest.mark.trust("C3")
def test_two_beats_do_everything_once(desk: Desk, monkeypatch: pytest.MonkeyPatch, figures: Figures) -> None:
    """Both tick at the same moments: every finding is stored once, and a job ends once."""
    ticks = size(10, 60)
    desk.fill(3)
    engine.prepare(desk.tenant)
    observed = projections_selectors.observations

    def slowly(tenant: Tenant) -> Any:
        """Between looking and storing the other one has time to look, too."""
        found = observed(tenant)
        time.sleep(0.01)
        return found

    monkeypatch.setattr(projections_selectors, "observations", slowly)

    def fall_ill() -> None:
        """Before every tick: nothing is known, everything has failed."""
        with tenant_tx(desk.tenant), connection.cursor() as cursor:
            Finding.objects.filter(closed_at__isnull=True).update(closed_at=clock.now())
            cursor.execute("UPDATE projections_checkpoint SET failures = 5 WHERE tenant_id = %s", [desk.tenant.pk])

    together = threading.Barrier(2, action=fall_ill)

    def beat() -> None:
        for _ in range(ticks):
            together.wait(60)
            projections.watch_staleness(desk.tenant)

    def tick() -> None:
        """All that beat does, and the work it wakes."""
        projections.tick()
        services.tick()
        approvals.sweep()
        while services.run_slice(desk.tenant, str(replay.pk)):
            pass

    both(beat)
    with tenant_tx(desk.tenant):
        found = Finding.objects.filter(kind=Finding.STALE).count()
    assert found == ticks * len(engine.BOUND), "a finding twice, or none"
    replay = start(desk, "trace_summary", "verify")
    both(tick)
    with tenant_tx(desk.tenant):
        ended = Replay.objects.filter(pk=replay.pk, verdict="match").count()
    assert ended == 1
    figures(ticks=ticks, beats=2, findings=found, doubled=0)


def both(job: Callable[[], None]) -> None:
    """Two threads do it at once."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            job()
        except BaseException as error:
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
