"""The database and the broker of one STATE_DIR: up and down, one caller at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from decisiongraph.stack import broker, postgres, roles
from decisiongraph.stack.binaries import SHELTER
from decisiongraph.stack.endpoints import Endpoints, endpoints, state_dir
from decisiongraph.stack.process import StackError, server_account

Server = tuple[int, "subprocess.Popen[bytes] | None"]
"""A running server: its process number, and our handle on it if we started it ourselves."""


class Services(NamedTuple):
    """What runs: addresses, and the embedded servers (None: somebody else's server is used)."""

    endpoints: Endpoints
    postgres: Server | None
    broker: Server | None


class DeathSignals(NamedTuple):
    """What the kernel tells our servers when we die: the database shuts down fast, the broker ends."""

    postgres: int | None
    broker: int | None


TIED = DeathSignals(signal.SIGINT, signal.SIGTERM)
LOOSE = DeathSignals(None, None)


def prepare_state(environ: Mapping[str, str]) -> Path:
    """Make STATE_DIR and its log folder."""
    state = state_dir(environ)
    try:
        (state / "log").mkdir(parents=True, exist_ok=True)
        writable = os.access(state, os.W_OK | os.X_OK)
    except OSError as refused:
        raise StackError(
            f"STATE_DIR {state} cannot be made: {refused.strerror}. Choose another: STATE_DIR=..."
        ) from refused
    if not writable or (state.stat().st_uid == 0 != os.geteuid()):
        raise StackError(f"STATE_DIR {state} belongs to another user. Choose another: STATE_DIR=...")
    return state


@contextlib.contextmanager
def alone(state: Path) -> Iterator[None]:
    """Hold the lock under which servers of this STATE_DIR are started and stopped."""
    with (state / "services.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


_detached: list[Server] = []
"""Servers left running: their handles are kept, an abandoned one would complain when collected."""


def up(environ: Mapping[str, str], *, death: DeathSignals = LOOSE) -> Services:
    """Database and broker answer, roles exist. Servers already running are used as they are.

    With ``death=TIED`` servers started here do not outlive us; otherwise they run until `down`.
    """
    state = prepare_state(environ)
    database = start_postgres(state, death) if endpoints(environ).embedded_database else None
    queue = start_broker(state, death) if endpoints(environ).embedded_broker else None
    where = endpoints(environ)
    with alone(state):
        roles.bootstrap(where)
    if death is LOOSE:
        _detached.extend(server for server in (database, queue) if server)
    return Services(where, database, queue)


def start_postgres(state: Path, death: DeathSignals) -> Server:
    """The embedded database of this STATE_DIR, started unless it runs."""
    with alone(state):
        return postgres.start(state, server_account(), death_signal=death.postgres)


def start_broker(state: Path, death: DeathSignals) -> Server:
    """The embedded broker of this STATE_DIR, started unless it runs."""
    with alone(state):
        account = server_account()
        _, sockets = postgres.prepare_places(state, account)
        return broker.start(state, sockets, account, death_signal=death.broker)


def down(environ: Mapping[str, str]) -> None:
    """Stop the servers of this STATE_DIR, whoever started them. Outside servers are left alone."""
    state = state_dir(environ)
    if not state.exists():
        return
    with alone(state):
        where = endpoints(environ)
        if where.embedded_broker:
            broker.stop(where.socket_dir)
        if where.embedded_database:
            postgres.stop(where.data_dir)
    _detached[:] = [(pid, child) for pid, child in _detached if child is not None and child.poll() is None]


def erase(environ: Mapping[str, str]) -> None:
    """Stop the servers of this STATE_DIR and delete everything they kept, wherever it lies."""
    state = state_dir(environ)
    if not state.exists():
        return
    down(environ)
    where = endpoints(environ)
    for folder in (where.data_dir, where.socket_dir):
        shutil.rmtree(folder, ignore_errors=True)
        if folder.parent.parent == SHELTER:
            shutil.rmtree(folder.parent, ignore_errors=True)
    shutil.rmtree(state)
