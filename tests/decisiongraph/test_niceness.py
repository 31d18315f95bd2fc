"""Who follows gives way to who answers, also where the kernel shares the processor by session."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from decisiongraph.celery import AUTOGROUP, give_way

LEADER = """
import os
from decisiongraph.celery import AUTOGROUP, give_way
give_way(7)
print(os.nice(0), AUTOGROUP.read_text().split()[-1])
"""
CHILD = f"""
import subprocess, sys
print(subprocess.run([sys.executable, "-c", {LEADER!r}], capture_output=True, text=True, check=True).stdout)
"""
GUEST = f"""
import subprocess, sys
print(subprocess.run([sys.executable, "-c", {CHILD!r}], capture_output=True, text=True, check=True).stdout)
"""

by_session = pytest.mark.skipif(not AUTOGROUP.exists(), reason="this kernel shares by process, not by session")


def said_by(program: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        start_new_session=True,
        cwd=Path(__file__).parents[2],
    )
    return done.stdout.split()


@by_session
@pytest.mark.parametrize("program", [LEADER, CHILD], ids=["leads its session", "child of the leader"])
def test_a_session_of_its_own_gives_way_as_a_whole(program: str) -> None:
    assert said_by(program) == [str(os.nice(0) + 7), "7"]


@by_session
def test_the_session_of_somebody_else_keeps_its_weight() -> None:
    assert said_by(GUEST) == [str(os.nice(0) + 7), "0"]


def test_a_kernel_that_is_busy_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Busy(type(tmp_path)):  # type: ignore[misc]
        def write_text(self, text: str) -> int:  # type: ignore[override]
            asked.append(text)
            if len(asked) < 3:
                raise BlockingIOError
            return len(text)

    monkeypatch.setattr(os, "nice", lambda _more: 0)
    monkeypatch.setattr(os, "getsid", lambda _pid: os.getpid())
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    give_way(5, Busy(tmp_path / "autogroup"))
    assert asked == ["5", "5", "5"]


def test_where_it_may_not_be_set_nothing_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "nice", lambda _more: 0)
    monkeypatch.setattr(os, "getsid", lambda _pid: os.getpid())
    give_way(5, tmp_path / "absent" / "autogroup")
