"""The human workflow in Django's admin: to look at, never to change. Secrets and private keys stay in the database."""

from __future__ import annotations

from django.contrib import admin

from approvals.models import (
    Comment,
    Delegation,
    Delivery,
    Endpoint,
    Follower,
    Incident,
    IncidentEntry,
    Item,
    Outbox,
    SlaPolicy,
    Step,
    Timer,
    Vote,
)
from tenants.admin import TenantModelAdmin


@admin.register(Item)
class ItemAdmin(TenantModelAdmin):
    """Approvals and exceptions, newest first."""

    list_display = ("opened_at", "title", "subject_type", "status", "version", "assignee", "due_at", "decided_by")
    list_filter = ("status", "subject_type", "priority")
    ordering = ("-opened_at", "-id")
    search_fields = ("=trace_id",)
    search_help_text = "A whole trace id."
    exclude = ("tenant",)


@admin.register(Vote)
class VoteAdmin(TenantModelAdmin):
    """Who decided what."""

    list_display = ("at", "item_id", "round", "voter", "approve", "on_behalf_of")
    ordering = ("-id",)
    fields = ("item_id", "round", "voter", "voter_label", "names", "on_behalf_of", "approve", "reason", "at")


@admin.register(Step)
class StepAdmin(TenantModelAdmin):
    """What happened to items."""

    list_display = ("at", "item_id", "version", "action", "by", "before", "after")
    list_filter = ("action",)
    ordering = ("-id",)
    fields = ("item_id", "version", "action", "by", "by_label", "before", "after", "reason", "detail", "at")


@admin.register(Comment)
class CommentAdmin(TenantModelAdmin):
    """What people said about items."""

    list_display = ("at", "item_id", "by")
    ordering = ("-id",)
    fields = ("item_id", "by", "by_label", "text", "at")


@admin.register(Delegation)
class DelegationAdmin(TenantModelAdmin):
    """Who stands in for whom."""

    list_display = ("item_id", "delegator", "delegate", "starts_at", "ends_at")
    ordering = ("-id",)
    fields = ("item_id", "delegator", "delegate", "starts_at", "ends_at", "reason", "at")


@admin.register(Timer)
class TimerAdmin(TenantModelAdmin):
    """What rings when, and what has rung."""

    list_display = ("due_at", "item_id", "kind", "level", "state", "fired_at")
    list_filter = ("state", "kind")
    ordering = ("-id",)
    fields = ("item_id", "kind", "level", "due_at", "state", "fired_at")


@admin.register(Incident)
class IncidentAdmin(TenantModelAdmin):
    """What needs people, newest first."""

    list_display = ("opened_at", "title", "cause", "severity", "status", "assignee", "resolved_at")
    list_filter = ("status", "severity", "cause")
    ordering = ("-opened_at", "-id")
    exclude = ("tenant",)


@admin.register(IncidentEntry)
class IncidentEntryAdmin(TenantModelAdmin):
    """Timelines of incidents."""

    list_display = ("at", "incident_id", "kind", "by")
    ordering = ("-id",)
    fields = ("incident_id", "kind", "by", "by_label", "text", "detail", "at")


@admin.register(SlaPolicy)
class SlaPolicyAdmin(TenantModelAdmin):
    """Service levels; they are edited in the console or by the API."""

    list_display = ("name", "active", "version", "updated_at", "updated_by")
    ordering = ("name",)
    exclude = ("tenant",)


@admin.register(Follower)
class FollowerAdmin(TenantModelAdmin):
    """How far the workflow has followed the log."""

    list_display = ("cursor", "moved_at", "last_error")
    ordering = ("id",)
    exclude = ("tenant", "failures")


@admin.register(Outbox)
class OutboxAdmin(TenantModelAdmin):
    """What somebody may want to be told, newest first."""

    list_display = ("at", "message", "kind", "ident", "actor", "handled_at")
    list_filter = ("message",)
    ordering = ("-id",)
    exclude = ("tenant",)


@admin.register(Endpoint)
class EndpointAdmin(TenantModelAdmin):
    """Where webhooks go."""

    list_display = ("url", "enabled", "failing_since", "disabled_reason", "created_at")
    ordering = ("-created_at",)
    exclude = ("tenant", "secret", "old_secret")


@admin.register(Delivery)
class DeliveryAdmin(TenantModelAdmin):
    """Mails and webhooks on their way, newest first."""

    list_display = ("created_at", "channel", "message", "target", "state", "attempts", "last_status", "next_at")
    list_filter = ("channel", "state", "message")
    ordering = ("-created_at",)
    exclude = ("tenant",)
