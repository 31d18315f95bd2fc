"""Folds a tenant's log into new generations and prints their canonical digests (run as a script).

fold.py SLUG UNTIL BATCH [careless]

``careless`` is the wrong variant: a rule that iterates over a set.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import django

django.setup()

from decisiongraph.core.db import tenant_tx  # noqa: E402
from projections import engine  # noqa: E402
from tenants.models import Tenant  # noqa: E402


class Careless:
    """A rule whose rows hold the order of a set."""

    def __init__(self, rule: Any) -> None:
        self.rule = rule

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rule, name)

    def fold(self, event: Any, state: Any, history: Any) -> Any:
        """As the rule, then through a set."""
        for put in self.rule.fold(event, state, history):
            words = list({*put.row["actors"], "ada", "bob", "cyd"})
            yield put._replace(row={**put.row, "actors": words})


def main(slug: str, until: int, batch: int, careless: bool) -> None:
    """One generation per projection."""
    tenant = Tenant.objects.get(slug=slug)
    engine.prepare(tenant)
    begun, digests = time.monotonic(), {}
    with engine.paused_collector():
        for bound in engine.BOUND.values():
            if careless:
                if bound.name != "trace_summary":
                    continue
                bound.rule = Careless(bound.rule)  # type: ignore[assignment]
            window = engine.Window(tenant)
            number = engine.begin(tenant, bound.name)
            while True:
                step = engine.step(window, bound, limit=batch, until=until, generation=number)
                if step is None or not step.events:
                    break
            with tenant_tx(tenant):
                digests[bound.name] = engine.canonical(bound.name, number)
    print(json.dumps({"digests": digests, "seconds": time.monotonic() - begun}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), "careless" in sys.argv)
