"""Background work: routes, schedule, and the settings that make a lost or doubled message harmless."""

from __future__ import annotations

import os

from celery import Celery, signals

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "decisiongraph.settings")

app = Celery("decisiongraph")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    task_ignore_result=True,
    task_default_queue="default",
    task_routes={
        "projections.*": {"queue": "project"},
        "replays.*": {"queue": "replay"},
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
    beat_schedule={
        "projections.tick": {"task": "projections.tick", "schedule": 1.0, "options": {"expires": 5}},
        "projections.scrub": {"task": "projections.scrub", "schedule": 10.0, "options": {"expires": 10}},
        "replays.tick": {"task": "replays.tick", "schedule": 1.0, "options": {"expires": 5, "queue": "project"}},
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


def _give_way(**_signal: object) -> None:
    """Answers come before what follows from them: on a busy machine the web processes go first."""
    os.nice(5)


signals.worker_process_init.connect(_give_way, weak=False)
