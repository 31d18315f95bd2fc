"""The third floor: what the log means."""

from typing import Any

from django.apps import AppConfig


class ProjectionsConfig(AppConfig):
    """Follows the log: whatever is appended wakes a worker."""

    name = "projections"
    verbose_name = "Projections"

    def ready(self) -> None:
        """Hear the bell of the log, and let worker processes report themselves."""
        from decisiongraph.core import bus, telemetry
        from projections import tasks  # noqa: F401  registers the heartbeat of worker processes
        from projections.selectors import measures

        bus.published.connect(follow_log, dispatch_uid="projections.follow_log")
        telemetry.at_scrape("projections", measures.projections)
        telemetry.at_scrape("workers", measures.machinery)
        telemetry.at_scrape("broker", measures.broker)


def follow_log(*, tenant_id: int, topic: str, message: str, **_rest: Any) -> None:
    """An append was committed: ask a worker to catch up."""
    from decisiongraph.core import jobs

    if topic == "traces" and message == "trace.event_appended":
        jobs.enqueue("projections.catch_up", tenant_id=tenant_id)
