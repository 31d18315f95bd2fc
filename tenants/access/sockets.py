"""The doors of the socket: who connected, which tenants they may enter, whether that still holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from importlib import import_module
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest

from decisiongraph.core import bus
from decisiongraph.core.errors import Problem, not_authenticated
from tenants.access import users
from tenants.access.principal import Principal
from tenants.access.tokens import principal_of_token, verify
from tenants.models import Tenant, User
from tenants.services import bell
from tenants.services.tokens import consume_ticket

UNAUTHENTICATED = 4401
NOT_A_MEMBER = 4403
RECHECK_SECONDS = 45
"""How often an open socket asks `still_allowed` again without having heard the bell."""


@dataclass(slots=True)
class Visitor:
    """Who holds a socket: a program in its one tenant, or a person in any of theirs."""

    user: User | None = field(default=None, repr=False)
    tenant: Tenant | None = None
    principal: Principal | None = None
    session_key: str = field(default="", repr=False)

    @property
    def holder(self) -> str:
        """Under what its sockets are counted."""
        if self.principal is not None:
            return self.principal.ident
        return f"user:{self.user.email}" if self.user is not None else ""

    def enter(self, slug: str) -> tuple[Tenant, Principal]:
        """The tenant a topic names, and who this is there. 404 unless it is theirs."""
        if self.tenant is not None and self.principal is not None:
            if slug != self.tenant.slug:
                raise users.no_such_tenant(slug)
            return self.tenant, self.principal
        if self.user is None:
            raise users.no_such_tenant(slug)
        tenant, principal = users.enter(self.user, slug)
        return tenant, principal


def access_group() -> str:
    """The Channels group of the bell that says: ask `still_allowed` now."""
    return bus.group_name(bell.public_topic())


def authenticate_socket(scope: dict[str, Any]) -> Visitor:
    """Who opens this socket. Blocking; 401 without a valid credential, 403 from a foreign page.

    A bearer header or a ticket proves itself. A session cookie is sent by the browser on behalf of
    any page, so it counts only from one of our own origins, scheme and port included.
    """
    headers = {name.lower(): value for name, value in scope.get("headers", [])}
    bearer = headers.get(b"authorization", b"").decode("latin-1")
    tickets = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("ticket", [])
    if bearer:
        scheme, _, text = bearer.partition(" ")
        if scheme.lower() != "bearer":
            raise not_authenticated()
        tenant, principal = verify(text.strip())
        return Visitor(tenant=tenant, principal=principal)
    if tickets:
        return _by_ticket(tickets[0])
    user, session_key = _session_user(headers.get(b"cookie", b"").decode("latin-1"))
    if user is None:
        raise not_authenticated("Sign in, send a bearer token, or ask for a socket ticket.")
    if not own_origin(headers.get(b"origin", b"").decode("latin-1")):
        raise Problem("auth.origin_refused", 403, "This page may not open a socket here.")
    return Visitor(user=user, session_key=session_key)


def own_origin(origin: str) -> bool:
    """Whether scheme, host and port are those of one of our own pages."""
    asked = _origin(origin)
    ours = (_origin(each) for each in (settings.PUBLIC_URL, *settings.CSRF_TRUSTED_ORIGINS))
    return asked is not None and asked in set(ours)


def still_allowed(principal: Principal) -> int | None:
    """``None``, or the code to close the socket with: 4401 revoked, 4403 no longer a member. Blocking."""
    tenant = Tenant.objects.filter(pk=principal.tenant_id).first()
    if tenant is None:
        return NOT_A_MEMBER
    if principal.token_id is not None:
        try:
            now = principal_of_token(tenant, principal.token_id)
        except Problem:
            return UNAUTHENTICATED
        return None if now.may("read") else NOT_A_MEMBER
    user, holds = users.still_signed_in(principal)
    if user is None or not holds:
        return UNAUTHENTICATED
    return None if users.principal_of(tenant, user) is not None else NOT_A_MEMBER


def visitor_still_allowed(visitor: Visitor) -> int | None:
    """The same for the socket itself, whichever tenants its person has entered. Blocking."""
    if visitor.principal is not None:
        return still_allowed(visitor.principal)
    if visitor.user is None or not _sessions(visitor.session_key).exists(visitor.session_key):
        return UNAUTHENTICATED
    user = User.objects.filter(pk=visitor.user.pk, is_active=True).first()
    if user is None or user.get_session_auth_hash() != visitor.user.get_session_auth_hash():
        return UNAUTHENTICATED
    return None


def _by_ticket(text: str) -> Visitor:
    tenant, user, token_id = consume_ticket(text)
    if token_id:
        return Visitor(tenant=tenant, principal=principal_of_token(tenant, token_id))
    principal = users.principal_of(tenant, user) if user is not None and user.is_active else None
    if principal is None:
        raise not_authenticated("The person this ticket was made for is no longer a member.")
    return Visitor(tenant=tenant, principal=principal)


def _session_user(cookie: str) -> tuple[User | None, str]:
    try:
        morsel = SimpleCookie(cookie).get(settings.SESSION_COOKIE_NAME)
    except CookieError:
        return None, ""
    if morsel is None or "\x00" in morsel.value:
        return None, ""
    request = HttpRequest()
    request.session = _sessions(morsel.value)
    user = get_user(request)
    if not isinstance(user, User) or not user.is_active:
        return None, ""
    return user, request.session.session_key or ""


def _sessions(key: str) -> SessionBase:
    store: SessionBase = import_module(settings.SESSION_ENGINE).SessionStore(key)
    return store


def _origin(text: str) -> tuple[str, str, int] | None:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    standard = {"http": 80, "https": 443}.get(parts.scheme)
    if standard is None or not parts.hostname or parts.username is not None:
        return None
    return parts.scheme, parts.hostname.lower(), port or standard
