"""The console's pipes: what every page needs besides its own content."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
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
    NavItem("graph", "Graph", "graph", "graph", "Observe", False),
    NavItem("cases", "Precedents", "precedents", "precedents", "Observe", False),
    NavItem("live", "Live", "live", "live", "Observe", True),
    NavItem("projections", "Projections", "projections", "projections", "Operate", False),
    NavItem("replays", "Replays", "replays", "replays", "Operate", False),
    NavItem("approvals", "Approvals", "approvals", "approvals", "Decide", True),
    NavItem("exceptions", "Exceptions", "exceptions", "exceptions", "Decide", False),
    NavItem("incidents", "Incidents", "incidents", "incidents", "Decide", False),
    NavItem("settings", "Settings", "settings", "settings", "Settings", False),
)


def page(request: HttpRequest, section: str, **context: Any) -> dict[str, Any]:
    """The context of a page: its own values plus which rail entry is current."""
    return {"section": section, **context}


def toasted(request: HttpRequest, text: str, back: str, tone: str = "ok") -> HttpResponse:
    """The answer to a click: a toast where the page stays, the page ``back`` where it cannot.

    With htmx the live regions of the page show what changed; without a script the person is sent
    back and reads the same words there.
    """
    if request.headers.get("HX-Request"):
        return HttpResponse(status=204, headers={"HX-Trigger": json.dumps({"toast": {"tone": tone, "text": text}})})
    messages.add_message(request, messages.WARNING if tone == "warn" else messages.SUCCESS, text, extra_tags=tone)
    return HttpResponseRedirect(back)


def moved(request: HttpRequest, address: str, text: str = "") -> HttpResponse:
    """Send the whole page to ``address``, where ``text`` is said; htmx is told by a header."""
    if text:
        messages.success(request, text, extra_tags="ok")
    if request.headers.get("HX-Request"):
        return HttpResponse(status=204, headers={"HX-Redirect": address})
    return HttpResponseRedirect(address)


def patterns(request: HttpRequest) -> HttpResponse:
    """Every component and state with made-up values: the design's reference and screenshot test."""
    return render(request, "patterns.html", {**samples.context(), "nav": NAV})
