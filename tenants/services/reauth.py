"""Show again that it is you: before what cannot be undone, a sign-in of some time ago is not enough.

A view calls `demand` before its service. The refusal carries ``reauth``; the console opens a dialog
on it and, once the person has shown a password or a code, sends the same request again.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, authenticate

from decisiongraph.core import clock
from decisiongraph.core.errors import Problem
from tenants.models import Session, User
from tenants.selectors import second_factor
from tenants.services.factors import check_code
from tenants.services.sessions import forgive, note_about, throttle
from tenants.services.visits import as_person

PROVED = "dg_proved_at"
ADDRESS = "/reauth"


def demand(request: Any) -> None:
    """403 ``auth.reauth_required`` unless this session showed who it is within ``REAUTH_MINUTES``.

    A program shows its secret with every request and has nothing else to show: tokens pass.
    """
    principal = getattr(request, "principal", None)
    if principal is not None and principal.kind != "user":
        return
    if seconds_since_proof(request) <= settings.REAUTH_SECONDS:
        return
    minutes = settings.REAUTH_SECONDS // 60
    span = "minute" if minutes == 1 else f"{minutes} minutes"
    raise Problem(
        "auth.reauth_required",
        403,
        f"This needs a password or a code of the last {span}. Show that it is you, then go on.",
        extra={"reauth": ADDRESS, "go": f"{ADDRESS}?{urlencode({'next': _page_of(request)})}"},
    )


def seconds_since_proof(request: Any) -> float:
    """How long ago this session showed a password or a code; a new one has just done so."""
    now = clock.now().timestamp()
    proved = request.session.get(PROVED)
    if proved is None:
        row = getattr(request.session, "row", None)
        if isinstance(row, Session):
            proved = row.created_at.timestamp()
    return now - float(proved) if proved is not None else float("inf")


def methods(user: User) -> list[str]:
    """What this person can show: ``password``, ``code``, both or neither (then: sign in again)."""
    found = ["password"] if user.has_usable_password() else []
    return found + (["code"] if second_factor(user) is not None else [])


def prove(request: Any, *, password: str, code: str) -> None:
    """Take a password or a code and note the moment. 401 when it is not right, 429 after too many."""
    user = request.user
    if code:
        by = check_code(user, code=code)
    else:
        throttle(user.email, "account")
        usable = 0 < len(password) <= 1000 and "\x00" not in password
        found = authenticate(request, username=user.email, password=password) if usable else None
        if not isinstance(found, User) or found.pk != user.pk:
            note_about(user, "login.refused", after={"by": "password"})
            raise Problem("auth.password_wrong", 401, "The password is not right.")
        forgive("account", user.email)
        # Checking a password renews a hash that is weaker than today's; this session goes on with the new one.
        request.session[HASH_SESSION_KEY] = found.get_session_auth_hash()
        by = "password"
    note_proof(request)
    note_about(user, "login.proved_again", principal=as_person(user), after={"by": by})


def try_prove(request: Any, *, password: str, code: str) -> Problem | None:
    """`prove` for the form that shows a refusal beside its field."""
    try:
        prove(request, password=password, code=code)
    except Problem as problem:
        return problem
    return None


def note_proof(request: Any) -> None:
    """This moment is the proof."""
    request.session[PROVED] = int(clock.now().timestamp())


def _page_of(request: Any) -> str:
    """The page a form stood on: where the person goes back to without a script."""
    return urlsplit(request.headers.get("Referer", "")).path or "/"
