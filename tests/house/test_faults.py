"""Database away, broker away: what is said meanwhile, and that everything heals (a stack of its own)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from decisiongraph.stack import services
from tests.house.error_codes import ROOT

NORMAL_SPEED = 2.5
"""An append without broker may take so many times as long as one with it (noise of a busy machine)."""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The report of `faults.py`."""
    state = tmp_path_factory.mktemp("faults")
    for folder in (state, *state.parents[:2]):
        Path(folder).chmod(0o755)  # the database may run as another user
    keep = ("DG_TEST_STATE_DIR", "DG_DATABASE", "DG_REDIS_DB", "DATABASE_URL", "REDIS_URL")
    environ = {name: value for name, value in os.environ.items() if name not in keep}
    environ |= {"STATE_DIR": str(state), "PYTHONPATH": str(ROOT), "LOG_LEVEL": "ERROR"}
    environ["DJANGO_SETTINGS_MODULE"] = "decisiongraph.settings"
    try:
        done = subprocess.run(
            [sys.executable, str(ROOT / "tests" / "house" / "faults.py")],
            cwd=ROOT,
            env=environ,
            capture_output=True,
            text=True,
            timeout=240,
        )
    finally:
        services.erase(environ)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_without_broker_everything_answers_at_normal_speed(seen: dict[str, Any]) -> None:
    assert seen["normal"]["statuses"] == seen["without broker"]["statuses"] == seen["after broker"]["statuses"] == [201]
    assert set(seen["reads"]) == set(seen["reads without broker"]) == {200}
    assert seen["broker reported"] is False
    assert seen["without broker"]["ms"] <= NORMAL_SPEED * seen["normal"]["ms"]


def test_doorbells_are_kept_and_rung_when_the_broker_is_back(seen: dict[str, Any]) -> None:
    assert seen["marks kept"] is True
    assert seen["heard after healing"] == ["trace.event_appended"]


def test_without_database_programs_get_a_problem_with_retry_after(seen: dict[str, Any]) -> None:
    for name in ("append", "read", "projection", "session"):
        answer = seen["without database"][name]
        assert (answer["status"], answer["type"]) == (503, "application/problem+json"), (name, answer)
        assert answer["code"] == "database.unavailable", name
        assert int(answer["retry"]) > 0, name
    assert seen["write without database"] == [503]


def test_without_database_people_get_a_page(seen: dict[str, Any]) -> None:
    for name in ("console", "landing", "admin"):
        answer = seen["without database"][name]
        assert (answer["status"], answer["type"]) == (503, "text/html"), (name, answer)
        assert int(answer["retry"]) > 0, name
        assert "Not available for a moment" in answer["text"], name
        assert answer["seconds"] < 10, name
    assert seen["without database"]["alive"]["status"] == 200
    assert seen["without database"]["ready"]["status"] == 503


def test_it_heals_by_itself(seen: dict[str, Any]) -> None:
    assert seen["seconds to heal"] < 15
    assert seen["after database"]["statuses"] == [201]
    assert seen["console after database"] == 200
    assert set(seen["reads after database"]) == {200}
