"""``make run``: everything up, watched until Ctrl-C, and down again in order.

Single-threaded on purpose: the kernel ties children to the thread that started them.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import IO, NoReturn

from decisiongraph.stack import services
from decisiongraph.stack.endpoints import ROOT
from decisiongraph.stack.parts import Watched, end_left_behind, parts, watched
from decisiongraph.stack.process import MARK, StackError, die_with_parent

LOG_LIMIT = 20_000_000
"""Bytes after which a part's log is set aside at the next start."""

READY_WITHIN = 120.0
"""Seconds from the first part's start to `ready`; a slow machine compiles every module in them."""

TOO_MANY_FAILURES = 4
"""Ends of one part before everything is ready: then the start is given up."""


STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop(Exception):
    """Somebody asked the stack to stop."""


def say(text: str) -> None:
    """One line on the console, at once."""
    with contextlib.suppress(BrokenPipeError, OSError):
        print(text, flush=True)


def run(environ: Mapping[str, str]) -> int:
    """Start everything, watch it, stop it; the exit code."""
    port = port_number(environ)
    state = services.prepare_state(environ)
    for number in STOP_SIGNALS:
        signal.signal(number, request_stop)
    stop_with_make(environ)
    try:
        with only_one(state, port) as lock:
            end_left_behind(state, say)
            check_ports(port)
            return run_alone(lock, state, port, environ)
    except Stop:
        return 0


def run_alone(lock: IO[str], state: Path, port: int, environ: Mapping[str, str]) -> int:
    """The life of the stack, from the first server to the last; the exit code."""
    running: list[Watched] = []
    try:
        start(running, state, port, environ)
        watch(running)
    except Stop:
        code = 0
    except StackError as problem:
        say(str(problem))
        code = 1
    finally:
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        note(lock, port, stopping=True)
        shut_down(running, environ)
    return code


def request_stop(number: int, frame: FrameType | None) -> None:
    """Signal handler: leave whatever is going on, in order."""
    raise Stop


def port_number(environ: Mapping[str, str]) -> int:
    """PORT, checked; sockets take the next one."""
    raw = environ.get("PORT") or "8000"
    if not raw.isdigit() or not 1 <= int(raw) <= 65534:
        raise StackError(f"PORT must be a number between 1 and 65534, not {raw!r}.")
    return int(raw)


def stop_with_make(environ: Mapping[str, str]) -> None:
    """Under ``make run``, make's death is a request to stop, even by kill -9."""
    arm = die_with_parent(signal.SIGTERM, parent=os.getppid()) if environ.get("MAKELEVEL") else None
    if arm:
        arm()


@contextlib.contextmanager
def only_one(state: Path, port: int) -> Iterator[IO[str]]:
    """Hold the right to run this STATE_DIR; a launcher that is just stopping is waited for."""
    with (state / "run.lock").open("a+") as lock:
        deadline = time.monotonic() + 45
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                lock.seek(0)
                with contextlib.suppress(ValueError):
                    holder = json.loads(lock.read())
                    if not holder["stopping"] or time.monotonic() > deadline:
                        raise StackError(
                            f"DecisionGraph already runs here: http://localhost:{holder['port']}/ "
                            f"(process {holder['pid']}, state in {state}). Stop it with Ctrl-C there, "
                            "or run a second one beside it: make run STATE_DIR=.state-two PORT=8100"
                        ) from None
                time.sleep(0.2)
        note(lock, port, stopping=False)
        yield lock


def note(lock: IO[str], port: int, *, stopping: bool) -> None:
    """Write into the lock file who holds it."""
    lock.seek(0)
    lock.truncate()
    json.dump({"pid": os.getpid(), "port": port, "stopping": stopping}, lock)
    lock.flush()


def check_ports(port: int) -> None:
    """Both ports are free, or say which is not."""
    for number in (port, port + 1):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", number))
            except PermissionError:
                raise StackError(f"Port {number} needs privileges. Choose another: make run PORT=8100") from None
            except OSError:
                raise StackError(
                    f"Port {number} is taken by another program (pages use PORT, sockets PORT+1). "
                    "Choose another: make run PORT=8100"
                ) from None


def child_environment(environ: Mapping[str, str], state: Path, port: int) -> dict[str, str]:
    """What every part sees: the caller's environment, and the decisions taken here."""
    child = {name: value for name, value in environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return child | {
        "STATE_DIR": str(state),
        "PORT": str(port),
        MARK: str(state),
        "DJANGO_SETTINGS_MODULE": "decisiongraph.settings",
        "PYTHONUNBUFFERED": "1",
        # Without it, /metrics would tell only of the web process that answers it.
        "PROMETHEUS_MULTIPROC_DIR": str(state / "metrics"),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), environ.get("PYTHONPATH", "")])),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), environ.get("PATH", "/usr/bin:/bin")]),
    }


def start(running: list[Watched], state: Path, port: int, environ: Mapping[str, str]) -> None:
    """Database, broker, schema, first data, then every part; returns when all of it answers."""
    say(f"DecisionGraph starts; state and logs in {state}")
    for log in (state / "log").glob("*.log"):
        if log.stat().st_size > LOG_LIMIT:
            log.replace(log.with_suffix(".log.old"))
    up = services.up(environ, death=services.TIED)
    logs = state / "log"
    if up.postgres:
        again = functools.partial(services.start_postgres, state, services.TIED)
        running.append(Watched("postgres", again, logs / "postgres.log", grace=60.0))
        running[-1].take(*up.postgres)
    if up.broker:
        again = functools.partial(services.start_broker, state, services.TIED)
        running.append(Watched("broker", again, logs / "broker.log", grace=10.0))
        running[-1].take(*up.broker)
    child = child_environment(environ, state, port)
    shutil.rmtree(state / "metrics", ignore_errors=True)  # figures of processes that are long gone
    (state / "metrics").mkdir()
    manage(["migrate", "--skip-checks", "--no-input", "--verbosity", "0"], state, child)
    logins = manage(["seed_demo"], state, child)
    for part in parts(port, state):
        one = watched(part, state, child)
        running.append(one)
        one.start()
    await_ready(running, port)
    greet(port, logins, state)


def manage(arguments: list[str], state: Path, child: dict[str, str]) -> str:
    """Run one management command to its end; what it printed."""
    log = state / "log" / "manage.log"
    with log.open("ab") as sink:
        done = subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=sink,
            env=child,
            cwd=ROOT,
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGTERM),
        )
        sink.write(done.stdout)
    if done.returncode != 0:
        raise StackError(f"manage.py {arguments[0]} failed (exit code {done.returncode}):\n{tail(log)}")
    return done.stdout.decode(errors="replace").strip()


def tail(log: Path, lines: int = 15) -> str:
    """The end of a log, for a console."""
    try:
        text = log.read_text(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def await_ready(running: list[Watched], port: int) -> None:
    """Wait until the product answers, or say which part keeps it from doing so."""
    deadline = time.monotonic() + READY_WITHIN
    while not (answers(port) and listens(port + 1)):
        for one in running:
            one.check(say)
            if one.failures >= TOO_MANY_FAILURES:
                raise StackError(f"{one.name} does not stay up. The end of {one.log}:\n{tail(one.log)}")
        if time.monotonic() > deadline:
            web = next(one for one in running if one.name == "web")
            raise StackError(f"Not ready after {READY_WITHIN:.0f} s. The end of {web.log}:\n{tail(web.log)}")
        time.sleep(0.1)


def answers(port: int) -> bool:
    """Whether the product calls itself ready."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        line.request("GET", "/readyz")
        return line.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        line.close()


def listens(port: int) -> bool:
    """Whether anybody accepts connections on this port."""
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def greet(port: int, logins: str, state: Path) -> None:
    """Tell the operator where everything is; the last line is what scripts wait for."""
    if logins:
        say(logins)
    say(f"pages    http://localhost:{port}/")
    say(f"sockets  ws://localhost:{port + 1}/ws/")
    say(f"logs     {state / 'log'}")
    say("ready")


def watch(running: list[Watched]) -> NoReturn:
    """Keep every part running until somebody asks to stop."""
    while True:
        for one in running:
            one.check(say)
        time.sleep(0.25)


def shut_down(running: list[Watched], environ: Mapping[str, str]) -> None:
    """Stop in reverse order: nobody loses a server that it still talks to."""
    if running:
        say("stopping")
    product = [one for one in running if one.name not in ("postgres", "broker")]
    for one in product:
        one.ask_to_stop()
    for one in reversed(product):
        one.stop()
    services.down(environ)
    if running:
        say("stopped")
