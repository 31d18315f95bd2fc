"""What the platform says about itself: structured log lines and Prometheus series."""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from contextlib import AbstractContextManager
from typing import Any

import structlog
from prometheus_client import Counter, Gauge, Histogram

log = structlog.get_logger("decisiongraph")
"""Events are named ``noun.past_participle``; request, tenant, trace and job ids come from `bind`."""

FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

_SECRET = re.compile(r"(dg_[0-9a-z]{8}_)[A-Za-z0-9_-]+|((?:[Bb]earer|password=)\s*)\S+")


class metrics:
    """Every Prometheus series of the platform. Labels never hold ids, only closed vocabularies."""

    append_seconds = Histogram("dg_append_seconds", "From validated input to commit, per append call", buckets=FAST)
    append_events = Counter("dg_append_events", "Events appended", ["origin"])
    append_replayed = Counter("dg_append_replayed", "Events answered from the log again")
    batch_size = Histogram("dg_batch_size", "Events per append call", buckets=(1, 2, 5, 10, 25, 50, 100, 250, 500))
    refusals = Counter("dg_ingest_refusals", "Events refused", ["code"])
    requests = Histogram("dg_request_seconds", "HTTP requests", ["method", "route", "status"], buckets=FAST)
    hints_sent = Counter("dg_hints_sent", "Doorbells sent to the channel layer")
    hint_failures = Counter("dg_hint_failures", "Sends that failed and were kept for later")
    hints_lost = Counter("dg_hints_lost", "Doorbells given up because too many were waiting")
    hints_recovered = Counter("dg_hints_recovered", "Events a socket found by looking, not by being told")
    slice_seconds = Histogram("dg_slice_seconds", "One projection batch", ["projection", "kind"], buckets=FAST)
    slice_events = Counter("dg_slice_events", "Events folded", ["projection", "kind"])
    slice_failures = Counter("dg_slice_failures", "Batches that failed", ["projection"])
    dead_letters = Counter("dg_dead_letters", "Traces parked by a rule error", ["projection"])
    replays = Counter("dg_replays", "Replays ended", ["mode", "verdict"])
    findings = Counter("dg_findings", "Findings stored", ["kind"])
    socket_clients = Gauge("dg_socket_clients", "Open sockets", multiprocess_mode="livesum")
    socket_messages = Counter("dg_socket_messages", "Frames sent to sockets", ["kind"])
    login_refusals = Counter("dg_login_refusals", "Sign-ins refused", ["reason"])


def bind(**values: Any) -> AbstractContextManager[None]:
    """Add ids to every log line inside the ``with`` block."""
    return structlog.contextvars.bound_contextvars(**values)


def hide_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """structlog processor: tokens and passwords never reach a log file."""
    for key, value in event.items():
        if isinstance(value, str) and ("dg_" in value or "earer" in value or "password=" in value):
            event[key] = _SECRET.sub(lambda m: (m.group(1) or m.group(2)) + "[hidden]", value)
    return event


PROCESSORS: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.filter_by_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.format_exc_info,
    hide_secrets,
]


def configure() -> None:
    """Route structlog through the standard library, one JSON object a line."""
    structlog.configure(
        processors=[*PROCESSORS, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def logging_config(level: str) -> dict[str, Any]:
    """The ``LOGGING`` setting: JSON lines on standard output."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processor": structlog.processors.JSONRenderer(),
                "foreign_pre_chain": [
                    structlog.contextvars.merge_contextvars,
                    structlog.processors.TimeStamper(fmt="iso", utc=True),
                    structlog.stdlib.add_logger_name,
                    structlog.stdlib.add_log_level,
                    structlog.processors.format_exc_info,
                    hide_secrets,
                ],
            }
        },
        "handlers": {"out": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"handlers": ["out"], "level": level},
        "loggers": {
            "django.server": {"handlers": ["out"], "level": "WARNING", "propagate": False},
            "django.channels.server": {"level": "WARNING"},
            "daphne": {"level": "WARNING"},
            "celery.app.trace": {"level": "WARNING"},
            "celery.worker.strategy": {"level": "WARNING"},
            "celery.beat": {"level": "WARNING"},
        },
    }
