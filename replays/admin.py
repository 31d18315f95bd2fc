"""Replays in Django's admin: to look at, never to change."""

from __future__ import annotations

from django.contrib import admin

from replays.models import Replay, ReplayDifference
from tenants.admin import TenantModelAdmin


@admin.register(Replay)
class ReplayAdmin(TenantModelAdmin):
    """Jobs, newest first."""

    list_display = ("created_at", "projection", "mode", "status", "verdict", "position", "target", "requested_by")
    list_filter = ("projection", "mode", "status", "verdict")
    ordering = ("-created_at",)
    exclude = ("tenant",)


@admin.register(ReplayDifference)
class ReplayDifferenceAdmin(TenantModelAdmin):
    """Rows that differed."""

    list_display = ("replay_id", "ordinal", "table", "key", "kind", "log_seq")
    ordering = ("-id",)
    exclude = ("tenant",)
