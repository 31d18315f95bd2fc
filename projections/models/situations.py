"""Situations of finished decisions, made from the log beside the projections.

They are no projection: no digest covers them, and they are made again from the log at will. Each
row belongs to the position of its ``TraceFinished``.
"""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models

from decisiongraph.core import clock
from decisiongraph.core.db import TenantModel
from projections.models.rows import CanonicalField


class SituationRow(TenantModel):
    """What one finished decision was about, and how it ended."""

    id = models.BigAutoField(primary_key=True)
    trace_sha = models.BinaryField()
    trace_id = models.TextField()
    log_seq = models.BigIntegerField()
    outcome = models.TextField()
    finished_at = models.TextField()
    finished_ts = models.DateTimeField(null=True)
    title = models.TextField()
    workflow = models.TextField(null=True)
    entity_type = models.TextField(null=True)
    policies = ArrayField(models.TextField())
    codes = ArrayField(models.TextField())
    actions = ArrayField(models.TextField())
    spoken = models.BooleanField()
    situation = CanonicalField()
    handle = models.TextField()
    """The folded opening, for similar spelling."""
    words = SearchVectorField()
    group_sha = models.BinaryField()
    """The same for decisions in the same situation: a fingerprint, or the first of those near it."""
    gathered = models.BooleanField(default=True)
    """False while a spoken decision waits to be compared with those of its kind."""

    class Meta(TenantModel.Meta):
        verbose_name = "situation"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "trace_sha"], name="projections_situation_key"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["tenant", "log_seq"], name="projections_situation_recent"),
            models.Index(
                fields=["tenant", "log_seq"],
                condition=models.Q(spoken=True, gathered=False),
                name="projections_situation_waits",
            ),
            models.Index(fields=["tenant", "group_sha", "log_seq"], name="projections_situation_group"),
            GinIndex(fields=["tenant", "words"], name="projections_situation_words"),
            GinIndex(
                fields=["tenant", "handle"],
                opclasses=["int4_ops", "gin_trgm_ops"],
                name="projections_situation_handle",
            ),
        ]

    def __str__(self) -> str:
        return self.trace_id


class SituationCursor(TenantModel):
    """How far a tenant's log was read for situations."""

    id = models.BigAutoField(primary_key=True)
    log_seq = models.BigIntegerField(default=0)
    updated_at = models.DateTimeField(default=clock.now)
    texts_to = models.BigIntegerField(default=0)
    """How far open traces were read for their texts."""
    gathered_at = models.DateTimeField(null=True)
    """When spoken decisions were compared with each other last."""

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant"], name="projections_situationcursor_key"),
        ]

    def __str__(self) -> str:
        return f"{self.tenant_id} at {self.log_seq}"
