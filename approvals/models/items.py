"""What waits for a decision, who voted, what happened to it, and when it rings."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models

from approvals.domain.workflow import OPEN
from decisiongraph.core import clock
from decisiongraph.core.db import TenantModel

NEVER = datetime(9999, 12, 31, tzinfo=UTC)
"""Stands in ``sort_at`` for an item without a deadline: a null would need an index of its own."""


class Item(TenantModel):
    """One request for a decision of people. Its review trace is ``review:<id>``."""

    id = models.UUIDField(primary_key=True, editable=False)
    number = models.BigIntegerField(default=0)
    """Position of the subject event in the log; 0 when a person or a program opened it."""
    trace_id = models.TextField()
    """The subject's trace, never the review trace."""
    subject_type = models.TextField()
    subject_id = models.TextField()
    event_id = models.TextField(null=True)
    title = models.TextField(default="")
    reason = models.TextField(default="")
    evidence = models.JSONField(default=list)
    priority = models.TextField(default="normal")
    policy_id = models.TextField(null=True)
    policy_version = models.TextField(null=True)
    workflow = models.TextField(default="")
    entity_type = models.TextField(default="")
    entity_system = models.TextField(null=True)
    entity_id = models.TextField(default="")
    action = models.TextField(null=True)
    """The bound action as canonical JSON, the very text its digest was taken of."""
    action_digest = models.TextField(null=True)
    opened_by = models.TextField()
    """Principal that asked: ident of a token or user."""
    requested_by = models.TextField(default="")
    """Who asked, for people."""
    requesters = ArrayField(models.TextField(), default=list)
    """Normal names the four eyes look at."""

    status = models.TextField(default="requested")
    version = models.IntegerField(default=1)
    round = models.IntegerField(default=1)
    level = models.IntegerField(default=0)
    holder = models.TextField(default="")
    holder_label = models.TextField(default="")
    assignee = models.TextField(default="")
    """Ident of a person or token, or ``role:<role>``; empty = whoever may review."""
    quorum = models.IntegerField(default=1)
    reviewers = ArrayField(models.TextField(), default=list)
    repeats = models.IntegerField(default=0)
    """How often the same request came again and was attached."""

    sla_name = models.TextField(default="")
    sla = models.JSONField(default=dict)
    """The policy as it was when the item opened."""
    opened_at = models.DateTimeField(default=clock.now)
    clock_at = models.DateTimeField(default=clock.now)
    """When the policy's clock started."""
    due_at = models.DateTimeField(null=True)
    sort_at = models.DateTimeField(default=NEVER)
    """``due_at``, or far away: the order of the inbox."""
    expires_at = models.DateTimeField(null=True)
    changed_at = models.DateTimeField(default=clock.now)
    changed_by = models.TextField(default="")
    changed_how = models.TextField(default="request")
    """The action that made the present version."""

    decided_at = models.DateTimeField(null=True)
    decided_by = models.TextField(default="")
    decided_label = models.TextField(default="")
    decision_reason = models.TextField(default="")
    ticket_expires_at = models.DateTimeField(null=True)
    used_at = models.DateTimeField(null=True)
    used_by = models.TextField(default="")
    """Event that used the ticket."""
    superseded_by = models.UUIDField(null=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "trace_id", "subject_type", "subject_id"],
                condition=models.Q(status__in=OPEN),
                name="approvals_item_one_open",
            )
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["tenant", "sort_at", "id"], condition=models.Q(status__in=OPEN), name="approvals_item_inbox"
            ),
            models.Index(
                fields=["tenant", "assignee", "sort_at", "id"],
                condition=models.Q(status__in=OPEN),
                name="approvals_item_mine",
            ),
            models.Index(
                fields=["tenant", "holder", "sort_at", "id"],
                condition=models.Q(status__in=OPEN),
                name="approvals_item_held",
            ),
            models.Index(
                fields=["tenant", "opened_by", "sort_at", "id"],
                condition=models.Q(status="changes_requested"),
                name="approvals_item_back",
            ),
            GinIndex(
                fields=["reviewers"],
                fastupdate=False,  # a list of what is still to be put in would be read whole every time
                condition=models.Q(status__in=OPEN) & ~models.Q(reviewers=[]),
                name="approvals_item_named",
            ),
            models.Index(fields=["tenant", "status", "sort_at", "id"], name="approvals_item_status"),
            models.Index(fields=["tenant", "-opened_at", "-id"], name="approvals_item_recent"),
            models.Index(fields=["tenant", "trace_id", "-opened_at"], name="approvals_item_trace"),
            models.Index(
                fields=["tenant", "policy_id", "policy_version"],
                condition=models.Q(subject_type="exception"),
                name="approvals_item_policy",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.subject_type} {self.subject_id} ({self.status})"

    @property
    def review_trace(self) -> str:
        """The trace in which everything about this item is written down."""
        return f"review:{self.pk}"

    @property
    def open(self) -> bool:
        """Whether anything can still be decided."""
        return self.status in OPEN


class OfItem(TenantModel):
    """A row that belongs to an item. No constraint in the database: whoever inserts holds the item."""

    id = models.BigAutoField(primary_key=True)
    item = models.ForeignKey(Item, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")

    class Meta(TenantModel.Meta):
        abstract = True


class Vote(OfItem):
    """One person's decision in one round. Never changed."""

    round = models.IntegerField()
    voter = models.TextField()
    voter_label = models.TextField()
    names = ArrayField(models.TextField())
    on_behalf_of = models.TextField(default="")
    approve = models.BooleanField()
    reason = models.TextField()
    at = models.DateTimeField(default=clock.now)

    class Meta(OfItem.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "item", "round", "voter"], name="approvals_vote_once")
        ]

    def __str__(self) -> str:
        return f"{self.voter}: {'for' if self.approve else 'against'}"


class Step(OfItem):
    """One thing that happened to an item. Appended, never changed."""

    version = models.IntegerField()
    action = models.TextField()
    by = models.TextField()
    by_label = models.TextField()
    before = models.TextField(default="")
    after = models.TextField(default="")
    reason = models.TextField(default="")
    detail = models.JSONField(default=dict)
    at = models.DateTimeField(default=clock.now)

    class Meta(OfItem.Meta):
        indexes: ClassVar = [models.Index(fields=["tenant", "item", "id"], name="approvals_step_item")]

    def __str__(self) -> str:
        return f"{self.action} by {self.by}"


class Comment(OfItem):
    """What somebody said about an item. Rows and not events: a person may ask to have them erased."""

    by = models.TextField()
    by_label = models.TextField()
    text = models.TextField()
    at = models.DateTimeField(default=clock.now)

    class Meta(OfItem.Meta):
        indexes: ClassVar = [models.Index(fields=["tenant", "item", "id"], name="approvals_comment_item")]

    def __str__(self) -> str:
        return f"{self.by}: {self.text[:40]}"


class Delegation(OfItem):
    """Somebody stands in for a reviewer on one item, from one moment until another."""

    delegator = models.TextField()
    delegate = models.TextField()
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    reason = models.TextField(default="")
    at = models.DateTimeField(default=clock.now)

    class Meta(OfItem.Meta):
        indexes: ClassVar = [
            models.Index(fields=["tenant", "item", "id"], name="approvals_delegation_item"),
            models.Index(fields=["tenant", "delegate", "ends_at"], name="approvals_delegation_mine"),
        ]

    def __str__(self) -> str:
        return f"{self.delegate} for {self.delegator}"


class Timer(OfItem):
    """Something that is to happen at a moment. Claimed ``SKIP LOCKED``, fired once."""

    WAITING, FIRED, CANCELLED = "waiting", "fired", "cancelled"

    kind = models.TextField()
    level = models.IntegerField(default=0)
    due_at = models.DateTimeField()
    state = models.TextField(default=WAITING)
    fired_at = models.DateTimeField(null=True)

    class Meta(OfItem.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "item", "kind", "level"], name="approvals_timer_key")
        ]
        indexes: ClassVar = [
            models.Index(fields=["due_at", "id"], condition=models.Q(state="waiting"), name="approvals_timer_due"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.level} at {self.due_at}"
