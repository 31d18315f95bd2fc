"""The way in for people: a session's user, one tenant, what they may do there."""

from __future__ import annotations

import hmac

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser

from decisiongraph.core.errors import Problem
from tenants import selectors
from tenants.access.principal import Principal
from tenants.models import Tenant, User


def no_such_tenant(slug: str) -> Problem:
    """404 in the same words for a tenant that does not exist and for one that is not yours."""
    return Problem("tenant.not_found", 404, f"There is no tenant {slug[:50]!r} that you are a member of.")


def enter(user: User | AbstractBaseUser | AnonymousUser, slug: str) -> tuple[Tenant, Principal]:
    """The tenant and the person in it. 404 unless an active member.

    The answer is computed once per request and travels with it as ``request.principal``.
    """
    if not isinstance(user, User) or not user.is_active or "\x00" in slug:
        raise no_such_tenant(slug)
    tenant = Tenant.objects.filter(slug=slug).first()
    if tenant is None:
        raise no_such_tenant(slug)
    principal = principal_of(tenant, user)
    if principal is None:
        raise no_such_tenant(slug)
    return tenant, principal


def principal_of(tenant: Tenant, user: User) -> Principal | None:
    """The person in this tenant, or ``None`` when they are no member."""
    held = selectors.permissions(tenant, user)
    if not held:
        return None
    return Principal(
        "user",
        f"user:{user.email}",
        user.label,
        held,
        user_id=user.pk,
        tenant_id=tenant.pk,
        proof=user.get_session_auth_hash(),
    )


def still_signed_in(principal: Principal) -> tuple[User | None, bool]:
    """The person as the database knows them now, and whether the session of then still holds."""
    user = User.objects.filter(pk=principal.user_id or 0).first()
    if user is None or not user.is_active:
        return None, False
    return user, hmac.compare_digest(user.get_session_auth_hash(), principal.proof)
