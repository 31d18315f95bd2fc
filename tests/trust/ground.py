"""A product of its own (`make run` in a folder of its own), to be hurt from outside.

Its launcher starts again whatever dies, so a test kills and looks on.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg

from decisiongraph.stack import broker, services
from decisiongraph.stack.endpoints import ROOT, endpoints
from decisiongraph.stack.process import PROC, left_behind
from tests.ports import free_ports

READY_WITHIN = 240.0
PARTS = {
    "web": "granian",
    "sockets": "daphne",
    "worker": "project,timers,default",
    "deliver": "-Q deliver",
    "replay": "-Q replay",
    "beat": "celery:app beat",
    "broker": "valkey-server",
}
"""What the command line of each part holds."""


def eventually(condition: Callable[[], Any], what: str, seconds: float) -> float:
    """Wait for it; how long it took."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        with contextlib.suppress(httpx.HTTPError, OSError):
            if condition():
                return time.monotonic() - begun
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {seconds:.0f} s")


class Ground:
    """The running product."""

    def __init__(self) -> None:
        self.state = Path(tempfile.mkdtemp(prefix="dg-trust-"))
        self.state.chmod(0o755)
        self.port = free_ports()
        ours = ("DG_", "DATABASE_", "REDIS_", "PYTEST_", "TRUST")
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        self.environ |= {"STATE_DIR": str(self.state), "PORT": str(self.port), "LOG_LEVEL": "WARNING"}
        self.environ |= {"DJANGO_SETTINGS_MODULE": "decisiongraph.settings", "PYTHONPATH": str(ROOT)}
        # Limits have tests of their own; here one machine is a crowd.
        self.environ |= {f"RATE_LIMIT_{name}": "0" for name in ("TOKEN", "USER", "TENANT", "ADDRESS")}
        self.environ["APPENDS_IN_FLIGHT"] = "1000"
        self.console = (self.state / "console").open("wb")
        argv = [sys.executable, "-m", "decisiongraph.stack", "run"]
        self.launcher = subprocess.Popen(argv, cwd=ROOT, env=self.environ, stdout=self.console, stderr=self.console)
        try:
            eventually(self._ready, "the product is ready", READY_WITHIN)
        except AssertionError:
            said = (self.state / "console").read_text()[-2000:]
            self.close()
            raise AssertionError(f"the product did not start:\n{said}") from None

    def _ready(self) -> bool:
        assert self.launcher.poll() is None
        return "\nready\n" in (self.state / "console").read_text()

    @property
    def address(self) -> str:
        """Where the API is."""
        return f"http://localhost:{self.port}/api/v1"

    @property
    def sockets(self) -> str:
        """Where the sockets are."""
        return f"ws://localhost:{self.port + 1}/ws/"

    def manage(self, *arguments: str) -> str:
        """What a management command printed; it succeeded."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments], cwd=ROOT, env=self.environ, capture_output=True, text=True
        )
        assert done.returncode == 0, f"manage.py {' '.join(arguments)}:\n{done.stdout}{done.stderr[-3000:]}"
        return done.stdout

    def tenant(self, slug: str) -> str:
        """A new tenant; the text of a token for everything in it."""
        self.manage("create_tenant", slug)
        scopes = "ingest,read,operate,review,admin"
        return self.manage("create_token", "--tenant", slug, "--name", "trust", "--scopes", scopes).strip()

    def client(self, token: str, **options: Any) -> httpx.Client:
        """A program."""
        return httpx.Client(
            base_url=self.address, headers={"Authorization": f"Bearer {token}"}, **{"timeout": 30.0, **options}
        )

    def processes(self, part: str) -> list[int]:
        """Process numbers of a part, the oldest first."""
        found = []
        for pid in sorted(left_behind(self.state) | self._servers()):
            with contextlib.suppress(OSError):
                line = (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if PARTS[part] in line:
                    found.append(pid)
        return found

    def _servers(self) -> set[int]:
        pid = broker.running(endpoints(self.environ).socket_dir / broker.SOCKET_NAME)
        return {pid} if pid else set()

    def kill(self, part: str, *, whole: bool = True) -> int:
        """kill -9 of a part (``whole=False``: its youngest process); how many were hit."""
        pids = self.processes(part)
        for pid in pids if whole else pids[-1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return len(pids)

    @contextlib.contextmanager
    def frozen(self, *parts: str) -> Iterator[None]:
        """SIGSTOP while inside."""
        pids = [pid for part in parts for pid in self.processes(part)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    @contextlib.contextmanager
    def dead(self, part: str) -> Iterator[None]:
        """Killed, and not started again while inside; outside again once it works."""
        os.kill(self.launcher.pid, signal.SIGSTOP)
        try:
            assert self.kill(part) > 0
            died = time.time()
            yield
        finally:
            os.kill(self.launcher.pid, signal.SIGCONT)
        with self.database() as database:
            beats = "SELECT 1 FROM projections_workerheartbeat WHERE queues = %s AND started_at > to_timestamp(%s)"
            queues = [",".join(sorted(PARTS[part].split(","))), died]
            eventually(lambda: database.execute(beats, queues).fetchone(), f"{part} works again", 60)

    def crash_database(self) -> None:
        """kill -9 of the whole server; the launcher starts it again, and it recovers from its log."""
        data = endpoints(self.environ).data_dir
        number = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
        os.kill(number, signal.SIGKILL)

    def flush_broker(self) -> None:
        """Forget everything in the broker; one that was just killed comes back first."""
        path = endpoints(self.environ).socket_dir / broker.SOCKET_NAME
        eventually(lambda: broker.ask(path, "FLUSHALL").startswith("+OK"), "the broker is flushed", 30)

    def database(self) -> psycopg.Connection[tuple[Any, ...]]:
        """As superuser."""
        return psycopg.connect(endpoints(self.environ).database_url_admin, autocommit=True)

    def close(self) -> None:
        """Stop everything and delete it."""
        self.launcher.send_signal(signal.SIGTERM)
        try:
            self.launcher.wait(60)
        except subprocess.TimeoutExpired:
            self.launcher.kill()
            self.launcher.wait()
        self.console.close()
        services.erase(self.environ)
        shutil.rmtree(self.state, ignore_errors=True)


def envelope(trace: str, kind: str, payload: dict[str, Any], key: str, producer: str = "trust") -> dict[str, Any]:
    """An event as an agent sends it."""
    return {
        "trace_id": trace,
        "event_type": kind,
        "source": {"producer_id": producer, "system": "s"},
        "actor": {"actor_type": "agent", "actor_id": "a"},
        "idempotency_key": key,
        "payload": payload,
    }


def started(trace: str, key: str, title: str = "t") -> dict[str, Any]:
    """The first event of a trace."""
    entity = {"entity_type": "account", "entity_id": trace[-1]}
    return envelope(trace, "TraceStarted", {"workflow": "w", "title": title, "primary_entity": entity}, key)


def observed(trace: str, key: str, content: str = "i") -> dict[str, Any]:
    """A later one."""
    source = {"system": "s", "object_type": "o", "object_id": "1"}
    return envelope(trace, "InputObserved", {"input_id": content, "source": source, "facts": []}, key)


def finished(trace: str, key: str) -> dict[str, Any]:
    """The last one."""
    return envelope(trace, "TraceFinished", {"outcome": "success"}, key)


def whole_log(client: httpx.Client) -> list[dict[str, Any]]:
    """Every event of the token's tenant, in order."""
    found: list[dict[str, Any]] = []
    while True:
        after = found[-1]["log_seq"] if found else 0
        page = client.get("/events", params={"after": after, "limit": 500}).raise_for_status().json()["items"]
        if not page:
            return found
        found += page


def lag(client: httpx.Client) -> int:
    """Events that the slowest projection has not folded."""
    projections = client.get("/projections/health").raise_for_status().json()["projections"]
    return max(int(item["lag_events"]) for item in projections)


def say(text: Any) -> str:
    """One line of JSON."""
    return json.dumps(text, separators=(",", ":"))
