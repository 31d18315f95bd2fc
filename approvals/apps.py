"""Human workflow: where a machine may not decide alone."""

from typing import Any

from django.apps import AppConfig


class ApprovalsConfig(AppConfig):
    """Floor 4. Follows the log and the findings of the floor below."""

    name = "approvals"
    verbose_name = "Approvals"

    def ready(self) -> None:
        """Hear the bell of the log; answer for the clock and for what nobody has been told."""
        from approvals.selectors import items, telling
        from decisiongraph.core import bus, health, telemetry

        telemetry.at_scrape("outbox", telling.measures)
        health.checks["timers"] = health.Check("No due timer is unfired", items.timers_everywhere, items.timers_of)
        bus.published.connect(follow_log, dispatch_uid="approvals.follow_log")


HEARD = {
    ("traces", "trace.event_appended"),
    ("projection_health", "projection.stale_detected"),
    ("projection_health", "projection.digest_mismatch"),
}


def follow_log(*, tenant_id: int, topic: str, message: str, **_rest: Any) -> None:
    """Something was committed that may need people: ask a worker to look."""
    from decisiongraph.core import jobs

    if (topic, message) in HEARD:
        jobs.enqueue("approvals.follow", tenant_id=tenant_id)
