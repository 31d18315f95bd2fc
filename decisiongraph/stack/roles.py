"""Database roles and the database itself: created before the first migration, repeated at every start.

``dg_owner`` owns every table and migrates, ``dg_app`` is what the product runs as (row-level security
binds it), ``dg_finder`` owns the few functions that look across tenants and return ids only,
``dg_backup`` reads everything for dumps.
"""

from __future__ import annotations

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from decisiongraph.stack.endpoints import Endpoints
from decisiongraph.stack.process import StackError

ROLES = {"dg_owner": "LOGIN", "dg_app": "LOGIN", "dg_finder": "NOLOGIN", "dg_backup": "LOGIN"}
"""Role and its ability to sign in; none of them is a superuser or bypasses row-level security."""

CREATE_ROLE = """
DO $dg$ BEGIN
  IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = '{role}') THEN
    CREATE ROLE {role} {login} NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
  END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $dg$
"""

IN_DATABASE = (
    # Moving a function to the finder needs both: the owner acts for the finder, who may create it.
    "GRANT dg_finder TO dg_owner",
    "GRANT ALL ON SCHEMA public TO dg_owner",
    "GRANT USAGE, CREATE ON SCHEMA public TO dg_finder",
    "GRANT USAGE ON SCHEMA public TO dg_app, dg_backup",
    "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    "ALTER DEFAULT PRIVILEGES FOR ROLE dg_owner IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO dg_app",
    "ALTER DEFAULT PRIVILEGES FOR ROLE dg_owner IN SCHEMA public GRANT SELECT ON TABLES TO dg_backup",
    "ALTER DEFAULT PRIVILEGES FOR ROLE dg_owner IN SCHEMA public GRANT SELECT ON SEQUENCES TO dg_backup",
)

EXTENSIONS = ("pg_trgm", "btree_gin")


def bootstrap(where: Endpoints) -> None:
    """Roles, database, extensions and the grants that migrations build on. Idempotent.

    With an outside server the account of ``DATABASE_OWNER_URL`` (else ``DATABASE_URL``) does it; where
    it lacks the privilege `StackError` says what an administrator has to run once.
    """
    target = str(conninfo_to_dict(where.database_url_admin).get("dbname") or "decisiongraph")
    try:
        with psycopg.connect(server_url(where), autocommit=True) as admin:
            create_roles(admin)
            set_password(admin, where)
            create_database(admin, target, embedded=where.embedded_database)
        with psycopg.connect(where.database_url_admin, autocommit=True) as admin:
            prepare_database(admin)
    except psycopg.errors.InsufficientPrivilege as refused:
        raise StackError(refusal(target, str(refused).strip())) from refused
    except psycopg.OperationalError as away:
        raise StackError(f"The database does not answer ({str(away).strip()}). Check DATABASE_URL.") from away


def server_url(where: Endpoints) -> str:
    """Where to stand while creating the database: an embedded server's own, else the target itself."""
    return (
        make_conninfo(where.database_url_admin, dbname="postgres")
        if where.embedded_database
        else where.database_url_admin
    )


def create_roles(admin: psycopg.Connection[tuple[object, ...]]) -> None:
    """The four roles, and for a limited administrator the right to act as them."""
    for role, login in ROLES.items():
        admin.execute(sql.SQL(CREATE_ROLE.format(role=role, login=login)))
    limited = admin.execute("SELECT NOT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    if limited and limited[0]:
        for role in ROLES:
            able = admin.execute("SELECT pg_has_role(current_user, %s, 'MEMBER')", [role]).fetchone()
            if not (able and able[0]):
                admin.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(role)))


def set_password(admin: psycopg.Connection[tuple[object, ...]], where: Endpoints) -> None:
    """With an outside server whose DATABASE_URL signs in as dg_app: give the role that password."""
    app = conninfo_to_dict(where.database_url_app)
    owner = conninfo_to_dict(where.database_url_admin)
    if app.get("user") == "dg_app" != owner.get("user") and app.get("password"):
        admin.execute(sql.SQL("ALTER ROLE dg_app PASSWORD {}").format(sql.Literal(str(app["password"]))))


def create_database(admin: psycopg.Connection[tuple[object, ...]], name: str, *, embedded: bool) -> None:
    """The product's database, owned by dg_owner; an outside server's database must exist already."""
    if embedded and not admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
        admin.execute(sql.SQL("CREATE DATABASE {} OWNER dg_owner").format(sql.Identifier(name)))


def prepare_database(admin: psycopg.Connection[tuple[object, ...]]) -> None:
    """Extensions and grants inside the product's database."""
    for extension in EXTENSIONS:
        admin.execute(sql.SQL("CREATE EXTENSION IF NOT EXISTS {}").format(sql.Identifier(extension)))
    for statement in IN_DATABASE:
        admin.execute(statement.encode())


def refusal(target: str, words: str) -> str:
    """What to tell an operator whose account may not create roles."""
    creates = "; ".join(f"CREATE ROLE {role} {login}" for role, login in ROLES.items())
    grants = "; ".join([*IN_DATABASE, *(f"CREATE EXTENSION IF NOT EXISTS {name}" for name in EXTENSIONS)])
    return (
        f"The account of DATABASE_OWNER_URL (or DATABASE_URL) may not prepare the database: {words}. "
        f"Let an administrator run once, in the database {target}: {creates}; {grants}; "
        "and GRANT dg_owner, dg_app TO the account."
    )
