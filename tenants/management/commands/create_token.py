"""``manage.py create_token --tenant demo --name bench --scopes ingest,read``."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from decisiongraph.core import clock
from decisiongraph.core.errors import Problem
from tenants import services
from tenants.access import system_principal
from tenants.models import Tenant


class Command(BaseCommand):
    """Makes an API token and prints it, and nothing else, so that scripts can take it."""

    help = "Create an API token and print it."

    def add_arguments(self, parser: CommandParser) -> None:
        """Arguments."""
        parser.add_argument("--tenant", required=True, help="Slug of the tenant.")
        parser.add_argument("--name", required=True, help="What the token is for.")
        parser.add_argument("--scopes", required=True, help="Comma-separated: ingest,read,operate,review,admin.")
        parser.add_argument("--producers", default="", help="Comma-separated producer ids it is bound to.")
        parser.add_argument("--days", type=int, help="Days until it expires; never when left out.")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Run."""
        tenant = Tenant.objects.filter(slug=options["tenant"]).first()
        if tenant is None:
            raise CommandError(f"There is no tenant {options['tenant']!r}. Run create_tenant first.")
        days = options["days"]
        if days is not None and not 1 <= days <= 3650:
            raise CommandError("--days must lie between 1 and 3650.")
        try:
            _token, text = services.create_token(
                tenant,
                principal=system_principal(tenant),
                name=options["name"],
                scopes=_parts(options["scopes"]),
                producers=_parts(options["producers"]) or None,
                expires_at=clock.now() + timedelta(days=days) if days else None,
            )
        except Problem as problem:
            raise CommandError(problem.detail) from None
        self.stdout.write(text)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
