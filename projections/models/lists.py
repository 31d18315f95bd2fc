"""What people keep of the trace list: views they saved, columns they chose, files they asked for."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models

from decisiongraph.core import clock
from decisiongraph.core.db import TenantModel
from projections.models.rows import CanonicalField


class SavedView(TenantModel):
    """A search somebody keeps, for themselves or for everybody in the tenant."""

    id = models.BigAutoField(primary_key=True)
    name = models.TextField()
    owner = models.TextField()
    """The principal's ident."""
    shared = models.BooleanField(default=False)
    query = models.TextField()
    """Canonical text of the search."""
    sort = models.TextField(default="-last")
    columns = ArrayField(models.TextField(), default=list)
    """Columns it shows (`projections.domain.columns`); none: those the reader chose."""
    created_at = models.DateTimeField(default=clock.now)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "owner", "name"],
                condition=models.Q(shared=False),
                name="projections_view_own",
            ),
            models.UniqueConstraint(
                fields=["tenant", "name"], condition=models.Q(shared=True), name="projections_view_shared"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class ColumnChoice(TenantModel):
    """The columns a person wants to see in the trace list when an address does not say."""

    id = models.BigAutoField(primary_key=True)
    owner = models.TextField()
    """The principal's ident."""
    columns = ArrayField(models.TextField())

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "owner"], name="projections_columns_own"),
        ]

    def __str__(self) -> str:
        return f"{self.owner}: {', '.join(self.columns)}"


class TraceExport(TenantModel):
    """A file of the traces a search finds. Whoever holds the row's lock writes the next piece.

    Piece and position are one transaction, so a killed worker leaves whole pieces and the next one
    goes on behind the last.
    """

    QUEUED, RUNNING, COMPLETED, FAILED, CANCELLED, EXPIRED = (
        "queued", "running", "completed", "failed", "cancelled", "expired",
    )  # fmt: skip
    ACTIVE = (QUEUED, RUNNING)
    CSV, NDJSON = FORMATS = ("csv", "ndjson")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    requested_by = models.TextField()
    format = models.TextField()
    query = models.TextField()
    """Canonical text of the search; a ``range:`` counts from ``created_at``."""
    columns = ArrayField(models.TextField(), default=list)
    """Columns of a CSV file (`projections.domain.table`); none: all."""
    status = models.TextField(default=QUEUED)
    total = models.BigIntegerField(null=True)
    """Traces found when the work began; null before, and when counting took too long."""
    done = models.BigIntegerField(default=0)
    size = models.BigIntegerField(default=0)
    """Bytes written."""
    pieces = models.IntegerField(default=0)
    position = CanonicalField(null=True)
    """[start of the last trace written, its ``first_log_seq``]."""
    error = models.TextField(default="")
    created_at = models.DateTimeField(default=clock.now)
    moved_at = models.DateTimeField(default=clock.now)
    """When a worker last wrote a piece: who was silent for long is woken again."""
    finished_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()

    class Meta(TenantModel.Meta):
        indexes: ClassVar = [
            models.Index(fields=["tenant", "-created_at", "id"], name="projections_export_recent"),
            models.Index(
                fields=["moved_at"],
                condition=models.Q(status__in=["queued", "running"]),
                name="projections_export_active",
            ),
            models.Index(
                fields=["expires_at"],
                condition=models.Q(status="completed"),
                name="projections_export_expiry",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.format} {self.id}"


class ExportPiece(TenantModel):
    """Some hundred lines of the file."""

    id = models.BigAutoField(primary_key=True)
    export_id = models.UUIDField()
    number = models.IntegerField()
    body = models.BinaryField()

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "export_id", "number"], name="projections_piece_key")
        ]

    def __str__(self) -> str:
        return f"{self.export_id} {self.number}"
