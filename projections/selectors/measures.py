"""What monitoring reads at every scrape: over all tenants, with closed vocabularies only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from django.db import connection

from decisiongraph.core.telemetry import scrape
from projections.domain.rules import RULES
from projections.models import Finding
from projections.selectors.health import QUEUES, queue_depths, workers


def projections() -> Mapping[str, scrape.Values]:
    """Lag, parked traces and findings."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT projection, lag_events, lag_seconds, tenants FROM dg_projection_lag(%s)", [list(RULES)])
        lag = {row[0]: row[1:] for row in cursor.fetchall()}
        cursor.execute("SELECT what, label, number FROM dg_open_care()")
        care = {(what, label): number for what, label, number in cursor.fetchall()}
    return {
        scrape.LAG_EVENTS.name: [((name,), lag.get(name, (0, 0, 0))[0]) for name in RULES],
        scrape.LAG_SECONDS.name: [((name,), lag.get(name, (0, 0, 0))[1]) for name in RULES],
        scrape.LAGGING.name: [((name,), lag.get(name, (0, 0, 0))[2]) for name in RULES],
        scrape.PARKED.name: [((name,), care.get(("dead_letter", name), 0)) for name in RULES],
        scrape.FINDINGS.name: [((kind,), care.get(("finding", kind), 0)) for kind in (Finding.STALE, Finding.MISMATCH)],
    }


def machinery() -> Mapping[str, scrape.Values]:
    """Processes by what they serve, as their heartbeat rows say."""
    alive = Counter(queue for worker in workers() if worker.alive for queue in worker.queues.split(",") if queue)
    beats = sum(1 for worker in workers() if worker.alive and worker.kind == "beat")
    return {scrape.WORKERS.name: [*(((name,), alive[name]) for name in QUEUES), (("beat",), beats)]}


def broker() -> Mapping[str, scrape.Values]:
    """Whether it answers, and what waits in it."""
    depths = queue_depths()
    found: dict[str, scrape.Values] = {scrape.BROKER.name: [((), 0 if depths is None else 1)]}
    if depths is not None:
        found[scrape.QUEUE.name] = [((name,), depth) for name, depth in depths.items()]
    return found
