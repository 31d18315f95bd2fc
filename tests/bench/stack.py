"""A stack of its own for a benchmark: the real ``make run``, a fresh folder, free ports."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.ports import free_ports

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("DG_SHARED_DATA") or ROOT.parent / "shared" / "data")


class Stack:
    """A running stack and how to talk to it."""

    def __init__(self, state: Path, port: int) -> None:
        self.state, self.port = state, port
        self.launcher = 0
        """The process all others of the stack descend from."""
        self.environ = os.environ | {
            "STATE_DIR": str(state),
            "PORT": str(port),
            "LOG_LEVEL": "WARNING",
            "DJANGO_SETTINGS_MODULE": "decisiongraph.settings",
        }

    def manage(self, *arguments: str) -> str:
        """A management command of this stack; its output."""
        return self.python(str(ROOT / "manage.py"), *arguments)

    def python(self, *arguments: str) -> str:
        """A Python process in this stack's environment; its output."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout

    def await_calm(self, timeout: float = 300) -> None:
        """Wait until what an import or a rebuild left to do in the background is done: all processes
        of the stack together use less than a quarter of a core for two seconds."""
        deadline = time.monotonic() + timeout
        before = self._processor()
        while time.monotonic() < deadline:
            time.sleep(2)
            now = self._processor()
            if now - before < 0.5:
                return
            before = now
        raise RuntimeError("the stack did not come to rest")

    def _processor(self) -> float:
        """Seconds of processor that living processes of the stack have used."""
        parents: dict[int, int] = {}
        used: dict[int, float] = {}
        for entry in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = entry.read_text().rpartition(")")[2].split()
            except OSError:  # it ended meanwhile
                continue
            number = int(entry.parent.name)
            parents[number] = int(fields[1])
            used[number] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        mine = {self.launcher}
        grew = True
        while grew:
            more = {child for child, parent in parents.items() if parent in mine} - mine
            grew = bool(more)
            mine |= more
        return sum(used.get(number, 0.0) for number in mine)

    def tenant(self, slug: str, scopes: str = "ingest,read,operate") -> Client:
        """A new tenant and a client that holds a token for it."""
        self.manage("create_tenant", slug)
        token = self.manage("create_token", "--tenant", slug, "--name", "bench", "--scopes", scopes).strip()
        return Client(self.port, token, slug)


class Client:
    """HTTP with one kept connection, as a service would."""

    def __init__(self, port: int, token: str, slug: str) -> None:
        self.port, self.token, self.slug = port, token, slug
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.used = time.monotonic()

    def again(self) -> Client:
        """The same client with a connection of its own."""
        return Client(self.port, self.token, self.slug)

    def send(
        self, method: str, path: str, body: bytes | None = None, content_type: str = "application/json"
    ) -> tuple[int, bytes]:
        """Status and body."""
        headers = {"Authorization": f"Bearer {self.token}"}
        if body is not None:
            headers["Content-Type"] = content_type
        if time.monotonic() - self.used > 2:
            self.connection.close()  # the server may have given up on it; the next request connects anew
        self.connection.request(method, f"/api/v1{path}", body, headers)
        answer = self.connection.getresponse()
        found = answer.status, answer.read()
        self.used = time.monotonic()
        return found

    def get(self, path: str) -> Any:
        """A 200 answer's JSON."""
        status, body = self.send("GET", path)
        if status != 200:
            raise RuntimeError(f"GET {path}: {status} {body[:300]!r}")
        return json.loads(body)

    def post(self, path: str, value: Any, *, expect: int = 200) -> Any:
        """The JSON of an answer with the expected status."""
        status, body = self.send("POST", path, json.dumps(value).encode())
        if status != expect:
            raise RuntimeError(f"POST {path}: {status} {body[:300]!r}")
        return json.loads(body)

    def lag(self) -> int:
        """The largest lag of the tenant's projections, in events."""
        health = self.get("/projections/health")
        return max((p["lag_events"] for p in health["projections"]), default=health["head"])

    def await_lag_zero(self, timeout: float = 300) -> float:
        """Seconds until every projection has applied the whole log."""
        started = time.perf_counter()
        while time.perf_counter() - started < timeout:
            if self.lag() == 0:
                return time.perf_counter() - started
            time.sleep(0.02)
        raise RuntimeError("the projections did not catch up")


@contextmanager
def running() -> Iterator[Stack]:
    """A whole stack, ended and deleted afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="dg-bench-"))
    stack = Stack(folder / "state", free_ports())
    process = subprocess.Popen(
        [sys.executable, "-m", "decisiongraph.stack", "run"],
        cwd=ROOT,
        env=stack.environ,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    stack.launcher = process.pid
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == "ready":
                break
        else:
            raise RuntimeError("the stack did not start; see " + str(stack.state / "log"))
        yield stack
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
        shutil.rmtree(folder, ignore_errors=True)
