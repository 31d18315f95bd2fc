"""The log: what happened."""

from django.apps import AppConfig


class TracesConfig(AppConfig):
    """Floor 2."""

    name = "traces"
    verbose_name = "Log"
