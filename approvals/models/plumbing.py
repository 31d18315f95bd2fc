"""Policies, and what keeps the workflow exact: cursor, outbox, keys of repeated requests."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.indexes import BrinIndex
from django.db import models

from decisiongraph.core import clock
from decisiongraph.core.db import TenantModel


class SlaPolicy(TenantModel):
    """A service level of a tenant. Items keep a copy, so a change never moves what was promised."""

    id = models.UUIDField(primary_key=True, editable=False)
    name = models.TextField()
    applies = models.JSONField(default=dict)
    """`approvals.domain.sla.Match`."""
    definition = models.JSONField()
    """`approvals.domain.sla.Policy`."""
    active = models.BooleanField(default=True)
    version = models.IntegerField(default=1)
    created_at = models.DateTimeField(default=clock.now)
    updated_at = models.DateTimeField(default=clock.now)
    updated_by = models.TextField(default="")

    class Meta(TenantModel.Meta):
        verbose_name = "SLA policy"
        verbose_name_plural = "SLA policies"
        constraints: ClassVar = [models.UniqueConstraint(fields=["tenant", "name"], name="approvals_policy_name")]

    def __str__(self) -> str:
        return self.name


class Follower(TenantModel):
    """How far the workflow has followed the tenant's log. Whoever follows holds this row's lock."""

    id = models.BigAutoField(primary_key=True)
    cursor = models.BigIntegerField(default=0)
    moved_at = models.DateTimeField(default=clock.now)
    failures = models.IntegerField(default=0)
    last_error = models.TextField(default="")
    checkpoint_size = models.BigIntegerField(default=0, db_default=0)
    """Size of the newest checkpoint that webhooks were told of."""
    checkpoint_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [models.UniqueConstraint(fields=["tenant"], name="approvals_follower_tenant")]

    def __str__(self) -> str:
        return f"at {self.cursor}"


class Outbox(TenantModel):
    """One thing somebody may want to be told, written in the transaction in which it became true.

    Deliverers (inbox, mail, webhooks) follow these rows; this app only writes them.
    """

    id = models.BigAutoField(primary_key=True)
    message = models.TextField()
    """``approval.decided``, ``incident.opened``, ...: the names of the live messages."""
    kind = models.TextField()
    """``approval`` or ``incident``."""
    ident = models.TextField()
    data = models.JSONField(default=dict)
    """Everything a deliverer needs, as it was then."""
    actor = models.TextField(default="")
    """Who caused it: they need not be told."""
    at = models.DateTimeField(default=clock.now)
    handled_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        verbose_name_plural = "outbox"
        indexes: ClassVar = [
            models.Index(fields=["id"], condition=models.Q(handled_at__isnull=True), name="approvals_outbox_waiting"),
            models.Index(fields=["tenant", "kind", "ident", "id"], name="approvals_outbox_subject"),
            BrinIndex(fields=["at"], name="approvals_outbox_age"),
        ]

    def __str__(self) -> str:
        return f"{self.message} {self.ident}"


class Once(TenantModel):
    """The answer to a write that carried an idempotency key."""

    id = models.BigAutoField(primary_key=True)
    principal = models.TextField()
    key = models.TextField()
    asked = models.TextField()
    """Digest of operation and content: the same key with another content is refused."""
    target = models.TextField()
    """What it made or changed."""
    at = models.DateTimeField(default=clock.now)

    class Meta(TenantModel.Meta):
        verbose_name_plural = "once"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "principal", "key"], name="approvals_once_key")
        ]
        indexes: ClassVar = [models.Index(fields=["at"], name="approvals_once_age")]

    def __str__(self) -> str:
        return self.key


class ProducerWatch(TenantModel):
    """How long a producer may be silent before somebody is told."""

    id = models.BigAutoField(primary_key=True)
    producer_id = models.TextField()
    seconds = models.IntegerField()
    set_by = models.TextField()
    set_at = models.DateTimeField(default=clock.now)

    class Meta(TenantModel.Meta):
        verbose_name_plural = "producer watches"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "producer_id"], name="approvals_watch_producer")
        ]

    def __str__(self) -> str:
        return f"{self.producer_id}: {self.seconds} s"
