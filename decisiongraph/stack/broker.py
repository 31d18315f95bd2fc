"""The embedded broker: Valkey on a unix socket, nothing written to disk.

It carries hints only (HOUSE law 1), so losing its memory costs a delay and no data.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

from decisiongraph.stack import binaries
from decisiongraph.stack.process import Account, StackError, alive, spawn, until

SOCKET_NAME = "broker.sock"
DATABASES = 128
"""Parallel test runs take one each."""


def ask(path: Path, command: str) -> str:
    """The server's answer to one inline command; empty when nobody listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(2)
        try:
            line.connect(str(path))
            line.sendall(command.encode() + b"\r\n")
            return line.recv(65536).decode(errors="replace")
        except OSError:
            return ""


def running(path: Path) -> int | None:
    """The process number of the server that answers on this socket."""
    if not ask(path, "PING").startswith("+PONG"):
        return None
    for row in ask(path, "INFO server").splitlines():
        name, _, value = row.partition(":")
        if name == "process_id":
            return int(value)
    return None


def launch(path: Path, account: Account | None, log: Path, *, death_signal: int | None) -> subprocess.Popen[bytes]:
    """Start the server process, without waiting."""
    argv = [str(binaries.broker_program(account)), "--port", "0"]
    argv += ["--unixsocket", str(path), "--unixsocketperm", "700", "--databases", str(DATABASES)]
    argv += ["--save", "", "--appendonly", "no", "--daemonize", "no", "--dir", str(path.parent)]
    with log.open("ab") as sink:
        environ = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "TZ": "UTC"}
        return spawn(argv, log=sink, env=environ, cwd=path.parent, account=account, death_signal=death_signal)


def start(
    state: Path, sockets: Path, account: Account | None, *, death_signal: int | None
) -> tuple[int, subprocess.Popen[bytes] | None]:
    """A broker that answers: its process number and, when we started it, our handle on it."""
    path = sockets / SOCKET_NAME
    log = state / "log" / "broker.log"
    pid = running(path)
    if pid is not None:
        return pid, None
    child = launch(path, account, log, death_signal=death_signal)
    if until(lambda: child.poll() is not None or running(path) == child.pid, seconds=20) and child.poll() is None:
        return child.pid, child
    child.kill()
    child.wait()
    raise StackError(f"The broker does not start; its reasons are at the end of {log}")


def stop(sockets: Path, *, seconds: float = 10.0) -> None:
    """Shut the broker down, if one answers."""
    pid = running(sockets / SOCKET_NAME)
    if pid is None:
        return
    for number, wait in ((signal.SIGTERM, seconds), (signal.SIGKILL, 5.0)):
        os.kill(pid, number)
        if until(lambda: not alive(pid), seconds=wait):
            return
