"""Read models and the engine's books in Django's admin: to look at, never to change."""

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
    WorkerHeartbeat,
)
from tenants.admin import PlatformModelAdmin, TenantModelAdmin


class RowAdmin(TenantModelAdmin):
    """Rows of a read model in the order of their key, the one they can be read in fast."""

    list_display: tuple[str, ...] = ("key", "generation", "log_seq")
    ordering = ("generation", "key_sha")
    exclude = ("tenant", "key_sha", "row_hash", "from_sha", "to_sha", "entity_sha", "trace_sha")
    show_full_result_count = False


@admin.register(TraceSummary)
class TraceSummaryAdmin(RowAdmin):
    """Traces."""

    list_display = ("key", "kind", "workflow", "status", "outcome", "event_count", "last_log_seq", "generation")


@admin.register(GraphNode)
class GraphNodeAdmin(RowAdmin):
    """Nodes."""

    list_display = ("key", "node_type", "trace_id", "log_seq", "generation")


@admin.register(GraphEdge)
class GraphEdgeAdmin(RowAdmin):
    """Edges."""

    list_display = ("edge_type", "from_key", "to_key", "log_seq", "generation")


@admin.register(PolicyEvaluation)
class PolicyEvaluationAdmin(RowAdmin):
    """What policies said."""

    list_display = ("key", "policy_id", "policy_version", "decision", "log_seq", "generation")


@admin.register(PrecedentRow)
class PrecedentRowAdmin(RowAdmin):
    """Precedents."""

    list_display = ("key", "policy_id", "policy_version", "decision", "outcome", "generation")


@admin.register(PrecedentText)
class PrecedentTextAdmin(RowAdmin):
    """What decisions say."""

    list_display = ("key", "workflow", "outcome", "generation")


@admin.register(Checkpoint)
class CheckpointAdmin(TenantModelAdmin):
    """How far each generation has come."""

    list_display = ("projection", "generation", "active", "cursor", "failures", "moved_at")
    ordering = ("projection", "-generation")
    exclude = ("tenant",)


@admin.register(Generation)
class GenerationAdmin(TenantModelAdmin):
    """Sets of rows."""

    list_display = ("projection", "number", "state", "rule_version", "created_at", "promoted_at")
    ordering = ("projection", "-number")
    exclude = ("tenant",)


@admin.register(DeadLetter)
class DeadLetterAdmin(TenantModelAdmin):
    """Traces set aside."""

    list_display = ("projection", "trace_id", "log_seq", "state", "waiting", "attempts", "created_at")
    list_filter = ("projection", "state")
    ordering = ("-id",)
    exclude = ("tenant",)


@admin.register(SkippedEvent)
class SkippedEventAdmin(TenantModelAdmin):
    """Events left out."""

    list_display = ("projection", "log_seq", "trace_id", "principal", "created_at")
    ordering = ("-id",)
    exclude = ("tenant",)


@admin.register(Finding)
class FindingAdmin(TenantModelAdmin):
    """What was found wrong."""

    list_display = ("kind", "projection", "generation", "log_seq", "created_at", "closed_at")
    list_filter = ("kind", "projection")
    ordering = ("-id",)
    exclude = ("tenant",)


@admin.register(RecordedDigest)
class RecordedDigestAdmin(TenantModelAdmin):
    """Digests on record."""

    list_display = ("kind", "name", "generation", "cursor", "digest", "created_at")
    ordering = ("-id",)
    exclude = ("tenant",)


@admin.register(WorkerHeartbeat)
class WorkerHeartbeatAdmin(PlatformModelAdmin):
    """Background processes."""

    list_display = ("name", "kind", "queues", "current", "at")
    ordering = ("kind", "name")
