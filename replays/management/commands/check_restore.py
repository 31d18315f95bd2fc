"""``manage.py check_restore``: is every projection what its log says? Needs no worker."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from replays import selectors, services
from replays.selectors import ReplayView
from tenants.access import system_principal
from tenants.models import Tenant


class Command(BaseCommand):
    """Verifies all projections of all tenants, one after the other, in this process."""

    help = "Rebuild every projection beside the live rows and compare. Exit status 1 when digests differ."

    def add_arguments(self, parser: CommandParser) -> None:
        """Arguments."""
        parser.add_argument("tenants", nargs="*", help="slugs; all when left out")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Run."""
        chosen = Tenant.objects.order_by("slug")
        if options["tenants"]:
            chosen = chosen.filter(slug__in=options["tenants"])
        wrong = []
        for tenant in chosen:
            found = verified(tenant)
            for child in found.children or (found,):
                row = child.row
                if row.status != "completed" or row.verdict != "match":
                    counts = f"{row.changed} changed, {row.missing} missing, {row.surplus} surplus"
                    wrong.append(f"{tenant.slug}: {row.projection} {row.verdict or row.status} ({row.error or counts})")
            if found.row.verdict == "match":
                self.stdout.write(f"{tenant.slug}: all projections match at {found.position}")
                for child in found.children:
                    self.stdout.write(f"  {child.row.projection} {child.row.canonical_digest}")
        if wrong:
            raise CommandError("Rows are not what the log says.\n  " + "\n  ".join(wrong))


def verified(tenant: Tenant) -> ReplayView:
    """A verify of all projections, worked on here until it is over."""
    principal = system_principal(tenant)
    replay = services.start_replay(
        tenant, principal=principal, projection="all", mode="verify", reason="restored from a backup"
    )
    while True:
        view = selectors.replay(tenant, str(replay.pk))
        if view.row.finished_at is not None:
            break
        if not [child for child in view.children or (view,) if services.run_slice(tenant, str(child.row.pk))]:
            time.sleep(0.05)  # a worker has it
    while services.sweep(tenant):  # what was rebuilt goes away again; its canonical digest goes on record first
        pass
    return selectors.replay(tenant, str(replay.pk))
