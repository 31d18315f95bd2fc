"""``manage.py demo_traffic``: decisions in real time for the tenant ``demo``."""

from __future__ import annotations

import heapq
import time
from datetime import timedelta
from itertools import count
from random import Random
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from decisiongraph.core import clock
from decisiongraph.core.errors import Problem
from tenants.access import system_principal
from tenants.models import Tenant
from traces import services
from traces.management import demo


class Command(BaseCommand):
    """Runs until interrupted, or for ``--seconds``."""

    help = "Append made-up decisions to a tenant at the pace of real time."

    def add_arguments(self, parser: CommandParser) -> None:
        """Where, how many, how long."""
        parser.add_argument("--tenant", default="demo")
        parser.add_argument("--per-minute", type=int, default=30, help="new traces a minute (default 30)")
        parser.add_argument("--seconds", type=float, default=None, help="stop after this long")

    def handle(self, *args: Any, **options: Any) -> None:
        """Send what is due, sleep until the next is."""
        tenant = Tenant.objects.filter(slug=options["tenant"]).first()
        if tenant is None:
            raise CommandError(f"There is no tenant {options['tenant']!r}.")
        if not 1 <= options["per_minute"] <= 6000:
            raise CommandError("--per-minute must lie between 1 and 6000.")
        try:
            self.run(tenant, options["per_minute"], options["seconds"])
        except KeyboardInterrupt:
            self.stdout.write("stopped")

    def run(self, tenant: Tenant, per_minute: int, seconds: float | None) -> None:
        """Interleave traces as they would really arrive."""
        principal = system_principal(tenant, label="demo traffic")
        rng = Random()
        serial = count(clock.unix_ms() // 1000)
        cited: dict[str, str] = {}
        waiting: list[tuple[Any, int, demo.Envelope]] = []
        tie = count()
        ends = None if seconds is None else clock.now() + timedelta(seconds=seconds)
        next_trace = clock.now()
        sent = 0
        while ends is None or clock.now() < ends:
            now = clock.now()
            while next_trace <= now:
                script = demo.trace(rng, next(serial), cited).script
                # People answer within a minute here, so that a visitor sees traces finish.
                script = [(min(after, 60 + after / 30), envelope) for after, envelope in script]
                for when, envelope in demo.at(script, now):
                    heapq.heappush(waiting, (when, next(tie), envelope))
                next_trace += timedelta(seconds=60 / per_minute * rng.uniform(0.5, 1.5))
            due: list[demo.Envelope] = []
            while waiting and waiting[0][0] <= now and len(due) < 500:
                due.append(heapq.heappop(waiting)[2])
            if due:
                try:
                    services.append(tenant, principal=principal, events=due, atomic=False)
                except Problem as problem:
                    self.stderr.write(problem.detail)
                sent += len(due)
                self.stdout.write(f"\r{sent:,} events sent, {len(waiting):,} to come", ending="")
                self.stdout.flush()
            time.sleep(0.1)
        self.stdout.write("")
