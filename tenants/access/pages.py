"""The doors of the console."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.utils.cache import patch_cache_control

from decisiongraph.core.console import NAV
from decisiongraph.core.errors import Problem
from tenants import selectors
from tenants.access import rates
from tenants.access.http import admit, client_address
from tenants.access.users import enter
from tenants.domain.roles import PERMISSIONS
from tenants.models import User
from tenants.services.audit import note_request
from tenants.services.visits import note_seen, second_shown

View = Callable[..., HttpResponseBase]


def console_view(permission: str, *, unprotected: bool = False) -> Callable[[View], View]:
    """Decorator of every view below ``/t/{slug}/``: signed in, member of the tenant, permitted.

    Sets ``request.tenant``, ``request.principal`` and ``request.people`` (e-mail -> name, asked for at the
    first look). The view receives ``slug`` only if it has a
    parameter of that name. ``unprotected`` pages open without a second factor where one is required:
    it is set up there.
    """
    if permission not in PERMISSIONS:
        raise ValueError(f"no such permission: {permission}")

    def decorate(view: View) -> View:
        takes_slug = "slug" in inspect.signature(view).parameters

        @wraps(view)
        def inner(request: HttpRequest, slug: str, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return to_sign_in(request)
            note_request(client_address(request), f"{request.method} {request.path}"[:300])
            tenant, principal = enter(request.user, slug)
            rates.admit_principal(request, tenant, principal)
            admit(request, tenant, principal)
            principal.require(permission)
            note_seen(request)
            request.people = selectors.People(tenant, request.user)  # type: ignore[attr-defined]
            if settings.REQUIRE_SECOND_FACTOR and not unprotected and not second_shown(request):
                raise factor_required(f"/t/{tenant.slug}/settings/you")
            if takes_slug:
                kwargs["slug"] = slug
            try:
                response = view(request, *args, **kwargs)
            except Problem as problem:
                principal.note_refusal(permission, request.method or "GET", problem)
                raise
            patch_cache_control(response, private=True, no_cache=True)
            return response

        inner.console_permission = permission  # type: ignore[attr-defined]
        return inner

    return decorate


def factor_required(where: str) -> Problem:
    """403 where everybody needs a second factor and this session has shown none; a page sends them there."""
    return Problem(
        "factor.required",
        403,
        "Everybody here signs in with a second factor. Set yours up under Settings, You.",
        extra={"go": where},
    )


def to_sign_in(request: HttpRequest) -> HttpResponse:
    """To the sign-in page and back here afterwards; htmx is told to move the whole page."""
    fragment = bool(request.headers.get("HX-Request"))
    back = request.headers.get("HX-Current-URL", "") if fragment else request.get_full_path()
    if fragment:
        # Only the path: the page's own address may be spelled with another host name.
        back = "/" + back.split("://", 1)[-1].partition("/")[2]
    address = f"{settings.LOGIN_URL}?{urlencode({'next': back})}"
    if fragment:
        return HttpResponse(status=204, headers={"HX-Redirect": address})
    return HttpResponseRedirect(address)


def frame(request: HttpRequest) -> dict[str, Any]:
    """Context processor: what the frame around every page shows.

    ``tenant``, ``principal``, ``may`` (permission -> held), ``tenants`` (those of the person) and ``people``
    (e-mail -> name, for ``{% who %}``), both asked for only when shown, ``nav``, ``socket_url``.
    """
    principal = getattr(request, "principal", None)
    user = getattr(request, "user", None)
    return {
        "tenant": getattr(request, "tenant", None),
        "principal": principal,
        "may": {name: bool(principal and principal.may(name)) for name in PERMISSIONS},
        "tenants": (lambda: list(selectors.tenants_of(user))) if isinstance(user, User) else (),
        "people": getattr(request, "people", {}),
        "nav": NAV,
        "socket_url": settings.SOCKET_URL,
    }
