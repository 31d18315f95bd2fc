"""The engine: the same rows whatever the batches, the crashes and the company."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from django.db import DatabaseError, connection, connections

from decisiongraph.core.db import tenant_tx
from projections import engine
from projections.domain.rules import RULES
from projections.engine import batch as step_module
from projections.models import Checkpoint, GraphNode, TraceSummary
from tests.projections.desk import Desk

pytestmark = pytest.mark.django_db

PLACES = ("claimed", "read", "folded", "rows", "buckets", "cursor", "committed")


class Crash(Exception):
    """The worker dies here."""


@pytest.mark.parametrize("batch", [1, 7, 500])
def test_batch_size_changes_nothing(desk: Desk, batch: int) -> None:
    head = desk.fill(12 if batch == 1 else 40)
    desk.catch_up(batch=batch)
    assert set(desk.cursors().values()) == {head}
    assert desk.canonical() == desk.expected()
    assert desk.rows_right()


def test_following_in_pieces_is_the_same_as_at_once(desk: Desk) -> None:
    for seed in range(4):
        desk.fill(6, seed=seed, prefix=f"p{seed}")
        desk.catch_up()
    assert desk.canonical() == desk.expected()


def test_two_tenants_share_nothing(desk: Desk) -> None:
    other = Desk()
    desk.fill(4, prefix="same")
    other.fill(4, prefix="same")
    desk.catch_up()
    other.catch_up()
    assert desk.canonical() == other.canonical()
    assert desk.live() != other.live(), "the hash key belongs to the tenant"
    with tenant_tx(desk.tenant):
        assert {row.tenant_id for row in GraphNode.objects.all()} == {desk.tenant.pk}


@pytest.mark.trust("B2")
@pytest.mark.parametrize("place", PLACES)
def test_a_crash_anywhere_is_invisible(desk: Desk, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.fill(10)
    crashes = 0

    def crash(name: str) -> None:
        nonlocal crashes
        if name == place and crashes < 5:
            crashes += 1
            raise Crash(name)

    monkeypatch.setattr(step_module, "crash_point", crash)
    for _ in range(200):
        try:
            desk.catch_up(batch=9)
        except Crash:
            continue
        break
    assert crashes == 5
    assert desk.canonical() == desk.expected()
    assert desk.rows_right()


KILLED = """
import os, signal, sys
import django
django.setup()
from projections import engine
from projections.engine import batch as step
from tenants.models import Tenant
place, times = sys.argv[2], int(sys.argv[3])
seen = 0
def die(name):
    global seen
    if name == place:
        seen += 1
        if seen == times:
            os.kill(os.getpid(), signal.SIGKILL)
step.crash_point = die
while engine.catch_up(Tenant.objects.get(slug=sys.argv[1]), batch=25).more:
    pass
"""


@pytest.mark.trust("B2")
def test_killed_workers_leave_whole_batches(desk: Desk, stack_environ: dict[str, str]) -> None:
    desk.fill(25)
    for times, place in enumerate(("rows", "buckets", "cursor", "committed"), start=2):
        done = subprocess.run(
            [sys.executable, "-c", KILLED, desk.tenant.slug, place, str(times)],
            env={**os.environ, **stack_environ, "LOG_LEVEL": "WARNING"},
            cwd=Path(__file__).resolve().parents[2],
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    desk.catch_up(batch=25)
    assert desk.canonical() == desk.expected()
    assert desk.rows_right()


@pytest.mark.trust("B1")
def test_many_workers_at_once(desk: Desk) -> None:
    desk.fill(40)
    errors: list[BaseException] = []

    def work() -> None:
        try:
            desk.catch_up(batch=11)
        except BaseException as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    desk.catch_up()
    assert not errors
    assert desk.canonical() == desk.expected()


@pytest.mark.trust("B1", control=True)
def test_the_control_a_cursor_of_its_own_transaction_is_caught(desk: Desk) -> None:
    """Moving a cursor without its rows, as a careless engine would, must show in the digests."""
    desk.fill(10)
    with tenant_tx(desk.tenant):
        engine.prepare(desk.tenant)
        Checkpoint.objects.filter(projection="context_graph", active=True).update(cursor=5)
    desk.catch_up()
    assert desk.canonical()["context_graph"] != desk.expected()["context_graph"]


def test_a_database_error_fails_the_batch_and_is_counted(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    head = desk.fill(5)
    broken = True

    def refuse(name: str) -> None:
        if broken and name == "rows":
            raise DatabaseError("disk full")

    monkeypatch.setattr(step_module, "crash_point", refuse)
    for _ in range(5):
        assert engine.catch_up(desk.tenant, "context_graph").failed
    with tenant_tx(desk.tenant):
        row = Checkpoint.objects.get(projection="context_graph", active=True)
    assert (row.failures, row.cursor) == (5, 0)
    assert "disk full" in row.last_error
    broken = False
    assert not engine.catch_up(desk.tenant).failed
    with tenant_tx(desk.tenant):
        row = Checkpoint.objects.get(projection="context_graph", active=True)
    assert (row.failures, row.cursor, row.last_error) == (0, head, "")
    assert desk.canonical() == desk.expected()


def test_a_held_cursor_is_left_alone(desk: Desk) -> None:
    head = desk.fill(3)
    engine.prepare(desk.tenant)
    engine.ask_to_hold(desk.tenant, "trace_summary", 30)
    desk.catch_up()
    cursors = desk.cursors()
    assert cursors.pop("trace_summary") == 0
    assert set(cursors.values()) == {head}
    engine.let_go(desk.tenant, "trace_summary")
    desk.catch_up()
    assert desk.cursors()["trace_summary"] == head


def test_long_and_hostile_values_are_stored(desk: Desk) -> None:
    events = [
        {
            "trace_id": "big",
            "event_type": "TraceStarted",
            "source": {"producer_id": "desk", "system": "s"},
            "actor": {"actor_type": "agent", "actor_id": "ü" * 100},
            "idempotency_key": "big-0",
            "occurred_at": "2026-01-01T00:00:00.123456789Z",
            "payload": {
                "workflow": "w" * 20_000,
                "title": '{"}\\,NULL\t\n\u0001',
                "primary_entity": {"entity_type": "null", "entity_id": "\\N{}"},
                "context": {"deep": [[[{"x": -0.0}]]], "big": 9007199254740991, "small": 5e-324},
            },
        }
    ]
    desk.append(events)
    desk.catch_up()
    assert desk.canonical() == desk.expected()
    with tenant_tx(desk.tenant):
        assert TraceSummary.objects.get().started_ts is not None


def test_the_real_primary_key(desk: Desk) -> None:
    desk.fill(2)
    desk.catch_up()
    with tenant_tx(desk.tenant), connection.cursor() as cursor, pytest.raises(DatabaseError, match="pkey"):
        cursor.execute(
            "INSERT INTO projections_graphnode (tenant_id, generation, key, key_sha, row_hash, log_seq, "
            "node_type, trace_id, created_at) SELECT tenant_id, generation, key, key_sha, row_hash, log_seq, "
            "node_type, trace_id, created_at FROM projections_graphnode LIMIT 1"
        )


def test_every_rule_has_its_tables() -> None:
    for name, bound in engine.BOUND.items():
        assert bound.rule is RULES[name]
        for table in bound.tables.values():
            assert [column.name for column in table.semantic] == list(table.table.columns)
