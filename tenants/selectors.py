"""Reads of people, tenants, tokens and the audit log."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection
from django.db.models import Q, QuerySet
from guardian.core import ObjectPermissionChecker
from guardian.shortcuts import get_objects_for_user

from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from tenants.domain.roles import PERMISSIONS
from tenants.models import (
    ApiToken,
    AuditEntry,
    Membership,
    RecoveryCode,
    SecondFactor,
    Session,
    SigningKey,
    Tenant,
    User,
)


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


def names(tenant: Tenant, *, limit: int = 5000) -> dict[str, str]:
    """E-mail -> name of everybody who is or was a member and has one; two of one name keep their addresses apart."""
    with tenant_tx(tenant):
        rows = Membership.objects.exclude(user__name="").order_by("-pk")
        found: dict[str, str] = dict(rows.values_list("user__email", "user__name")[:limit])
    times = Counter(found.values())
    return {email: name if times[name] == 1 else f"{name} ({email})" for email, name in found.items()}


class People(Mapping[str, str]):
    """`names` for a page: the viewer's own is known, everybody else's asked for at the first other address."""

    def __init__(self, tenant: Tenant, viewer: User) -> None:
        self._tenant = tenant
        self._known = {viewer.email: viewer.label}
        self._asked = False

    def __getitem__(self, address: str) -> str:
        if address not in self._known and "@" in address:
            self._ask()
        return self._known[address]

    def __iter__(self) -> Iterator[str]:
        self._ask()
        return iter(self._known)

    def __len__(self) -> int:
        self._ask()
        return len(self._known)

    def _ask(self) -> None:
        if not self._asked:
            self._known, self._asked = names(self._tenant) | self._known, True


def member(tenant: Tenant, member_id: int) -> Membership | None:
    """One member."""
    with tenant_tx(tenant):
        return Membership.objects.select_related("user").filter(pk=member_id).first()


def tokens(tenant: Tenant, *, after: tuple[datetime, str] | None = None, limit: int = 500) -> list[ApiToken]:
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


def audit_about(tenant: Tenant, targets: Iterable[str], *, limit: int) -> list[AuditEntry]:
    """Audit lines about these things (``approval:<id>``), the oldest first."""
    with tenant_tx(tenant):
        return list(AuditEntry.objects.filter(target__in=list(targets)).order_by("pk")[:limit])


def signing_keys(tenant: Tenant) -> list[SigningKey]:
    """The tenant's public keys, the newest first; the private half is not read."""
    with tenant_tx(tenant):
        return list(SigningKey.objects.order_by("-pk").defer("private_key")[:100])


def session_digest(key: str) -> str:
    """What is kept of a session key. It has 165 random bits: a slow hash would add nothing."""
    return hashlib.sha256(b"tenants.session:" + key.encode("utf-8", "replace")).hexdigest()


def living_sessions() -> QuerySet[Session]:
    """Sessions within their age and their idle time."""
    now = clock.now()
    return Session.objects.filter(
        created_at__gt=now - timedelta(seconds=settings.SESSION_COOKIE_AGE),
        last_seen_at__gt=now - timedelta(seconds=settings.SESSION_IDLE_SECONDS),
    )


def sessions_of(user: User) -> list[Session]:
    """Where a person is signed in, the one used last first."""
    return list(living_sessions().filter(user=user).order_by("-last_seen_at", "-created_at")[:100])


def second_factor(user: User) -> SecondFactor | None:
    """The person's authenticator, once it has been confirmed."""
    return SecondFactor.objects.filter(user=user, confirmed_at__isnull=False).first()


def recovery_codes_left(user: User) -> int:
    """How many recovery codes have not been used."""
    return RecoveryCode.objects.filter(user=user, used_at=None).count()


def protected_users(users: Iterable[int]) -> set[int]:
    """Those of these people who have a second factor."""
    found = SecondFactor.objects.filter(user__in=list(users), confirmed_at__isnull=False)
    return set(found.values_list("user_id", flat=True))
