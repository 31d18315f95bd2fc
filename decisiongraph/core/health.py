"""Is this process able to serve? ``/healthz``, ``/readyz`` and ``/metrics``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from redis import RedisError

from decisiongraph.core import bus
from decisiongraph.core.bus import broker
from decisiongraph.core.telemetry import Scraped, log

_migrated = False

Facts = Mapping[str, bool | int | float]
"""``ok``, and figures that say why."""


class Check(NamedTuple):
    """Something that has to be true while the platform runs, looked up whenever somebody asks: whoever
    should have reported it may be the very one that stands still."""

    meaning: str
    everywhere: Callable[[], Facts]
    """Of the whole platform: `/readyz` and `/metrics`."""
    of_tenant: Callable[[Any], Facts]
    """Of one tenant: its health."""


checks: dict[str, Check] = {}
"""Name -> check. Apps add theirs when they are ready; the cellar knows none of them."""


def tenant_checks(tenant: Any) -> dict[str, dict[str, Any]]:
    """What every check says about a tenant."""
    return {name: dict(check.of_tenant(tenant)) for name, check in checks.items()}


def healthz(_request: HttpRequest) -> HttpResponse:
    """The process answers, and the thread that sends its hints lives. 503 asks for a restart.

    Nothing outside the process is asked: a restart does not bring a database back.
    """
    if bus.sending():
        return JsonResponse({"status": "ok"})
    return JsonResponse({"status": "broken", "sender": False}, status=503)


def _migrations_pending() -> bool:
    global _migrated
    if not _migrated:
        executor = MigrationExecutor(connection)
        _migrated = not executor.migration_plan(executor.loader.graph.leaf_nodes())
    return not _migrated


def broker_answers() -> bool:
    """True when the broker answers within 200 ms."""
    try:
        client = broker(settings.REDIS_URL, seconds=0.2)
        try:
            return bool(client.ping())
        finally:
            client.close()
    except (RedisError, OSError):
        return False


def readyz(_request: HttpRequest) -> HttpResponse:
    """503 without a database that takes writes, or with pending migrations.

    Broker and checks are reported, not required.
    """
    database = writable = migrated = False
    found: dict[str, dict[str, Any]] = {}
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('transaction_read_only') = 'off'")
            row = cursor.fetchone()
        database, writable = True, bool(row and row[0])  # a standby that nobody promoted reads only
        migrated = not _migrations_pending()
        if migrated:
            found = {name: dict(check.everywhere()) for name, check in checks.items()}
    except (DatabaseError, InterfaceError):
        pass
    ready = database and writable and migrated
    return JsonResponse(
        {
            "status": "ready" if ready else "unavailable",
            "database": database,
            "writable": writable,
            "migrated": migrated,
            "broker": broker_answers(),
            "checks": found,
        },
        status=200 if ready else 503,
        headers={} if ready else {"Retry-After": "2"},
    )


class _Checks(Collector):
    """The checks as series ``dg_<check>_<figure>``; absent while the database does not answer."""

    def collect(self) -> Iterator[Metric]:
        """Ask now."""
        for name, check in checks.items():
            try:
                found = check.everywhere()
            except (DatabaseError, InterfaceError) as error:
                log.warning("metrics.check_failed", check=name, error=type(error).__name__)
                continue
            for figure, value in found.items():
                yield GaugeMetricFamily(f"dg_{name}_{figure}", f"{check.meaning} ({figure})", value=float(value))


@require_safe
def metrics_view(_request: HttpRequest) -> HttpResponse:
    """Prometheus text of all processes of this stack (or of this one, without a shared folder).

    What is true of the whole (lag, queues, workers) is read now, and not remembered by a process.
    """
    registry = REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    whole = CollectorRegistry(auto_describe=False)
    whole.register(_Checks())
    whole.register(Scraped())
    return HttpResponse(generate_latest(registry) + generate_latest(whole), content_type=CONTENT_TYPE_LATEST)
