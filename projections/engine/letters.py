"""Folding a parked trace again: its events come late, so every row may have to give way."""

from __future__ import annotations

from django.db import connection
from django.db.models import F

from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from projections.engine.batch import hold_generation, save
from projections.engine.fold import Batch
from projections.engine.tables import BOUND
from projections.engine.window import Window
from projections.models import Checkpoint, DeadLetter
from tenants.models import Tenant
from traces import selectors as traces
from traces.domain.envelope import Said


def refold(tenant: Tenant, letter: DeadLetter, *, closed_as: str) -> bool:
    """Fold the waiting events of a parked trace in their order, up to the cursor.

    True when the trace is current again; the letter is closed as ``closed_as``. False when the rule
    failed again: the letter then names the event it failed on now.
    """
    bound = BOUND[letter.projection]
    with connection.wrap_database_errors, tenant_tx(tenant):
        claim = hold_generation(letter.projection, letter.generation)
        if claim is None:
            return False
        events = _waiting(tenant, letter, claim.cursor)
        batch = Batch(
            bound,
            claim.generation,
            secret=claim.secret,
            history=Window(tenant, remember=False).history,
            parked=claim.parked - {letter.trace_id},
            skipped=claim.skipped,
        )
        folded = batch.fold(events)
        save(bound, claim.generation, folded, late=True)
        letter.attempts += 1
        letter.rule_version = bound.rule.version
        if folded.parked:
            (parked,) = folded.parked
            letter.log_seq = parked.event.log_seq
            letter.event_type = parked.event.event_type
            letter.error = parked.error.replace("\x00", "")
            letter.waiting = parked.waiting
        else:
            letter.state = closed_as
            letter.waiting = 0
            letter.closed_at = clock.now()
        letter.save()
        Checkpoint.objects.filter(projection=letter.projection, generation=letter.generation).update(
            epoch=F("epoch") + 1
        )
    return not folded.parked


def _waiting(tenant: Tenant, letter: DeadLetter, cursor: int) -> list[Said]:
    """The trace's events from the failed one to the cursor."""
    first = traces.event_at(tenant, letter.log_seq)
    found: list[Said] = []
    after = first.trace_seq - 1
    while True:
        page = traces.read_trace(tenant, letter.trace_id, after_seq=after, limit=1_000)
        found += [event for event in page if event.log_seq <= cursor]
        if len(page) < 1_000:
            return found
        after = page[-1].trace_seq
