"""Gauges that are read when somebody asks for ``/metrics``, because a process that died says nothing.

Lag counted by a worker would stop growing with the worker. So the apps register readers, and each is
asked at every scrape; one that fails (the database is away) is missing from the answer and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

Values = Iterable[tuple[tuple[str, ...], float]]
"""Label values, and what is read there."""

_readers: dict[str, Callable[[], Mapping[str, Values]]] = {}


class Gauge:
    """A declared gauge: its name, what it says, its labels. `at_scrape` readers fill it by name."""

    declared: dict[str, Gauge] = {}

    def __init__(self, name: str, documentation: str, labels: Iterable[str] = ()) -> None:
        self.name, self.documentation, self.labels = name, documentation, tuple(labels)
        self.declared[name] = self


LAG_EVENTS = Gauge("dg_projection_lag_events", "Events not yet folded, of the tenant furthest behind", ["projection"])
LAG_SECONDS = Gauge("dg_projection_lag_seconds", "Age of the oldest event not yet folded", ["projection"])
LAGGING = Gauge("dg_projection_lagging_tenants", "Tenants with events not yet folded", ["projection"])
PARKED = Gauge("dg_dead_letters_open", "Traces parked in a live projection", ["projection"])
FINDINGS = Gauge("dg_findings_open", "Findings not closed", ["kind"])
QUEUE = Gauge("dg_queue_depth", "Messages waiting in a queue", ["queue"])
WORKERS = Gauge("dg_workers_alive", "Processes with a heartbeat in the last 15 s, by what they serve", ["queue"])
REPLAYS = Gauge("dg_replays_active", "Replays not over", ["state"])
OUTBOX = Gauge("dg_outbox_waiting", "Things that nobody has been told yet")
OUTBOX_AGE = Gauge("dg_outbox_age_seconds", "Age of the oldest of them")
BROKER = Gauge("dg_broker_up", "Whether the broker answers within 200 ms")
READ = Gauge("dg_scrape_ok", "Whether a source of these gauges could be read", ["source"])


def at_scrape(source: str, read: Callable[[], Mapping[str, Values]]) -> None:
    """Ask ``read`` at every scrape: gauge name -> (label values, value)."""
    _readers[source] = read


class Scraped(Collector):
    """Asks every reader; what cannot be read is left out."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges of one scrape."""
        fine: list[tuple[tuple[str, ...], float]] = []
        for source, read in sorted(_readers.items()):
            try:
                found = read()
            except Exception:  # whatever is away must not take the rest of the answer with it
                fine.append(((source,), 0.0))
                continue
            fine.append(((source,), 1.0))
            for name, values in found.items():
                yield _family(Gauge.declared[name], values)
        yield _family(READ, fine)


def _family(gauge: Gauge, values: Values) -> GaugeMetricFamily:
    family = GaugeMetricFamily(gauge.name, gauge.documentation, labels=gauge.labels)
    for labels, value in values:
        family.add_metric(labels, value)
    return family
