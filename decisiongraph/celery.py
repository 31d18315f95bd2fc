"""Background work: routes, schedule, and the settings that make a lost or doubled message harmless."""

from __future__ import annotations

import os
import random
import time
from contextlib import ExitStack
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from celery import Celery, signals
from celery.beat import PersistentScheduler

from decisiongraph.core import telemetry

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "decisiongraph.settings")


class Punctual(PersistentScheduler):
    """Celery's scheduler, woken when an entry is due.

    Celery wakes 10 ms before and then asks again and again until it is: with eight entries a second
    that is 7 % of a processor, whatever else there is to do.
    """

    def adjust(self, n: float | None, drift: float = 0.0) -> float | None:
        """Seconds to wait for an entry that is due in ``n``: as many."""
        waits: float | None = super().adjust(n, drift)
        return waits


app = Celery("decisiongraph")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    task_ignore_result=True,
    task_default_queue="default",
    task_routes={
        "projections.export_traces": {"queue": "default"},
        "projections.learn": {"queue": "learn"},
        "projections.learn_all": {"queue": "learn"},
        "projections.*": {"queue": "project"},
        "replays.*": {"queue": "replay"},
        "approvals.follow": {"queue": "project"},
        "approvals.deliver": {"queue": "deliver"},
        "approvals.forget": {"queue": "default"},
        "approvals.*": {"queue": "timers"},
        "traces.seal": {"queue": "timers"},
        "traces.seal_all": {"queue": "timers"},
        "traces.*": {"queue": "default"},
        "tenants.*": {"queue": "default"},
    },
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={
        "visibility_timeout": 600,
        # The defaults look for unacknowledged messages of a killed worker only after ~100 s.
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
        "socket_connect_timeout": 2,
        "retry_on_timeout": True,
    },
    worker_hijack_root_logger=False,
    worker_send_task_events=False,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    beat_scheduler="decisiongraph.celery:Punctual",
    beat_schedule={
        "projections.tick": {"task": "projections.tick", "schedule": 1.0, "options": {"expires": 5}},
        "projections.tend_exports": {"task": "projections.tend_exports", "schedule": 2.0, "options": {"expires": 4}},
        "projections.learn_all": {"task": "projections.learn_all", "schedule": 3.0, "options": {"expires": 3}},
        "projections.scrub": {"task": "projections.scrub", "schedule": 10.0, "options": {"expires": 10}},
        "replays.tick": {"task": "replays.tick", "schedule": 1.0, "options": {"expires": 5, "queue": "project"}},
        "approvals.tick": {"task": "approvals.tick", "schedule": 1.0, "options": {"expires": 5}},
        "approvals.deliver": {"task": "approvals.deliver", "schedule": 1.0, "options": {"expires": 5}},
        "traces.seal_all": {"task": "traces.seal_all", "schedule": 0.5, "options": {"expires": 2}},
        "approvals.forget": {"task": "approvals.forget", "schedule": 600.0, "options": {"expires": 600}},
        "traces.roll_up": {"task": "traces.roll_up", "schedule": 2.0, "options": {"expires": 4}},
        "tenants.forget_attempts": {"task": "tenants.forget_attempts", "schedule": 900.0, "options": {"expires": 900}},
    },
)
app.autodiscover_tasks()

# Celery closes the connection pool of a worker process around every task, so each one would connect
# anew (and the heartbeat's connection would be closed under it). The pool stays; what a task leaves
# behind goes back into it, and what broke is thrown away.
app.conf["CELERY_DB_REUSE_MAX"] = 1_000_000_000


def _settle_connections(**_signal: object) -> None:
    from django.db import close_old_connections

    close_old_connections()


signals.task_prerun.connect(_settle_connections, weak=False)
signals.task_postrun.connect(_settle_connections, weak=False)


class _Running:
    """The task of this thread, from its begin to its end: names for its log lines, a clock, a span."""

    def __init__(self, name: str, ident: str, requests: list[str], parent: str) -> None:
        self.name, self.told = name, bool(requests)
        self.stack = ExitStack()
        self.stack.enter_context(telemetry.on_behalf_of(requests))
        self.stack.enter_context(telemetry.bind(task=name, task_id=ident))
        # What beat starts every second is not traced: it would be most of what a collector keeps.
        if parent:
            self.stack.enter_context(telemetry.span(name, parent, task_id=ident))
        self.started = time.perf_counter()

    def end(self, outcome: str) -> None:
        seconds = time.perf_counter() - self.started
        telemetry.metrics.task_seconds.labels(self.name, outcome).observe(seconds)
        if self.told:
            telemetry.log.info("task.done", outcome=outcome, ms=round(seconds * 1000, 2))
        self.stack.close()


_running: ContextVar[_Running | None] = ContextVar("dg_task", default=None)


def _begin(task_id: str = "", task: Any = None, **_signal: object) -> None:
    """Whatever the task says is found by the request that asked for it."""
    asked = task.request
    _running.set(_Running(task.name, task_id, list(asked.get("dg_requests") or ()), asked.get("dg_traceparent") or ""))


def _end(state: str | None = None, **_signal: object) -> None:
    running = _running.get()
    if running is not None:
        _running.set(None)
        running.end("success" if state == "SUCCESS" else "failure")


signals.task_prerun.connect(_begin, weak=False)
signals.task_postrun.connect(_end, weak=False)


AUTOGROUP = Path("/proc/self/autogroup")
TRIES = 8


def give_way(niceness: int, group: Path = AUTOGROUP) -> None:
    """Let every process of niceness 0 go before this one, 0 < ``niceness`` < 20.

    Linux shares the processor between sessions before it looks at processes (``sched(7)``, "The
    autogroup feature"): niceness alone means nothing to a process of another session. The stack
    starts each part in a session of its own, as containers and unit files do; that session's weight
    is set as well, but only where it is ours, never the one of somebody's shell.
    """
    os.nice(niceness)
    if os.getsid(0) not in (os.getpid(), os.getppid()):
        return
    for _ in range(TRIES):
        try:
            group.write_text(str(niceness))
            return
        except BlockingIOError:  # the kernel takes one such wish every 100 ms from all who are not root
            time.sleep(random.uniform(0.1, 0.3))
        except OSError:  # a kernel without autogroups, or a /proc that may not be written
            return


def _give_way(**_signal: object) -> None:
    """Answers come before what follows from them: on a busy machine the web processes go first, then
    those that follow the log, and last who learns from what is long over."""
    give_way(15 if set(app.amqp.queues.consume_from) == {"learn"} else 5)


signals.worker_process_init.connect(_give_way, weak=False)
