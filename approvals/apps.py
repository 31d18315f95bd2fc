"""Human workflow; its own floor, empty until approvals are built."""

from django.apps import AppConfig


class ApprovalsConfig(AppConfig):
    """Floor 4."""

    name = "approvals"
