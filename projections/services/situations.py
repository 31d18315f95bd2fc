"""Learning situations: what every finished decision was about, read from the log."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from django.db import connection
from django.db.models import Max

from decisiongraph.core import clock, jobs
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.telemetry import bind, log
from projections import engine
from projections.domain.payload import text
from projections.domain.precedents import radar
from projections.domain.precedents.situation import EVENT_TYPES, Situation, situation
from projections.models import SituationCursor, SituationRow, moment, text_sha
from projections.models.search import situation_handle, situation_words
from projections.selectors.situations import as_situation
from tenants.models import Tenant
from traces import selectors as traces
from traces.domain.envelope import REVIEW_PREFIX, StoredEvent

PIECE = 100
"""Finished traces read in one transaction."""
SLICE_SECONDS = 2.0
FAR = 1_000
"""Events the projections may lag before learning waits for them."""
BLOCK = 400
"""Latest spoken decisions of one workflow and entity type that are compared with each other."""


def learn(tenant: Tenant) -> int:
    """Learn the finished traces that came since, for a slice; asks for another when some are left.

    Answers how many were learned. Waits (answers 0) while the projections are far behind: they are
    what people read first.
    """
    head, cursors = engine.positions(tenant)
    if head - min(cursors.values(), default=0) > FAR:
        return 0
    deadline = time.monotonic() + SLICE_SECONDS
    learned, more = 0, True
    blocks: set[tuple[str | None, str | None]] = set()
    with bind(tenant=tenant.slug):
        while more and time.monotonic() < deadline:
            found, more = _piece(tenant, head)
            learned += len(found)
            blocks.update((row.workflow, row.entity_type) for row in found if row.spoken)
        for workflow, entity_type in sorted(blocks, key=str):
            _gather(tenant, workflow, entity_type)
        if learned:
            log.info("situations.learned", traces=learned, more=more)
    if more:
        jobs.enqueue("projections.learn", tenant_id=tenant.pk)
    return learned


def learn_all() -> list[int]:
    """What beat does: wake the learning of every tenant that finished something since."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT dg_unlearned()")
        waiting = [row[0] for row in cursor.fetchall()]
    for tenant_id in waiting:
        jobs.enqueue("projections.learn", tenant_id=tenant_id)
    return waiting


def _piece(tenant: Tenant, head: int) -> tuple[list[SituationRow], bool]:
    """The rows of the next finished traces, and whether there are more."""
    with tenant_tx(tenant):
        SituationCursor.objects.bulk_create([SituationCursor(tenant_id=tenant.pk)], ignore_conflicts=True)
        cursor = SituationCursor.objects.select_for_update().get()
        ends = traces.read_log(tenant, after=cursor.log_seq, until=head, limit=PIECE, event_type="TraceFinished")
        rows = _rows(tenant, [end for end in ends if not end.trace_id.startswith(REVIEW_PREFIX)])
        SituationRow.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["tenant", "trace_sha"],
            update_fields=[
                "log_seq", "outcome", "finished_at", "finished_ts", "title", "workflow", "entity_type", "policies",
                "codes", "actions", "spoken", "situation", "handle", "words", "group_sha",
            ],
        )  # fmt: skip
        more = len(ends) == PIECE
        cursor.log_seq = ends[-1].log_seq if more else head
        cursor.updated_at = clock.now()
        cursor.save(update_fields=["log_seq", "updated_at"])
    return rows, more


def _rows(tenant: Tenant, ends: Sequence[StoredEvent]) -> list[SituationRow]:
    histories = traces.trace_history(tenant, [end.trace_id for end in ends], EVENT_TYPES)
    return [_row(tenant, end, histories[end.trace_id]) for end in ends]


def _row(tenant: Tenant, end: StoredEvent, history: Iterable[StoredEvent]) -> SituationRow:
    events = [event for event in history if event.log_seq < end.log_seq]
    start = next((event.payload for event in events if event.event_type == "TraceStarted"), None)
    found = situation(events)
    return SituationRow(
        tenant_id=tenant.pk,
        trace_sha=text_sha(end.trace_id),
        trace_id=end.trace_id,
        log_seq=end.log_seq,
        outcome=text(end.payload, "outcome") or "unknown",
        finished_at=end.occurred_at,
        finished_ts=moment(end.occurred_at),
        title=text(start, "title") or "",
        workflow=found.workflow,
        entity_type=found.entity_type,
        policies=list(found.policies),
        codes=list(found.codes),
        actions=list(found.actions),
        spoken=found.spoken,
        situation=stored(found),
        handle=situation_handle(found),
        words=situation_words(found),
        group_sha=radar.fingerprint(found) if not found.spoken else text_sha(end.trace_id),
    )


def stored(found: Situation) -> dict[str, object]:
    """A situation as its row keeps it."""
    return {**found._asdict(), "facts": [list(pair) for pair in found.facts]}


def _gather(tenant: Tenant, workflow: str | None, entity_type: str | None) -> None:
    """Give spoken decisions that ask for the same thing the same group: that of the first of them."""
    with tenant_tx(tenant):
        SituationCursor.objects.select_for_update().get()
        rows = list(
            SituationRow.objects.filter(spoken=True, workflow=workflow, entity_type=entity_type).order_by("-log_seq")[
                :BLOCK
            ]
        )[::-1]
        changed = []
        for group in radar.gathered([as_situation(row.situation) for row in rows]):
            first = rows[group[0]].trace_sha
            for index in group:
                if bytes(rows[index].group_sha) != bytes(first):
                    rows[index].group_sha = first
                    changed.append(rows[index])
        SituationRow.objects.bulk_update(changed, ["group_sha"])


def learned_to(tenant: Tenant) -> int:
    """The position up to which finished traces were learned."""
    with tenant_tx(tenant):
        return SituationCursor.objects.aggregate(most=Max("log_seq"))["most"] or 0
