"""Opening items: what by itself, by a person or by a program becomes a request for a decision."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from approvals.domain import sla, ticket
from approvals.domain.people import names_in
from approvals.domain.workflow import OPEN
from approvals.models import Item, Step, Timer
from approvals.models.items import NEVER
from approvals.selectors import policies
from approvals.services import once, people, review, tell
from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem, invalid, not_found
from decisiongraph.core.telemetry import metrics
from tenants.access import Principal
from tenants.models import Tenant
from tenants.services import record_audit
from traces import selectors as log
from traces.domain.canonical import NotCanonical, jcs
from traces.domain.envelope import REVIEW_PREFIX, StoredEvent

NAMESPACE = uuid.UUID("5d1f1c1e-3f0a-5b0e-9f6e-0b8a5c7e4d21")
PRIORITIES = ("low", "normal", "high", "urgent")
MAX_IDENT_BYTES = 400
MAX_TITLE = 500


def item_id(tenant: Tenant, event: StoredEvent) -> uuid.UUID:
    """The id of the item an event opens: the same however often the event is read."""
    return uuid.uuid5(NAMESPACE, f"{tenant.pk}:{event.leaf_hash}")


def bounded(text: str, most: int = MAX_IDENT_BYTES) -> str:
    """An identifier out of a payload, which may be of any length; an index entry may not."""
    raw = text.encode()
    if len(raw) <= most:
        return text
    return raw[: most - 80].decode(errors="ignore") + "…sha256:" + hashlib.sha256(raw).hexdigest()


def _text(value: Any, *path: str) -> str:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""


def draft_of_event(
    tenant: Tenant, event: StoredEvent, started: StoredEvent | None, asker: frozenset[str]
) -> Item | None:
    """The item an event asks for, not yet stored; None when it asks for nothing.

    Args:
        started: first event of the same trace.
        asker: names of the event's principal.
    """
    payload = event.payload or {}
    exception = event.event_type == "ExceptionRequested"
    if not exception and payload.get("requires_approval") is not True:
        return None
    subject_id = _text(payload, "exception_id" if exception else "action_id")
    begun = (started.payload if started is not None else None) or {}
    by = payload.get("requested_by")
    priority = _text(payload, "priority")
    item = Item(
        id=item_id(tenant, event),
        tenant_id=tenant.pk,
        number=event.log_seq,
        trace_id=event.trace_id,
        subject_type="exception" if exception else "action",
        subject_id=bounded(subject_id),
        event_id=event.event_id,
        reason=_text(payload, "reason"),
        priority=priority if priority in PRIORITIES else "normal",
        opened_by=event.principal,
        requested_by=_text(by, "actor_id") or event.actor_id,
        requesters=sorted(asker | names_in(by)),
    )
    evidence = payload.get("evidence")
    item.evidence = evidence if isinstance(evidence, list) else []
    _describe(item, payload, begun)
    if not exception:
        _bind(item, payload)
    return item


def _describe(item: Item, payload: dict[str, Any], begun: dict[str, Any]) -> None:
    """What the item is about, out of its request and the start of its trace."""
    item.policy_id = bounded(_text(payload, "policy", "policy_id")) or None
    item.policy_version = bounded(_text(payload, "policy", "policy_version")) or None
    item.workflow = bounded(_text(begun, "workflow"))
    item.entity_type = bounded(_text(begun, "primary_entity", "entity_type")) or "trace"
    item.entity_id = bounded(_text(begun, "primary_entity", "entity_id")) or item.trace_id
    item.entity_system = bounded(_text(begun, "primary_entity", "system")) or None
    about = _text(begun, "title") or item.trace_id
    if item.subject_type == "exception":
        what = f"Exception from {item.policy_id}" if item.policy_id else f"Exception {item.subject_id}"
    elif item.subject_type == "action":
        what = _text(payload, "action_type") or f"Action {item.subject_id}"
    else:
        what = f"{item.subject_type} {item.subject_id}"
    item.title = item.title or f"{what}: {about}"[:MAX_TITLE]


def _bind(item: Item, action: dict[str, Any]) -> None:
    item.action = jcs(ticket.bound_action(action)).decode()
    item.action_digest = ticket.action_digest(action)


def _schedule(tenant: Tenant, item: Item, levels: Sequence[policies.Level], now: datetime) -> list[Timer]:
    """Copy the policy that applies into the item, and make its timers."""
    name, policy = policies.applicable(
        levels,
        {
            "subject_type": item.subject_type,
            "workflow": item.workflow,
            "policy_id": item.policy_id,
            "priority": item.priority,
        },
    )
    item.opened_at = item.changed_at = now
    item.clock_at, facts = _clock(tenant, item, policy, now)
    made = sla.plan(policy, item.clock_at, facts)
    item.sla_name, item.sla = name, policy.model_dump(mode="json")
    item.quorum, item.reviewers = policy.quorum, list(policy.reviewers)
    item.due_at, item.sort_at = made.deadline, made.deadline or NEVER
    item.expires_at = next((due.at for due in made.timers if due.kind == "expiry"), None)
    return [
        Timer(tenant_id=tenant.pk, item_id=item.pk, kind=due.kind, level=due.level, due_at=due.at)
        for due in made.timers
    ]


def _clock(tenant: Tenant, item: Item, policy: sla.Policy, now: datetime) -> tuple[datetime, dict[str, Any]]:
    """When the clock started, and the facts of the case, as far as the policy asks for them."""
    edges = policy.clock
    if edges.of_items and policy.deadline.fact is None:
        return now, {}
    wanted = {"TraceStarted", "InputObserved", "EntityObserved", edges.start.event_type}
    tracker = sla.Tracker()
    for event in log.trace_history(tenant, [item.trace_id], sorted(wanted))[item.trace_id]:
        tracker.feed(edges, event.event_type, event.payload, datetime.fromisoformat(event.recorded_at))
    found = None if edges.of_items else tracker.case("", edges)
    return (found.start if found is not None else now), tracker.facts


def store(tenant: Tenant, item: Item, book: review.Book, *, levels: Sequence[policies.Level], now: datetime) -> Item:
    """Insert an item, or attach its request to the open one that asks for the same.

    Another action digest supersedes the open item. Answers the item that is open afterwards.
    """
    current = _current(item)
    if current is not None:
        book.flush()  # it may have been opened by the same batch
    if current is not None and current.action_digest == item.action_digest:
        return _attach(tenant, current, item)
    if current is not None:
        _supersede(tenant, current, item, book, now)
    timers = _schedule(tenant, item, levels, now)
    if _insert([item], now):
        _opened(tenant, item, book, timers, now)
        return item
    # Somebody else opened it between our look and our insert (or it was opened long ago).
    known = Item.objects.filter(pk=item.pk).first() or _current(item)
    if known is None:
        raise Problem("approval.busy", 503, "Two requests for the same subject met. Send the same request again.",
                      headers={"Retry-After": "1"})  # fmt: skip
    book.flush()
    return known if known.pk == item.pk else _attach(tenant, known, item)


def store_all(
    tenant: Tenant, items: Sequence[Item], book: review.Book, *, levels: Sequence[policies.Level], now: datetime
) -> None:
    """`store` for each in order, with three statements for all that nobody has asked for before."""
    asked = Item.objects.filter(trace_id__in={item.trace_id for item in items}, status__in=OPEN)
    taken = set(asked.values_list("trace_id", "subject_type", "subject_id"))
    first: list[Item] = []
    later: list[Item] = []
    for item in items:
        subject = (item.trace_id, item.subject_type, item.subject_id)
        (later if subject in taken else first).append(item)
        taken.add(subject)
    timers = {item.pk: _schedule(tenant, item, levels, now) for item in first}
    inserted = _insert(first, now)
    for item in first:
        if item.pk in inserted:
            _opened(tenant, item, book, timers[item.pk], now)
    lost = [item for item in first if item.pk not in inserted]
    for item in [*lost, *later]:
        store(tenant, item, book, levels=levels, now=now)


def _insert(items: Sequence[Item], now: datetime) -> set[uuid.UUID]:
    """Insert what nobody else has; answers the ids of those that are ours."""
    Item.objects.bulk_create(items, ignore_conflicts=True, batch_size=500)
    mine = Item.objects.filter(pk__in=[item.pk for item in items], version=1, opened_at=now)
    return set(mine.values_list("pk", flat=True))


def _opened(tenant: Tenant, item: Item, book: review.Book, timers: Sequence[Timer], now: datetime) -> None:
    """Timers, history, review trace, outbox row and doorbells of an item that was inserted."""
    book.keep(
        *timers,
        Step(
            tenant_id=tenant.pk,
            item_id=item.pk,
            version=1,
            action="request",
            by=item.opened_by,
            by_label=item.requested_by or item.opened_by,
            after=item.status,
            reason=item.reason,
            at=now,
        ),
    )
    metrics.items.labels(item.subject_type if item.subject_type in ("exception", "action") else "other").inc()
    review.open_trace(book, item)
    if item.subject_type == "exception":
        tell.about_item(tenant, item, "exception.requested", actor=item.opened_by, book=book)
        tell.ring_item(tenant, item, "approval.requested")
    else:
        tell.about_item(tenant, item, "approval.requested", actor=item.opened_by, book=book)


def _current(item: Item) -> Item | None:
    """The open item of the same subject, held."""
    return (
        Item.objects.select_for_update()
        .filter(
            trace_id=item.trace_id,
            subject_type=item.subject_type,
            subject_id=item.subject_id,
            status__in=OPEN,
        )
        .first()
    )


def _attach(tenant: Tenant, current: Item, item: Item) -> Item:
    # The same request again: whoever repeats it asks for it too, so the four eyes look at them as well.
    current.repeats += 1
    current.requesters = sorted({*current.requesters, *item.requesters})
    current.save(update_fields=["repeats", "requesters"])
    Step.objects.create(
        tenant_id=tenant.pk,
        item_id=current.pk,
        version=current.version,
        action="repeat",
        by=item.opened_by,
        by_label=item.requested_by or item.opened_by,
        before=current.status,
        after=current.status,
        reason=item.reason,
        detail={"event_id": item.event_id, "log_seq": item.number},
    )
    tell.ring_item(tenant, current, "approval.updated")
    return current


def _supersede(tenant: Tenant, current: Item, item: Item, book: review.Book, now: datetime) -> None:
    before = current.status
    current.status, current.version = "withdrawn", current.version + 1
    current.superseded_by = item.pk
    current.decided_at = current.changed_at = now
    current.decided_by = current.changed_by = item.opened_by
    current.decided_label, current.changed_how = item.requested_by, "supersede"
    current.decision_reason = "Superseded: the agent now proposes another action."
    current.save()
    Timer.objects.filter(item_id=current.pk, state=Timer.WAITING).update(state=Timer.CANCELLED)
    Step.objects.create(
        tenant_id=tenant.pk,
        item_id=current.pk,
        version=current.version,
        action="supersede",
        by=item.opened_by,
        by_label=item.requested_by or item.opened_by,
        before=before,
        after=current.status,
        reason=current.decision_reason,
        detail={"superseded_by": str(item.pk), "event_id": item.event_id},
        at=now,
    )
    review.close_trace(book, current, f"{current.decision_reason} Next: {item.pk}.")
    tell.about_item(
        tenant, current, "approval.decided", actor=item.opened_by, decision="withdrawn", superseded_by=str(item.pk)
    )


# --- by people and programs ---------------------------------------------------------------------------


def open_item(
    tenant: Tenant,
    *,
    principal: Principal,
    trace_id: str,
    subject_type: str,
    subject_id: str,
    reason: str,
    title: str = "",
    priority: str = "normal",
    policy: dict[str, str] | None = None,
    action: dict[str, Any] | None = None,
    evidence: list[Any] | None = None,
    requested_by: dict[str, Any] | None = None,
    key: str | None = None,
) -> Item:
    """Ask people for a decision about a subject of a trace. Asking again answers the open item.

    ``action`` (the bound keys of an ``ActionProposed``) binds the approval to exactly that action; it
    is required for the subject type ``action``. Raises 404 for a trace that does not exist.
    """
    _may_ask(principal)
    content = {
        "trace_id": trace_id, "subject_type": subject_type, "subject_id": subject_id, "reason": reason, "title": title,
        "priority": priority, "policy": policy, "action": action, "evidence": evidence, "requested_by": requested_by,
    }  # fmt: skip
    if not reason.strip():
        raise invalid("reason", "approval.reason_missing", "Say why this is asked for.", status=422)
    if trace_id.startswith(REVIEW_PREFIX):
        raise invalid("trace_id", "approval.subject_invalid", "A review trace is no subject of a review.", status=422)
    if (subject_type == "action") != (action is not None):
        raise invalid(
            "action",
            "approval.subject_invalid",
            "Give the action exactly when the subject type is `action`: an approval binds to what will run.",
            status=422,
        )
    with tenant_tx(tenant):
        known = once.recall(tenant, principal, key, "open", content)
        if known is not None:
            return Item.objects.get(pk=known)
        begun = log.read_trace(tenant, trace_id, limit=1)
        if not begun:
            raise not_found("trace", trace_id)
        who = people.person(principal)
        item = Item(
            id=uuid.uuid4(),
            tenant_id=tenant.pk,
            trace_id=trace_id,
            subject_type=subject_type,
            subject_id=subject_id,
            title=title.strip()[:MAX_TITLE],
            reason=reason.strip(),
            evidence=evidence or [],
            priority=priority,
            opened_by=principal.ident,
            requested_by=_text(requested_by, "actor_id") or principal.label,
            requesters=sorted(who.names | names_in(requested_by)),
        )
        _describe(item, {"policy": policy or {}, **(action or {})}, begun[0].payload or {})
        if action is not None:
            try:
                _bind(item, action)
            except NotCanonical as error:
                raise invalid("action", "approval.subject_invalid", f"{error}.", status=422) from None
        book = review.Book(tenant, principal)
        opened = store(tenant, item, book, levels=policies.active(tenant), now=clock.now())
        if opened.pk == item.pk:
            record_audit(
                tenant,
                principal=principal,
                action="approval.requested",
                target=f"approval:{opened.pk}",
                reason=reason.strip(),
                after={"subject": f"{subject_type}:{subject_id}", "trace_id": trace_id},
            )
        once.remember(tenant, principal, key, "open", content, str(opened.pk))
        book.write()
        return opened


def _may_ask(principal: Principal) -> None:
    if not any(principal.may(name) for name in ("ingest", "operate", "review", "admin")):
        principal.require("review")
