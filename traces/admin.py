"""The log in Django's admin: to look at, never to change."""

from __future__ import annotations

from django.contrib import admin

from tenants.admin import TenantModelAdmin
from traces.models import Event, EventBody, LogCheckpoint, Producer, ProducerMinute, Refusal, RefusalCount


@admin.register(Event)
class EventAdmin(TenantModelAdmin):
    """Envelopes, newest first."""

    list_display = ("log_seq", "event_type", "trace_id", "trace_seq", "producer_id", "origin", "recorded_at")
    list_filter = ("event_type", "origin")
    ordering = ("-log_seq",)
    search_fields = ("=trace_id", "=event_id", "=idempotency_key")
    search_help_text = "A whole trace id, event id or idempotency key."
    exclude = ("commitment", "leaf_hash", "tenant")


@admin.register(EventBody)
class EventBodyAdmin(TenantModelAdmin):
    """Payloads; salts and hashes stay in the database."""

    list_display = ("log_seq",)
    ordering = ("-log_seq",)
    fields = ("log_seq", "payload")


@admin.register(Refusal)
class RefusalAdmin(TenantModelAdmin):
    """The last refused events."""

    list_display = ("at", "code", "path", "producer_id", "principal", "trace_id")
    ordering = ("-id",)
    exclude = ("tenant",)


@admin.register(RefusalCount)
class RefusalCountAdmin(TenantModelAdmin):
    """How often what was refused."""

    list_display = ("producer_id", "principal", "code", "count", "first_at", "last_at")
    ordering = ("-count",)
    exclude = ("tenant",)


@admin.register(Producer)
class ProducerAdmin(TenantModelAdmin):
    """Who sends events."""

    list_display = ("producer_id", "system", "events", "first_at", "last_at", "last_log_seq")
    ordering = ("producer_id",)
    exclude = ("tenant",)


@admin.register(ProducerMinute)
class ProducerMinuteAdmin(TenantModelAdmin):
    """Events and refusals by the minute."""

    list_display = ("minute", "producer_id", "events", "refused")
    ordering = ("-minute", "producer_id")
    exclude = ("tenant",)


@admin.register(LogCheckpoint)
class LogCheckpointAdmin(TenantModelAdmin):
    """What the log said of itself, signed; the largest first."""

    list_display = ("size", "sealed_at", "key_id")
    ordering = ("-size",)
    exclude = ("root", "tenant")
