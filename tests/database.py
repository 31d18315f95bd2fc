"""Test databases: one migrated template per state of the migrations, one fast copy per worker."""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from decisiongraph.stack import postgres, roles
from decisiongraph.stack.endpoints import ROOT, Endpoints, endpoints

__all__ = ["Endpoints", "drop", "fresh_copy", "spare_the_disk"]


def fresh_copy(environ: Mapping[str, str]) -> None:
    """Make this worker's database (``DG_DATABASE``) anew from the template."""
    where = endpoints(environ)
    with one_at_a_time(where.state_dir), server(where) as admin:
        template = template_name()
        if not exists(admin, template):
            make_template(admin, environ, template)
        copy(admin, template, environ["DG_DATABASE"])


def spare_the_disk(where: Endpoints) -> None:
    """Let the server of a test run answer without waiting for the disk.

    A killed server still comes back with everything it acknowledged; only a power cut would lose it, and no
    test makes one. What the product itself asks of its server is tested in `tests.stack`.
    """
    with server(where) as admin:
        for setting in ("fsync", "full_page_writes"):
            admin.execute(sql.SQL("ALTER SYSTEM SET {} = off").format(sql.Identifier(setting)))
        admin.execute("SELECT pg_reload_conf()")


def drop(environ: Mapping[str, str]) -> None:
    """Remove this worker's database, ending whatever still uses it."""
    from django.db import connections

    connections.close_all()
    for connection in connections.all():
        close_pool = getattr(connection, "close_pool", None)
        if close_pool:
            close_pool()
    with server(endpoints(environ)) as admin:
        remove(admin, environ["DG_DATABASE"])


@contextmanager
def server(where: Endpoints) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """The administrative database of the embedded server."""
    with psycopg.connect(postgres.superuser_url(where.socket_dir), autocommit=True) as admin:
        yield admin


@contextmanager
def one_at_a_time(state: Path) -> Iterator[None]:
    """Copying a template needs it to itself."""
    with (state / "test.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def template_name() -> str:
    """Changes with every file that decides what the schema looks like."""
    digest = hashlib.sha256()
    sources = [
        *ROOT.glob("*/migrations/*.py"),
        ROOT / "decisiongraph/core/db/__init__.py",
        ROOT / "requirements/base.txt",
    ]
    sources += ROOT.glob("decisiongraph/stack/roles.py")
    for path in sorted(sources):
        digest.update(path.read_bytes())
    return f"dg_template_{digest.hexdigest()[:12]}"


def make_template(admin: psycopg.Connection[tuple[object, ...]], environ: Mapping[str, str], name: str) -> None:
    """Migrate an empty database under a working name; it gets its own name when it is complete."""
    working = f"{name}_making"
    remove(admin, working)
    roles.create_database(admin, working, embedded=True)
    there = {**environ, "DG_DATABASE": working}
    with psycopg.connect(endpoints(there).database_url_admin, autocommit=True) as inside:
        roles.prepare_database(inside)
    done = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "migrate", "--skip-checks", "--no-input", "--verbosity", "0"],
        env=there,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise RuntimeError(f"Migrating the test database failed:\n{done.stdout}{done.stderr}")
    admin.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(working), sql.Identifier(name)))


def copy(admin: psycopg.Connection[tuple[object, ...]], template: str, name: str) -> None:
    """A database of its own for one worker, in a fraction of the time of migrating."""
    remove(admin, name)
    admin.execute(
        sql.SQL("CREATE DATABASE {} OWNER dg_owner TEMPLATE {} STRATEGY file_copy").format(
            sql.Identifier(name), sql.Identifier(template)
        )
    )


def exists(admin: psycopg.Connection[tuple[object, ...]], name: str) -> bool:
    """Whether the server has a database of this name."""
    return admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is not None


def remove(admin: psycopg.Connection[tuple[object, ...]], name: str) -> None:
    """Drop a database, whoever is connected to it."""
    admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
