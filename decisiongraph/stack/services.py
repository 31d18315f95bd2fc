"""The database and the broker of one STATE_DIR: up and down, one caller at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from decisiongraph.stack import broker, postgres, roles
from decisiongraph.stack.endpoints import Endpoints, endpoints, state_dir
from decisiongraph.stack.process import StackError, server_account


class Services(NamedTuple):
    """What runs: addresses, and our handles on the servers we started ourselves."""

    endpoints: Endpoints
    postgres: subprocess.Popen[bytes] | None
    broker: subprocess.Popen[bytes] | None


def prepare_state(environ: Mapping[str, str]) -> Path:
    """Make STATE_DIR and its log folder."""
    state = state_dir(environ)
    try:
        (state / "log").mkdir(parents=True, exist_ok=True)
        writable = os.access(state, os.W_OK | os.X_OK)
    except OSError as refused:
        raise StackError(f"STATE_DIR {state} cannot be made: {refused.strerror}. Choose another: STATE_DIR=...") from refused
    if not writable or (state.stat().st_uid == 0 != os.geteuid()):
        raise StackError(f"STATE_DIR {state} belongs to another user. Choose another: STATE_DIR=...")
    return state


@contextlib.contextmanager
def alone(state: Path) -> Iterator[None]:
    """Hold the lock under which servers of this STATE_DIR are started and stopped."""
    with (state / "services.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def up(environ: Mapping[str, str], *, death_signals: tuple[int, int] | None = None) -> Services:
    """Database and broker answer, roles exist. Servers already running are used as they are.

    ``death_signals`` (for the database, for the broker) tie servers started here to our own life;
    without them they outlive us, until `down`.
    """
    state = prepare_state(environ)
    account = server_account()
    with alone(state):
        where = endpoints(environ)
        database = queue = None
        for_database, for_broker = death_signals or (None, None)
        if where.embedded_database:
            _, database = postgres.start(state, account, death_signal=for_database)
        elif where.embedded_broker:
            postgres.prepare_places(state, account)
        where = endpoints(environ)
        if where.embedded_broker:
            _, queue = broker.start(state, where.socket_dir, account, death_signal=for_broker)
        roles.bootstrap(where)
    return Services(where, database, queue)


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
