"""The ground under every test: one embedded database server and broker per run, one database per worker.

Tests behave like production: they run as the role dg_app, with real commits. Nothing is flushed
afterwards (the log refuses it, and so would customers); every test makes its own tenant.

``DG_TEST_STATE_DIR`` names a folder whose servers are kept running between runs.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test that touches the database commits for real."""
    for item in items:
        if item.get_closest_marker("django_db"):
            item.add_marker(pytest.mark.django_db(transaction=True), append=False)


def pytest_unconfigure(config: pytest.Config) -> None:
    """The controller ends the servers of a temporary run; a named state folder stays up."""
    folder = os.environ.get(OWNED)
    if folder and not hasattr(config, "workerinput"):
        from decisiongraph.stack import services

        services.erase(os.environ)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def stack() -> database.Endpoints:
    """Addresses of the running database server and broker."""
    from decisiongraph.stack import services

    return services.up({**os.environ, "DG_DATABASE": "decisiongraph"}).endpoints


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


@pytest.fixture
def db(transactional_db: None) -> None:
    """The database, with real commits."""


@pytest.fixture
def stack_environ(django_db_setup: None) -> dict[str, str]:
    """The environment in which another process uses the same database and broker as this test."""
    return dict(os.environ)
