"""Replays in Django's admin: to look at, never to change."""

from __future__ import annotations

from django.contrib import admin

from replays.models import Erasure, Replay, ReplayDifference
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


@admin.register(Erasure)
class ErasureAdmin(TenantModelAdmin):
    """Erasures, newest first; never the texts."""

    list_display = ("asked_at", "status", "step", "asked_by", "confirmed_by", "finished_at")
    list_filter = ("status",)
    ordering = ("-asked_at",)
    exclude = ("wanted", "tenant")
