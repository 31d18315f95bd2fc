"""``manage.py create_tenant acme``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from decisiongraph.core.errors import Problem
from tenants import services
from tenants.access import system_principal


class Command(BaseCommand):
    """Makes a tenant with its permission groups."""

    help = "Create a tenant."

    def add_arguments(self, parser: CommandParser) -> None:
        """Arguments."""
        parser.add_argument("slug", help="Name in addresses: lower-case letters, digits, hyphens.")
        parser.add_argument("--name", default="", help="Name for people; the slug when left out.")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Run."""
        try:
            tenant = services.create_tenant(options["slug"], principal=system_principal(), name=options["name"])
        except Problem as problem:
            raise CommandError(problem.detail) from None
        self.stdout.write(f"Tenant {tenant.slug} created.")
