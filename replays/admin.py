"""Replays in Django's admin: to look at; started and cancelled in the console and the API."""

from __future__ import annotations

from django.contrib import admin

from replays.models import Replay, ReplayDifference
from tenants.admin import TenantModelAdmin


@admin.register(Replay)
class ReplayAdmin(TenantModelAdmin):
    """Newest first."""

    list_display = ("projection", "mode", "status", "verdict", "position", "target", "requested_by", "created_at")
    list_filter = ("mode", "status")
    ordering = ("-created_at",)
    exclude = ("tenant",)


@admin.register(ReplayDifference)
class ReplayDifferenceAdmin(TenantModelAdmin):
    """Rows that differed."""

    list_display = ("replay_id", "ordinal", "table", "kind", "key", "log_seq")
    ordering = ("-id",)
    exclude = ("tenant",)
