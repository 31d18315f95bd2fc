"""Keeping parts alive: a dead one is started again, later each time, and takes its children along."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from decisiongraph.celery import app
from decisiongraph.stack import parts, process, run
from projections.selectors.health import QUEUES

WAITS = "import time; time.sleep(600)"
FAMILY = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {WAITS!r}]); time.sleep(600)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A STATE_DIR with a log folder."""
    (tmp_path / "log").mkdir()
    return tmp_path


@pytest.fixture
def environ(state: Path) -> dict[str, str]:
    """What parts of this STATE_DIR see."""
    return {"PATH": os.environ["PATH"], process.MARK: str(state)}


@pytest.fixture
def said() -> list[str]:
    """What the console was told."""
    return []


@pytest.fixture
def one(state: Path, environ: dict[str, str]) -> Iterator[parts.Watched]:
    """A running part that has a child of its own."""
    watched = parts.watched(parts.Part("one", [sys.executable, "-c", FAMILY], 5.0), state, environ)
    watched.start()
    yield watched
    watched.stop()
    assert not process.left_behind(state)


def family(state: Path, size: int) -> set[int]:
    """The processes of this STATE_DIR, once there are so many."""
    assert process.until(lambda: len(process.left_behind(state)) == size, seconds=20)
    return process.left_behind(state)


def test_a_killed_part_is_started_again_and_its_children_do_not_stay(
    one: parts.Watched, state: Path, said: list[str]
) -> None:
    before = family(state, 2)
    leader = next(pid for pid in before if os.getsid(pid) == pid)
    os.kill(leader, signal.SIGKILL)
    assert process.until(lambda: one.check(said.append) is None and bool(said), seconds=20)
    assert process.until(lambda: one.check(said.append) is None and len(said) == 2, seconds=20)
    assert not before & family(state, 2)
    assert "one ended (killed by SIGKILL); starting again in 0.5 s" in said[0]
    assert said[1] == "one runs again"


def test_a_part_that_keeps_ending_is_started_less_and_less_often(
    state: Path, environ: dict[str, str], said: list[str]
) -> None:
    watched = parts.watched(parts.Part("bad", [sys.executable, "-c", "raise SystemExit(3)"], 1.0), state, environ)
    watched.start()
    assert process.until(lambda: watched.check(said.append) is None and watched.failures == 3, seconds=30)
    pauses = [line.split("again in ")[1].split(" s")[0] for line in said if "ended (exit code 3)" in line]
    assert pauses == ["0.5", "1", "2"]


def test_a_part_that_cannot_be_started_is_tried_again(state: Path, said: list[str]) -> None:
    def refuse() -> tuple[int, None]:
        raise process.StackError("no room")

    watched = parts.Watched("gone", refuse, state / "log/gone.log", 1.0)
    watched.check(said.append)
    assert said == ["gone does not start: no room; next try in 0.5 s"]


def test_a_deaf_part_is_ended_all_the_same(state: Path, environ: dict[str, str]) -> None:
    watched = parts.watched(parts.Part("deaf", [sys.executable, "-c", STUBBORN], 0.2), state, environ)
    watched.start()
    assert process.until(lambda: "deaf" in watched.log.read_text(), seconds=20)
    watched.stop()
    assert not process.left_behind(state)


def test_parts_do_not_outlive_a_killed_launcher(state: Path, environ: dict[str, str]) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from decisiongraph.stack import parts\n"
        f"state = Path({str(state)!r})\n"
        "part = parts.Part('one', [sys.executable, '-c', 'import time; time.sleep(600)'], 1.0)\n"
        "parts.watched(part, state, dict(os.environ)).start(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    launcher = subprocess.run([sys.executable, "-c", code], env=environ | {"PYTHONPATH": os.getcwd()})
    assert launcher.returncode == -signal.SIGKILL
    assert process.until(lambda: not process.left_behind(state), seconds=20)


def test_what_an_earlier_run_left_behind_is_found_and_ended(
    state: Path, environ: dict[str, str], said: list[str]
) -> None:
    orphan = subprocess.Popen([sys.executable, "-c", WAITS], env=environ)
    stranger = subprocess.Popen([sys.executable, "-c", WAITS], env=environ | {process.MARK: str(state) + "-other"})
    try:
        family(state, 1)
        parts.end_left_behind(state, said.append)
        assert orphan.wait() == -signal.SIGTERM
        assert stranger.poll() is None
        assert said == ["ending 1 processes that an earlier run left behind"]
    finally:
        stranger.kill()
        stranger.wait()


def test_a_second_launcher_is_told_about_the_first(state: Path) -> None:
    with (
        run.only_one(state, 8000),
        pytest.raises(process.StackError, match=r"already runs here: http://localhost:8000/ .*make run STATE_DIR="),
        run.only_one(state, 8100),
    ):
        pass
    with run.only_one(state, 8100):
        pass


def test_a_launcher_that_is_stopping_is_waited_for(state: Path) -> None:
    gone = threading.Event()

    def follow() -> None:
        with run.only_one(state, 8100):
            gone.set()

    with run.only_one(state, 8000) as lock:
        run.note(lock, 8000, stopping=True)
        follower = threading.Thread(target=follow)
        follower.start()
        assert not gone.wait(0.5)
    assert gone.wait(20)
    follower.join()


def test_a_taken_port_is_named() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(process.StackError, match=rf"Port {port} is taken by another program"):
            run.check_ports(port)
        # The one before is free or somebody else's; either way the next is needed as well.
        with pytest.raises(process.StackError, match=rf"Port ({port}|{port - 1}) is taken by another program"):
            run.check_ports(port - 1)


@pytest.mark.parametrize("port", ["0", "x", "65535", "-1", "8000.5"])
def test_a_port_that_is_none_is_refused_by_name(port: str) -> None:
    with pytest.raises(process.StackError, match=r"PORT must be a number between 1 and 65534"):
        run.port_number({"PORT": port})


def test_parts_see_their_stack_and_not_makes_variables(state: Path) -> None:
    child = run.child_environment(
        {"MAKEFLAGS": "w", "MAKELEVEL": "1", "PATH": "/bin", "LOG_LEVEL": "DEBUG"}, state, 8100
    )
    assert not any(name.startswith("MAKE") for name in child)
    assert (child["STATE_DIR"], child["PORT"], child[process.MARK]) == (str(state), "8100", str(state))
    assert child["LOG_LEVEL"] == "DEBUG"
    assert child["PROMETHEUS_MULTIPROC_DIR"] == str(state / "metrics"), "one answer of /metrics for all processes"


def test_replay_and_learning_never_share_a_worker_process_with_catch_up() -> None:
    queues = {
        part.name: part.argv[part.argv.index("-Q") + 1] for part in parts.parts(8000, Path("/s")) if "-Q" in part.argv
    }
    assert queues == {
        "worker": "project,timers,default",
        "deliver": "deliver",
        "replay": "replay",
        "learn": "learn",
    }
    routed = {task: app.amqp.router.route({}, task)["queue"].name for task in sorted(app.tasks) if "." in task}
    assert {task for task, queue in routed.items() if queue == "learn"} == {
        "projections.learn",
        "projections.learn_all",
    }
    assert {queue for task, queue in routed.items() if not task.startswith("celery.")} <= set(QUEUES)
