"""What the engine remembers: cursors, generations, digests, dead letters, findings, heartbeats."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from decisiongraph.core import clock
from decisiongraph.core.db import TenantModel
from projections.models.rows import CanonicalField


class Generation(TenantModel):
    """One set of rows of one projection. Readers use the active one."""

    BUILDING, ACTIVE, RETIRED, DELETED = "building", "active", "retired", "deleted"

    id = models.BigAutoField(primary_key=True)
    projection = models.TextField()
    number = models.IntegerField()
    state = models.TextField(default=BUILDING)
    """``building`` beside the active one, ``active``, ``retired`` (to be deleted in batches) or ``deleted``."""
    rule_version = models.IntegerField()
    created_at = models.DateTimeField(default=clock.now)
    promoted_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "projection", "number"], name="projections_generation_key"),
            models.UniqueConstraint(
                fields=["tenant", "projection"],
                condition=models.Q(state="active"),
                name="projections_generation_active",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.projection} {self.number}"


class Checkpoint(TenantModel):
    """How far one generation of one projection has come. Whoever folds holds this row's lock.

    Higher floors that follow the log keep a cursor row of their own; this one belongs to the engine.
    """

    id = models.BigAutoField(primary_key=True)
    projection = models.TextField()
    generation = models.IntegerField()
    active = models.BooleanField(default=False)
    cursor = models.BigIntegerField(default=0)
    """Last applied ``log_seq``."""
    epoch = models.IntegerField(default=0)
    """One more whenever rows change without the cursor moving (a retried dead letter)."""
    failures = models.IntegerField(default=0)
    """Failed batches since the last good one."""
    last_error = models.TextField(default="")
    last_error_at = models.DateTimeField(null=True)
    moved_at = models.DateTimeField(default=clock.now)
    rate = models.FloatField(default=0)
    """Events per second of the last batch that was worth measuring."""
    held_until = models.DateTimeField(null=True)
    """Until then live catch-up leaves the row alone: a cut-over is about to lock it."""
    scrub_bucket = models.IntegerField(default=0)
    scrubbed_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "projection", "generation"], name="projections_checkpoint_key"),
            models.UniqueConstraint(
                fields=["tenant", "projection"],
                condition=models.Q(active=True),
                name="projections_checkpoint_active",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.projection} {self.generation} at {self.cursor}"


class DigestKey(TenantModel):
    """The secret under which a tenant's rows are hashed."""

    id = models.BigAutoField(primary_key=True)
    secret = models.BinaryField()

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [models.UniqueConstraint(fields=["tenant"], name="projections_digestkey_tenant")]

    def __str__(self) -> str:
        return "digest key"


class DigestBucket(TenantModel):
    """One of the 256 sums of a generation's live digest; absent = 0."""

    id = models.BigAutoField(primary_key=True)
    projection = models.TextField()
    generation = models.IntegerField()
    bucket = models.SmallIntegerField()
    total = models.BinaryField()

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "projection", "generation", "bucket"],
                name="projections_digestbucket_key",
            )
        ]

    def __str__(self) -> str:
        return f"{self.projection} {self.generation} {self.bucket}"


class RecordedDigest(TenantModel):
    """A canonical or reference digest and the position it was computed at."""

    id = models.BigAutoField(primary_key=True)
    kind = models.TextField()
    """``canonical`` or ``reference``."""
    name = models.TextField()
    """The projection, or a name of the reference digests."""
    generation = models.IntegerField()
    """0 for reference digests: they belong to the log, not to rows."""
    cursor = models.BigIntegerField()
    rule_version = models.IntegerField()
    digest = models.TextField()
    created_at = models.DateTimeField(default=clock.now)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "kind", "name", "generation", "cursor"],
                name="projections_recordeddigest_key",
            )
        ]
        indexes: ClassVar = [
            models.Index(fields=["tenant", "kind", "name", "cursor"], name="projections_digest_position"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.name} at {self.cursor}"


class DeadLetter(TenantModel):
    """A trace that one projection set aside, because its rule failed on one of the trace's events."""

    OPEN, RETRIED, SKIPPED = "open", "retried", "skipped"

    id = models.BigAutoField(primary_key=True)
    projection = models.TextField()
    generation = models.IntegerField()
    trace_id = models.TextField()
    log_seq = models.BigIntegerField()
    """The event the rule failed on; the trace's events from here to the cursor wait."""
    event_type = models.TextField()
    error = models.TextField()
    rule_version = models.IntegerField()
    waiting = models.IntegerField(default=1)
    """Events that wait, the failed one among them."""
    attempts = models.IntegerField(default=1)
    state = models.TextField(default=OPEN)
    created_at = models.DateTimeField(default=clock.now)
    closed_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(
                models.F("tenant"),
                models.F("projection"),
                models.F("generation"),
                models.Func("trace_id", function="md5"),
                condition=models.Q(state="open"),
                name="projections_deadletter_open",
            )
        ]
        indexes: ClassVar = [
            models.Index(fields=["tenant", "-id"], name="projections_deadletter_recent"),
        ]

    def __str__(self) -> str:
        return f"{self.projection} {self.trace_id} at {self.log_seq}"


class SkippedEvent(TenantModel):
    """The stored fact that a projection leaves one event out, in every generation."""

    id = models.BigAutoField(primary_key=True)
    projection = models.TextField()
    log_seq = models.BigIntegerField()
    trace_id = models.TextField()
    reason = models.TextField()
    principal = models.TextField()
    created_at = models.DateTimeField(default=clock.now)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "projection", "log_seq"], name="projections_skippedevent_key")
        ]

    def __str__(self) -> str:
        return f"{self.projection} {self.log_seq}"


class Finding(TenantModel):
    """Something is wrong with a projection. Higher floors follow these by ``id``."""

    MISMATCH, STALE = "mismatch", "stale"

    id = models.BigAutoField(primary_key=True)
    kind = models.TextField()
    projection = models.TextField()
    generation = models.IntegerField()
    log_seq = models.BigIntegerField()
    """The event concerned: the one that made the first differing row, or the first unapplied one."""
    detail = CanonicalField()
    """What a person needs to see: counts, the first rows, the replay."""
    created_at = models.DateTimeField(default=clock.now)
    closed_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        indexes: ClassVar = [
            models.Index(fields=["tenant", "id"], name="projections_finding_follow"),
            models.Index(
                fields=["tenant", "kind", "projection"],
                condition=models.Q(closed_at__isnull=True),
                name="projections_finding_open",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.projection}"


class WorkerHeartbeat(models.Model):
    """A process that works in the background, or the beat, and when it was last heard."""

    name = models.TextField(primary_key=True)
    kind = models.TextField()
    """``worker`` or ``beat``."""
    queues = models.TextField(default="")
    pid = models.IntegerField(default=0)
    current = models.TextField(default="")
    """The slice it is working on, empty when idle."""
    current_since = models.DateTimeField(null=True)
    started_at = models.DateTimeField()
    at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name
