"""Following the log: what asks for people becomes an item, what acts is held beside its ticket.

A cursor row of its own per tenant, untouched by replays. Items, incidents, events and cursor are one
transaction, so a crash anywhere is invisible; two workers never follow the same tenant at once.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import Q

from approvals.models import Follower, Incident, Item, ProducerWatch
from approvals.selectors import policies
from approvals.services import commits, incidents, opening, people, review
from decisiongraph.core import clock, jobs
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem
from decisiongraph.core.telemetry import bind, log, metrics
from projections.models import Finding
from tenants.access import Principal
from tenants.models import Tenant
from tenants.services import record_audit
from traces import selectors as traces
from traces.domain.envelope import OPEN_WORKFLOW, StoredEvent
from traces.models import Producer

TYPES = ("ExceptionRequested", "ActionProposed", "ActionCommitted")
BATCH = 100
SLICE_SECONDS = 2.0


class Followed(NamedTuple):
    """What a slice did."""

    events: int
    more: bool


def follow(tenant: Tenant, *, budget: float = SLICE_SECONDS, batch: int = BATCH) -> Followed:
    """Follow one tenant's log to its end, or until the slice is over. Whoever finds it held goes away."""
    deadline, done = time.monotonic() + budget, 0
    started = time.perf_counter()
    with bind(tenant=tenant.slug):
        while True:
            step = _step(tenant, batch)
            if step is None and _prepare(tenant):
                continue
            if step is None:  # somebody else follows
                break
            done += step.events
            if not step.more:
                if step.findings:
                    open_findings(tenant)
                if step.watches:
                    open_silences(tenant)
                break
            if time.monotonic() > deadline:
                jobs.enqueue("approvals.follow", tenant_id=tenant.pk)
                return Followed(done, True)
    metrics.followed_seconds.observe(time.perf_counter() - started)
    return Followed(done, False)


class _Step(NamedTuple):
    """What a batch did, and what else may ask for people."""

    events: int
    more: bool
    findings: bool
    watches: bool


# A tenant whose clients write calls for ten of these a second, and hardly ever has either.
_ELSE = """
SELECT EXISTS (SELECT 1 FROM projections_finding WHERE tenant_id = %s AND closed_at IS NULL),
       EXISTS (SELECT 1 FROM approvals_producerwatch WHERE tenant_id = %s)
"""


def _claim() -> Follower | None:
    return Follower.objects.select_for_update(skip_locked=True).first()


def _prepare(tenant: Tenant) -> bool:
    """The cursor row of a new tenant, committed by itself: nobody waits for whoever follows first.

    Whether it was missing.
    """
    with tenant_tx(tenant):
        missing = not Follower.objects.exists()
        if missing:
            Follower.objects.bulk_create([Follower(tenant_id=tenant.pk)], ignore_conflicts=True)
    return missing


def _step(tenant: Tenant, batch: int) -> _Step | None:
    """One batch. None when somebody else follows already, or nobody ever has."""
    with tenant_tx(tenant):
        row = _claim()
        if row is None:
            return None
        with connection.cursor() as asked:
            asked.execute(_ELSE, [tenant.pk, tenant.pk])
            findings, watches = asked.fetchone()
        head = traces.head(tenant)
        if head <= row.cursor:
            return _Step(0, False, findings, watches)
        events = traces.read_types(tenant, TYPES, after=row.cursor, until=head, limit=batch)
        until = events[-1].log_seq if len(events) == batch else head
        cursor = row.cursor
        try:
            with transaction.atomic():
                _apply(tenant, row, events, until)
            return _Step(len(events), until < head, findings, watches)
        except Problem as problem:
            log.warning("approvals.batch_refused", code=problem.code, after=cursor, until=until)
    # Something in the batch cannot be written down. One by one, so that it stops nobody else.
    for event in events:
        _alone(tenant, event)
    return _Step(len(events), True, findings, watches)


def _alone(tenant: Tenant, event: StoredEvent) -> None:
    """One event by itself; one that cannot be followed becomes an incident, never a standstill."""
    try:
        with tenant_tx(tenant):
            row = _claim()
            if row is None or row.cursor >= event.log_seq:
                return
            _apply(tenant, row, [event], event.log_seq)
        return
    except Problem as problem:
        log.error("approvals.event_refused", code=problem.code, log_seq=event.log_seq)
        code, detail = problem.code, problem.detail
    with tenant_tx(tenant):
        row = _claim()
        if row is None or row.cursor >= event.log_seq:
            return
        book = review.Book(tenant, people.platform(tenant))
        incidents.open_by_itself(
            tenant,
            book,
            source_key=f"follow:{event.event_id}",
            cause="workflow.event_refused",
            severity="high",
            title=f"Event {event.log_seq} could not be followed: {code}",
            now=clock.now(),
            trace_id=event.trace_id,
            event_id=event.event_id,
            detail={"code": code, "detail": detail, "log_seq": event.log_seq},
        )
        row.cursor, row.moved_at, row.last_error = event.log_seq, clock.now(), code
        row.save(update_fields=["cursor", "moved_at", "last_error"])
        book.write()


def _apply(tenant: Tenant, row: Follower, events: Sequence[StoredEvent], until: int) -> None:
    """Rows first, then the cursor, then the events of the review traces: the append locks the log."""
    book = review.Book(tenant, people.platform(tenant))
    wanted = [event for event in events if _counts(event)]
    asking = [event for event in wanted if event.event_type != "ActionCommitted"]
    begun = traces.trace_history(tenant, {event.trace_id for event in asking}, ["TraceStarted"]) if asking else {}
    names = people.names_of_principals(event.principal for event in asking) if asking else {}
    levels = policies.active(tenant) if asking else []
    known = set(Item.objects.filter(pk__in=[opening.item_id(tenant, e) for e in asking]).values_list("pk", flat=True))
    now = clock.now()
    group: list[Item] = []

    def open_group() -> None:
        if group:
            opening.store_all(tenant, group, book, levels=levels, now=now)
            group.clear()

    for event in wanted:
        if event.event_type == "ActionCommitted":
            if any(_relies(event, item) for item in group):
                open_group()
            commits.weigh(tenant, event, book, now=now)
            continue
        first = next(iter(begun.get(event.trace_id, ())), None)
        item = opening.draft_of_event(tenant, event, first, names[event.principal])
        if item is not None and item.pk not in known:
            group.append(item)
    open_group()
    row.cursor, row.moved_at = until, clock.now()
    row.save(update_fields=["cursor", "moved_at"])
    book.write()


def _relies(commit: StoredEvent, item: Item) -> bool:
    """Whether a commit may be about an item that waits to be opened: then the order of the log decides."""
    return commit.trace_id == item.trace_id or (commit.payload or {}).get("approval_id") == str(item.pk)


def _counts(event: StoredEvent) -> bool:
    """Whether an event can ask for workflow at all: the platform's own never, imports only when asked."""
    if event.origin == "import":
        return event.principal == OPEN_WORKFLOW
    return event.origin == "ingest"


def open_findings(tenant: Tenant) -> int:
    """An incident for every open finding of the projections that has none. Answers how many."""
    opened = 0
    with tenant_tx(tenant):
        rows = list(Finding.objects.filter(closed_at__isnull=True).order_by("id")[:50])
        if not rows:
            return 0
        keys = {f"finding:{row.pk}" for row in rows}
        known = set(Incident.objects.filter(source_key__in=keys).values_list("source_key", flat=True))
        book = review.Book(tenant, people.platform(tenant))
        for row in rows:
            if f"finding:{row.pk}" in known:
                continue
            mismatch = row.kind == Finding.MISMATCH
            title = (
                f"Rows of {row.projection} differ from what the log says"
                if mismatch
                else f"{row.projection} has stopped following the log"
            )
            made = incidents.open_by_itself(
                tenant,
                book,
                source_key=f"finding:{row.pk}",
                cause=f"projection.{row.kind}",
                severity="critical" if mismatch else "high",
                title=title,
                now=clock.now(),
                links=[("finding", str(row.pk))],
                detail={"projection": row.projection, "log_seq": row.log_seq},
            )
            opened += made is not None
        book.write()
    return opened


def open_silences(tenant: Tenant) -> int:
    """An incident for every watched producer that has been silent for too long. Answers how many."""
    opened = 0
    with tenant_tx(tenant):
        watches = list(ProducerWatch.objects.all()[:500])
        if not watches:
            return 0
        now = clock.now()
        heard = {
            row.producer_id: row for row in Producer.objects.filter(producer_id__in=[w.producer_id for w in watches])
        }
        book = review.Book(tenant, people.platform(tenant))
        for watch in watches:
            last = heard.get(watch.producer_id)
            if last is None or (now - max(last.last_at, watch.set_at)).total_seconds() <= watch.seconds:
                continue
            made = incidents.open_by_itself(
                tenant,
                book,
                source_key=f"silent:{watch.pk}:{last.last_log_seq}",
                cause="producer.silent",
                severity="medium",
                title=f"The producer {watch.producer_id} has been silent for too long"[:500],
                now=now,
                detail={
                    "producer_id": watch.producer_id,
                    "interval_seconds": watch.seconds,
                    "last_at": clock.rfc3339(last.last_at),
                    "last_log_seq": last.last_log_seq,
                },
            )
            opened += made is not None
        book.write()
    return opened


def from_start(tenant: Tenant, *, principal: Principal, reason: str) -> int:
    """Follow the whole log of a tenant that was there before the workflow; where the cursor stood.

    409 once following has had effects: what was used or attached would be a second time. Audited.
    """
    _prepare(tenant)
    with tenant_tx(tenant):
        row = Follower.objects.select_for_update().get()
        opened = Item.objects.exclude(number=0).exists()
        judged = Incident.objects.filter(Q(source_key__startswith="commit:") | Q(source_key__startswith="follow:"))
        if opened or judged.exists():
            raise Problem(
                "workflow.already_followed",
                409,
                "The log has opened items or incidents already; only a workflow that opened nothing can start over.",
            )
        before, row.cursor, row.moved_at = row.cursor, 0, clock.now()
        row.save(update_fields=["cursor", "moved_at"])
        record_audit(
            tenant,
            principal=principal,
            action="workflow.followed_from_start",
            target="workflow",
            reason=reason,
            before={"cursor": before},
            after={"cursor": 0},
        )
        jobs.enqueue("approvals.follow", tenant_id=tenant.pk)
    return before


def wake() -> list[int]:
    """What beat does for followers: ring for every tenant whose log is ahead. Answers their numbers."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT dg_unfollowed(%s)", [clock.now()])
        behind = [row[0] for row in cursor.fetchall()]
    for number in behind:
        jobs.enqueue("approvals.follow", tenant_id=number)
    return behind
