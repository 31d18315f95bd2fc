"""The whole of `make run`: ready, wounded, stopped, and back with its data."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from decisiongraph.stack import process, run, services
from decisiongraph.stack.endpoints import ROOT, endpoints
from tests.ports import free_ports

READY_WITHIN = 150
pytestmark = pytest.mark.slow


class Launcher:
    """One `make run` and what it says."""

    def __init__(self, environ: dict[str, str]) -> None:
        argv = [sys.executable, "-m", "decisiongraph.stack", "run"]
        self.process = subprocess.Popen(
            argv, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as console:
            for line in console:
                with self._changed:
                    self.lines.append(line.rstrip("\n"))
                    self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def says(self, text: str) -> None:
        """Wait for a line that begins with the text."""
        with self._changed:
            self._changed.wait_for(lambda: self._said(text) or not self._reader.is_alive(), READY_WITHIN)
        assert self._said(text), "\n".join(self.lines)

    def _said(self, text: str) -> bool:
        return any(line.startswith(text) for line in self.lines)

    def end(self, number: int) -> int:
        """Send a signal and wait for the end; the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(60)
        self._reader.join(60)
        return code


@pytest.fixture
def environ() -> Iterator[dict[str, str]]:
    """A STATE_DIR and a port of this test alone, on the product's own database."""
    folder = tempfile.mkdtemp(prefix="dg-test-")
    Path(folder).chmod(0o755)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DG_", "MAKE"))}
    environ = inherited | {"STATE_DIR": folder, "PORT": str(free_ports())}
    yield environ
    process.end(process.left_behind(Path(folder)), grace=1.0)
    services.erase(environ)


def serving(port: int) -> bool:
    """Whether pages and sockets answer."""
    return run.answers(port) and run.listens(port + 1)


def test_make_run(environ: dict[str, str]) -> None:
    port, state = int(environ["PORT"]), Path(environ["STATE_DIR"])
    first = Launcher(environ)
    first.says("ready")
    assert first.lines[-1] == "ready"
    assert f"http://localhost:{port}/" in "\n".join(first.lines)
    assert f"ws://localhost:{port + 1}/ws/" in "\n".join(first.lines)
    assert serving(port)
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    line.request("GET", "/healthz")
    assert line.getresponse().status == 200
    line.close()

    # A second one beside it does no harm.
    second = Launcher(environ)
    assert second.process.wait(60) == 1
    second.says("DecisionGraph already runs here")
    assert serving(port)

    # A killed part comes back, also the ones everything else leans on.
    where = endpoints(environ)
    with psycopg.connect(where.database_url_owner, autocommit=True) as owner:
        owner.execute("CREATE TABLE kept (what text)")
    for name in ("web", "postgres"):
        os.kill(leader(state, where.data_dir, name), signal.SIGKILL)
        first.says(f"{name} ended (killed by SIGKILL)")
        first.says(f"{name} runs again")
        assert process.until(lambda: serving(port), seconds=60)

    # The launcher itself is killed: the next one clears up and finds the data.
    assert first.end(signal.SIGKILL) == -signal.SIGKILL
    third = Launcher(environ)
    third.says("ready")
    with psycopg.connect(where.database_url_owner) as owner:
        assert owner.execute("SELECT count(*) FROM kept").fetchone() == (0,)
    assert third.end(signal.SIGINT) == 0
    assert third.lines[-1] == "stopped"
    assert not process.left_behind(state)
    assert not (where.data_dir / "postmaster.pid").exists()


def leader(state: Path, data: Path, name: str) -> int:
    """The main process of a part."""
    candidates = process.working_in(data) if name == "postgres" else process.left_behind(state)
    word = {"postgres": b"postgres\0-D", "web": b"granian"}[name]
    for pid in candidates:
        if os.getsid(pid) == pid and word in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    raise AssertionError(f"{name} does not run")
