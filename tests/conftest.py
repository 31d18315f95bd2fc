"""The ground under every test: one embedded database server and broker per run, one database per worker.

Tests behave like production: they run as the role dg_app, with real commits. Nothing is flushed
afterwards (the log refuses it, and so would customers); every test makes its own tenant.

``DG_TEST_STATE_DIR`` names a folder whose servers are kept running between runs.
"""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
OWNED = "DG_TEST_OWNED"
"""Set for the run and its workers when the state folder is temporary; the controller removes it."""


def _choose_state() -> None:
    """Before settings are read: which servers, and which database on them, this process uses."""
    if not os.environ.get("DG_TEST_STATE_DIR"):
        folder = tempfile.mkdtemp(prefix="dg-test-")
        Path(folder).chmod(0o755)
        os.environ["DG_TEST_STATE_DIR"] = os.environ[OWNED] = folder
    for name in ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "DG_DB_ROLE", "PORT"):
        os.environ.pop(name, None)
    os.environ["STATE_DIR"] = os.environ["DG_TEST_STATE_DIR"]
    number = int(WORKER.removeprefix("gw")) + 1 if WORKER else 0
    os.environ["DG_DATABASE"] = f"dg_test_{number}"
    os.environ["DG_REDIS_DB"] = str(number + 1)
    os.environ.setdefault("DB_POOL_SIZE", "16")  # some tests write from eight threads at once
    os.environ["DJANGO_SETTINGS_MODULE"] = "decisiongraph.settings"


_choose_state()

# pytest-django sets Django up only where settings were known before this file was read.
import django  # noqa: E402

django.setup()
# A worker that inherits the name would have its settings read before it has chosen its own database.
del os.environ["DJANGO_SETTINGS_MODULE"]

from django.conf import settings  # noqa: E402

if settings.DATABASES["default"]["NAME"] != os.environ["DG_DATABASE"]:
    pytest.exit("Settings were read before the tests chose their database. Unset DJANGO_SETTINGS_MODULE.", 2)

from tests import database  # noqa: E402  (the environment comes first)

pytest_plugins = ["tests.trust.plugin"]

LONG = ("trust", "e2e", "golden", "stack", "house")
"""Folders whose files take long: they start first, so that no processor waits for the last of them."""

SOCKETS = "tests/e2e/test_sockets.py"
"""The end-to-end tests that start a server of their own instead of the product."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test that touches the database commits for real; what takes long comes first."""
    for item in items:
        if item.get_closest_marker("django_db"):
            item.add_marker(pytest.mark.django_db(transaction=True), append=False)
    items.sort(key=_turn)


def pytest_collection_finish(session: pytest.Session) -> None:
    """The collector leaves alone what was imported to stay: walking through it took a ninth of the workflow's tests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)


def _turn(item: pytest.Item) -> tuple[int, bool]:
    """Long folders one after the other, so that the tests of a running product share it; those that
    measure without one before it starts."""
    folder = item.path.parent.name
    place = LONG.index(folder) if folder in LONG else len(LONG)
    return place, "product" in getattr(item, "fixturenames", ())


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A file is one worker's; the running product, with all its browsers, is one worker's too.

    Starting one costs some twenty seconds of both processors, and two would wait for each other more than
    for anything else. The other worker meanwhile does what needs neither.
    """
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class OneProduct(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.split("::", 1)[0]
            return "product" if path.startswith("tests/e2e/") and path != SOCKETS else path

    return OneProduct(config, log)


def pytest_unconfigure(config: pytest.Config) -> None:
    """The controller ends the servers of a temporary run; a named state folder stays up."""
    from decisiongraph.stack import services

    for _pid, server in services._detached:
        if server is not None and server.poll() is None:
            server.returncode = 0  # it outlives this worker on purpose: Python need not complain of it at its end
    folder = os.environ.get(OWNED)
    if folder and not hasattr(config, "workerinput"):
        services.erase(os.environ)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def stack() -> database.Endpoints:
    """Addresses of the running database server and broker."""
    from decisiongraph.stack import services

    found = services.up({**os.environ, "DG_DATABASE": "decisiongraph"}).endpoints
    database.spare_the_disk(found)
    return found


@pytest.fixture(scope="session")
def django_db_setup(
    stack: database.Endpoints, django_test_environment: None, django_db_blocker: pytest.Blocker
) -> Iterator[None]:
    """A fresh copy of a migrated database, and no flush after tests."""
    from django.test import TransactionTestCase

    database.fresh_copy(os.environ)
    undo = pytest.MonkeyPatch()
    undo.setattr(TransactionTestCase, "_fixture_teardown", lambda case: None)
    yield
    undo.undo()
    with django_db_blocker.unblock():
        database.drop(os.environ)


@pytest.fixture(scope="session", autouse=True)
def static_files_are_listed_once() -> Iterator[None]:
    """Every test client makes the middlewares anew, and each would open the 240 static files again."""
    from whitenoise.middleware import WhiteNoiseMiddleware

    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # else each of them warns that it is not there
    listing = WhiteNoiseMiddleware.add_files_from_finders
    found: dict[str, Any] = {}

    def once(middleware: WhiteNoiseMiddleware) -> None:
        if not found:
            listing(middleware)
            found.update(middleware.files)
        middleware.files.update(found)

    undo = pytest.MonkeyPatch()
    undo.setattr(WhiteNoiseMiddleware, "add_files_from_finders", once)
    yield
    undo.undo()


@pytest.fixture(scope="session", autouse=True)
def passwords_are_hashed_in_a_moment() -> Iterator[None]:
    """Django's own hash with fewer rounds: a million of them cost a quarter of a second a password."""
    from django.contrib.auth.hashers import PBKDF2PasswordHasher

    undo = pytest.MonkeyPatch()
    undo.setattr(PBKDF2PasswordHasher, "iterations", 1_000)
    yield
    undo.undo()


@pytest.fixture
def db(transactional_db: None) -> None:
    """The database, with real commits."""


@pytest.fixture
def stack_environ(django_db_setup: None) -> dict[str, str]:
    """The environment in which another process uses the same database and broker as this test."""
    return dict(os.environ)
