"""Is this process able to serve? ``/healthz``, ``/readyz`` and ``/metrics``."""

from __future__ import annotations

import os

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from redis import Redis, RedisError

_migrated = False


def healthz(_request: HttpRequest) -> HttpResponse:
    """The process answers."""
    return JsonResponse({"status": "ok"})


def _migrations_pending() -> bool:
    global _migrated
    if not _migrated:
        executor = MigrationExecutor(connection)
        _migrated = not executor.migration_plan(executor.loader.graph.leaf_nodes())
    return not _migrated


def broker_answers() -> bool:
    """True when the broker answers within 200 ms."""
    try:
        client = Redis.from_url(settings.REDIS_URL, socket_timeout=0.2, socket_connect_timeout=0.2)
        try:
            return bool(client.ping())
        finally:
            client.close()
    except (RedisError, OSError):
        return False


def readyz(_request: HttpRequest) -> HttpResponse:
    """503 without database or with pending migrations; the broker is reported, not required."""
    database = migrated = False
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        database = True
        migrated = not _migrations_pending()
    except (DatabaseError, InterfaceError):
        pass
    ready = database and migrated
    return JsonResponse(
        {
            "status": "ready" if ready else "unavailable",
            "database": database,
            "migrated": migrated,
            "broker": broker_answers(),
        },
        status=200 if ready else 503,
        headers={} if ready else {"Retry-After": "2"},
    )


def metrics_view(_request: HttpRequest) -> HttpResponse:
    """Prometheus text of all processes of this stack (or of this one, without a shared folder)."""
    registry = REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
