"""One item with everything around it, and as the rules see it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import NamedTuple

from django.db import connection

from approvals.domain import ticket as tickets
from approvals.domain import workflow
from approvals.domain.people import Person
from approvals.models import Comment, Delegation, Incident, Item, Step, Timer, Vote
from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import not_found
from tenants.models import Tenant
from traces import selectors as log
from traces.domain.envelope import StoredEvent

MOST_ROWS = 1_000
"""Steps and comments of one item that are read."""


def ident_of(item_id: str) -> uuid.UUID:
    """The id out of an address. 404 for what is none: nobody has such an item."""
    try:
        return uuid.UUID(item_id)
    except ValueError:
        raise not_found("approval", item_id) from None


def item(tenant: Tenant, item_id: str) -> Item:
    """One item. 404 when there is none."""
    with tenant_tx(tenant):
        found = Item.objects.filter(pk=ident_of(item_id)).first()
    if found is None:
        raise not_found("approval", item_id)
    return found


def as_rules(row: Item, votes: Iterable[Vote]) -> workflow.Item:
    """An item as the rules see it; of the votes only those of its round count."""
    return workflow.Item(
        status=row.status,  # type: ignore[arg-type]
        requesters=frozenset(row.requesters),
        holder=row.holder,
        quorum=row.quorum,
        reviewers=tuple(row.reviewers),
        round=row.round,
        level=row.level,
        votes=tuple(
            workflow.Vote(vote.voter, frozenset(vote.names), vote.approve) for vote in votes if vote.round == row.round
        ),
    )


def as_stands(rows: Iterable[Delegation]) -> list[workflow.Stand]:
    """Delegations as the rules see them."""
    return [workflow.Stand(row.delegator, row.delegate, row.starts_at, row.ends_at) for row in rows]


class Details(NamedTuple):
    """One item with everything around it, from one snapshot."""

    item: Item
    votes: list[Vote]
    steps: list[Step]
    comments: list[Comment]
    delegations: list[Delegation]
    timers: list[Timer]
    incidents: list[Incident]
    outside: list[StoredEvent]
    """``ApprovalRecorded`` of the subject's own trace about the same subject: given elsewhere, evidence only."""

    def rules(self) -> workflow.Item:
        """The item as the rules see it."""
        return as_rules(self.item, self.votes)

    def _stands(self) -> list[workflow.Stand]:
        return as_stands(self.delegations)

    def allowed(self, person: Person) -> tuple[workflow.Action, ...]:
        """What this person may do now."""
        return workflow.allowed(self.rules(), person, stands=self._stands(), now=clock.now())

    def refusal(self, action: workflow.Action, person: Person) -> workflow.Refused | None:
        """Why this person may not do something now; None when they may."""
        return workflow.refusal(self.rules(), action, person, stands=self._stands(), now=clock.now())


def details(tenant: Tenant, item_id: str, *, row: Item | None = None) -> Details:
    """One item with votes, history, comments, delegations, timers and incidents. 404 when there is none.

    ``row``: the item as a write has just left it, which is then not read again.
    """
    with tenant_tx(tenant):
        row = row or item(tenant, item_id)
        comments, delegations, incidents = _some(row)
        return Details(
            row,
            list(Vote.objects.filter(item_id=row.pk).order_by("id")),
            list(Step.objects.filter(item_id=row.pk).order_by("id")[:MOST_ROWS]),
            list(Comment.objects.filter(item_id=row.pk).order_by("id")[:MOST_ROWS]) if comments else [],
            list(Delegation.objects.filter(item_id=row.pk).order_by("id")) if delegations else [],
            list(Timer.objects.filter(item_id=row.pk).order_by("due_at", "id")),
            list(Incident.objects.filter(item_id=row.pk).order_by("opened_at")) if incidents else [],
            outside_approvals(tenant, row),
        )


_SOME = """
SELECT EXISTS (SELECT FROM approvals_comment WHERE tenant_id = %(tenant)s AND item_id = %(item)s),
       EXISTS (SELECT FROM approvals_delegation WHERE tenant_id = %(tenant)s AND item_id = %(item)s),
       EXISTS (SELECT FROM approvals_incident WHERE tenant_id = %(tenant)s AND item_id = %(item)s)
"""


def _some(row: Item) -> tuple[bool, bool, bool]:
    """Whether an item has comments, delegations, incidents: most have none, and one question is cheaper than three."""
    with connection.cursor() as cursor:
        cursor.execute(_SOME, {"tenant": row.tenant_id, "item": row.pk})
        found = cursor.fetchone()
    assert found is not None
    return found


def outside_approvals(tenant: Tenant, row: Item) -> list[StoredEvent]:
    """Approvals that agents say were given elsewhere for an item's subject. They change nothing here."""
    found = log.trace_history(tenant, [row.trace_id], ["ApprovalRecorded"])[row.trace_id]

    def about(event: StoredEvent) -> bool:
        subject = (event.payload or {}).get("subject")
        return isinstance(subject, dict) and subject.get("subject_id") == row.subject_id

    return [event for event in found if event.origin != "platform" and about(event)]


def ticket(row: Item) -> tickets.Ticket:
    """The ticket behind an item."""
    return tickets.Ticket(row.status, row.action_digest, row.ticket_expires_at, row.used_by)
