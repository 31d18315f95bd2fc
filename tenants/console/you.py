"""What belongs to the person: password, second factor, the browsers they are signed in with."""

from __future__ import annotations

from typing import Any

import segno
from django.conf import settings
from django.http import HttpResponse
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_POST

from decisiongraph.core.console import moved
from tenants import selectors, services
from tenants.access import console_view
from tenants.console.frame import show
from tenants.domain.devices import describe
from tenants.services import reauth


@console_view("read", unprotected=True)
@require_GET
def you(request: Any) -> HttpResponse:
    """Everything about one's own sign-in."""
    return _page(request)


@console_view("read", unprotected=True)
@require_POST
def end_session(request: Any, mark: str) -> HttpResponse:
    """End one of one's own sessions."""
    reauth.demand(request)
    row = services.end_session(request.user, mark=mark)
    return moved(request, _address(request), f"Signed out: {describe(row.device)}.")


@console_view("read", unprotected=True)
@require_POST
def end_others(request: Any) -> HttpResponse:
    """End every session but this one."""
    reauth.demand(request)
    count = services.end_other_sessions(request.user, keep=request.session.session_key)
    said = f"Signed out in {count} other place{'' if count == 1 else 's'}." if count else "There was no other session."
    return moved(request, _address(request), said)


@sensitive_post_parameters("current", "password", "again")
@console_view("read", unprotected=True)
@require_POST
def change_password(request: Any) -> HttpResponse:
    """Another password; every other session ends."""
    services.change_password(
        request,
        request.user,
        current=request.POST.get("current", ""),
        password=request.POST.get("password", ""),
        again=request.POST.get("again", ""),
    )
    return moved(request, _address(request), "The new password holds, and you are signed out everywhere else.")


@console_view("read", unprotected=True)
@require_POST
def start_factor(request: Any) -> HttpResponse:
    """Show the secret for the app."""
    reauth.demand(request)
    services.start_factor(request.user)
    return _page(request)


@console_view("read", unprotected=True)
@require_POST
def confirm_factor(request: Any) -> HttpResponse:
    """The first code turns it on; the recovery codes are on this page only."""
    codes = services.confirm_factor(request.user, code=request.POST.get("code", ""))
    services.note_second(request)
    return _page(request, codes=codes, new=True)


@console_view("read", unprotected=True)
@require_POST
def renew_codes(request: Any) -> HttpResponse:
    """Ten new recovery codes, on this page only."""
    reauth.demand(request)
    return _page(request, codes=services.renew_recovery_codes(request.user))


@console_view("read", unprotected=True)
@require_POST
def remove_factor(request: Any) -> HttpResponse:
    """Without a second factor again."""
    reauth.demand(request)
    services.remove_factor(request.user)
    return moved(request, _address(request), "The second factor is off: the password alone signs you in.")


def _page(request: Any, **more: Any) -> HttpResponse:
    user = request.user
    factor = selectors.second_factor(user)
    pending = None if factor else services.pending_factor(user)
    mine = selectors.session_digest(request.session.session_key or "")
    sessions = [
        {"row": row, "device": describe(row.device), "mark": row.pk[:16], "mine": row.pk == mine}
        for row in selectors.sessions_of(user)
    ]
    sessions.sort(key=lambda each: not each["mine"])
    return show(
        request,
        "tenants/you.html",
        "you",
        sessions=sessions,
        factor=factor,
        pending=pending,
        picture=segno.make(pending.address, error="m").svg_data_uri(scale=5, light="#fff") if pending else "",
        codes_left=selectors.recovery_codes_left(user) if factor else 0,
        has_password=user.has_usable_password(),
        idle=_span(settings.SESSION_IDLE_SECONDS),
        longest=_span(settings.SESSION_COOKIE_AGE),
        **more,
    )


def _address(request: Any) -> str:
    return f"/t/{request.tenant.slug}/settings/you"


def _span(seconds: int) -> str:
    """Whole hours where it is some, minutes otherwise."""
    if seconds % 3600:
        return f"{seconds // 60} minutes"
    return "an hour" if seconds == 3600 else f"{seconds // 3600} hours"
