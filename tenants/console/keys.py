"""Service tokens: made, rotated, revoked; their text is shown once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.views.decorators.http import require_GET, require_POST

from decisiongraph.core import clock
from decisiongraph.core.console import moved
from decisiongraph.core.errors import Problem
from tenants import selectors, services
from tenants.access import console_view
from tenants.console.frame import show
from tenants.domain.roles import MEANING, SCOPES
from tenants.services import reauth

OVERLAPS = ((0, "no time: it ends now"), (1, "an hour"), (24, "a day"), (168, "a week"), (720, "30 days"))


@console_view("admin")
@require_GET
def tokens(request: Any) -> HttpResponse:
    """Service tokens."""
    return _tokens(request)


@console_view("admin")
@require_POST
def create_token(request: Any) -> HttpResponse:
    """A new token; its text is on this page only."""
    reauth.demand(request)
    days = request.POST.get("days", "")
    if days and not (days.isascii() and days.isdigit() and 1 <= int(days[:6]) <= 3650):
        raise Problem("token.expiry_invalid", 400, "Choose 1 to 3650 days, or leave it empty.")
    producers = [part.strip() for part in request.POST.get("producers", "").split(",") if part.strip()]
    token, text = services.create_token(
        request.tenant,
        principal=request.principal,
        name=request.POST.get("name", ""),
        scopes=request.POST.getlist("scopes"),
        producers=producers or None,
        expires_at=clock.now() + timedelta(days=int(days)) if days else None,
    )
    return _tokens(request, created=token, secret=text)


@console_view("admin")
@require_POST
def revoke_token(request: Any, token_id: str) -> HttpResponse:
    """End a token."""
    token = services.revoke_token(
        request.tenant,
        principal=request.principal,
        token_id=token_id,
        reason=request.POST.get("reason", ""),
    )
    said = f"The token {token.name} opens nothing any more."
    return moved(request, f"/t/{request.tenant.slug}/settings/tokens", said)


@console_view("admin")
@require_POST
def rotate_token(request: Any, token_id: str) -> HttpResponse:
    """A successor; its text is on this page only."""
    reauth.demand(request)
    hours = request.POST.get("overlap", "24")
    if hours not in {str(each) for each, _ in OVERLAPS}:
        raise Problem("token.overlap_invalid", 422, "Choose how long the old token still works from the list.")
    token, text, old = services.rotate_token(
        request.tenant,
        principal=request.principal,
        token_id=token_id,
        overlap_hours=int(hours),
        reason=request.POST.get("reason", ""),
    )
    return _tokens(request, created=token, secret=text, replaced=old)


def _tokens(request: Any, **more: Any) -> HttpResponse:
    found = selectors.tokens(request.tenant)
    return show(
        request,
        "tenants/tokens.html",
        "tokens",
        tokens=sorted(found, key=lambda token: token.state != "active"),
        living=sum(token.state == "active" for token in found),
        address=settings.PUBLIC_URL,
        scopes=[(scope, MEANING[scope]) for scope in SCOPES],
        overlaps=OVERLAPS,
        **more,
    )
