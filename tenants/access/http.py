"""The doors of the HTTP API."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication, CSRFCheck
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from decisiongraph.core.errors import Problem, not_authenticated
from tenants.access import rates
from tenants.access.principal import Principal
from tenants.access.tokens import unauthorized, verify
from tenants.access.users import enter
from tenants.models import Tenant, User
from tenants.services.audit import note_request
from tenants.services.visits import note_seen, second_shown


def client_address(request: HttpRequest) -> str:
    """The peer's address as the server saw it; a proxy in front must set it (see configuration)."""
    return str(request.META.get("REMOTE_ADDR") or "")[:64]


def admit(request: HttpRequest, tenant: Tenant, principal: Principal) -> None:
    """Put tenant and principal on the request."""
    request.tenant = tenant  # type: ignore[attr-defined]
    request.principal = principal  # type: ignore[attr-defined]


class TenantRequest(Request):
    """The request a view of the API gets, for type checkers: with tenant and principal."""

    tenant: Tenant
    principal: Principal


class ApiAuthentication(BaseAuthentication):
    """``Authorization: Bearer dg_...`` for programs; session, CSRF token and ``X-Tenant`` for people."""

    def authenticate(self, request: Request) -> tuple[Any, Principal] | None:
        """Put ``tenant`` and ``principal`` on the request, or ``None`` when nobody asks."""
        plain: HttpRequest = request._request
        address = client_address(plain)
        note_request(address, f"{plain.method} {plain.path}"[:300])
        header = plain.headers.get("Authorization")
        if header is not None:
            scheme, _, text = header.partition(" ")
            if scheme.lower() != "bearer":
                rates.admit_stranger(plain, address)
                raise unauthorized("auth.scheme_unknown", "Send `Authorization: Bearer dg_...`.")
            tenant, principal = verify(text.strip(), unknown=lambda: rates.admit_stranger(plain, address))
            _check_header(plain, tenant)
            user: Any = AnonymousUser()
        else:
            user = getattr(plain, "user", None)
            if not isinstance(user, User) or not user.is_active:
                rates.admit_stranger(plain, address)
                return None
            _check_csrf(plain)
            slug = plain.headers.get("X-Tenant", "")
            if not slug:
                raise Problem(
                    "tenant.header_missing",
                    400,
                    "Send the header X-Tenant with the slug of the tenant you mean.",
                )
            tenant, principal = enter(user, slug)
            note_seen(plain)
            if settings.REQUIRE_SECOND_FACTOR and not second_shown(plain):
                raise Problem(
                    "factor.required", 403, "This session has shown no second factor. Sign in again with one."
                )
        rates.admit_principal(plain, tenant, principal)
        admit(plain, tenant, principal)
        request.tenant = tenant  # type: ignore[attr-defined]
        request.principal = principal  # type: ignore[attr-defined]
        return user, principal

    def authenticate_header(self, request: Request) -> str:
        """What a 401 asks for."""
        return 'Bearer realm="decisiongraph"'


def _check_header(request: HttpRequest, tenant: Tenant) -> None:
    """A token carries its tenant; a header that names another one is a mistake worth telling."""
    slug = request.headers.get("X-Tenant")
    if slug is not None and slug != tenant.slug:
        raise Problem("tenant.not_found", 404, f"This token does not belong to a tenant {slug[:50]!r}.")


def _check_csrf(request: HttpRequest) -> None:
    check = CSRFCheck(lambda _request: None)  # type: ignore[arg-type]
    check.process_request(request)
    reason = check.process_view(request, lambda _request: None, (), {})  # type: ignore[arg-type, return-value]
    if reason:
        raise Problem(
            "auth.csrf_failed",
            403,
            "A signed-in browser must send the CSRF token as X-CSRFToken. Reload the page and try again.",
        )


def Needs(permission: str) -> type[BasePermission]:
    """A permission class: ``permission_classes = [Needs("operate")]``."""

    class Permission(BasePermission):
        """Asks the request's principal."""

        def has_permission(self, request: Request, view: Any) -> bool:
            """401 without a principal, 403 without the permission, else true."""
            principal = getattr(request, "principal", None)
            if request.auth is None or principal is None:
                raise not_authenticated()
            principal.require(permission)
            return True

    Permission.__name__ = f"Needs_{permission}"
    return Permission
