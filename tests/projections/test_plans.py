"""Looking rows up costs what is found, also in a tenant and a generation newer than the statistics."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import connection

from decisiongraph.core.db import arrays, current_tenant_id, tenant_tx
from decisiongraph.stack.endpoints import endpoints
from projections import engine
from projections.domain.digest import key_sha
from projections.domain.graph import walk
from projections.models import GraphEdge, TraceSummary
from projections.selectors import graph as graphs
from tests.projections.desk import Desk
from tests.replays.drive import run

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def newcomer(django_db_setup: None, django_db_blocker: pytest.Blocker) -> Desk:
    """A tenant whose rows, of a second generation, came after the last ANALYZE; these tests only read it."""
    with django_db_blocker.unblock():
        return arrive()


def arrive() -> Desk:
    """Another tenant, the ANALYZE, and the newcomer."""
    for desk in (Desk(), newcomer := Desk()):
        for number in range(2):
            desk.fill(250, prefix=f"n{number}", seed=number)
        desk.catch_up()
        if desk is not newcomer:
            with psycopg.connect(endpoints(os.environ).database_url_admin, autocommit=True) as admin:
                admin.execute("ANALYZE projections_tracesummary, projections_graphedge, projections_graphnode")
    run(newcomer, "all", "rebuild")
    return newcomer


def read(plan: dict[str, Any]) -> Iterator[float]:
    """Rows looked at by every scan of a plan, kept or not."""
    if "Scan" in plan["Node Type"]:
        yield plan["Actual Loops"] * (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0))
    for inner in plan.get("Plans", ()):
        yield from read(inner)


def looked_at(sql: Any, arguments: Any) -> float:
    """How many rows the scans of a statement look at."""
    with arrays.cursor() as cursor:
        cursor.format = psycopg.pq.Format.TEXT
        found = cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + sql, arguments).fetchone()[0]
    plan = found if not isinstance(found, str) else json.loads(found)
    return max(read(plan[0]["Plan"]), default=0)


def test_the_engine_finds_the_rows_of_a_batch_by_their_key(newcomer: Desk) -> None:
    table = engine.BOUND["trace_summary"].tables["trace_summary"]
    with tenant_tx(newcomer.tenant):
        generation = newcomer.generation("trace_summary")
        assert generation == 2
        shas = arrays.byteas(key_sha(f"n0-{number}") for number in range(30))
        assert looked_at(table.load_sql, (shas, current_tenant_id(), generation)) <= 30
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM projections_tracesummary WHERE generation = 2")
            assert cursor.fetchone()[0] >= 500, "or this proves nothing"


def test_look_ups_of_pages_find_what_they_show(newcomer: Desk) -> None:
    with tenant_tx(newcomer.tenant):
        one = TraceSummary.objects.of(2).filter(key_sha=key_sha("n0-7"))
        edges = GraphEdge.objects.of(2).filter(from_sha=key_sha("trace:n0-7")).order_by("log_seq")[:50]
        for rows, most in ((one, 1), (edges, 30)):
            sql, arguments = rows.query.sql_with_params()
            assert looked_at(sql, arguments) <= most, sql


def test_a_walk_reads_of_a_hub_what_it_has_room_for(newcomer: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every node is a look-up of its own that stops by itself; counting what is left costs no row beyond the hub."""
    asked: list[tuple[str, dict[str, Any]]] = []
    rows = graphs._Edges._rows

    def listen(self: Any, sql: str, **values: Any) -> Any:
        asked.append((sql, self.values | values))
        return rows(self, sql, **values)

    monkeypatch.setattr(graphs._Edges, "_rows", listen)
    monkeypatch.setattr(walk, "LEAST_PER_NODE", 10)
    hub = "actor:agent:bot-0"
    for newest in (False, True):
        asked.clear()
        found = graphs.subgraph(newcomer.tenant, node=hub, depth=2, max_nodes=30, newest=newest)
        assert found.hubs[hub] >= 500, "or this proves nothing"
        with tenant_tx(newcomer.tenant):
            reads = {sql: looked_at(sql, values) for sql, values in asked}
        # of each node what is asked for, and everything that the thirty say themselves
        walked = [most for sql, most in reads.items() if "UNION ALL" in sql]
        closing = [most for sql, most in reads.items() if "to_sha || ''" in sql]
        counted = [most for sql, most in reads.items() if "count(*)" in sql]
        assert walked
        assert max(walked) <= 45
        assert max(closing) <= 30 * 12
        assert max(counted) <= found.hubs[hub] + 10


SIMILAR = "dg_similar_traces(integer, integer, text, text[], text, integer)"


def test_a_slip_is_looked_for_in_the_index_of_handles(newcomer: Desk) -> None:
    """Also when half of a large table has just been vacuumed away and the planner expects few rows of the tenant."""
    with psycopg.connect(endpoints(os.environ).database_url_admin) as admin:
        said: list[str] = []
        admin.add_notice_handler(lambda notice: said.append(notice.message_primary or ""))
        admin.execute("SELECT gin_clean_pending_list('projections_trace_handle')")
        admin.execute("ANALYZE projections_tracesummary")
        table = "'schemaname', 'public', 'relname', 'projections_tracesummary'"
        admin.execute(
            f"SELECT pg_restore_relation_stats({table}, 'reltuples', 13000::real,"
            " 'relpages', (pg_relation_size('projections_tracesummary') / 8192)::integer)"
        )
        admin.execute(
            f"SELECT pg_restore_attribute_stats({table}, 'attname', 'generation', 'inherited', false,"
            " 'n_distinct', 2::real, 'null_frac', 0::real, 'most_common_vals', '{1,2}',"
            " 'most_common_freqs', '{0.5,0.5}'::real[])"
        )
        admin.execute("LOAD 'auto_explain'")
        for setting in ("auto_explain.log_min_duration = 0", "auto_explain.log_nested_statements = on"):
            admin.execute(f"SET LOCAL {setting}")
        admin.execute("SET LOCAL client_min_messages = log")
        admin.execute("SELECT set_config('app.tenant', %s, true)", [str(newcomer.tenant.pk)])

        def plan() -> str:
            said.clear()
            ask = "SELECT * FROM dg_similar_traces(%s, 2, '', '{}', 'nothingofthiskind', 50)"
            assert admin.execute(ask, [newcomer.tenant.pk]).fetchall() == []
            return "\n".join(said)

        assert "projections_trace_handle" in plan()
        admin.execute(f"ALTER FUNCTION {SIMILAR} RESET cpu_tuple_cost")
        assert "projections_trace_handle" not in plan(), "the control"
        admin.rollback()
