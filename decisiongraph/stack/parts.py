"""The processes of the product: what runs, in which order, and who watches it.

docker-compose.yml runs the same commands; a test compares the two.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from decisiongraph.stack.endpoints import ROOT
from decisiongraph.stack.process import StackError, alive, end, in_session, left_behind, spawn

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0
"""Seconds between the end of a part and its next start: doubled each time, up to the longest."""

HEALTHY_AFTER = 20.0
"""Seconds after which a part counts as running well again and its next pause is the first one."""


Starter = Callable[[], tuple[int, "subprocess.Popen[bytes] | None"]]
"""Starts a process: its number, and our handle on it unless it ran already."""


class Part(NamedTuple):
    """One process to keep running: how it is started and how long it may take to finish its work."""

    name: str
    argv: list[str]
    grace: float


def parts(port: int, state: Path) -> list[Part]:
    """The processes of the product on this port (sockets on the next), in the order of their start."""
    return [
        Part("web", [*WEB, "--host", "127.0.0.1", "--port", str(port)], 10.0),
        Part("sockets", [*SOCKETS, "-b", "127.0.0.1", "-p", str(port + 1)], 10.0),
        Part("worker", WORKER, 15.0),
        Part("deliver", DELIVER, 15.0),
        Part("replay", REPLAY, 15.0),
        Part("learn", LEARN, 15.0),
        Part("beat", [*BEAT, "--schedule", str(state / "beat.schedule")], 5.0),
    ]


PYTHON = [sys.executable, "-m"]

WEB = [*PYTHON, "granian", "--interface", "wsgi", "--workers", "2", "--blocking-threads", "8", "--backlog", "2048"]
WEB += [
    "--respawn-failed-workers",
    "--respawn-interval",
    "0.5",
    "--workers-kill-timeout",
    "5",
    "--no-ws",
    "decisiongraph.wsgi:application",
]
SOCKETS = [*PYTHON, "daphne", "--websocket_timeout", "-1", "--application-close-timeout", "5"]
# A frame of a client is a topic and a number (at most 16 KiB, said in words); what is far beyond is not even kept.
SOCKETS += ["--websocket-max-message-size", "65536", "--websocket-max-frame-size", "65536"]
SOCKETS += ["decisiongraph.asgi:application"]
CELERY = [*PYTHON, "celery", "-A", "decisiongraph.celery:app"]
WORKER_OPTIONS = ["--loglevel", "INFO", "--concurrency", "2", "--without-gossip", "--without-mingle"]
WORKER = [*CELERY, "worker", *WORKER_OPTIONS, "-n", "worker@%h", "-Q", "project,timers,default"]
# Other people's servers may take their time: they never hold up a projection or a timer.
DELIVER = [*CELERY, "worker", *WORKER_OPTIONS, "-n", "deliver@%h", "-Q", "deliver"]
REPLAY = [*CELERY, "worker", *WORKER_OPTIONS, "-n", "replay@%h", "-Q", "replay"]
LEARN = [*CELERY, "worker", "--loglevel", "INFO", "--pool", "solo", "--without-gossip", "--without-mingle"]
LEARN += ["-n", "learn@%h", "-Q", "learn"]
BEAT = [*CELERY, "beat", "--loglevel", "INFO", "--pidfile="]


class Watched:
    """A process and its life: running, or waiting for its next start."""

    def __init__(self, name: str, start: Starter, log: Path, grace: float) -> None:
        self.name = name
        self.log = log
        self.grace = grace
        self.failures = 0
        self._start = start
        self._pid: int | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._pause = FIRST_PAUSE
        self._due = 0.0
        self._since = 0.0

    def start(self) -> None:
        """Start it now."""
        self.take(*self._start())

    def take(self, pid: int, child: subprocess.Popen[bytes] | None) -> None:
        """Watch this process; ``child`` is our handle if it is ours, None if it was found running."""
        self._pid, self._child = pid, child
        self._since = time.monotonic()

    def check(self, say: Callable[[str], None]) -> None:
        """Notice an end, and start again when the pause is over."""
        now = time.monotonic()
        if self._pid is not None:
            how = self._ended()
            if how is None:
                return
            end(in_session(self._pid), grace=2.0)
            self._pid = self._child = None
            if now - self._since > HEALTHY_AFTER:
                self._pause, self.failures = FIRST_PAUSE, 0
            self._postpone(now, f"{self.name} ended ({how}); starting again in {{}} s, see {self.log}", say)
        elif now >= self._due:
            try:
                self.start()
            except (OSError, StackError) as problem:
                self._postpone(now, f"{self.name} does not start: {problem}; next try in {{}} s", say)
            else:
                say(f"{self.name} runs again")

    def _ended(self) -> str | None:
        """How it ended, None while it runs."""
        if self._child is not None:
            code = self._child.poll()
            return None if code is None else ending(code)
        return None if self._pid is not None and alive(self._pid) else "its process is gone"

    def _postpone(self, now: float, text: str, say: Callable[[str], None]) -> None:
        self.failures += 1
        self._due = now + self._pause
        say(text.format(f"{self._pause:g}"))
        self._pause = min(self._pause * 2, LONGEST_PAUSE)

    def ask_to_stop(self) -> None:
        """Tell it to finish its work; does not wait."""
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()

    def stop(self) -> None:
        """Give it time to finish, then insist; the processes it started go with it."""
        if self._child is None:
            return
        self.ask_to_stop()
        try:
            self._child.wait(self.grace)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        end(in_session(self._child.pid), grace=1.0)
        self._pid = self._child = None


def ending(code: int) -> str:
    """An exit code in words."""
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"


def watched(part: Part, state: Path, environ: Mapping[str, str]) -> Watched:
    """A part as something to watch; it logs to STATE_DIR/log/<name>.log."""
    log = state / "log" / f"{part.name}.log"

    def start() -> tuple[int, subprocess.Popen[bytes]]:
        with log.open("ab") as sink:
            child = spawn(part.argv, log=sink, env=environ, cwd=ROOT, death_signal=signal.SIGTERM)
        return child.pid, child

    return Watched(part.name, start, log, part.grace)


def end_left_behind(state: Path, say: Callable[[str], None]) -> None:
    """End parts that outlived a killed launcher, so that nothing runs twice."""
    pids = {pid for pid in left_behind(state) if alive(pid)}
    if pids:
        say(f"ending {len(pids)} processes that an earlier run left behind")
        end(pids, grace=5.0)
