"""``manage.py check_log``: is every tenant's log whole, and the one that was backed up?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tenants.models import Tenant
from traces.domain import note
from traces.management.check import Checked, check_log


class Command(BaseCommand):
    """Recomputes the hashes of every event."""

    help = "Check every event of every tenant against its hashes. Exit status 1 and the position of what is wrong."

    def add_arguments(self, parser: CommandParser) -> None:
        """Arguments."""
        parser.add_argument("tenants", nargs="*", help="slugs; all when left out")
        parser.add_argument("--manifest", type=Path, help="manifest.json of the backup that this should be")

        parser.add_argument(
            "--checkpoint",
            type=Path,
            action="append",
            default=[],
            help="a file of checkpoints kept outside: only these show a log that was cut or written anew",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Run."""
        expected = json.loads(options["manifest"].read_text())["tenants"] if options["manifest"] else []
        kept = [note.unsigned(each) for path in options["checkpoint"] for each in note.notes_in(path.read_text())]
        recorded = {entry["slug"]: entry for entry in expected}
        chosen = Tenant.objects.order_by("slug")
        if options["tenants"]:
            chosen = chosen.filter(slug__in=options["tenants"])
        wrong = [f"{slug}: the tenant is missing" for slug in sorted(set(recorded) - {t.slug for t in chosen})]
        for tenant in chosen:
            mine = [each for each in kept if each.origin.endswith(f"/{tenant.slug}")]
            found = check_log(tenant, mine)
            faults = [*found.faults, *_not_recorded(found, recorded.get(tenant.slug))]
            if faults:
                wrong += [f"{tenant.slug}: {fault}" for fault in faults]
            else:
                erased = f", {found.erased} erased" if found.erased else ""
                proven = f", {len(mine)} checkpoints kept outside agree" if mine else ""
                self.stdout.write(f"{tenant.slug}: {found.head} events{erased}, every hash right{proven}")
        if wrong:
            raise CommandError("The log is not whole.\n  " + "\n  ".join(wrong))


def _not_recorded(found: Checked, entry: dict[str, Any] | None) -> list[str]:
    """How a log differs from the manifest."""
    if entry is None:
        return []
    if found.head != entry["head"]:
        return [f"{found.head} events, the manifest says {entry['head']}"]
    if found.leaves_sha256 != entry["leaves_sha256"]:
        return ["the leaves are not those of the manifest"]
    return []
