"""The limit: the log's own INSERT of prepared rows, by one connection (run inside a stack's environment)."""

from __future__ import annotations

import sys
import time

import django

django.setup()

from decisiongraph.core import clock  # noqa: E402
from decisiongraph.core.db import tenant_tx  # noqa: E402
from tenants.access import system_principal  # noqa: E402
from tenants.models import Tenant  # noqa: E402
from tests.bench.ingest import bodies  # noqa: E402
from traces import selectors, services, store  # noqa: E402
from traces.domain import canonical  # noqa: E402


class Stopped(Exception):
    """Ends a recorded append before it stores anything."""


def main(batches: int) -> None:
    """Print events per second."""
    tenant = Tenant.objects.get(slug="rawinsert")
    principal = system_principal(tenant)
    recorded: list[list[store.NewEvent]] = []
    real = store.insert

    def record(rows: list[store.NewEvent], **_options: object) -> None:
        recorded.append(list(rows))
        raise Stopped

    store.insert = record  # type: ignore[assignment]
    for raw in bodies(batches):
        try:
            services.append(tenant, principal=principal, events=canonical.parse_batch(raw).events)
        except Stopped:
            pass
    store.insert = real
    seq = selectors.head(tenant)
    now = clock.now()
    renumbered = []
    for rows in recorded:
        renumbered.append([row._replace(log_seq=seq + i) for i, row in enumerate(rows, 1)])
        seq += len(rows)
    started = time.perf_counter()
    for rows in renumbered:
        with tenant_tx(tenant):
            store.insert(rows, recorded_at=now, origin="ingest", principal="bench")
    print(sum(map(len, renumbered)) / (time.perf_counter() - started))


main(int(sys.argv[1]))
