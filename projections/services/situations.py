"""Learning situations: what every finished decision was about, read from the log."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import timedelta

from django.db import connection
from django.db.models import Max

from decisiongraph.core import clock, jobs
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.telemetry import bind, log
from projections import engine
from projections.domain.payload import text
from projections.domain.precedents import radar
from projections.domain.precedents.situation import EVENT_TYPES, MAX_EVENTS, Situation, situation
from projections.models import Generation, SituationCursor, SituationRow, moment, text_sha
from projections.models.search import situation_handle, situation_words
from projections.selectors.situations import as_situation
from projections.services.texts import read_open_traces
from tenants.models import Tenant
from traces import selectors as traces
from traces.domain.envelope import REVIEW_PREFIX, StoredEvent

PIECE = 50
"""Finished traces learned in one transaction, at most."""
PIECE_EVENTS = 2_000
"""Their events, at most; a longer trace is a piece of its own."""
SLICE_SECONDS = 2.0
FAR = 1_000
"""Events the projections may lag before learning waits for them."""
BLOCK = 200
"""Latest spoken decisions of one workflow and entity type that are compared with each other: 2.1 s of
processor when every request is as long as counts, 1.3 s on real ones."""
GATHER_EVERY = timedelta(seconds=15)
"""A tenant's spoken decisions are compared with each other no sooner than this after the last time."""


def learn(tenant: Tenant) -> int:
    """Learn the finished traces that came since, and what open ones say by now, for a slice; asks for
    another when some are left.

    Answers how many were learned. Waits (answers 0) while the projections are far behind, for they are
    what people read first, and while one is rebuilt, for somebody waits for it.
    """
    head, cursors = engine.positions(tenant)
    if head - min(cursors.values(), default=0) > FAR or _rebuilding(tenant):
        return 0
    deadline = time.monotonic() + SLICE_SECONDS
    learned, more = 0, True
    with bind(tenant=tenant.slug):
        while more and time.monotonic() < deadline:
            found, more = _piece(tenant, head)
            learned += found
        if not more:
            more = read_open_traces(tenant, deadline)
        if not more and _may_gather(tenant):
            while (more := _gather_next(tenant)) and time.monotonic() < deadline:
                pass
        if learned:
            log.info("situations.learned", traces=learned, more=more)
    if more:
        jobs.enqueue("projections.learn", tenant_id=tenant.pk)
    return learned


def _rebuilding(tenant: Tenant) -> bool:
    with tenant_tx(tenant):
        return Generation.objects.filter(state=Generation.BUILDING).exists()


def learn_all() -> list[int]:
    """What beat does: wake the learning of every tenant in which a trace moved or finished since, or
    that has spoken decisions nobody compared yet."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT dg_unlearned(%s)", [clock.now() - GATHER_EVERY])
        waiting = [row[0] for row in cursor.fetchall()]
    for tenant_id in waiting:
        jobs.enqueue("projections.learn", tenant_id=tenant_id)
    return waiting


def _piece(tenant: Tenant, head: int) -> tuple[int, bool]:
    """Learn the next finished traces: how many, and whether there are more.

    Whoever finds the cursor held leaves it: its holder asks for another slice when some are left.
    """
    with tenant_tx(tenant):
        SituationCursor.objects.bulk_create([SituationCursor(tenant_id=tenant.pk)], ignore_conflicts=True)
        cursor = SituationCursor.objects.select_for_update(skip_locked=True).first()
        if cursor is None:
            return 0, False
        found = traces.read_log(tenant, after=cursor.log_seq, until=head, limit=PIECE, event_type="TraceFinished")
        ends = _few(found)
        rows = _rows(tenant, [end for end in ends if not end.trace_id.startswith(REVIEW_PREFIX)])
        SituationRow.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["tenant", "trace_sha"],
            update_fields=[
                "log_seq", "outcome", "finished_at", "finished_ts", "title", "workflow", "entity_type", "policies",
                "codes", "actions", "spoken", "situation", "handle", "words", "group_sha", "gathered",
            ],
        )  # fmt: skip
        more = len(found) == PIECE or len(ends) < len(found)
        cursor.log_seq = ends[-1].log_seq if more else head
        cursor.updated_at = clock.now()
        cursor.save(update_fields=["log_seq", "updated_at"])
    return len(rows), more


def _few(ends: Sequence[StoredEvent]) -> Sequence[StoredEvent]:
    """As many of them, at least one, as together have few events: a finish knows its place."""
    total = 0
    for count, end in enumerate(ends):
        total += min(end.trace_seq, MAX_EVENTS)
        if count and total > PIECE_EVENTS:
            return ends[:count]
    return ends


def _rows(tenant: Tenant, ends: Sequence[StoredEvent]) -> list[SituationRow]:
    histories = traces.trace_history(tenant, [end.trace_id for end in ends], EVENT_TYPES, below=MAX_EVENTS)
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
        gathered=not found.spoken,
    )


def stored(found: Situation) -> dict[str, object]:
    """A situation as its row keeps it."""
    return {**found._asdict(), "facts": [list(pair) for pair in found.facts]}


def _may_gather(tenant: Tenant) -> bool:
    """Whether it is time to compare the tenant's spoken decisions again."""
    with tenant_tx(tenant):
        last = SituationCursor.objects.values_list("gathered_at", flat=True).first()
    return last is None or clock.now() - last >= GATHER_EVERY


def _gather_next(tenant: Tenant) -> bool:
    """Give the spoken decisions of one workflow and entity type that ask for the same thing the same group.

    Compared outside of any transaction: it takes seconds on a busy machine. Answers whether there may
    be more to compare.
    """
    with tenant_tx(tenant):
        waiting = SituationRow.objects.filter(spoken=True, gathered=False).order_by("log_seq").first()
        if waiting is None:
            return False
        alike = SituationRow.objects.filter(
            spoken=True, workflow=waiting.workflow, entity_type=waiting.entity_type
        )  # none of either is a kind too: filter() reads None as IS NULL
        rows = list(alike.defer("words", "handle").order_by("-log_seq")[:BLOCK])[::-1]
    changed = _grouped(rows)
    with tenant_tx(tenant):
        cursor = SituationCursor.objects.select_for_update(skip_locked=True).first()
        if cursor is None:
            return False
        SituationRow.objects.bulk_update(changed, ["group_sha"])
        alike.filter(gathered=False, log_seq__lte=rows[-1].log_seq).update(gathered=True)
        cursor.gathered_at = clock.now()
        cursor.save(update_fields=["gathered_at"])
    return True


def _grouped(rows: Sequence[SituationRow]) -> list[SituationRow]:
    """Rows whose group is another one now, with the new one.

    A group keeps the name its first decision has, which may come from one that is not compared any
    more; of two groups with the same name the second is called after its first decision.
    """
    taken: set[bytes] = set()
    changed = []
    for group in radar.gathered([as_situation(row.situation) for row in rows]):
        first = rows[group[0]]
        name = bytes(first.group_sha)
        name = bytes(first.trace_sha) if name in taken else name
        taken.add(name)
        for row in (rows[index] for index in group):
            if bytes(row.group_sha) != name:
                row.group_sha = name
                changed.append(row)
    return changed


def learned_to(tenant: Tenant) -> int:
    """The position up to which finished traces were learned."""
    with tenant_tx(tenant):
        return SituationCursor.objects.aggregate(most=Max("log_seq"))["most"] or 0
