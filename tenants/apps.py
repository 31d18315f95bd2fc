"""The app of people and doors."""

from __future__ import annotations

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class TenantsConfig(AppConfig):
    """Who is asking, what may they see."""

    name = "tenants"
    default_auto_field = "django.db.models.BigAutoField"
    default = True

    def ready(self) -> None:
        """Listen for revocations rung in this process; tell the schema about the doors."""
        from tenants.access import openapi, tokens  # noqa: F401 - importing openapi registers it

        tokens.listen_here()


class TenantAdminConfig(admin_apps.AdminConfig):
    """Django's admin, with the site that knows tenants; settings install this one."""

    default_site = "tenants.admin.platform_site"
    default = False
