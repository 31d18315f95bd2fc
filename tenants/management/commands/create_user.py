"""``manage.py create_user --tenant acme --role operator bob@example.org``."""

from __future__ import annotations

import getpass
import secrets
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem
from tenants import services
from tenants.access import system_principal
from tenants.domain.roles import ROLES
from tenants.models import Tenant


class Command(BaseCommand):
    """Makes a person a member; asks for a password on a terminal, else prints one."""

    help = "Create a person and their membership. An existing person keeps their password."

    def add_arguments(self, parser: CommandParser) -> None:
        """Arguments."""
        parser.add_argument("email")
        parser.add_argument("--tenant", required=True, help="Slug of the tenant.")
        parser.add_argument("--role", required=True, choices=ROLES)
        parser.add_argument("--name", default="", help="Name for people.")
        parser.add_argument("--password", help="The password, instead of asking for or printing one.")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Run."""
        tenant = Tenant.objects.filter(slug=options["tenant"]).first()
        if tenant is None:
            raise CommandError(f"There is no tenant {options['tenant']!r}. Run create_tenant first.")
        try:
            with transaction.atomic(), tenant_tx(tenant):
                user = services.find_or_create_user(options["email"], name=options["name"])
                chosen = ""
                if not user.has_usable_password():
                    chosen = options["password"] or self._ask() or secrets.token_urlsafe(12)
                    services.set_password(user, chosen)
                services.add_member(tenant, principal=system_principal(tenant), user=user, role=options["role"])
        except Problem as problem:
            more = " ".join(error["detail"] for error in problem.errors)
            raise CommandError(f"{problem.detail} {more}".strip()) from None
        self.stdout.write(f"{user.email} is {options['role']} of {tenant.slug}.")
        if not chosen:
            self.stdout.write("The account existed; its password is unchanged.")
        elif not options["password"] and not self._terminal():
            self.stdout.write(f"Password: {chosen}")

    def _ask(self) -> str:
        if not self._terminal():
            return ""
        first = getpass.getpass("Password: ")
        if first != getpass.getpass("Again: "):
            raise CommandError("The two passwords differ.")
        return first

    def _terminal(self) -> bool:
        return sys.stdin is not None and sys.stdin.isatty()
