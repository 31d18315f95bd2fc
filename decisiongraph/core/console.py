"""The console's pipes: what every page needs besides its own content."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from decisiongraph.core.templatetags.dg import samples


class NavItem(NamedTuple):
    """One entry of the left rail."""

    key: str
    label: str
    path: str
    """Below ``/t/{slug}/``."""
    icon: str
    group: str
    tab: bool
    """Also shown in the phone's tab bar."""


NAV: tuple[NavItem, ...] = (
    NavItem("overview", "Overview", "", "overview", "Observe", True),
    NavItem("traces", "Traces", "traces", "traces", "Observe", True),
    NavItem("live", "Live", "live", "live", "Observe", True),
    NavItem("projections", "Projections", "projections", "projections", "Operate", False),
    NavItem("replays", "Replays", "replays", "replays", "Operate", True),
    NavItem("settings", "Settings", "settings", "settings", "Settings", False),
)


def page(request: HttpRequest, section: str, **context: Any) -> dict[str, Any]:
    """The context of a page: its own values plus which rail entry is current."""
    return {"section": section, **context}


def patterns(request: HttpRequest) -> HttpResponse:
    """Every component and state with made-up values: the design's reference and screenshot test."""
    return render(request, "patterns.html", {**samples.context(), "nav": NAV})
