"""The embedded servers: started once, found again, and back after a kill -9, with their data."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from decisiongraph.stack import postgres, process, services
from decisiongraph.stack.endpoints import Endpoints, endpoints

Environ = dict[str, str]


@contextlib.contextmanager
def a_state() -> Iterator[Environ]:
    """A STATE_DIR, erased afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="dg-test-"))
    folder.chmod(0o755)
    environ = {"STATE_DIR": str(folder), "PATH": os.environ["PATH"]}
    try:
        yield environ
    finally:
        services.erase(environ)
    assert not folder.exists()


@pytest.fixture
def state() -> Iterator[Environ]:
    """A STATE_DIR of this test alone."""
    with a_state() as environ:
        yield environ


@pytest.fixture(scope="module")
def running() -> Iterator[Endpoints]:
    """Servers for the tests that only look at them."""
    with a_state() as environ:
        yield services.up(environ).endpoints


def remember(environ: Environ) -> None:
    """Leave something in the database."""
    with psycopg.connect(endpoints(environ).database_url_owner, autocommit=True) as owner:
        owner.execute("CREATE TABLE kept (what text)")
        owner.execute("INSERT INTO kept VALUES ('this')")


def remembered(environ: Environ) -> object:
    """What `remember` left."""
    with psycopg.connect(endpoints(environ).database_url_owner, autocommit=True) as owner:
        return owner.execute("SELECT what FROM kept").fetchone()


def end_and_reap(server: services.Server | None, number: int) -> None:
    """Kill a server that we started."""
    assert server is not None
    pid, child = server
    assert child is not None
    os.kill(pid, number)
    child.wait()


def test_up_twice_is_the_same_servers_and_down_twice_is_harmless(state: Environ) -> None:
    first = services.up(state)
    second = services.up(state)
    assert first.postgres is not None
    assert second.postgres is not None
    assert first.broker is not None
    assert second.broker is not None
    assert (second.postgres[0], second.broker[0]) == (first.postgres[0], first.broker[0])
    assert redis.Redis.from_url(first.endpoints.redis_url).ping()
    remember(state)
    services.down(state)
    assert not process.alive(first.postgres[0])
    assert not process.alive(first.broker[0])
    services.down(state)
    again = services.up(state)
    assert remembered(state) == ("this",)
    assert again.postgres is not None
    assert again.postgres[0] != first.postgres[0]


def test_after_kill_9_the_data_is_there(state: Environ) -> None:
    first = services.up(state)
    remember(state)
    end_and_reap(first.postgres, signal.SIGKILL)
    end_and_reap(first.broker, signal.SIGKILL)
    services.up(state)
    assert remembered(state) == ("this",)


def test_a_zombie_in_the_lock_file_counts_as_dead(state: Environ) -> None:
    first = services.up(state)
    assert first.postgres is not None
    pid, child = first.postgres
    remember(state)
    os.kill(pid, signal.SIGKILL)
    # Not waited for: the process table still holds it, and its number is in both lock files.
    assert process.until(lambda: not process.alive(pid), seconds=10)
    os.kill(pid, 0)
    services.up(state)
    assert remembered(state) == ("this",)
    assert child is not None
    child.wait()


def test_a_number_that_belongs_to_somebody_else_now_is_no_obstacle(state: Environ) -> None:
    services.up(state)
    remember(state)
    services.down(state)
    where = endpoints(state)
    lock = where.data_dir / "postmaster.pid"
    lock.write_text(f"{os.getpid()}\n{where.data_dir}\n1\n5432\n{where.socket_dir}\n\n\nready\n")
    services.up(state)
    assert remembered(state) == ("this",)


def test_an_interrupted_first_start_is_begun_anew(state: Environ) -> None:
    where = endpoints(state)
    (where.state_dir / "log").mkdir()
    postgres.prepare_places(where.state_dir, process.server_account())
    (where.data_dir / "PG_VERSION").write_text("18\n")
    (where.data_dir / "base").mkdir()
    (where.data_dir.parent / "postgres.unfinished").touch()
    services.up(state)
    remember(state)
    assert remembered(state) == ("this",)


def test_a_socket_path_that_is_too_long_is_shortened(state: Environ) -> None:
    deep = Path(state["STATE_DIR"]) / ("d" * 60) / ("e" * 60)
    there = state | {"STATE_DIR": str(deep)}
    where = services.up(there).endpoints
    try:
        assert len(os.fsencode(where.socket_dir / postgres.SOCKET_NAME)) <= postgres.SOCKET_PATH_LIMIT
        assert where.data_dir.is_relative_to(deep)
        assert endpoints(there) == where
        remember(there)
    finally:
        services.erase(there)
    assert not where.socket_dir.exists()


def test_a_private_folder_stays_private(state: Environ) -> None:
    outer = Path(state["STATE_DIR"]) / "private"
    outer.mkdir(mode=0o700)
    there = state | {"STATE_DIR": str(outer / "state")}
    where = services.up(there).endpoints
    account = process.server_account()
    try:
        # Root's servers run under an account that cannot enter: their data lies elsewhere.
        assert where.data_dir.is_relative_to(outer) == (account is None)
        assert where.data_dir.stat().st_uid == (account.uid if account else os.geteuid())
        assert outer.stat().st_mode & 0o777 == 0o700
        remember(there)
        services.down(there)
        services.up(there)
        assert remembered(there) == ("this",)
    finally:
        services.erase(there)
    assert not where.data_dir.exists()


def test_nobody_else_enters_the_socket_folder(running: Endpoints) -> None:
    assert running.socket_dir.stat().st_mode & 0o777 == 0o700
    assert running.data_dir.stat().st_mode & 0o777 == 0o700


def test_roles_are_bound_by_row_level_security(running: Endpoints) -> None:
    with psycopg.connect(running.database_url_admin, autocommit=True) as admin:
        rows = admin.execute(
            "SELECT rolname, rolcanlogin FROM pg_roles WHERE rolname LIKE 'dg\\_%'"
            " AND NOT (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb) ORDER BY 1"
        ).fetchall()
        member = admin.execute(
            "SELECT pg_has_role('dg_app', 'dg_owner', 'MEMBER'), pg_has_role('dg_app', 'dg_finder', 'MEMBER'),"
            " has_schema_privilege('dg_app', 'public', 'CREATE')"
        ).fetchone()
        durable = [admin.execute(f"SHOW {name}").fetchone() for name in ("fsync", "synchronous_commit")]
    assert rows == [("dg_app", True), ("dg_backup", True), ("dg_finder", False), ("dg_owner", True)]
    assert member == (False, False, False)
    assert durable == [("on",), ("on",)]


def test_an_outside_database_is_prepared_through_its_address(running: Endpoints) -> None:
    admin = postgres.superuser_url(running.socket_dir)
    with psycopg.connect(admin, autocommit=True) as server:
        server.execute("CREATE DATABASE shop")
    url = admin.replace("/postgres?", "/shop?")
    with tempfile.TemporaryDirectory() as other:
        outside = {"STATE_DIR": other, "DATABASE_URL": url, "REDIS_URL": "redis://nowhere.invalid/0"}
        where = services.up(outside).endpoints
        with psycopg.connect(where.database_url_app) as app:
            assert app.execute("SELECT current_user, current_database()").fetchone() == ("dg_app", "shop")
        with psycopg.connect(where.database_url_owner) as owner:
            assert owner.execute("SELECT current_user").fetchone() == ("dg_owner",)
        assert not (Path(other) / "postgres").exists()


def test_an_account_without_privileges_is_told_what_to_run(state: Environ) -> None:
    sockets = services.up(state).endpoints.socket_dir
    with psycopg.connect(postgres.superuser_url(sockets), autocommit=True) as server:
        server.execute("CREATE DATABASE bare")
        server.execute("CREATE ROLE weak LOGIN")
        for role in ("dg_backup", "dg_finder", "dg_app", "dg_owner"):
            server.execute(f"ALTER ROLE {role} RENAME TO old_{role}")
    url = postgres.superuser_url(sockets).replace("postgres@/postgres?", "weak@/bare?")
    with (
        tempfile.TemporaryDirectory() as other,
        pytest.raises(process.StackError, match=r"Let an administrator run once, in the database bare: CREATE ROLE"),
    ):
        services.up({"STATE_DIR": other, "DATABASE_URL": url, "REDIS_URL": "redis://nowhere.invalid/0"})


def test_a_database_that_is_not_there_is_named(tmp_path: Path) -> None:
    outside = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "REDIS_URL": "redis://nowhere.invalid/0"}
    with pytest.raises(process.StackError, match=r"(?s)does not answer.*DATABASE_URL"):
        services.up({"STATE_DIR": str(tmp_path), **outside})
