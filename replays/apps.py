"""Run it again: replays, their progress and their verdict."""

from django.apps import AppConfig


class ReplaysConfig(AppConfig):
    """Floor 4."""

    name = "replays"

    def ready(self) -> None:
        """Let monitoring see how many replays go on."""
        from decisiongraph.core import telemetry
        from replays import selectors

        telemetry.at_scrape("replays", selectors.measures)
