"""Folding the next batch while the database writes the one before.

Only for rules that fold from the event alone: what those make does not depend on rows the batch
before is still writing. Whatever a batch depends on besides its events (where it starts, which
traces are set aside, which events are skipped) is compared when it is wanted; a batch that was made
for something else is thrown away and made again.
"""

from __future__ import annotations

import sys
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from django.db import connection

from projections.engine.batch import Claim, Ready, fold_batch
from projections.engine.tables import BoundRule
from projections.engine.window import Window
from tenants.models import Tenant

SWITCH_SECONDS = 0.000_5
"""How long a thread may hold the interpreter while the other one wants it."""


class _Made(NamedTuple):
    claim: Claim
    work: Future[Ready]


class Ahead:
    """One thread that is a batch ahead. `close` it, or use it as a context manager."""

    def __init__(self, tenant: Tenant, bound: BoundRule) -> None:
        """For a rule with `BoundRule.folds_alone`; raises ValueError for any other."""
        if not bound.folds_alone:
            raise ValueError(f"{bound.name} folds from what is stored, so no batch can be made before the last one is")
        self.tenant, self.bound = tenant, bound
        # Sending a batch takes dozens of turns between interpreter and socket; at the usual 5 ms each
        # turn would wait as long for the folding thread to let go.
        self._interval = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_SECONDS)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="dg-ahead")
        self._made: _Made | None = None

    def serves(self, tenant: Tenant, bound: BoundRule) -> bool:
        """Whether it is the one for this projection of this tenant."""
        return self.bound is bound and bool(self.tenant.pk == tenant.pk)

    def close(self) -> None:
        """End the thread and forget what it made."""
        self._made = None
        self._pool.shutdown(cancel_futures=True)
        sys.setswitchinterval(self._interval)

    def __enter__(self) -> Ahead:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def begin(self, claim: Claim, limit: int, until: int | None) -> None:
        """Start on the batch that will be wanted under this claim."""
        self._made = _Made(claim, self._pool.submit(self._make, claim, limit, until))

    def take(self, claim: Claim, until: int | None) -> Ready | None:
        """The batch for this claim, if that is the one that was begun."""
        made, self._made = self._made, None
        if made is None or made.claim != claim:
            return None
        ready = made.work.result()
        if not ready.events or (until is not None and ready.events[-1].log_seq > until):
            return None
        return ready

    def _make(self, claim: Claim, limit: int, until: int | None) -> Ready:
        try:
            window = Window(self.tenant, remember=False)
            events = window.read(claim.cursor, limit, until)
            folded = fold_batch(self.bound, claim, window, events)
            # the columns too: whoever writes then waits for the database alone
            columns = {
                name: self.bound.tables[name].columns(changes) for name, changes in folded.changes.items() if changes
            }
            return Ready(events, folded, columns)
        finally:
            connection.close()  # this thread's own, back to the pool
