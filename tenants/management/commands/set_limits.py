"""``manage.py set_limits --tenant acme --token 600/60 --reason "..."``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from decisiongraph.core.errors import Problem
from tenants import services
from tenants.access import rates, system_principal
from tenants.models import Tenant

NAMES = ("token", "user", "tenant")


class Command(BaseCommand):
    """Lets one tenant differ from the request limits of the settings, and shows what holds."""

    help = "Show or change the request limits of a tenant."

    def add_arguments(self, parser: CommandParser) -> None:
        """Arguments."""
        parser.add_argument("--tenant", required=True, help="Slug of the tenant.")
        for name in NAMES:
            parser.add_argument(
                f"--{name}", help="requests/seconds, for example 600/60; 0 for no limit; '' for the setting."
            )
        parser.add_argument("--reason", default="", help="Kept in the audit log.")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Run."""
        tenant = Tenant.objects.filter(slug=options["tenant"]).first()
        if tenant is None:
            raise CommandError(f"There is no tenant {options['tenant']!r}. Run create_tenant first.")
        wanted = {name: options[name] for name in NAMES if options[name] is not None}
        try:
            if wanted:
                actor = system_principal(tenant)
                services.set_limits(tenant, principal=actor, limits=wanted, reason=options["reason"])
        except Problem as problem:
            raise CommandError(problem.detail) from None
        for name in NAMES:
            policy = rates.policies(tenant).get(name)
            own = " (of this tenant)" if name in tenant.limits else ""
            self.stdout.write(f"{name}: {f'{policy.quota}/{policy.window}' if policy else 'no limit'}{own}")
