"""``manage.py reset_factor you@example.org --reason "..."``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tenants import services
from tenants.access import system_principal
from tenants.models import User


class Command(BaseCommand):
    """Takes away a person's second factor: for accounts that no single tenant's admin may touch."""

    help = "Take away the second factor of somebody who lost phone and recovery codes."

    def add_arguments(self, parser: CommandParser) -> None:
        """Arguments."""
        parser.add_argument("email", help="Whose.")
        parser.add_argument("--reason", default="", help="Kept in the audit log of each of their tenants.")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Run."""
        user = User.objects.filter(email=options["email"].strip().lower()).first()
        if user is None:
            raise CommandError(f"There is no account {options['email']!r}.")
        had = services.drop_factor(user, principal=system_principal(), reason=options["reason"])
        self.stdout.write("It is gone; the password alone signs them in." if had else "There was none.")
