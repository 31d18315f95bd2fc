"""Who is told what and how: inbox, preferences, webhook endpoints, deliveries and their attempts."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex
from django.db import models

from decisiongraph.core import clock
from decisiongraph.core.db import TenantModel


class Notification(TenantModel):
    """One line in a person's inbox."""

    id = models.BigAutoField(primary_key=True)
    user_id = models.IntegerField()
    outbox_id = models.BigIntegerField()
    kind = models.TextField()
    """One of `approvals.domain.notices.KINDS`."""
    message = models.TextField()
    subject = models.TextField()
    """``approval`` or ``incident``."""
    ident = models.TextField()
    title = models.TextField()
    text = models.TextField(default="")
    actor = models.TextField(default="")
    at = models.DateTimeField(default=clock.now)
    read_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "user_id", "outbox_id"], name="approvals_notification_once")
        ]
        indexes: ClassVar = [
            models.Index(fields=["tenant", "user_id", "-id"], name="approvals_notification_list"),
            models.Index(fields=["tenant", "-id"], name="approvals_notification_last"),
            BrinIndex(fields=["at"], name="approvals_notification_age"),
            models.Index(
                fields=["tenant", "user_id"],
                condition=models.Q(read_at__isnull=True),
                name="approvals_notification_unread",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind}: {self.title}"


class Preference(TenantModel):
    """How a person wants to be told of one kind of thing; without a row the kind's own default holds."""

    id = models.BigAutoField(primary_key=True)
    user_id = models.IntegerField()
    kind = models.TextField()
    inbox = models.BooleanField()
    email = models.BooleanField()

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "user_id", "kind"], name="approvals_preference_key")
        ]

    def __str__(self) -> str:
        return f"{self.kind}: inbox {self.inbox}, e-mail {self.email}"


class Endpoint(TenantModel):
    """Where a tenant wants to be told by webhook."""

    id = models.UUIDField(primary_key=True, editable=False)
    url = models.TextField()
    description = models.TextField(default="")
    messages = ArrayField(models.TextField())
    """Names of the messages it is told; empty: all."""
    enabled = models.BooleanField(default=True)
    secret = models.BinaryField()
    """Encrypted (`services.vault`)."""
    old_secret = models.BinaryField(null=True)
    """The one before, while receivers change over: both sign."""
    old_until = models.DateTimeField(null=True)
    failing_since = models.DateTimeField(null=True)
    disabled_reason = models.TextField(default="")
    created_at = models.DateTimeField(default=clock.now)
    created_by = models.TextField(default="")

    class Meta(TenantModel.Meta):
        indexes: ClassVar = [models.Index(fields=["tenant", "-created_at"], name="approvals_endpoint_list")]

    def __str__(self) -> str:
        return self.url


class Delivery(TenantModel):
    """One message on its way to one endpoint or one mailbox."""

    WEBHOOK, EMAIL = "webhook", "email"
    WAITING, DONE, DEAD = "waiting", "done", "dead"

    id = models.UUIDField(primary_key=True, editable=False)
    channel = models.TextField()
    outbox_id = models.BigIntegerField()
    target = models.TextField()
    """Id of the endpoint, or number of the person."""
    message = models.TextField()
    body = models.TextField()
    """What is sent, byte for byte the same at every attempt."""
    subject = models.TextField(default="")
    """Of a mail."""
    state = models.TextField(default=WAITING)
    attempts = models.IntegerField(default=0)
    next_at = models.DateTimeField(default=clock.now)
    """When it is due. While somebody tries: when somebody else may."""
    last_status = models.IntegerField(null=True)
    last_error = models.TextField(default="")
    created_at = models.DateTimeField(default=clock.now)
    ended_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        verbose_name_plural = "deliveries"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "channel", "target", "outbox_id"], name="approvals_delivery_once")
        ]
        indexes: ClassVar = [
            models.Index(fields=["next_at", "id"], condition=models.Q(state="waiting"), name="approvals_delivery_due"),
            models.Index(fields=["tenant", "channel", "target", "-created_at"], name="approvals_delivery_list"),
            BrinIndex(fields=["created_at"], name="approvals_delivery_age"),
        ]

    def __str__(self) -> str:
        return f"{self.message} to {self.target}: {self.state}"


class Attempt(TenantModel):
    """One try of one delivery. Never changed."""

    id = models.BigAutoField(primary_key=True)
    delivery = models.ForeignKey(
        Delivery, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    number = models.IntegerField()
    at = models.DateTimeField(default=clock.now)
    milliseconds = models.IntegerField(default=0)
    status = models.IntegerField(null=True)
    error = models.TextField(default="")
    address = models.TextField(default="")
    """The address that was connected to."""
    answer = models.TextField(default="")
    """The beginning of what the endpoint said."""

    class Meta(TenantModel.Meta):
        indexes: ClassVar = [models.Index(fields=["tenant", "delivery", "id"], name="approvals_attempt_delivery")]

    def __str__(self) -> str:
        return f"{self.number}: {self.status or self.error}"
