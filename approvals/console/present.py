"""Who else is on a page: the line other pages embed by address, and the warning before a second person acts."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from approvals.selectors import presence
from decisiongraph.core.api import Query, query_params
from tenants.access import console_view

LOOKING = {
    "trace": "looking at this trace",
    "approval": "looking at this approval",
    "replay": "watching this replay",
    "incident": "looking at this incident",
}
ACTING = {
    "trace": "is working on this trace",
    "approval": "is deciding this",
    "replay": "is about to act on this replay",
    "incident": "is handling this",
}


class PageQuery(Query):
    """Which page."""

    page: str = ""


@console_view("read")
@require_GET
def present(request: Any) -> HttpResponse:
    """Everybody else who is there, in one line."""
    query = query_params(request, PageQuery)
    found = presence.people(request.tenant, query.page)
    others = [each for each in found if each.ident != request.principal.ident]
    kind = query.page.partition(":")[0]
    acting = next((each.label for each in others if each.acting), "")
    warning = ""
    if kind == "approval" and acting:
        warning = f"{acting} is at the decision form. If both of you decide, the second is told who was first."
    return render(
        request, "approvals/presence.html", {"others": others, "words": line(kind, others), "warning": warning}
    )


def line(kind: str, others: list[presence.Present]) -> str:
    """``Ana is deciding this, Ben and Cleo are looking at this approval``."""
    acting = [each.label for each in others if each.acting]
    looking = [each.label for each in others if not each.acting]
    parts = [f"{name} {ACTING[kind]}" for name in acting[:2]]
    if looking:
        more = len(looking) - 2
        names = f"{', '.join(looking[:2])} and {more} more" if more > 0 else " and ".join(looking)
        parts.append(f"{names} {'are' if len(looking) > 1 else 'is'} {LOOKING[kind]}")
    return ", ".join(parts)
