"""Run it again: replays, their progress and their verdict."""

from django.apps import AppConfig


class ReplaysConfig(AppConfig):
    """Floor 4."""

    name = "replays"
