"""``manage.py seed_demo``: the tenant ``demo`` with one person per role and a day of decisions."""

from __future__ import annotations

import os
import secrets
from datetime import timedelta
from random import Random
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from tenants.access import system_principal
from tenants.domain.roles import ROLES
from tenants.models import Tenant, User
from tenants.services import add_member, create_tenant, find_or_create_user, set_password
from traces import selectors, services
from traces.management import demo

NAMES = {"viewer": "Vera Lindt", "operator": "Bob Keller", "reviewer": "Rita Moreau", "admin": "Alice Novak"}
TRACES = 240
BATCH = 400


class Command(BaseCommand):
    """Does nothing but print the logins when the tenant exists already."""

    help = "Create the tenant 'demo' with people and sample decisions, once; print the logins."

    def handle(self, *args: Any, **options: Any) -> None:
        """Seed and print."""
        password = kept_password()
        tenant = Tenant.objects.filter(slug="demo").first()
        if tenant is None:
            tenant = create_tenant("demo", principal=system_principal(), name="Demo")
        principal = system_principal(tenant, label="demo data")
        for role in ROLES:
            email = f"{NAMES[role].split()[0].lower()}@demo.example"
            if not User.objects.filter(email=email).exists():
                user = find_or_create_user(email, name=NAMES[role])
                set_password(user, password)
                add_member(tenant, principal=principal, user=user, role=role)
        self.fill(tenant, principal)
        for role in ROLES:
            email = f"{NAMES[role].split()[0].lower()}@demo.example"
            self.stdout.write(f"login    {email:22} {password}   ({role})")

    def fill(self, tenant: Tenant, principal: Any) -> None:
        """A day of decisions, in the order in which they happened.

        The same tenant gets the same events, so a start that was interrupted here goes on.
        """
        rng = Random(20261122)
        now = tenant.created_at
        start = now - timedelta(hours=24)
        cited: dict[str, str] = {}
        events: list[tuple[Any, demo.Envelope]] = []
        for number in range(TRACES):
            begin = start + timedelta(seconds=86_000 * number / TRACES + rng.uniform(0, 240))
            events += demo.at(demo.trace(rng, 8000 + number, cited).script, begin)
        events = sorted((e for e in events if e[0] < now), key=lambda e: e[0])
        if selectors.event_by_id(tenant, events[-1][1]["event_id"]) is not None:
            return
        for first in range(0, len(events), BATCH):
            batch = [envelope for _, envelope in events[first : first + BATCH]]
            services.append(tenant, principal=principal, events=batch, atomic=False)


def kept_password() -> str:
    """The password of the demo's people: made once per stack, kept beside its data."""
    path = settings.ENDPOINTS.state_dir / "demo_password"
    if not path.exists():
        handle = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(f"demo-{secrets.token_hex(5)}")
    return path.read_text().strip()
