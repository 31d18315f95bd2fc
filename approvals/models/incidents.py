"""What needs people beyond one decision."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from decisiongraph.core import clock
from decisiongraph.core.db import TenantModel


class Incident(TenantModel):
    """Something went wrong. Opened once per source, whoever notices it how often."""

    id = models.UUIDField(primary_key=True, editable=False)
    source_key = models.TextField()
    """What it is about, once in a tenant: ``commit:<event>``, ``sla:<item>``, ``finding:<id>``, ``person:<id>``."""
    cause = models.TextField()
    """``action.digest_mismatch``, ``sla.breached``, ``projection.stale``, ...; closed but for people's own."""
    title = models.TextField()
    severity = models.TextField()
    status = models.TextField(default="open")
    version = models.IntegerField(default=1)
    assignee = models.TextField(default="")
    assignee_label = models.TextField(default="")
    trace_id = models.TextField(null=True)
    event_id = models.TextField(null=True)
    item_id = models.UUIDField(null=True)
    opened_by = models.TextField()
    opened_at = models.DateTimeField(default=clock.now)
    acknowledged_at = models.DateTimeField(null=True)
    mitigated_at = models.DateTimeField(null=True)
    resolved_at = models.DateTimeField(null=True)
    resolution = models.TextField(default="")
    reopened = models.IntegerField(default=0)
    changed_at = models.DateTimeField(default=clock.now)
    changed_by = models.TextField(default="")
    changed_how = models.TextField(default="open")
    trace_serial = models.IntegerField(default=0)
    """Review traces end with a resolution; a reopened incident goes on in the next one."""

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "source_key"], name="approvals_incident_source")
        ]
        indexes: ClassVar = [
            models.Index(fields=["tenant", "-opened_at", "-id"], name="approvals_incident_recent"),
            models.Index(
                fields=["tenant", "-opened_at", "-id"],
                condition=~models.Q(status="resolved"),
                name="approvals_incident_open",
            ),
            models.Index(fields=["tenant", "trace_id"], name="approvals_incident_trace"),
            models.Index(fields=["tenant", "item_id"], name="approvals_incident_item"),
        ]

    def __str__(self) -> str:
        return f"{self.severity}: {self.title}"

    @property
    def review_trace(self) -> str:
        """The trace in which its opening and its resolution are written down."""
        return self.review_traces[-1]

    @property
    def review_traces(self) -> list[str]:
        """All of them, the oldest first: a reopened incident has one for every time it was opened."""
        return [f"review:{self.pk}" + (f".{serial}" if serial else "") for serial in range(self.trace_serial + 1)]


class IncidentEntry(TenantModel):
    """One line of an incident's timeline. UPDATE, DELETE and TRUNCATE are refused by the database."""

    id = models.BigAutoField(primary_key=True)
    incident = models.ForeignKey(
        Incident, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    kind = models.TextField()
    by = models.TextField()
    by_label = models.TextField()
    text = models.TextField(default="")
    detail = models.JSONField(default=dict)
    at = models.DateTimeField(default=clock.now)

    class Meta(TenantModel.Meta):
        verbose_name_plural = "incident entries"
        indexes: ClassVar = [models.Index(fields=["tenant", "incident", "id"], name="approvals_entry_incident")]

    def __str__(self) -> str:
        return f"{self.kind} by {self.by}"


class IncidentLink(TenantModel):
    """What else an incident has to do with."""

    id = models.BigAutoField(primary_key=True)
    incident = models.ForeignKey(
        Incident, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    kind = models.TextField()
    """``trace``, ``approval``, ``incident``, ``replay`` or ``finding``."""
    ident = models.TextField()
    at = models.DateTimeField(default=clock.now)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "incident", "kind", "ident"], name="approvals_link_key")
        ]
        indexes: ClassVar = [models.Index(fields=["tenant", "kind", "ident"], name="approvals_link_target")]

    def __str__(self) -> str:
        return f"{self.kind} {self.ident}"
