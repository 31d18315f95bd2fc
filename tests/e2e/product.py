"""The whole product as `make run` starts it, on the test database and broker."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from decisiongraph.stack.endpoints import ROOT
from decisiongraph.stack.parts import parts
from tests.ports import free_ports

WAIT = 60.0
"""Seconds after which waiting is given up; never what is measured."""


def until(condition: Callable[[], Any], what: str, timeout: float = WAIT) -> Any:
    """The first true answer of a condition."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        answer = condition()
        if answer:
            return answer
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {timeout:.0f} s")


class Product:
    """Its processes, and how to stop and wake single ones."""

    def __init__(self, folder: Path) -> None:
        self.port = free_ports()
        self.folder = folder
        (folder / "metrics").mkdir(parents=True, exist_ok=True)
        self.environ = os.environ | {
            "PORT": str(self.port),
            "PUBLIC_URL": f"http://localhost:{self.port}",
            "SOCKET_URL": f"ws://localhost:{self.port + 1}/ws/",
            "PROMETHEUS_MULTIPROC_DIR": str(folder / "metrics"),
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def address(self) -> str:
        """Where the pages are."""
        return f"http://localhost:{self.port}"

    @property
    def socket_address(self) -> str:
        """Where the sockets are."""
        return f"ws://localhost:{self.port + 1}/ws/"

    def start(self) -> None:
        """Start every part and wait until pages and sockets answer."""
        for part in parts(self.port, self.folder):
            with (self.folder / f"{part.name}.log").open("ab") as sink:
                self.processes[part.name] = subprocess.Popen(
                    part.argv, env=self.environ, cwd=ROOT, stdout=sink, stderr=sink, start_new_session=True
                )
        until(self.ready, "the product answers")

    def ready(self) -> bool:
        """Pages answer and the socket port listens."""
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            body = json.loads(answer.read())
            with socket.create_connection(("127.0.0.1", self.port + 1), timeout=2):
                return answer.status == 200 and bool(body["broker"])
        except (OSError, ValueError, http.client.HTTPException):
            return False

    def freeze(self, *names: str) -> None:
        """SIGSTOP whole parts."""
        for name in names:
            os.killpg(self.processes[name].pid, signal.SIGSTOP)

    def thaw(self, *names: str) -> None:
        """SIGCONT."""
        for name in names:
            os.killpg(self.processes[name].pid, signal.SIGCONT)

    def log(self, name: str) -> list[dict[str, Any]]:
        """The structured lines of a part's log."""
        lines = []
        for text in (self.folder / f"{name}.log").read_text().splitlines():
            if text.startswith("{"):
                lines.append(json.loads(text))
        return lines

    def stop(self) -> None:
        """End everything at once: nobody needs what it does now (`tests.stack` tests an orderly end)."""
        for process in self.processes.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for process in self.processes.values():
            process.wait(10)
