"""Processes: start one that dies with us, see whether one lives, find the ones that were left behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, NamedTuple

PROC = Path("/proc")
MARK = "DG_STACK"
"""Environment variable that marks the processes of a stack; its value is the STATE_DIR."""

PR_SET_PDEATHSIG = 1


class StackError(RuntimeError):
    """The stack cannot do what was asked; the text tells the operator what to do."""


class Account(NamedTuple):
    """An operating system account that server processes run as."""

    name: str
    uid: int
    gid: int


def server_account() -> Account | None:
    """The unprivileged account for servers when we are root, else None (they run as ourselves)."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(name, entry.pw_uid, entry.pw_gid)
    raise StackError(
        "PostgreSQL refuses to run as root and this machine has neither the user 'postgres' nor 'nobody'. "
        "Run as a normal user, or add one: useradd --system postgres"
    )


def die_with_parent(number: int, *, parent: int | None = None) -> Callable[[], None] | None:
    """What a child runs (before exec) so that the kernel sends it ``number`` when ``parent`` dies.

    ``parent`` is the caller unless given. Linux only; elsewhere leftovers are found by their lock
    files at the next start.
    """
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    expected = parent or os.getpid()

    def arm() -> None:
        prctl(PR_SET_PDEATHSIG, number)
        # The parent may have died before the kernel knew that we care.
        if os.getppid() != expected:
            os.kill(os.getpid(), number)

    return arm


def spawn(
    argv: list[str],
    *,
    log: IO[bytes] | int,
    env: Mapping[str, str],
    cwd: Path,
    account: Account | None = None,
    death_signal: int | None = None,
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own (a Ctrl-C in the terminal reaches the launcher alone)."""
    return subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env=dict(env),
        cwd=cwd,
        start_new_session=True,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        preexec_fn=die_with_parent(death_signal) if death_signal else None,
    )


def alive(pid: int) -> bool:
    """Whether a process runs. A zombie is dead: it only waits for its parent to notice."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        if PROC.joinpath("self").exists():
            return False
    except (OSError, IndexError):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def processes() -> Iterator[int]:
    """The living processes of this machine, ourselves excepted (empty where there is no /proc)."""
    for entry in PROC.glob("[0-9]*"):
        pid = int(entry.name)
        if pid != os.getpid() and alive(pid):
            yield pid


def working_in(folder: Path) -> set[int]:
    """Processes whose working directory is ``folder``: every PostgreSQL process sits in its data."""
    found = set()
    for pid in processes():
        with contextlib.suppress(OSError):
            if os.readlink(PROC / str(pid) / "cwd") == str(folder):
                found.add(pid)
    return found


def left_behind(state: Path) -> set[int]:
    """Processes that an earlier launcher of this STATE_DIR started and could not end."""
    mark = f"{MARK}={state}".encode()
    found = set()
    for pid in processes():
        with contextlib.suppress(OSError):
            if mark in (PROC / str(pid) / "environ").read_bytes().split(b"\0"):
                found.add(pid)
    return found


def in_session(leader: int) -> set[int]:
    """Living processes of the session that ``leader`` opened (see `spawn`)."""
    found = set()
    for pid in processes():
        with contextlib.suppress(OSError):
            if os.getsid(pid) == leader:
                found.add(pid)
    return found


def end(pids: set[int], *, grace: float) -> None:
    """Ask processes to stop, wait at most ``grace`` seconds, then kill what is left."""
    for number, wait in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        if until(lambda: not any(alive(pid) for pid in pids), seconds=wait):
            return


def until(done: Callable[[], bool], *, seconds: float, pause: float = 0.05) -> bool:
    """Poll ``done`` for at most ``seconds``; whether it came true."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True
