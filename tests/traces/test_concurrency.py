"""Many writers, one gapless log; killed writers leave nothing half-done (TRUST A1, A3)."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, connection

from decisiongraph.core.db import tenant_tx
from decisiongraph.stack.endpoints import ROOT, endpoints
from tests.traces.events import Desk, new_id, start, step
from tests.trust.sizes import SEED, size
from traces import selectors

pytestmark = pytest.mark.django_db

SECONDS = size(2.0, 5.0)
ENOUGH = 100
WRITERS = 8
ROLLED_BACK = 0.2
"""Share of transactions that end without commit, after having appended."""


@pytest.fixture
def desk() -> Desk:
    return Desk()


class RolledBack(Exception):
    """A writer changes its mind."""


def on_threads(*jobs: Callable[[], None]) -> None:
    """Run all at once; the first failure is raised here."""
    failures: list[BaseException] = []

    def run(job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as failure:
            failures.append(failure)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def slow_writer(desk: Desk, seed: int, going: Callable[[], bool], written: Counter[str]) -> None:
    """Append in transactions that go on for a while and sometimes roll back."""
    rng = random.Random(SEED + seed)
    trace = new_id()
    desk.append(start(trace))
    written["log"] += 1
    while going():
        with contextlib.suppress(RolledBack), tenant_tx(desk.tenant):
            desk.append(*[step(trace) for _ in range(rng.randint(1, 3))])
            time.sleep(rng.random() * 0.01)
            if rng.random() < ROLLED_BACK:
                raise RolledBack


@pytest.mark.trust("A1")
def test_a_tailing_reader_misses_nothing(desk: Desk, figures: Callable[..., None]) -> None:
    """A1: 8 slow writers; the reader's cursor is just a number."""
    until = time.monotonic() + SECONDS
    seen: list[int] = []
    written: Counter[str] = Counter()
    done = threading.Event()

    def going() -> bool:
        """For a while, and on a slow machine until there is something to lose."""
        return time.monotonic() < until or (len(seen) <= ENOUGH and time.monotonic() < until + 60)

    def read() -> None:
        while True:
            last = done.is_set()
            found = selectors.read_log(desk.tenant, after=seen[-1] if seen else 0, limit=100)
            seen.extend(event.log_seq for event in found)
            if last and not found:
                return

    def write_all() -> None:
        try:
            on_threads(*[lambda n=n: slow_writer(desk, n, going, written) for n in range(WRITERS)])  # type: ignore[misc]
        finally:
            done.set()

    on_threads(read, write_all)
    assert len(seen) > ENOUGH
    assert seen == list(range(1, len(seen) + 1)), "lost, duplicated or out of order"
    assert selectors.head(desk.tenant) == len(seen)
    figures(events=len(seen), lost=0, doubled=0)


@pytest.mark.trust("A1", control=True)
def test_the_control_a_reader_of_a_serial_number_misses_some(
    stack_environ: dict[str, str], figures: Callable[..., None]
) -> None:
    """The same load on a BIGSERIAL column: commit order is not number order, and the reader loses rows."""
    url = endpoints(stack_environ).database_url_admin
    until = time.monotonic() + SECONDS / 2
    seen: list[int] = []
    done = threading.Event()
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("DROP TABLE IF EXISTS serial_log; CREATE TABLE serial_log (id bigserial PRIMARY KEY)")

        def write() -> None:
            with psycopg.connect(url) as own:
                while time.monotonic() < until or len(seen) <= ENOUGH:
                    own.execute("INSERT INTO serial_log DEFAULT VALUES")
                    time.sleep(random.random() * 0.01)
                    if random.random() < ROLLED_BACK:
                        own.rollback()
                    else:
                        own.commit()

        def read() -> None:
            with psycopg.connect(url, autocommit=True) as own:
                while True:
                    last = done.is_set()
                    rows = own.execute(
                        "SELECT id FROM serial_log WHERE id > %s ORDER BY id", [seen[-1] if seen else 0]
                    ).fetchall()
                    seen.extend(row[0] for row in rows)
                    if last and not rows:
                        return

        def write_all() -> None:
            try:
                on_threads(*[write] * WRITERS)
            finally:
                done.set()

        on_threads(read, write_all)
        (stored,) = admin.execute("SELECT count(*) FROM serial_log").fetchone() or (0,)
        admin.execute("DROP TABLE serial_log")
    assert len(seen) < stored
    figures(BIGSERIAL_events=stored, lost=stored - len(seen))


@pytest.mark.trust("A2")
def test_commit_order_is_log_order(desk: Desk) -> None:
    """Who is told an earlier position was told it before: 8 threads, each sees its own write at once."""
    trace = new_id()
    desk.append(start(trace))
    guard = threading.Lock()
    finished: list[int] = []

    def write() -> None:
        for _ in range(25):
            receipt = desk.one(step(trace))
            assert receipt.log_seq is not None
            with guard:
                finished.append(receipt.log_seq)
            assert selectors.head(desk.tenant) >= receipt.log_seq
            assert selectors.event_at(desk.tenant, receipt.log_seq).event_id == receipt.event_id

    on_threads(*[write] * WRITERS)
    assert sorted(finished) == list(range(2, 2 + 25 * WRITERS))
    events = selectors.read_trace(desk.tenant, trace)
    assert [e.trace_seq for e in events] == list(range(len(events)))
    assert [e.recorded_at for e in events] == sorted(e.recorded_at for e in events)


# --- torture ----------------------------------------------------------------------------------

TORTURER = ROOT / "tests" / "traces" / "torturer.py"
KEYS = size(200, 600)
PROCESSES = 3
KILLS = size(6, 12)


@pytest.mark.trust("A3")
def test_killed_writers_lose_and_double_nothing(desk: Desk, stack_environ: dict[str, str], tmp_path: Path) -> None:
    """A3, scaled: every key is sent by every process, some with other content; processes are killed."""
    answers = [tmp_path / f"answers-{n}" for n in range(PROCESSES)]

    def spawn(number: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, str(TORTURER), desk.tenant.slug, str(KEYS), str(number), str(answers[number])],
            cwd=ROOT,
            env=stack_environ | {"PYTHONPATH": str(ROOT), "LOG_LEVEL": "ERROR"},
        )

    running = [spawn(number) for number in range(PROCESSES)]
    rng = random.Random(SEED)
    for _ in range(KILLS):
        time.sleep(0.25 + rng.random() * 0.5)
        victim = rng.randrange(PROCESSES)
        if running[victim].poll() is None:
            os.kill(running[victim].pid, signal.SIGKILL)
            running[victim].wait()
            running[victim] = spawn(victim)
    assert [process.wait(timeout=120) for process in running] == [0] * PROCESSES

    log = selectors.read_log(desk.tenant, after=0, limit=10_000)
    assert [event.log_seq for event in log] == list(range(1, len(log) + 1))
    stored = {event.idempotency_key: event for event in log}
    assert len(stored) == len(log), "a key twice"
    assert set(stored) == {f"k{n}" for n in range(KEYS)}, "a key lost"
    by_trace: dict[str, list[int]] = {}
    for event in log:
        by_trace.setdefault(event.trace_id, []).append(event.trace_seq)
    assert all(seqs == list(range(len(seqs))) for seqs in by_trace.values())

    created: Counter[str] = Counter()
    for key, status, log_seq, content in _answers(answers):
        event = stored[key]
        title = event.payload and (event.payload.get("title") or event.payload.get("input_id"))
        if status == "created":
            created[key] += 1
        if status == "event.idempotency_conflict":
            assert title != content, "a conflict about the same content"
        else:
            assert (log_seq, content) == (event.log_seq, title), "a wrong answer"
    assert set(created.values()) == {1}


def _answers(files: list[Path]) -> Iterator[tuple[str, str, int | None, str]]:
    for file in files:
        for line in file.read_text().splitlines():
            with contextlib.suppress(json.JSONDecodeError):  # a killed process may have torn its last line
                key, status, log_seq, content = json.loads(line)
                yield key, status, log_seq, content


@pytest.mark.trust("A3", control=True)
def test_the_control_without_its_constraints_the_log_doubles(desk: Desk, stack_environ: dict[str, str]) -> None:
    """The database is the guarantee: with the lock bypassed the constraints refuse what the code lets through."""
    trace = new_id()
    desk.append(start(trace))
    url = endpoints(stack_environ).database_url_admin
    copy = "INSERT INTO {} ({cols}) SELECT {cols} FROM traces_event WHERE tenant_id = %s AND log_seq = 1"
    with psycopg.connect(url, autocommit=True) as admin, admin.transaction(force_rollback=True):
        columns = admin.execute(
            "SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute "
            "WHERE attrelid = 'traces_event'::regclass AND attnum > 0 AND attgenerated = '' AND NOT attisdropped"
        ).fetchone()
        assert columns is not None
        admin.execute("CREATE TABLE bare (LIKE traces_event INCLUDING GENERATED)")
        for _ in range(2):
            admin.execute(copy.format("bare", cols=columns[0]), [desk.tenant.pk])
        assert admin.execute("SELECT count(*) FROM bare").fetchone() == (2,)
        with pytest.raises(psycopg.errors.UniqueViolation):
            admin.execute(copy.format("traces_event", cols=columns[0]), [desk.tenant.pk])


def test_a_writer_that_ignores_the_lock_is_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stale head means the same position twice; the primary key refuses it and nothing is stored."""
    from traces import store

    trace = new_id()
    desk.append(start(trace), step(trace))
    real = store.look

    def stale(*args: Any) -> store.Seen:
        seen = real(*args)
        return seen._replace(head=seen.head._replace(log_seq=1))

    monkeypatch.setattr(store, "look", stale)
    with pytest.raises(DatabaseError, match="_pkey"):
        desk.append(step(trace))
    monkeypatch.undo()
    assert selectors.head(desk.tenant) == 2
