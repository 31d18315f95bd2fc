"""Sessions of people: begun by a sign-in, seen while they are used, ended by their owner or an admin."""

from __future__ import annotations

import hmac
from datetime import timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib.auth import login
from django.http import HttpRequest

from decisiongraph.core import clock
from decisiongraph.core.errors import not_found
from tenants.domain.principal import Actor
from tenants.models import Session, User
from tenants.selectors import living_sessions, session_digest
from tenants.services import bell
from tenants.services.audit import noted_address
from tenants.services.sessions import note_about

BY, HELD = "dg_by", "dg_held"
HELD_SECONDS = 300
SEEN_SECONDS = 60
"""A session is written at most so often while its person works."""
BACKGROUND = "X-Background"
"""The header of a request that a page makes by itself: it does not keep a session alive."""


def begin_session(request: HttpRequest, user: User, *, by: str) -> None:
    """Sign a person in, under a new session key. ``by`` says how they proved who they are."""
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    request.session.pop(HELD, None)
    request.session[BY] = by
    request.session.save()
    Session.objects.filter(pk=session_digest(request.session.session_key or "")).update(
        address=noted_address(), device=request.headers.get("User-Agent", "").replace("\x00", "")[:300]
    )
    note_about(user, "login.succeeded", principal=as_person(user), after={"by": by})


class Held(NamedTuple):
    """Somebody whose password was right and whose code is awaited."""

    user: User
    by: str
    back: str
    """Where they wanted to go."""


def hold_sign_in(request: HttpRequest, user: User, *, by: str, back: str) -> None:
    """Remember for a few minutes, in a session that opens nothing, that the first step was taken."""
    request.session.flush()
    request.session[HELD] = [user.pk, user.get_session_auth_hash(), by, back, int(clock.now().timestamp())]


def held_sign_in(request: HttpRequest) -> Held | None:
    """Who stands at the second step; None when it took too long or the password changed meanwhile."""
    kept = request.session.get(HELD)
    if not kept or clock.now().timestamp() - kept[4] > HELD_SECONDS:
        return None
    user = User.objects.filter(pk=kept[0], is_active=True).first()
    if user is None or not hmac.compare_digest(user.get_session_auth_hash(), kept[1]):
        return None
    return Held(user, kept[2], kept[3])


def note_second(request: HttpRequest) -> None:
    """This session has shown a second factor: the code that turned it on."""
    request.session[BY] = f"{request.session.get(BY, 'password')}+totp"


def second_shown(request: HttpRequest) -> bool:
    """Whether this session was begun with a second factor, ours or the identity provider's."""
    by = str(request.session.get(BY, ""))
    return "+" in by or by.startswith("oidc")


def note_seen(request: HttpRequest) -> None:
    """The person did something: their session lives on. A page that refreshes itself does nothing."""
    row = getattr(getattr(request, "session", None), "row", None)
    if not isinstance(row, Session) or request.headers.get(BACKGROUND):
        return
    now = clock.now()
    if now - row.last_seen_at > timedelta(seconds=SEEN_SECONDS):
        Session.objects.filter(pk=row.pk, last_seen_at__lt=now).update(last_seen_at=now, address=noted_address())
        row.last_seen_at = now


def end_session(user: User, *, mark: str) -> Session:
    """End one of a person's own sessions, with its sockets. 404 unless it is theirs and alive."""
    row = living_sessions().filter(user=user, pk__startswith=mark).first() if len(mark) >= 16 else None
    if row is None:
        raise not_found("session", mark[:50])
    row.delete()
    note_about(user, "session.ended", principal=as_person(user), after=_shape(row))
    bell.ring()
    return row


def end_other_sessions(user: User, *, keep: str) -> int:
    """End all sessions of a person but the one with this key; how many there were."""
    others = living_sessions().filter(user=user).exclude(pk=session_digest(keep))
    count = others.count()
    Session.objects.filter(user=user).exclude(pk=session_digest(keep)).delete()
    if count:
        note_about(user, "session.ended", principal=as_person(user), after={"sessions": count})
        bell.ring()
    return count


def forget_sessions() -> None:
    """Delete sessions that are too old or were left alone too long."""
    now = clock.now()
    Session.objects.filter(created_at__lt=now - timedelta(seconds=settings.SESSION_COOKIE_AGE)).delete()
    Session.objects.filter(last_seen_at__lt=now - timedelta(seconds=settings.SESSION_IDLE_SECONDS)).delete()


def as_person(user: User) -> Actor:
    """A person acting on their own account, in no particular tenant."""
    return Actor("user", f"user:{user.email}", user.label, frozenset(), user_id=user.pk)


def _shape(row: Session) -> dict[str, Any]:
    return {"address": row.address, "device": row.device}
