"""``manage.py follow_from_start --tenant T --reason R``: let the workflow read what the log asked for before."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management import BaseCommand, CommandError

from approvals import services
from decisiongraph.core.errors import Problem
from tenants.access import system_principal
from tenants.models import Tenant


class Command(BaseCommand):
    """A tenant that was there before the workflow follows from its head on; this asks for all of its log."""

    help = "Open items for everything a tenant's log ever asked for. Only while the workflow has opened nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which tenant, and why."""
        parser.add_argument("--tenant", required=True, help="slug of the tenant")
        parser.add_argument("--reason", required=True, help="why; it stands in the audit log")

    def handle(self, *args: Any, **options: Any) -> None:
        """Set the cursor back; a worker does the rest."""
        tenant = Tenant.objects.filter(slug=options["tenant"]).first()
        if tenant is None:
            raise CommandError(f"There is no tenant {options['tenant']!r}.")
        principal = system_principal(tenant, label="follow_from_start")
        try:
            before = services.from_start(tenant, principal=principal, reason=options["reason"])
        except Problem as problem:
            raise CommandError(problem.detail) from None
        self.stdout.write(f"The workflow of {tenant.slug} follows from the start; it stood at event {before:,}.")
