"""Background work of the projections, and the heartbeat of the processes that do it."""

from __future__ import annotations

import os
import threading
import time
from datetime import datetime
from typing import Any

from celery import current_app, shared_task, signals
from django.db import DatabaseError, close_old_connections

from decisiongraph.core import clock
from decisiongraph.core.telemetry import log
from projections import services
from tenants.models import Tenant

HEARTBEAT_SECONDS = 3.0


@shared_task(name="projections.catch_up")
def catch_up(tenant_id: int) -> None:
    """Follow one tenant's log for a slice."""
    tenant = Tenant.objects.filter(pk=tenant_id).first()
    if tenant is not None:
        services.catch_up(tenant)


@shared_task(name="projections.tick")
def tick() -> None:
    """Wake whoever lags; say who is stale."""
    services.tick()


@shared_task(name="projections.export_traces")
def export_traces(tenant_id: int, export_id: str) -> None:
    """Write a file of traces for a slice."""
    tenant = Tenant.objects.filter(pk=tenant_id).first()
    if tenant is not None:
        services.run_export(tenant, export_id)


@shared_task(name="projections.tend_exports")
def tend_exports() -> None:
    """Wake exports nobody moves; delete old files."""
    services.tend_exports()


@shared_task(name="projections.scrub")
def scrub() -> None:
    """Recompute one bucket of one projection."""
    services.scrub_next()


@shared_task(name="projections.learn")
def learn(tenant_id: int) -> None:
    """Learn a tenant's finished decisions for a slice."""
    tenant = Tenant.objects.filter(pk=tenant_id).first()
    if tenant is not None:
        services.learn(tenant)


@shared_task(name="projections.learn_all")
def learn_all() -> None:
    """Wake the learning of every tenant that finished something."""
    services.learn_all()


class Heart:
    """Writes this process's heartbeat row from a thread of its own, so that a long slice still beats."""

    def __init__(self, name: str, queues: str) -> None:
        self.name = name
        self.queues = queues
        self.started_at = clock.now()
        self.current = ""
        self.current_since: datetime | None = None
        self._changed = threading.Event()
        threading.Thread(target=self._run, name="dg-heart", daemon=True).start()

    def work(self, current: str) -> None:
        """What the process works on from now on; empty when it is idle."""
        self.current = current
        self.current_since = clock.now() if current else None

    def _run(self) -> None:
        # A new worker process drops the connections it was forked with; a beat meanwhile would fail.
        time.sleep(0.5)
        while True:
            try:
                close_old_connections()
                services.beat(
                    self.name,
                    queues=self.queues,
                    pid=os.getpid(),
                    current=self.current,
                    current_since=self.current_since,
                    started_at=self.started_at,
                )
            except DatabaseError as error:
                log.warning("heartbeat.failed", error=f"{type(error).__name__}: {error}"[:300])
            time.sleep(HEARTBEAT_SECONDS)


_heart: Heart | None = None


def _start(**_signal: Any) -> None:
    global _heart
    queues = ",".join(sorted(current_app.amqp.queues.consume_from))
    name = f"{os.environ.get('HOSTNAME') or os.uname().nodename}:{os.getpid()}"
    _heart = Heart(name, queues)


def _task_begins(task: Any = None, kwargs: Any = None, **_signal: Any) -> None:
    if _heart is not None and task is not None:
        number = (kwargs or {}).get("tenant_id")
        _heart.work(f"{task.name} tenant {number}" if number is not None else task.name)


def _task_ends(**_signal: Any) -> None:
    if _heart is not None:
        _heart.work("")


signals.worker_process_init.connect(_start, weak=False, dispatch_uid="projections.heart")
signals.task_prerun.connect(_task_begins, weak=False, dispatch_uid="projections.task_begins")
signals.task_postrun.connect(_task_ends, weak=False, dispatch_uid="projections.task_ends")
