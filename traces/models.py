"""Tables of the log. Only `traces.store` appends to the first two, and nothing changes them."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models

from decisiongraph.core.db import TenantModel


class Event(TenantModel):
    """The envelope of one event. UPDATE, DELETE and TRUNCATE are refused by the database.

    The real primary key is ``(tenant_id, log_seq)``. ``id`` is computed from it by the database
    and exists because Django's admin cannot register a composite key.
    """

    id = models.BigIntegerField(primary_key=True, editable=False)
    log_seq = models.BigIntegerField()
    event_id = models.TextField()
    trace_id = models.TextField()
    trace_seq = models.IntegerField()
    event_type = models.TextField()
    schema_version = models.IntegerField()
    occurred_at = models.TextField(help_text="RFC 3339, exactly as sent")
    occurred_ts = models.DateTimeField()
    recorded_at = models.DateTimeField()
    producer_id = models.TextField()
    system = models.TextField()
    subsystem = models.TextField(null=True)
    actor_type = models.TextField()
    actor_id = models.TextField()
    idempotency_key = models.TextField()
    correlation_id = models.TextField(null=True)
    causation_event_id = models.TextField(null=True)
    tags = ArrayField(models.TextField())
    origin = models.TextField()
    principal = models.TextField()
    commitment = models.BinaryField()
    leaf_hash = models.BinaryField()

    class Meta(TenantModel.Meta):
        managed = False
        db_table = "traces_event"
        verbose_name = "event"

    def __str__(self) -> str:
        return f"{self.log_seq} {self.event_type}"


class EventBody(TenantModel):
    """What can be erased: canonical payload, salt and what is derived from them."""

    id = models.BigIntegerField(primary_key=True, editable=False)
    log_seq = models.BigIntegerField()
    payload = models.TextField(help_text="RFC 8785 canonical JSON, the very bytes that were hashed")
    salt = models.BinaryField()
    payload_hash = models.BinaryField()
    content_hmac = models.BinaryField()

    class Meta(TenantModel.Meta):
        managed = False
        db_table = "traces_event_body"
        verbose_name = "event body"
        verbose_name_plural = "event bodies"

    def __str__(self) -> str:
        return str(self.log_seq)


class Refusal(TenantModel):
    """One of the last refused events, without its payload."""

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField()
    producer_id = models.TextField()
    principal = models.TextField()
    code = models.TextField()
    path = models.TextField()
    detail = models.TextField()
    trace_id = models.TextField()
    request_id = models.TextField()

    class Meta(TenantModel.Meta):
        indexes: ClassVar = [models.Index(fields=["tenant", "-id"], name="traces_refusal_recent")]

    def __str__(self) -> str:
        return f"{self.code} {self.path}"


class RefusalCount(TenantModel):
    """How often a producer's events were refused, per token and code."""

    id = models.BigAutoField(primary_key=True)
    producer_id = models.TextField()
    principal = models.TextField()
    code = models.TextField()
    count = models.BigIntegerField()
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "producer_id", "principal", "code"], name="traces_refusalcount_key"
            )
        ]

    def __str__(self) -> str:
        return f"{self.producer_id} {self.code} {self.count}"


class ProducerMinute(TenantModel):
    """Events and refusals of one producer in one minute of server time.

    Rolled up behind the log by its own cursor, never by the append itself: a counter that every
    append touches would be a hot row inside the tenant's lock.
    """

    id = models.BigAutoField(primary_key=True)
    minute = models.DateTimeField()
    producer_id = models.TextField()
    events = models.IntegerField(default=0)
    refused = models.IntegerField(default=0)
    last_at = models.DateTimeField()
    system = models.TextField(default="")

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "minute", "producer_id"], name="traces_producerminute_key")
        ]

    def __str__(self) -> str:
        return f"{self.producer_id} {self.minute} {self.events}"


class Producer(TenantModel):
    """A producer the log has seen, with its last event."""

    id = models.BigAutoField(primary_key=True)
    producer_id = models.TextField()
    system = models.TextField()
    events = models.BigIntegerField(default=0)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    last_log_seq = models.BigIntegerField()

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [models.UniqueConstraint(fields=["tenant", "producer_id"], name="traces_producer_key")]

    def __str__(self) -> str:
        return self.producer_id


class RollUp(TenantModel):
    """How far `ProducerMinute` and `Producer` have followed the log."""

    id = models.BigAutoField(primary_key=True)
    cursor = models.BigIntegerField(default=0)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [models.UniqueConstraint(fields=["tenant"], name="traces_rollup_tenant")]

    def __str__(self) -> str:
        return str(self.cursor)


class LogSeal(TenantModel):
    """How far the tree over the log has grown. Whoever seals holds this row's lock."""

    id = models.BigAutoField(primary_key=True)
    origin = models.TextField()
    """What the log is called in its checkpoints; settled when it is first sealed."""
    size = models.BigIntegerField(default=0)
    """Events in the tree."""
    frontier = models.BinaryField(default=b"")
    """The right edge of the tree (`traces.domain.merkle.Frontier`)."""
    sealed_at = models.DateTimeField(null=True)
    """When it last grew."""
    pushed_size = models.BigIntegerField(default=0)
    """Size of the newest checkpoint that was handed outside."""
    pushed_at = models.DateTimeField(null=True)
    fault = models.TextField(default="")
    """Why it does not grow; empty when all is well."""

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [models.UniqueConstraint(fields=["tenant"], name="traces_logseal_tenant")]

    def __str__(self) -> str:
        return f"sealed to {self.size}"


class LogNode(TenantModel):
    """The hash of a complete subtree of 256, 65,536, ... events. Never changed, never deleted."""

    id = models.BigAutoField(primary_key=True)
    height = models.SmallIntegerField()
    index = models.BigIntegerField()
    digest = models.BinaryField()

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "height", "index"], name="traces_lognode_place")
        ]

    def __str__(self) -> str:
        return f"{self.height}/{self.index}"


class LogCheckpoint(TenantModel):
    """What the log said of itself at one size, signed. Never changed, never deleted."""

    id = models.BigAutoField(primary_key=True)
    size = models.BigIntegerField()
    root = models.BinaryField()
    note = models.TextField()
    """The signed note, as it is handed out."""
    key_id = models.TextField()
    """Of the tenant's `SigningKey`."""
    sealed_at = models.DateTimeField()

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [models.UniqueConstraint(fields=["tenant", "size"], name="traces_logcheckpoint_size")]

    def __str__(self) -> str:
        return f"checkpoint at {self.size}"
