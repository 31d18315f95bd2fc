"""The job row an operator reads, and what a comparison found."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models

from decisiongraph.core import clock
from decisiongraph.core.db import TenantModel
from projections.models import CanonicalField

ALL = "all"
"""The projection of a parent that has one child per projection."""


class Replay(TenantModel):
    """A projection is run again. A queue message only says: look at this row."""

    MODES = ("catch_up", "verify", "rebuild")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    projection = models.TextField()
    mode = models.TextField()
    status = models.TextField(default="queued")
    parent_id = models.UUIDField(null=True)
    until_log_seq = models.BigIntegerField(null=True)
    reason = models.TextField()
    accept_mismatch = models.BooleanField(default=False)
    """Promote the rebuilt rows even if they differ: a privileged person said so."""
    expects_change = models.BooleanField(default=False, db_default=False)
    """Bodies were erased since the live rows were made: they differ, and that is no finding."""
    requested_by = models.TextField()
    request_id = models.TextField(default="")
    created_at = models.DateTimeField(default=clock.now)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    position = models.BigIntegerField(default=0)
    target = models.BigIntegerField(default=0)
    samples = CanonicalField(default=list)
    """The last few [seconds, position], for rate and ETA."""

    worker = models.TextField(default="")
    fence = models.IntegerField(default=0)
    """One more with every worker that takes the job; a late commit with an older one is refused."""
    lease_until = models.DateTimeField(null=True)
    """While this lies ahead the job belongs to ``worker``; null between two slices."""
    heartbeat_at = models.DateTimeField(null=True)
    takeovers = models.IntegerField(default=0)
    failures = models.IntegerField(default=0)
    cancel_requested = models.BooleanField(default=False)
    error = models.TextField(default="")

    generation = models.IntegerField(null=True)
    """The one being built."""
    live_generation = models.IntegerField(null=True)
    live_epoch = models.IntegerField(null=True)
    rule_version = models.IntegerField(null=True)
    live_rule_version = models.IntegerField(null=True)

    verdict = models.TextField(null=True)
    compared_at = models.BigIntegerField(null=True)
    """The position both generations stood at when they were compared."""
    live_digest = models.TextField(null=True)
    rebuilt_digest = models.TextField(null=True)
    canonical_digest = models.TextField(null=True)
    changed = models.BigIntegerField(default=0)
    missing = models.BigIntegerField(default=0)
    surplus = models.BigIntegerField(default=0)
    promoted = models.BooleanField(default=False)
    held_seconds = models.FloatField(null=True)
    """How long live catch-up waited for the comparison."""

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "projection"],
                condition=models.Q(status__in=["queued", "running"]),
                name="replays_one_active",
            )
        ]
        indexes: ClassVar = [
            models.Index(fields=["tenant", "-created_at"], name="replays_recent"),
            models.Index(fields=["tenant", "parent_id"], name="replays_children"),
            models.Index(
                fields=["lease_until"],
                condition=models.Q(status__in=["queued", "running"]),
                name="replays_waiting",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.mode} {self.projection} {self.id}"

    @property
    def differences(self) -> int:
        """Rows that differ, listed or not."""
        return self.changed + self.missing + self.surplus


class ReplayDifference(TenantModel):
    """One row that differs between the live generation and the rebuilt one."""

    id = models.BigAutoField(primary_key=True)
    replay_id = models.UUIDField()
    ordinal = models.IntegerField()
    table = models.TextField()
    key = models.TextField()
    kind = models.TextField()
    """``changed``; ``missing``: the live generation lacks it; ``surplus``: only live has it."""
    log_seq = models.BigIntegerField()
    """The event that made the row."""
    columns = CanonicalField()
    live = CanonicalField(null=True)
    expected = CanonicalField(null=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "replay_id", "ordinal"], name="replays_difference_key")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.table} {self.key}"


class Erasure(TenantModel):
    """Payloads that have to go, everywhere: asked for by one person, confirmed by another, done by a job."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    status = models.TextField(default="surveying")
    """`replays.domain.erasure.Status`."""
    step = models.TextField(default="")
    """What a running one does; one of `replays.domain.erasure.STEPS`."""
    reason = models.TextField()
    events = CanonicalField()
    """Positions of the events whose payloads are erased."""
    copies = CanonicalField(default=list)
    """Positions of platform events that repeated them and are erased with them."""
    wanted = models.BinaryField(null=True)
    """The texts that must be nowhere, encrypted (`tenants.services.vault`); null once it is over."""
    texts = models.IntegerField(default=0)
    """How many those are."""
    elsewhere = CanonicalField(default=list)
    """Positions of other events that say a text the requester named: it cannot be erased without them."""
    left = CanonicalField(default=list)
    """Where the search still found something: tables, columns and numbers of rows."""
    asked_by = models.TextField()
    asked_user = models.IntegerField()
    asked_at = models.DateTimeField(default=clock.now)
    confirmed_by = models.TextField(default="")
    confirmed_at = models.DateTimeField(null=True)
    moved_at = models.DateTimeField(default=clock.now)
    """When a worker last did something: who was silent for long is woken again."""
    finished_at = models.DateTimeField(null=True)
    replay_id = models.UUIDField(null=True)
    """The replay it waits for."""
    head = models.BigIntegerField(null=True)
    """Where the log ended when the last body was erased: digests up to here are superseded."""
    error = models.TextField(default="")

    class Meta(TenantModel.Meta):
        indexes: ClassVar = [
            models.Index(fields=["tenant", "-asked_at"], name="replays_erasure_recent"),
            models.Index(
                fields=["moved_at"],
                condition=models.Q(status__in=["surveying", "running"]),
                name="replays_erasure_active",
            ),
        ]

    def __str__(self) -> str:
        return f"erasure {self.id} {self.status}"
