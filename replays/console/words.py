"""What a replay is called and how far it has come, in words."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.urls import reverse

from decisiongraph.core import clock
from decisiongraph.core.templatetags.dg.words import duration
from replays.domain import verdict as life
from replays.models import Replay
from replays.selectors import ReplayView

MODES = {"verify": "verify", "catch_up": "catch up", "rebuild": "rebuild"}
"""Mode -> its word."""


def running(request: Any, view: ReplayView) -> dict[str, Any]:
    row = view.row
    active = row.status in life.ACTIVE
    found = {
        "id": row.pk,
        "url": url_of(request, row) if not row.parent_id else "",
        "mode": row.mode,
        "word": MODES[row.mode],
        "projection": row.projection,
        "status": status_of(view),
        "position": view.position,
        "target": view.target,
        "share": view.progress,
        "rate": None if view.rate is None else round(view.rate),
        "eta_seconds": None if view.eta_seconds is None else max(1, round(view.eta_seconds)),
        "ends_at": clock.now() + timedelta(seconds=view.eta_seconds) if view.eta_seconds else None,
        "started_at": row.started_at,
        "worker": row.worker,
        "reason": row.reason,
        "requested_by": person(row.requested_by),
        "created_at": row.created_at,
        "verdict": row.verdict,
    }
    if active and not row.parent_id and not row.cancel_requested and request.principal.may("operate"):
        url = reverse("console-replay-cancel", args=[request.tenant.slug, row.pk])
        found["cancel"] = {"label": "Cancel", "url": url, "method": "post", "kind": "danger"}
    return found


def status_of(view: ReplayView) -> str:
    if view.row.cancel_requested and view.row.status in life.ACTIVE:
        return "cancelling"
    return view.status


def left(view: ReplayView) -> str:
    if view.status == "queued":
        return "waiting for a free worker"
    if view.status == "stalled":
        return "its worker is silent and another one takes over"
    if view.eta_seconds is None:
        return "time left unknown"
    return f"{duration(max(1, round(view.eta_seconds)))} left"


def person(ident: str) -> str:
    """Who asked, as people say it: an e-mail address, ``token abcd1234``, ``the platform``."""
    kind, _, name = ident.partition(":")
    return name if kind == "user" else f"token {name}" if kind == "token" else "the platform"


def url_of(request: Any, row: Replay) -> str:
    return reverse("console-replay", args=[request.tenant.slug, row.parent_id or row.pk])
