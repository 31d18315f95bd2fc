"""The log only grows: the database itself refuses everything else, to every role."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from decisiongraph.stack.endpoints import endpoints
from tests.traces.events import Desk, new_id, start, step
from traces import selectors

pytestmark = [pytest.mark.django_db, pytest.mark.trust("G2")]

LOG = ("traces_event", "traces_event_body")
ROLES = ("postgres", "dg_owner", "dg_app", "dg_finder", "dg_backup")
CHANGES = (
    "UPDATE {} SET log_seq = log_seq WHERE tenant_id = %(tenant)s",
    "UPDATE {} SET tenant_id = tenant_id WHERE log_seq = 1 AND tenant_id = %(tenant)s",
    "DELETE FROM {} WHERE tenant_id = %(tenant)s",
    "DELETE FROM {} WHERE tenant_id = %(tenant)s AND log_seq = 2",
    "TRUNCATE {}",
    "TRUNCATE {} CASCADE",
    "INSERT INTO {0} OVERRIDING SYSTEM VALUE SELECT * FROM {0} WHERE tenant_id = %(tenant)s "
    "ON CONFLICT (tenant_id, log_seq) DO UPDATE SET log_seq = excluded.log_seq",
    "MERGE INTO {0} t USING (SELECT 1) s ON t.tenant_id = %(tenant)s WHEN MATCHED THEN DELETE",
)


@pytest.fixture
def desk() -> Desk:
    made = Desk()
    trace = new_id()
    made.append(start(trace), step(trace), step(trace))
    return made


@pytest.fixture
def admin(stack_environ: dict[str, str]) -> Iterator[psycopg.Connection]:
    """The server's superuser in this test's database."""
    with psycopg.connect(endpoints(stack_environ).database_url_admin, autocommit=True) as connection:
        yield connection


def attempt(
    admin: psycopg.Connection, role: str, statement: str, table: str, tenant: int = 0, *, replica: bool = False
) -> None:
    """One statement as a role; raises what the database says, or when row-level security hid every row."""
    with admin.transaction():
        if replica:
            admin.execute("SET LOCAL session_replication_role = replica")
        admin.execute("SELECT set_config('app.tenant', %s, true)", [str(tenant)])
        admin.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
        done = admin.execute(sql.SQL(statement).format(sql.Identifier(table)), {"tenant": tenant})
        if done.rowcount == 0 and role in ("dg_finder", "dg_backup"):
            raise psycopg.errors.InsufficientPrivilege


@pytest.mark.parametrize("table", LOG)
@pytest.mark.parametrize("replica", [False, True], ids=["", "replica"])
@pytest.mark.parametrize("role", ROLES)
def test_nobody_changes_or_removes_an_event(
    desk: Desk, admin: psycopg.Connection, role: str, replica: bool, table: str
) -> None:
    before = selectors.read_log(desk.tenant, after=0, limit=10)
    for change in CHANGES:
        with pytest.raises(psycopg.Error) as refused:
            attempt(admin, role, change, table, desk.tenant.pk, replica=replica)
        # A generated column cannot be inserted: that attempt ends before any trigger.
        expected = (psycopg.errors.InsufficientPrivilege, psycopg.errors.GeneratedAlways)
        assert isinstance(refused.value, expected), (change, refused.value)
    assert selectors.read_log(desk.tenant, after=0, limit=10) == before


@pytest.mark.parametrize("table", LOG)
def test_the_app_role_cannot_take_the_protection_away(admin: psycopg.Connection, table: str) -> None:
    for statement in (
        "ALTER TABLE {} DISABLE TRIGGER ALL",
        "ALTER TABLE {} DISABLE ROW LEVEL SECURITY",
        "DROP TABLE {}",
        "CREATE RULE nothing AS ON INSERT TO {} DO INSTEAD NOTHING",
        "SET LOCAL session_replication_role = replica",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            attempt(admin, "dg_app", statement, table)


def test_the_control_a_table_without_triggers_lets_the_superuser_change_it(admin: psycopg.Connection) -> None:
    with admin.transaction(force_rollback=True):
        admin.execute("CREATE TABLE copy_of_log (LIKE traces_event)")
        admin.execute("INSERT INTO copy_of_log SELECT * FROM traces_event")
        admin.execute("UPDATE copy_of_log SET log_seq = 0")
        admin.execute("DELETE FROM copy_of_log")
        admin.execute("TRUNCATE copy_of_log")
