"""Reads of people, tenants, tokens and the audit log."""

from __future__ import annotations

from django.db import connection
from django.db.models import Q, QuerySet
from guardian.core import ObjectPermissionChecker
from guardian.shortcuts import get_objects_for_user

from decisiongraph.core.db import tenant_tx
from tenants.domain.roles import PERMISSIONS
from tenants.models import ApiToken, AuditEntry, Membership, Tenant, User


def permissions(tenant: Tenant, user: User) -> frozenset[str]:
    """What a person may do here, by the groups of this tenant and nothing else.

    Being a platform superuser opens no tenant: what they want to see, they join, and that is audited.
    """
    held = ObjectPermissionChecker(user).get_group_perms(tenant)
    return frozenset(PERMISSIONS) & frozenset(held)


def tenants_of(user: User, permission: str = "read") -> QuerySet[Tenant]:
    """The tenants in which a person holds a permission, by name."""
    found: QuerySet[Tenant] = get_objects_for_user(
        user, f"tenants.{permission}", Tenant, with_superuser=False, accept_global_perms=False
    )
    return found.order_by("name", "pk")


def tenant_ids(user: User) -> set[int]:
    """Numbers of the tenants in which a person is an active member, across tenants."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT dg_tenants_of(%s)", [user.pk])
        return {row[0] for row in cursor.fetchall()}


def other_tenant_ids(tenant: Tenant, user: User) -> set[int]:
    """The same without this one."""
    return tenant_ids(user) - {tenant.pk}


def tenant_of_token(token_id: str) -> Tenant | None:
    """The tenant a token belongs to, before anything is known about who asks."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT dg_token_tenant(%s)", [token_id])
        row = cursor.fetchone()
    return Tenant.objects.filter(pk=row[0]).first() if row and row[0] is not None else None


def token(tenant: Tenant, token_id: str) -> ApiToken | None:
    """One token with the person who issued it."""
    with tenant_tx(tenant):
        return ApiToken.objects.select_related("created_by").filter(pk=token_id).first()


def members(tenant: Tenant, *, after: int = 0, limit: int = 500) -> list[Membership]:
    """Members in the order they came, up to ``limit + 1``."""
    with tenant_tx(tenant):
        rows = Membership.objects.select_related("user").filter(pk__gt=after)
        return list(rows.order_by("pk")[: limit + 1])


def member(tenant: Tenant, member_id: int) -> Membership | None:
    """One member."""
    with tenant_tx(tenant):
        return Membership.objects.select_related("user").filter(pk=member_id).first()


def tokens(tenant: Tenant, *, after: tuple[str, str] | None = None, limit: int = 500) -> list[ApiToken]:
    """Tokens, newest first, up to ``limit + 1``; ``after`` is (created_at, id) of the last seen."""
    with tenant_tx(tenant):
        rows = ApiToken.objects.all()
        if after is not None:
            rows = rows.filter(Q(created_at__lt=after[0]) | Q(created_at=after[0], id__gt=after[1]))
        return list(rows.order_by("-created_at", "id")[: limit + 1])


def audit_entries(
    tenant: Tenant,
    *,
    before_id: int | None = None,
    limit: int = 100,
    action: str = "",
    actor: str = "",
    target: str = "",
    text: str = "",
    since: object = None,
    until: object = None,
) -> list[AuditEntry]:
    """Audit lines, newest first, up to ``limit + 1``.

    ``action`` matches exactly or, ending in a dot, as a prefix (``member.``); ``actor`` and
    ``target`` exactly; ``text`` anywhere in actor, target and reason; ``since`` and ``until`` are
    aware datetimes, the second excluded.
    """
    with tenant_tx(tenant):
        rows = AuditEntry.objects.all()
        if before_id is not None:
            rows = rows.filter(pk__lt=before_id)
        if action:
            rows = rows.filter(**({"action__startswith": action} if action.endswith(".") else {"action": action}))
        if actor:
            rows = rows.filter(actor=actor)
        if target:
            rows = rows.filter(target=target)
        if text:
            anywhere = Q(actor__icontains=text) | Q(target__icontains=text) | Q(reason__icontains=text)
            rows = rows.filter(anywhere)
        if since is not None:
            rows = rows.filter(at__gte=since)
        if until is not None:
            rows = rows.filter(at__lt=until)
        return list(rows.order_by("-pk")[: limit + 1])
