"""The frame of the settings pages: their parts, and the answer."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render

from decisiongraph.core import clock
from decisiongraph.core.console import page

SECTIONS = (
    ("you", "You"),
    ("members", "Members"),
    ("tokens", "Tokens"),
    ("webhooks", "Webhooks"),
    ("notifications", "Notifications"),
    ("sla", "Service levels"),
    ("log", "Log"),
    ("erasures", "Erasure"),
    ("audit", "Audit log"),
)


def show(request: Any, template: str, part: str, *, status: int = 200, **context: Any) -> HttpResponse:
    """A settings page; ``part`` is the key of its tab."""
    base = f"/t/{request.tenant.slug}/settings"
    crumbs = [{"label": "Settings", "url": base}]
    crumbs += [{"label": label, "url": f"{base}/{key}"} for key, label in SECTIONS if key == part]
    tabs = [(key, label, f"{base}/{key}") for key, label in SECTIONS]
    values = page(request, "settings", crumbs=crumbs, tabs=tabs, part=part, now=clock.now(), **context)
    response = render(request, template, values, status=status)
    response["Cache-Control"] = "no-store"
    return response
