"""Tenant isolation: one transaction, one tenant, refused otherwise, in code and in the database.

Every service and selector runs inside `tenant_tx`. It opens a transaction and sets ``app.tenant``
with ``SET LOCAL``; row-level security compares each row with it. A session-level ``SET`` would
survive on a pooled connection and show one tenant's rows to the next request.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal, Protocol, TypeVar

import psycopg
from django.db import connection, migrations, models, transaction

APP_ROLE = "dg_app"
OWNER_ROLE = "dg_owner"
FINDER_ROLE = "dg_finder"
BACKUP_ROLE = "dg_backup"

CURRENT_TENANT_SQL = "(SELECT NULLIF(current_setting('app.tenant', true), '')::int)"
"""As a sub-select PostgreSQL evaluates it once per statement, not once per row."""

Isolation = Literal["READ COMMITTED", "REPEATABLE READ"]


class HasId(Protocol):
    """What `tenant_tx` needs of a tenant."""

    @property
    def pk(self) -> Any:
        """The tenant number."""
        ...


class UnscopedQuery(RuntimeError):
    """A query on tenant data outside `tenant_tx`: always a bug, never an empty answer."""


_current: ContextVar[int | None] = ContextVar("dg_tenant", default=None)


def current_tenant_id() -> int:
    """The number of the tenant whose transaction this is. Raises `UnscopedQuery` outside one."""
    number = _current.get()
    if number is None:
        raise UnscopedQuery("Tenant data was asked for outside core.db.tenant_tx(tenant).")
    return number


_ENTER = "SELECT set_config('app.tenant', %s, true)"
_ENTER_LAZILY = _ENTER + ", set_config('synchronous_commit', 'off', true)"


@contextmanager
def tenant_tx(tenant: HasId, *, isolation: Isolation | None = None, lazily: bool = False) -> Iterator[None]:
    """One transaction scoped to one tenant. Nested for the same tenant it joins the outer one.

    ``lazily`` commits without waiting for the disk, for what can be made again from the log.
    ``isolation`` applies only to an outermost call; asking for one inside a transaction, or
    entering a second tenant inside the first, raises `UnscopedQuery`.
    """
    number = int(tenant.pk)
    outer = _current.get()
    if outer is not None:
        if outer != number:
            raise UnscopedQuery(f"Tenant {number} entered inside tenant {outer}.")
        if isolation is not None:
            raise UnscopedQuery("An isolation level can only be chosen by the outermost tenant_tx.")
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            if isolation is not None:
                cursor.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
            cursor.execute(_ENTER_LAZILY if lazily else _ENTER, [str(number)])
        token = _current.set(number)
        try:
            yield
        finally:
            _current.reset(token)


@contextmanager
def swift_tenant_tx(tenant: HasId) -> Iterator[None]:
    """`tenant_tx` in two trips to the database, for writers that others wait for.

    BEGIN and the tenant travel with the first statements, COMMIT with the last one, where each would
    cost a reply of its own. Django knows nothing of this transaction: inside, only cursors of
    `connection` may be used, and what is to happen after commit is done after the ``with`` block.
    Inside another transaction it is `tenant_tx`.
    """
    if connection.in_atomic_block:
        with tenant_tx(tenant):
            yield
        return
    connection.ensure_connection()
    raw: psycopg.Connection[Any] = connection.connection
    number = int(tenant.pk)
    with connection.wrap_database_errors:
        try:
            with raw.pipeline():
                statement = psycopg.Cursor(raw)
                statement.execute("BEGIN", prepare=True)
                statement.execute(_ENTER, [str(number)], prepare=True)
                token = _current.set(number)
                try:
                    yield
                finally:
                    _current.reset(token)
                statement.execute("COMMIT", prepare=True)
            if statement.statusmessage != "COMMIT":  # what failed before is answered by a ROLLBACK
                raise psycopg.InternalError(f"The commit was answered by {statement.statusmessage}.")
        except BaseException:
            try:
                raw.rollback()
            except psycopg.Error:  # it is gone, and the next transaction needs another one
                connection.close()
            raise


@contextmanager
def one_trip() -> Iterator[None]:
    """What is executed inside is sent together; the first fetch waits for the replies."""
    connection.ensure_connection()
    raw: psycopg.Connection[Any] = connection.connection
    if raw.pgconn.pipeline_status != psycopg.pq.PipelineStatus.OFF:
        yield  # on its way already
        return
    with raw.pipeline():
        yield


M = TypeVar("M", bound=models.Model, covariant=True)


class TenantManager(models.Manager[M]):
    """Fail-closed: filters on the tenant of the transaction, raises without one."""

    def get_queryset(self) -> models.QuerySet[M]:
        """Rows of the current tenant only."""
        return super().get_queryset().filter(tenant_id=current_tenant_id())


class TenantModel(models.Model):
    """Base of every table that holds tenant data.

    The foreign key has no database constraint: row-level security already ties every row to the
    transaction's tenant, and a constraint would take a share lock on the one tenant row at every
    append.
    """

    tenant = models.ForeignKey(
        "tenants.Tenant", on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    objects = TenantManager()

    class Meta:
        abstract = True
        base_manager_name = "objects"


def protect(table: str, *, grants: str = "SELECT, INSERT, UPDATE, DELETE") -> migrations.RunSQL:
    """Migration operation: force row-level security on a tenant table and grant it to the app."""
    return migrations.RunSQL(
        [
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
            f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
            f"CREATE POLICY tenant_only ON {table} USING (tenant_id = {CURRENT_TENANT_SQL}) "
            f"WITH CHECK (tenant_id = {CURRENT_TENANT_SQL})",
            f"CREATE POLICY finder ON {table} FOR SELECT TO {FINDER_ROLE} USING (true)",
            f"CREATE POLICY backup ON {table} FOR SELECT TO {BACKUP_ROLE} USING (true)",
            f"GRANT {grants} ON {table} TO {APP_ROLE}",
            f"GRANT SELECT ON {table} TO {BACKUP_ROLE}",
            # Statistics of this column mislead: a tenant that came after the last ANALYZE counts as
            # one row, so any index that begins with it looks perfect and a lookup by key reads the
            # whole tenant (measured: 60 ms instead of 0.1 ms). Without them a tenant is assumed to
            # be a two-hundredth of the table, and the index that fits wins.
            f"ALTER TABLE {table} ALTER COLUMN tenant_id SET STATISTICS 0",
        ],
        reverse_sql=[
            f"ALTER TABLE {table} ALTER COLUMN tenant_id SET STATISTICS -1",
            f"DROP POLICY tenant_only ON {table}",
            f"DROP POLICY finder ON {table}",
            f"DROP POLICY backup ON {table}",
            f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY",
            f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY",
        ],
    )


def platform_table(table: str, *, grants: str = "SELECT, INSERT, UPDATE, DELETE") -> migrations.RunSQL:
    """Migration operation: a table without tenant data; the app role may use it."""
    return migrations.RunSQL(
        [f"GRANT {grants} ON {table} TO {APP_ROLE}", f"GRANT SELECT ON {table} TO {BACKUP_ROLE}"],
        reverse_sql=migrations.RunSQL.noop,
    )


def definer_function(
    signature: str, *, returns: str, body: str, reads: tuple[str, ...], language: str = "sql"
) -> migrations.RunSQL:
    """Migration operation: a function that looks across tenants and returns ids only.

    It runs as ``dg_finder``, which may only read the tables in ``reads``.
    """
    return migrations.RunSQL(
        [
            *(f"GRANT SELECT ON {table} TO {FINDER_ROLE}" for table in reads),
            f"CREATE FUNCTION {signature} RETURNS {returns} LANGUAGE {language} STABLE "
            f"SECURITY DEFINER SET search_path = pg_catalog, public AS $dg${body}$dg$",
            f"ALTER FUNCTION {signature} OWNER TO {FINDER_ROLE}",
            f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC",
            f"GRANT EXECUTE ON FUNCTION {signature} TO {APP_ROLE}",
        ],
        reverse_sql=[f"DROP FUNCTION {signature}"],
    )


def append_only_but_erasable(table: str) -> migrations.RunSQL:
    """Migration operation behind `append_only`: a running erasure may put its mark where a text was.

    Only the function ``erase_text`` does that: it runs as the owner, which nobody who serves requests can be,
    and it says so for the time of its statement.
    """
    refuse = f"RAISE EXCEPTION '{table} is append-only: % refused', TG_OP USING ERRCODE = '42501'; "
    head = f"CREATE OR REPLACE FUNCTION {table}_refuse() RETURNS trigger LANGUAGE plpgsql AS $dg$ BEGIN "
    return migrations.RunSQL(
        [
            f"{head} IF TG_OP = 'UPDATE' AND current_user = '{OWNER_ROLE}' "
            "AND current_setting('app.erasing', true) = 'on' THEN RETURN NEW; END IF; "
            f"{refuse} END $dg$"
        ],
        reverse_sql=[f"{head} {refuse} END $dg$"],
    )


def append_only(table: str) -> migrations.RunSQL:
    """Migration operation: UPDATE, DELETE and TRUNCATE raise, for every role, always.

    ``ENABLE ALWAYS`` keeps the triggers firing under ``session_replication_role = replica``.
    """
    return migrations.RunSQL(
        [
            f"CREATE FUNCTION {table}_refuse() RETURNS trigger LANGUAGE plpgsql AS $dg$ BEGIN "
            f"RAISE EXCEPTION '{table} is append-only: % refused', TG_OP USING ERRCODE = '42501'; "
            f"END $dg$",
            f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION {table}_refuse()",
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_refuse()",
            f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_no_change",
            f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_no_truncate",
        ],
        reverse_sql=[
            f"DROP TRIGGER {table}_no_change ON {table}",
            f"DROP TRIGGER {table}_no_truncate ON {table}",
            f"DROP FUNCTION {table}_refuse()",
        ],
    )
