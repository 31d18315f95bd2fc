"""Signing in: throttled in the database before any password is hashed."""

from __future__ import annotations

import hashlib
import hmac
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import authenticate
from django.db import connection
from django.http import HttpRequest

from decisiongraph.core import clock
from decisiongraph.core.errors import Problem
from decisiongraph.core.telemetry import log, metrics
from tenants import selectors
from tenants.domain.principal import Actor
from tenants.models import LoginThrottle, Tenant, User
from tenants.services.audit import record_audit

WINDOW = timedelta(minutes=15)
ACCOUNT_LIMIT = 10
ADDRESS_LIMIT = 60
"""Attempts per window. One address may be a whole office, one account is one person."""

_TAKE = """
INSERT INTO tenants_loginthrottle AS t (key, window_start, attempts) VALUES (%(key)s, %(now)s, 1)
ON CONFLICT (key) DO UPDATE SET
  attempts = CASE WHEN t.window_start <= %(old)s THEN 1 ELSE t.attempts + 1 END,
  window_start = CASE WHEN t.window_start <= %(old)s THEN %(now)s ELSE t.window_start END
RETURNING attempts, window_start
"""


def sign_in(request: HttpRequest | None, *, email: str, password: str, address: str) -> User:
    """The person with this e-mail and password.

    429 once the account or the address used up its attempts, decided before hashing (a hash costs
    200 ms of processor); 401 with the same words for a wrong password, an unknown and a locked one.
    """
    email = email.strip().lower().replace("\x00", "")
    throttle(email, "account", address=address)
    usable = len(password) <= 1000 and "\x00" not in password and len(email) <= 254
    found = authenticate(request, username=email, password=password) if usable else None
    if not isinstance(found, User):
        metrics.login_refusals.labels("password").inc()
        log.warning("login.refused", address=address)
        note_about(email, "login.refused", address=address, after={"by": "password"})
        raise Problem("auth.sign_in_failed", 401, "The e-mail or the password is not right.")
    forgive("account", email)
    return found


def throttle(email: str, kind: str, *, address: str = "") -> None:
    """Count an attempt of this kind on an account and from an address; 429 when either has had enough.

    Without an address only the account counts: whoever is signed in and proves it again is no stranger.
    """
    counters = [("address", address, ADDRESS_LIMIT)] if address else []
    for counted, value, limit in (*counters, (kind, email, ACCOUNT_LIMIT)):
        attempts, wait = take_attempt(counted, value)
        if attempts > limit:
            metrics.login_refusals.labels("throttled").inc()
            log.warning("login.throttled", kind=counted, address=address)
            if counted == kind and attempts == limit + 1:
                note_about(email, "login.throttled", address=address)
            raise Problem(
                "auth.throttled",
                429,
                f"Too many attempts. Try again in {max(1, round(wait / 60))} minutes.",
                headers={"Retry-After": str(wait)},
            )


def forgive(kind: str, email: str) -> None:
    """An attempt succeeded: those before it do not count any more."""
    LoginThrottle.objects.filter(pk=_key(kind, email)).delete()


def try_sign_in(request: HttpRequest, *, email: str, password: str, address: str) -> User | Problem:
    """`sign_in` for the form that shows a refusal beside its fields and not as a page of its own."""
    try:
        return sign_in(request, email=email, password=password, address=address)
    except Problem as problem:
        return problem


def take_attempt(kind: str, value: str) -> tuple[int, int]:
    """Count one attempt; how many there were in this window, and the seconds until it ends.

    One statement counts and reads: concurrent attempts cannot share a number.
    """
    now = clock.now()
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, {"key": _key(kind, value), "now": now, "old": now - WINDOW})
        attempts, started = cursor.fetchone()
    return attempts, max(1, int((started + WINDOW - now).total_seconds()))


def forget_attempts() -> None:
    """Delete counters of windows that have passed."""
    LoginThrottle.objects.filter(window_start__lt=clock.now() - WINDOW).delete()


def _key(kind: str, value: str) -> str:
    key = hashlib.sha256(b"tenants.throttle:" + settings.SECRET_KEY.encode()).digest()
    return hmac.new(key, f"{kind}:{value}".encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def note_about(
    who: User | str,
    action: str,
    *,
    address: str = "",
    principal: Actor | None = None,
    reason: str = "",
    after: Any = None,
) -> None:
    """An audit line in every tenant of a person: what happens to an account concerns each of them.

    Without a ``principal`` nobody is known to have done it: a sign-in that failed.
    """
    user = who if isinstance(who, User) else User.objects.filter(email=who[:254]).first()
    if user is None:
        return
    actor = principal or Actor("system", "anonymous", "somebody", frozenset())
    for tenant in Tenant.objects.filter(pk__in=selectors.tenant_ids(user)):
        record_audit(
            tenant,
            principal=actor,
            action=action,
            target=f"user:{user.email}",
            reason=reason,
            after=after,
            address=address,
        )
