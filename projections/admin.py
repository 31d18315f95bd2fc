"""Read models in Django's admin: to look at, never to change.

Lists are ordered by the primary key's own order (`key_sha`), the only one that a large tenant has an
index for in every generation.
"""

from __future__ import annotations

from django.contrib import admin

from projections.models import (
    Checkpoint,
    DeadLetter,
    Finding,
    Generation,
    GraphEdge,
    GraphNode,
    PolicyEvaluation,
    PrecedentRow,
    PrecedentText,
    RecordedDigest,
    SkippedEvent,
    TraceSummary,
)
from tenants.admin import TenantModelAdmin


class RowAdmin(TenantModelAdmin):
    """Rows of a read model, of every generation there is."""

    list_display = ("key", "generation", "log_seq")
    list_filter = ("generation",)
    ordering = ("generation", "key_sha")
    exclude = ("tenant", "key_sha", "row_hash")


@admin.register(TraceSummary)
class TraceSummaryAdmin(RowAdmin):
    """One row per trace."""

    list_display = ("key", "generation", "workflow", "status", "outcome", "event_count", "last_log_seq")
    exclude = (*RowAdmin.exclude, "entity_sha")


@admin.register(GraphNode)
class GraphNodeAdmin(RowAdmin):
    """Nodes of the context graph."""

    list_display = ("key", "generation", "node_type", "trace_id", "log_seq")


@admin.register(GraphEdge)
class GraphEdgeAdmin(RowAdmin):
    """Edges of the context graph."""

    list_display = ("key", "generation", "edge_type", "from_key", "to_key", "log_seq")
    exclude = (*RowAdmin.exclude, "from_sha", "to_sha")


@admin.register(PolicyEvaluation)
class PolicyEvaluationAdmin(RowAdmin):
    """Policy decisions."""


@admin.register(PrecedentRow)
class PrecedentRowAdmin(RowAdmin):
    """Precedents by policy and exception."""


@admin.register(PrecedentText)
class PrecedentTextAdmin(RowAdmin):
    """Precedents to search in."""


@admin.register(Checkpoint)
class CheckpointAdmin(TenantModelAdmin):
    """Where each projection stands."""

    list_display = ("projection", "generation", "active", "cursor", "failures", "moved_at")
    ordering = ("projection", "generation")
    exclude = ("tenant",)


@admin.register(Generation)
class GenerationAdmin(TenantModelAdmin):
    """Generations of rows, live and building."""

    list_display = ("projection", "number", "state", "rule_version", "created_at", "promoted_at")
    ordering = ("projection", "-number")
    exclude = ("tenant",)


@admin.register(DeadLetter)
class DeadLetterAdmin(TenantModelAdmin):
    """Parked traces; retry and skip are in the console and the API."""

    list_display = ("trace_id", "projection", "generation", "state", "waiting", "attempts", "created_at")
    ordering = ("-id",)
    exclude = ("tenant",)


@admin.register(SkippedEvent)
class SkippedEventAdmin(TenantModelAdmin):
    """Events a projection passes over, by whose word."""

    list_display = ("log_seq", "projection", "trace_id", "principal", "created_at")
    ordering = ("-id",)
    exclude = ("tenant",)


@admin.register(Finding)
class FindingAdmin(TenantModelAdmin):
    """Mismatches and staleness."""

    list_display = ("id", "kind", "projection", "log_seq", "created_at", "closed_at")
    ordering = ("-id",)
    exclude = ("tenant",)


@admin.register(RecordedDigest)
class RecordedDigestAdmin(TenantModelAdmin):
    """Digests on record."""

    list_display = ("name", "kind", "generation", "cursor", "digest")
    ordering = ("-id",)
    exclude = ("tenant",)
