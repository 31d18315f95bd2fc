"""What the platform says about itself: structured log lines and Prometheus series."""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

import structlog
from prometheus_client import Counter, Gauge, Histogram

from decisiongraph.core.telemetry.cause import NOBODY, Cause, on_behalf_of, requests
from decisiongraph.core.telemetry.scrape import Scraped, at_scrape
from decisiongraph.core.telemetry.spans import current, span

__all__ = [
    "NOBODY",
    "Cause",
    "Scraped",
    "at_scrape",
    "bind",
    "cause",
    "configure",
    "hide_secrets",
    "log",
    "logging_config",
    "metrics",
    "on_behalf_of",
    "requests",
    "span",
]

log = structlog.get_logger("decisiongraph")
"""Events are named ``noun.past_participle``; request, tenant, trace and job ids come from `bind`."""

FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

HIDDEN = "[hidden]"
_SUSPECT = ("dg_", "bearer", "basic ", "://", "gh", "xox", "akia", "asia", "sk-", "whsec_", "-----begin")
_CONTAINERS = (dict, list, tuple, set)
_NAMED, _GIVEN = ("passw", "secret", "token", "ticket"), ("=", "': ", '": ')
"""Text without any of the first, and without one of the second beside one of the third (in lower case),
holds no secret; most lines are through after this."""
_SECRET = re.compile(
    r"(dg_[0-9a-z]{8}_)[A-Za-z0-9_-]+"
    r"|((?i:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}"
    r"|((?i:\b\w*(?:password|passwd|secret|token|ticket)\w*(?:\s*=\s*['\"]?|['\"]\s*:\s*['\"])))[^\s'\"&,;)}]+"
    r"|(\w+://[^\s:/@]*:)[^\s/@]+(?=@)"
    r"|\b(?:gh[pousr]_[A-Za-z0-9]{20,}|xox[abprs]-[A-Za-z0-9-]{10,}|(?:AKIA|ASIA)[A-Z0-9]{16}|sk-[A-Za-z0-9_-]{20,})"
    r"|\bwhsec_[A-Za-z0-9+/=]+"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
)
_SECRET_NAME = re.compile(
    r"(?i)(?:.*_)?(?:password|passwd|secret|authorization|cookie|secret_key|private_key|api_key|ticket|salt)"
)
"""Keys whose values are never shown; ``token`` is not among them, it names a token's public id."""


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
    sealed_events = Counter("dg_log_sealed_events", "Events that came under a checkpoint")
    checkpoints_pushed = Counter("dg_log_checkpoints_pushed", "Checkpoints handed outside", ["way", "outcome"])
    replays = Counter("dg_replays", "Replays ended", ["mode", "verdict"])
    findings = Counter("dg_findings", "Findings stored", ["kind"])
    incidents = Counter("dg_incidents", "Incidents opened", ["cause"])
    items = Counter("dg_approval_items", "Workflow items opened", ["subject"])
    actions = Counter("dg_approval_actions", "Actions on workflow items", ["action"])
    timer_lateness = Histogram(
        "dg_timer_lateness_seconds",
        "From due to fired, per timer",
        ["kind"],
        buckets=(0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 60),
    )
    deliveries = Counter("dg_deliveries", "Attempts to deliver, by how they left the delivery", ["channel", "state"])
    followed_seconds = Histogram("dg_approval_follow_seconds", "One slice of following the log", buckets=FAST)
    socket_clients = Gauge("dg_socket_clients", "Open sockets", multiprocess_mode="livesum")
    socket_messages = Counter("dg_socket_messages", "Frames sent to sockets", ["kind"])
    socket_doorbells = Counter("dg_socket_doorbells", "Doorbells that the socket processes heard")
    limiter_refusals = Counter("dg_limiter_refusals", "Requests refused by a rate limit", ["policy"])
    limiter_fallbacks = Counter("dg_limiter_fallbacks", "Requests counted by a process alone, without the broker")
    appends_refused = Counter("dg_appends_refused", "Appends refused because too many of their tenant were at work")
    sockets_refused = Counter("dg_sockets_refused", "Sockets refused because too many were open", ["limit"])
    login_refusals = Counter("dg_login_refusals", "Sign-ins refused", ["reason"])
    task_seconds = Histogram("dg_task_seconds", "Background tasks", ["task", "outcome"], buckets=FAST)


def bind(**values: Any) -> AbstractContextManager[None]:
    """Add ids to every log line inside the ``with`` block."""
    return structlog.contextvars.bound_contextvars(**values)


def cause() -> Cause:
    """What makes this happen, to go along with a hint."""
    found, opened = requests(), current()
    return Cause(found, opened) if found or opened else NOBODY


def hide_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """structlog processor: tokens and passwords never reach a log file, however deep they lie."""
    suspicious = _suspicious("\n".join([value for value in event.values() if isinstance(value, str)]))
    for key, value in event.items():
        if value and _names_secret(key):
            event[key] = HIDDEN
        elif suspicious or isinstance(value, _CONTAINERS):
            event[key] = _hidden(value, 4)
    return event


def _suspicious(text: str) -> bool:
    low = text.lower()
    if any(word in low for word in _SUSPECT):
        return True
    return any(word in low for word in _NAMED) and any(sign in low for sign in _GIVEN)


@lru_cache(1024)
def _names_secret(key: str) -> bool:
    return _SECRET_NAME.fullmatch(key) is not None


def _hidden(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return _SECRET.sub(_keep_name, value) if _suspicious(value) else value
    if depth and isinstance(value, dict):
        return {
            name: HIDDEN if inner and isinstance(name, str) and _names_secret(name) else _hidden(inner, depth - 1)
            for name, inner in value.items()
        }
    if depth and isinstance(value, list | tuple | set):
        return [_hidden(inner, depth - 1) for inner in value]
    return value


def _keep_name(found: re.Match[str]) -> str:
    return next((part for part in found.groups() if part is not None), "") + HIDDEN


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
