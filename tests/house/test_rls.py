"""Audit of every table in the database: isolated, granted no more than needed, keyed by tenant."""

from __future__ import annotations

import re
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.db import DatabaseError, connection, models, transaction

from decisiongraph.core.db import TenantManager, TenantModel, UnscopedQuery, tenant_tx
from decisiongraph.stack.endpoints import endpoints
from tenants.access import system_principal
from tenants.models import ApiToken, AuditEntry, Membership
from tenants.services import record_audit
from tests.factories import make_cast, make_token

pytestmark = [pytest.mark.django_db, pytest.mark.trust("G2")]

PLATFORM_TABLES = {
    "tenants_tenant",
    "tenants_user",
    "tenants_user_groups",
    "tenants_user_user_permissions",
    "tenants_loginthrottle",
    "tenants_session",  # of people, who may belong to several tenants
    "tenants_secondfactor",
    "tenants_recoverycode",
    "tenants_identity",
    "auth_group",
    "auth_group_permissions",
    "auth_permission",
    "django_admin_log",
    "django_content_type",
    "django_migrations",
    "django_session",
    "guardian_groupobjectpermission",
    "guardian_userobjectpermission",
}
"""Tables without tenant data. A new one has to be argued for here."""

HEARTBEATS = {"projections_workerheartbeat"}
"""Tables about the machine: workers serve every tenant."""

SURROGATE_KEYS = {"id"}
"""Columns whose unique index may lack the tenant: numbers nobody chooses, and the id of a token."""


def rows(sql: str, *args: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, args)
        return list(cursor.fetchall())


def tables() -> set[str]:
    found = rows(
        "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace"
        " AND c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition"
    )
    return {name for (name,) in found}


def tenant_tables() -> set[str]:
    return tables() - PLATFORM_TABLES - HEARTBEATS


def test_the_lists_name_only_tables_that_exist() -> None:
    assert tables() >= PLATFORM_TABLES


def test_every_other_table_has_a_tenant_column() -> None:
    having = {
        name
        for (name,) in rows(
            "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
            " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')"
            " AND a.attname = 'tenant_id' AND a.attnotnull"
        )
    }
    assert tenant_tables() - having == set()


def test_row_level_security_is_forced_on_every_tenant_table() -> None:
    forced = {
        name
        for (name,) in rows(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " AND relrowsecurity AND relforcerowsecurity"
        )
    }
    assert tenant_tables() - forced == set()


def test_every_tenant_table_has_exactly_the_three_policies() -> None:
    found: dict[str, dict[str, tuple[Any, ...]]] = {}
    for table, policy, permissive, roles, command, using, check in rows(
        "SELECT tablename, policyname, permissive, roles::text[], cmd, qual, with_check"
        " FROM pg_policies WHERE schemaname = 'public'"
    ):
        found.setdefault(table, {})[policy] = (permissive, roles, command, using, check)
    for table in tenant_tables():
        policies = found.get(table, {})
        assert set(policies) == {"tenant_only", "finder", "backup"}, table
        _permissive, roles, command, using, check = policies["tenant_only"]
        assert (roles, command) == (["public"], "ALL"), table
        for expression in (using, check):
            assert "tenant_id = " in expression, table
            assert "app.tenant" in expression, table
        for name, role in (("finder", "dg_finder"), ("backup", "dg_backup")):
            assert policies[name][1:4] == ([role], "SELECT", "true"), table


def test_every_table_belongs_to_the_owner_and_none_to_the_app() -> None:
    owners = {
        name
        for (name,) in rows(
            "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class"
            " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S')"
            " AND relname NOT LIKE 'pg_stat%%'"
        )
    }
    assert owners == {"dg_owner"}


def test_the_app_is_bound_by_policies() -> None:
    assert (
        rows(
            "SELECT rolname FROM pg_roles WHERE rolname LIKE 'dg\\_%%'"
            " AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb)"
        )
        == []
    )
    assert rows("SELECT current_user::text") == [("dg_app",)]
    assert (
        rows(
            "SELECT r.rolname FROM pg_roles r WHERE r.rolname IN ('dg_owner', 'dg_finder', 'dg_backup')"
            " AND pg_has_role('dg_app', r.oid, 'MEMBER')"
        )
        == []
    )


def test_the_app_truncates_nothing_and_makes_no_triggers() -> None:
    granted = rows(
        "SELECT table_name, privilege_type FROM information_schema.role_table_grants"
        " WHERE grantee IN ('dg_app', 'PUBLIC') AND table_schema = 'public'"
        " AND privilege_type IN ('TRUNCATE', 'TRIGGER', 'REFERENCES')"
    )
    assert granted == []


def test_the_finder_and_the_backup_only_read() -> None:
    granted = rows(
        "SELECT grantee, table_name, privilege_type FROM information_schema.role_table_grants"
        " WHERE grantee IN ('dg_finder', 'dg_backup') AND table_schema = 'public'"
        " AND privilege_type <> 'SELECT'"
    )
    assert granted == []


def test_functions_across_tenants_belong_to_the_finder_and_fix_their_search_path() -> None:
    for name, owner, path, public in rows(
        "SELECT p.proname, pg_get_userbyid(p.proowner), coalesce(array_to_string(p.proconfig, ','), ''),"
        " has_function_privilege('public', p.oid, 'EXECUTE')"
        " FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace AND p.prosecdef"
    ):
        assert owner in ("dg_finder", "dg_owner"), name
        assert "search_path" in path, name
        assert not public, name


def functions() -> list[tuple[Any, ...]]:
    """Our own functions: name, owner, definer?, arguments, result, body."""
    return rows(
        "SELECT p.proname, pg_get_userbyid(p.proowner), p.prosecdef, pg_get_function_identity_arguments(p.oid),"
        " pg_get_function_result(p.oid), p.prosrc FROM pg_proc p"
        " WHERE p.pronamespace = 'public'::regnamespace AND NOT EXISTS ("
        "   SELECT 1 FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')"
    )


ACROSS_TENANTS = re.compile(
    r"(SETOF )?(integer|bytea)|"
    r"TABLE\((\w+ (integer|bigint|uuid|bytea|double precision|timestamp with time zone)(, )?)+\)"
)
"""What a function that looks across tenants may answer: numbers, ids, hashes, moments."""
MEASURES = {"dg_projection_lag", "dg_open_care", "dg_active_replays", "dg_outbox_backlog"}
"""Sums over all tenants for monitoring: names of projections and states, and numbers; nothing of a tenant."""

AS_OWNER = {
    "erase_body": "deletes the body that an EventRedacted of the same transaction names",
    "erase_text": "puts [erased] where a text was, while an erasure of the tenant runs",
    "settle_rows": "statistics and indexes of tables in which a rebuild of the tenant was just promoted",
}
"""Functions that run as the owner, and why; each holds itself to the tenant of the transaction."""


def test_there_is_no_view() -> None:
    """A view reads as its owner; a policy of the table below would compare with nobody's tenant."""
    assert (
        rows("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('v','m')") == []
    )


def test_every_function_says_no_more_than_it_must() -> None:
    for name, owner, definer, arguments, result, body in functions():
        if not definer:
            assert result == "trigger" or name == "dg_replaced", name
        elif owner == "dg_owner":
            assert name in AS_OWNER, name
            assert "current_setting('app.tenant')" in body, name
        elif "wanted_tenant" in arguments:  # inside one tenant, where the indexes are of use
            assert "app.tenant" in body, name
        elif name in MEASURES:
            assert "count(" in body, name
            assert "tenant" not in result.replace("tenants", ""), name
        else:
            assert ACROSS_TENANTS.fullmatch(result), (name, result)


def test_the_roles_are_what_they_were_made_as() -> None:
    found = rows("SELECT rolname, rolcanlogin, rolreplication FROM pg_roles WHERE rolname LIKE 'dg\\_%%' ORDER BY 1")
    assert [(name, login) for name, login, _ in found] == [
        ("dg_app", True), ("dg_backup", True), ("dg_finder", False), ("dg_owner", True),
    ]  # fmt: skip
    assert not any(replication for _, _, replication in found)
    members = rows(
        "SELECT r.rolname::text, m.rolname::text FROM pg_auth_members a JOIN pg_roles r ON r.oid = a.roleid"
        " JOIN pg_roles m ON m.oid = a.member WHERE m.rolname LIKE 'dg\\_%%'"
    )
    assert members == [("dg_finder", "dg_owner")]  # so that the owner can give functions to it
    makers = rows(
        "SELECT DISTINCT CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(grantee) END FROM pg_namespace n,"
        " aclexplode(n.nspacl) WHERE n.nspname = 'public' AND privilege_type = 'CREATE'"
    )
    assert {name for (name,) in makers} <= {"dg_owner", "dg_finder", "pg_database_owner"}


def test_what_triggers_protect_is_not_granted_either() -> None:
    guarded = {
        name
        for (name,) in rows(
            "SELECT c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
            " WHERE t.tgname LIKE '%%\\_no\\_change'"
        )
    }
    assert guarded >= {"traces_event", "traces_event_body", "tenants_auditentry"}
    assert guarded >= {"traces_lognode", "traces_logcheckpoint", "approvals_vote"}
    always = rows("SELECT tgname FROM pg_trigger WHERE tgname LIKE '%%\\_no\\_change' AND tgenabled <> 'A'")
    assert always == []
    granted = rows(
        "SELECT table_name, privilege_type FROM information_schema.role_table_grants"
        " WHERE grantee IN ('dg_app', 'PUBLIC') AND table_schema = 'public'"
        " AND privilege_type IN ('UPDATE', 'DELETE', 'TRUNCATE')"
    )
    assert {table for table, _ in granted} & guarded == set()


CARELESS = (
    "CREATE TABLE careless (tenant_id integer NOT NULL, name text UNIQUE)",
    "CREATE VIEW careless_view AS SELECT * FROM traces_event",
    "CREATE FUNCTION careless_function() RETURNS text LANGUAGE sql SECURITY DEFINER AS $$ SELECT name FROM careless $$",
    "GRANT TRUNCATE ON careless TO dg_app",
)


def test_the_control_what_a_careless_migration_leaves_is_found(stack_environ: dict[str, str]) -> None:
    checks = (
        test_row_level_security_is_forced_on_every_tenant_table,
        test_every_tenant_table_has_exactly_the_three_policies,
        test_every_table_belongs_to_the_owner_and_none_to_the_app,
        test_the_app_truncates_nothing_and_makes_no_triggers,
        test_functions_across_tenants_belong_to_the_finder_and_fix_their_search_path,
        test_every_unique_index_over_tenant_data_starts_with_the_tenant,
        test_there_is_no_view,
        test_every_function_says_no_more_than_it_must,
    )
    with psycopg.connect(endpoints(stack_environ).database_url_admin, autocommit=True) as admin:
        try:
            for statement in CARELESS:
                admin.execute(statement)
            for check in checks:
                with pytest.raises(AssertionError):
                    check()
        finally:
            admin.execute("DROP FUNCTION IF EXISTS careless_function(); DROP VIEW IF EXISTS careless_view")
            admin.execute("DROP TABLE IF EXISTS careless")
    for check in checks:
        check()


def test_every_unique_index_over_tenant_data_starts_with_the_tenant() -> None:
    loose = set()
    for table, index, first, width in rows(
        "SELECT c.relname, i.relname, a.attname, x.indnkeyatts FROM pg_index x"
        " JOIN pg_class c ON c.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid"
        " LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = x.indkey[0]"
        " WHERE x.indisunique AND c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')"
    ):
        if table not in tenant_tables() or first == "tenant_id":
            continue
        if first in SURROGATE_KEYS and width == 1:
            continue
        loose.add((table, index))
    assert loose == set()


def tenant_models() -> list[type[models.Model]]:
    return [model for model in apps.get_models() if issubclass(model, TenantModel)]


def test_every_model_of_tenant_data_is_fail_closed() -> None:
    declared = {model._meta.db_table for model in tenant_models()}
    having = {
        model._meta.db_table
        for model in apps.get_models()
        if any(getattr(field, "column", None) == "tenant_id" for field in model._meta.get_fields())
    }
    assert having - declared == set()
    for model in tenant_models():
        assert isinstance(model._default_manager, TenantManager), model
        assert isinstance(model._base_manager, TenantManager), model
        with pytest.raises(UnscopedQuery):
            model._default_manager.all()


def test_without_the_manager_the_policy_still_hides() -> None:
    """The control of the manager: take its filter away, the database answers nothing."""
    cast = make_cast()
    make_token(cast.acme)
    for model in tenant_models():
        bare: models.QuerySet[Any] = models.QuerySet(model)
        assert not bare.exists(), f"{model} shows rows outside a tenant"
        with tenant_tx(cast.globex):
            assert not bare.filter(tenant_id=cast.acme.pk).exists(), model
    with tenant_tx(cast.acme):
        assert models.QuerySet(ApiToken).count() == 1
        assert models.QuerySet(Membership).count() == 4


def test_a_row_cannot_be_written_into_or_moved_to_another_tenant() -> None:
    cast = make_cast()
    with pytest.raises(DatabaseError, match="row-level security"), tenant_tx(cast.acme):
        AuditEntry.objects.create(tenant_id=cast.globex.pk, actor="x", action="x.y")
    with pytest.raises(DatabaseError, match="row-level security"), tenant_tx(cast.acme):
        models.QuerySet(Membership).update(tenant_id=cast.globex.pk)


def test_the_tenant_of_a_transaction_does_not_outlive_it() -> None:
    cast = make_cast()
    with tenant_tx(cast.acme):
        assert rows("SELECT current_setting('app.tenant', true)") == [(str(cast.acme.pk),)]
    assert rows("SELECT coalesce(current_setting('app.tenant', true), '')") == [("",)]


def test_one_tenant_cannot_be_entered_inside_another() -> None:
    cast = make_cast()
    with pytest.raises(UnscopedQuery), tenant_tx(cast.acme), tenant_tx(cast.globex):
        pass


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE tenants_auditentry SET reason = 'nothing happened'",
        "DELETE FROM tenants_auditentry",
        "TRUNCATE tenants_auditentry",
    ],
)
def test_the_audit_log_is_append_only(statement: str) -> None:
    cast = make_cast()
    record_audit(cast.acme, principal=system_principal(cast.acme), action="test.made")
    with pytest.raises(DatabaseError), tenant_tx(cast.acme), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize("replica", [False, True])
def test_the_audit_log_is_append_only_for_a_superuser_too(replica: bool) -> None:
    """Grants do not bind a superuser; the triggers do, also where replication switches others off."""
    import os

    cast = make_cast()
    with psycopg.connect(endpoints(os.environ).database_url_admin) as admin:
        if replica:
            admin.execute("SET session_replication_role = replica")
        for statement in (
            f"UPDATE tenants_auditentry SET reason = '' WHERE tenant_id = {cast.acme.pk}",
            f"DELETE FROM tenants_auditentry WHERE tenant_id = {cast.acme.pk}",
            "TRUNCATE tenants_auditentry",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"), admin.transaction():
                admin.execute(statement)


def test_a_refused_statement_leaves_the_connection_usable() -> None:
    cast = make_cast()
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE tenants_auditentry SET reason = ''")
    with tenant_tx(cast.acme):
        assert AuditEntry.objects.exists()
