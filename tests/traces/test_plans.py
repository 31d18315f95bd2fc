"""Look-ups cost what they find, not what the log holds, also for a tenant the statistics have never seen."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import connection

from decisiongraph.core.db import tenant_tx
from decisiongraph.stack.endpoints import endpoints
from tests.traces.events import Desk, new_id, start, step
from traces import selectors, store
from traces.selectors import rows

pytestmark = pytest.mark.django_db

BATCHES, TRACES = 6, 25
"""500 events a batch in 25 traces of 20: past the size at which a wrong index would be chosen."""


def busy_desk() -> Desk:
    """A tenant with a few thousand events."""
    desk = Desk()
    for _ in range(BATCHES):
        traces = [new_id() for _ in range(TRACES)]
        desk.append(*[start(t) if n == 0 else step(t) for t in traces for n in range(20)])
    return desk


@pytest.fixture(scope="module")
def resident(django_db_setup: None, django_db_blocker: pytest.Blocker) -> Desk:
    """A tenant the last ANALYZE has seen; these tests only read it."""
    with django_db_blocker.unblock():
        desk = busy_desk()
    with psycopg.connect(endpoints(os.environ).database_url_admin, autocommit=True) as admin:
        admin.execute("ANALYZE traces_event, traces_event_body")
    return desk


@pytest.fixture(scope="module")
def newcomer(resident: Desk, django_db_blocker: pytest.Blocker) -> Desk:
    """A tenant that came after the last ANALYZE, with as many events as the one before."""
    with django_db_blocker.unblock():
        return busy_desk()


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A plan and everything below it."""
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


def explain(desk: Desk, sql: str, arguments: Any) -> list[dict[str, Any]]:
    """Nodes of the plan of a statement as the app role runs it, after it ran."""
    with tenant_tx(desk.tenant), connection.cursor() as cursor:
        raw = cursor.connection
        with psycopg.Cursor(raw) as own:
            found = own.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + sql, arguments).fetchone()
        plan = found[0] if not isinstance(found[0], str) else json.loads(found[0])
    return list(nodes(plan[0]["Plan"]))


def indexes(plan: list[dict[str, Any]]) -> set[str]:
    """Which indexes of the log it used."""
    return {node["Index Name"] for node in plan if "Index Name" in node}


def rows_read(plan: list[dict[str, Any]]) -> float:
    """How many index entries were looked at, kept or not."""
    return sum(
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        for node in plan
        if "Index Name" in node
    )


LOOK_UPS: dict[str, tuple[str, Any, str]] = {
    "key": (store._KNOWN_BY_KEY, (["desk"] * 500, [f"k{n}" for n in range(500)]), "traces_event_key"),
    "trace": (store._TRACES, ([f"t{n}" for n in range(50)],), "traces_event_trace"),
    "event id": (store._TAKEN_IDS, ([f"e{n}" for n in range(50)],), "traces_event_event_id"),
    "head": (store._HEAD, (), "traces_event_pkey"),
}


@pytest.mark.parametrize("name", LOOK_UPS)
def test_an_append_looks_up_by_the_index_that_fits(newcomer: Desk, name: str) -> None:
    sql, arguments, index = LOOK_UPS[name]
    plan = explain(newcomer, sql, (*arguments, newcomer.tenant.pk))
    assert index in indexes(plan)
    assert rows_read(plan) <= 10


def test_reading_costs_what_it_finds(newcomer: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, Any]] = []
    monkeypatch.setattr(rows, "events", lambda sql, arguments: asked.append((sql, arguments)) or [])
    selectors.read_log(newcomer.tenant, after=0, limit=100, event_type="PrecedentCited")
    selectors.read_log(newcomer.tenant, after=0, limit=100, trace_id="none")
    selectors.read_log(newcomer.tenant, after=0, limit=100, trace_id="none", event_type="TraceStarted")
    selectors.read_trace(newcomer.tenant, "none")
    selectors.trace_history(newcomer.tenant, [f"none{n}" for n in range(50)], ["TraceStarted"])
    selectors.event_by_id(newcomer.tenant, "none")
    assert len(asked) == 6
    for sql, arguments in asked:
        assert rows_read(explain(newcomer, sql, arguments)) <= 10, sql
    asked.clear()
    selectors.read_log(newcomer.tenant, after=1500, limit=100, event_type="InputObserved")
    for sql, arguments in asked:
        assert rows_read(explain(newcomer, sql, arguments)) <= 2 * 100 + 10, sql
    for sql in (rows._PIECE, rows._BODIES):  # a piece of the log is two ranges
        assert rows_read(explain(newcomer, sql, (newcomer.tenant.pk, 1500, 1600))) <= 100 + 10, sql


def test_the_control_with_statistics_a_newcomer_counts_as_one_row(
    resident: Desk, newcomer: Desk, stack_environ: dict[str, str]
) -> None:
    """What `core.db.protect` switches off: thought to be one row, a tenant is read whole by whatever index."""
    guesses = {}
    columns = ", ".join(COLUMNS)
    copy = f"INSERT INTO log_copy ({columns}) SELECT {columns} FROM traces_event WHERE tenant_id = %s"
    with psycopg.connect(endpoints(stack_environ).database_url_admin, autocommit=True) as admin:
        for statistics in (-1, 0):
            admin.execute("CREATE TEMP TABLE log_copy (LIKE traces_event INCLUDING ALL)")
            admin.execute(f"ALTER TABLE log_copy ALTER COLUMN tenant_id SET STATISTICS {statistics}")
            admin.execute(copy, [resident.tenant.pk])
            admin.execute("ANALYZE log_copy")
            admin.execute(copy, [newcomer.tenant.pk])
            plan = admin.execute(
                "EXPLAIN (FORMAT JSON) SELECT * FROM log_copy WHERE tenant_id = %s", [newcomer.tenant.pk]
            ).fetchone()
            assert plan is not None
            guesses[statistics] = plan[0][0]["Plan"]["Plan Rows"]
            admin.execute("DROP TABLE log_copy")
    assert guesses[-1] == 1
    assert guesses[0] >= 5


BODY = {"payload", "salt", "payload_hash", "content_hmac"}
COLUMNS = ("tenant_id", "recorded_at", "origin", "principal")
COLUMNS += tuple(name for name in store.NewEvent._fields if name not in BODY)
