"""Checkpoints handed outside, where whoever owns this server cannot take them back."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import connection

from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.telemetry import log, metrics
from tenants.models import Tenant
from traces.models import LogCheckpoint, LogSeal

SUFFIX = ".checkpoints"


def push_checkpoints() -> int:
    """Write the newest checkpoint of every tenant that is due into `CHECKPOINT_DIR`; how many were written."""
    if not settings.CHECKPOINT_DIR:
        return 0
    due = clock.now() - timedelta(seconds=settings.CHECKPOINT_PUSH_SECONDS)
    with connection.cursor() as cursor:
        cursor.execute("SELECT traces_unpushed(%s)", [due])
        numbers = [row[0] for row in cursor.fetchall()]
    return sum(_push(tenant, Path(settings.CHECKPOINT_DIR)) for tenant in Tenant.objects.filter(pk__in=numbers))


def _push(tenant: Tenant, folder: Path) -> bool:
    """One note behind the earlier ones. Twice after a crash at the wrong moment, never not at all."""
    with tenant_tx(tenant):
        row = LogSeal.objects.select_for_update(skip_locked=True).first()
        newest = LogCheckpoint.objects.order_by("-size").first()
        if row is None or newest is None or newest.size <= row.pushed_size:
            return False
        row.pushed_at = clock.now()
        try:
            _append(folder / f"{tenant.slug}{SUFFIX}", newest.note)
        except OSError as error:  # a full or missing folder is tried again, and stops nothing else
            log.error("log.checkpoint_not_written", tenant=tenant.slug, error=f"{type(error).__name__}: {error}")
            metrics.checkpoints_pushed.labels("file", "failed").inc()
            row.save(update_fields=["pushed_at"])
            return False
        row.pushed_size = newest.size
        row.save(update_fields=["pushed_size", "pushed_at"])
    metrics.checkpoints_pushed.labels("file", "done").inc()
    return True


def _append(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(handle, (text + "\n").encode())
        os.fsync(handle)
    finally:
        os.close(handle)
