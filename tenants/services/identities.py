"""Signing in through an identity provider (OpenID Connect), where one is set up. Off by default.

The library does the protocol: discovery, state, nonce, PKCE, keys, signature and claims of the id
token. Here is decided only who that person is to us: somebody who is a member already. A provider
makes nobody a member.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from authlib.common.errors import AuthlibBaseError
from authlib.integrations.django_client import OAuth
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from joserfc.errors import JoseError
from requests import RequestException

from decisiongraph.core import clock
from decisiongraph.core.errors import Problem
from decisiongraph.core.telemetry import log, metrics
from tenants.models import Identity, User
from tenants.services.sessions import note_about
from tenants.services.visits import as_person

BACK = "/signin/sso/back"
WANTED = "dg_sso"
FRESH_SECONDS = 120
"""How long ago the provider may have seen the person when we asked it to look again."""


class Arrival(NamedTuple):
    """Who came back from the provider, and what for."""

    user: User
    back: str
    again: bool
    """They were sent to show once more that it is them."""


def leave_for_provider(request: HttpRequest, *, back: str, again: bool) -> HttpResponseBase:
    """The redirect to the provider; ``again`` asks it not to rely on an older sign-in."""
    if not settings.OIDC_ISSUER:
        raise Problem("page.not_found", 404, "There is no page at this address.")
    request.session[WANTED] = [back, again]
    more = {"prompt": "login", "max_age": "0"} if again else {}
    try:
        answer: HttpResponseBase = _provider().authorize_redirect(request, f"{settings.PUBLIC_URL}{BACK}", **more)
    except (AuthlibBaseError, JoseError, RequestException, ValueError) as error:
        raise _failed(error) from None
    return answer


def arrive_from_provider(request: HttpRequest) -> Arrival:
    """Check what the provider says, and who that is here. 401 when it does not hold, 403 for a stranger."""
    if not settings.OIDC_ISSUER:
        raise Problem("page.not_found", 404, "There is no page at this address.")
    back, again = request.session.pop(WANTED, ["/", False])
    try:
        claims: dict[str, Any] = _provider().authorize_access_token(request).get("userinfo") or {}
    except (AuthlibBaseError, JoseError, RequestException, ValueError) as error:
        raise _failed(error) from None
    user = _known(claims)
    if again:
        seen = claims.get("auth_time")
        now = clock.now().timestamp()
        if not isinstance(seen, int | float) or now - seen > FRESH_SECONDS or user.pk != getattr(request.user, "pk", 0):
            note_about(user, "login.refused", after={"by": "oidc"}, reason="the provider did not ask again")
            raise Problem(
                "oidc.not_fresh", 401, f"{settings.OIDC_NAME} did not ask you again. Sign out and in instead."
            )
    return Arrival(user, str(back), bool(again))


def _known(claims: dict[str, Any]) -> User:
    """By the tie made before; the first time by an address that the provider has verified."""
    issuer, subject = str(claims.get("iss", ""))[:300], str(claims.get("sub", ""))[:300]
    email = str(claims.get("email", "")).strip().lower()[:254]
    found = Identity.objects.select_related("user").filter(issuer=issuer, subject=subject).first()
    user = found.user if found else None
    if found is None and issuer and subject and claims.get("email_verified") is True and email:
        with transaction.atomic():
            user = User.objects.select_for_update().filter(email=email).first()
            if user is not None and Identity.objects.filter(user=user, issuer=issuer).exists():
                user = None  # the address moved on to somebody else over there
            if user is not None and user.is_active:
                Identity.objects.create(user=user, issuer=issuer, subject=subject)
        if user is not None and user.is_active:
            note_about(user, "identity.tied", principal=as_person(user), after={"issuer": issuer, "subject": subject})
    if user is None or not user.is_active:
        metrics.login_refusals.labels("oidc").inc()
        log.warning("login.refused", by="oidc", issuer=issuer)
        raise Problem(
            "oidc.unknown_person",
            403,
            f"{settings.OIDC_NAME} knows you, but nobody here has this address. Ask an admin to invite you.",
        )
    return user


def _failed(error: Exception) -> Problem:
    metrics.login_refusals.labels("oidc").inc()
    log.warning("login.refused", by="oidc", error=type(error).__name__, detail=str(error)[:300])
    if isinstance(error, RequestException):
        return Problem("oidc.unavailable", 503, f"{settings.OIDC_NAME} does not answer. Try again in a moment.")
    return Problem("oidc.failed", 401, f"What {settings.OIDC_NAME} sent back does not hold. Start the sign-in again.")


def _provider() -> Any:
    return _registered(settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET)


@lru_cache(maxsize=4)
def _registered(issuer: str, client_id: str, client_secret: str) -> Any:
    return OAuth().register(
        "sso",
        client_id=client_id,
        client_secret=client_secret,
        server_metadata_url=f"{issuer}/.well-known/openid-configuration",
        client_kwargs={"scope": "openid email profile", "code_challenge_method": "S256", "timeout": 10},
    )
