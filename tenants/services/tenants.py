"""Tenants and their groups of permissions."""

from __future__ import annotations

from collections.abc import Mapping

from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from guardian.models import GroupObjectPermission

from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem, invalid
from tenants.domain.limits import parse
from tenants.domain.principal import Actor
from tenants.domain.roles import MEANING, PERMISSIONS, ROLE_PERMISSIONS, ROLES
from tenants.models import SLUG, Tenant, User
from tenants.services import bell
from tenants.services.audit import record_audit

RESERVED_SLUGS = frozenset({"platform"})
"""Names with a meaning of their own: the bell of the doors rings under ``platform``."""


def create_tenant(slug: str, *, principal: Actor, name: str = "") -> Tenant:
    """A new tenant with one permission group per role. 409 when the slug is taken.

    The one service without a tenant as first argument: there is none yet.
    """
    try:
        SLUG(slug)
    except ValidationError as error:
        raise invalid("slug", "tenant.slug_invalid", error.messages[0]) from None
    if slug in RESERVED_SLUGS:
        raise invalid("slug", "tenant.slug_reserved", f"The slug {slug!r} is reserved. Choose another.")
    try:
        with transaction.atomic():
            tenant = Tenant.objects.create(slug=slug, name=name.strip() or slug)
            with tenant_tx(tenant):
                sync_groups(tenant)
                record_audit(
                    tenant,
                    principal=principal,
                    action="tenant.created",
                    target=slug,
                    after={"slug": slug, "name": tenant.name},
                )
    except IntegrityError:
        raise Problem("tenant.exists", 409, f"There is already a tenant {slug!r}. Choose another slug.") from None
    return tenant


def rename_tenant(tenant: Tenant, *, principal: Actor, name: str) -> Tenant:
    """Change the name people see; the slug stays, it is in every link."""
    name = name.strip()
    if not name or len(name) > 150:
        raise invalid("name", "tenant.name_invalid", "A name has 1 to 150 characters.")
    with tenant_tx(tenant):
        before = tenant.name
        tenant.name = name
        tenant.save(update_fields=["name"])
        record_audit(
            tenant,
            principal=principal,
            action="tenant.renamed",
            target=tenant.slug,
            before={"name": before},
            after={"name": name},
        )
    return tenant


def set_limits(tenant: Tenant, *, principal: Actor, limits: Mapping[str, str], reason: str = "") -> Tenant:
    """Let a tenant differ from the settings' request limits; an empty value goes back to them.

    Known in every process within a second, within a minute if the bell is lost.
    """
    for name, text in limits.items():
        if name not in ("token", "user", "tenant"):
            raise invalid("limits", "tenant.limit_unknown", f"There is no limit {name!r}. Known: token, user, tenant.")
        try:
            if text:
                parse(name, text)
        except ValueError as error:
            raise invalid("limits", "tenant.limit_invalid", f"{name}: write {error}.") from None
    with tenant_tx(tenant):
        before = dict(Tenant.objects.select_for_update().get(pk=tenant.pk).limits)
        tenant.limits = {name: text for name, text in {**before, **limits}.items() if text}
        tenant.save(update_fields=["limits"])
        record_audit(
            tenant,
            principal=principal,
            action="tenant.limits_changed",
            target=tenant.slug,
            reason=reason,
            before=before,
            after=tenant.limits,
        )
        bell.ring()
    return tenant


def group_name(tenant: Tenant, role: str) -> str:
    """Name of the group that holds a role's permissions on a tenant."""
    return f"tenant:{tenant.pk}:{role}"


def group_of(tenant: Tenant, role: str) -> Group:
    """The group of a role in a tenant."""
    return Group.objects.get(name=group_name(tenant, role))


def sync_groups(tenant: Tenant) -> None:
    """Make the groups of a tenant hold exactly what the matrix in `domain.roles` says."""
    held = _permissions()
    names = [group_name(tenant, role) for role in ROLES]
    Group.objects.bulk_create([Group(name=name) for name in names], ignore_conflicts=True)
    groups = {group.name: group for group in Group.objects.filter(name__in=names)}
    kind = ContentType.objects.get_for_model(Tenant)
    wanted = {
        (groups[group_name(tenant, role)].pk, held[permission].pk)
        for role in ROLES
        for permission in ROLE_PERMISSIONS[role]
    }
    rows = GroupObjectPermission.objects.filter(content_type=kind, object_pk=str(tenant.pk))
    extra = [row.pk for row in rows if (row.group_id, row.permission_id) not in wanted]
    GroupObjectPermission.objects.filter(pk__in=extra).delete()
    GroupObjectPermission.objects.bulk_create(
        [
            GroupObjectPermission(group_id=group, permission_id=permission, content_type=kind, object_pk=str(tenant.pk))
            for group, permission in sorted(wanted)
        ],
        ignore_conflicts=True,
    )


def place_in_group(tenant: Tenant, user: User, role: str | None) -> None:
    """Put a person into the one group of their role in this tenant; ``None`` takes them out."""
    mine = Group.objects.filter(name__in=[group_name(tenant, each) for each in ROLES])
    user.groups.remove(*mine)
    if role is not None:
        user.groups.add(group_of(tenant, role))


def _permissions() -> dict[str, Permission]:
    """The five permission rows; made here when a fresh database has not been given them yet."""
    kind = ContentType.objects.get_for_model(Tenant)
    found = {p.codename: p for p in Permission.objects.filter(content_type=kind)}
    for name in PERMISSIONS:
        if name not in found:
            found[name], _ = Permission.objects.get_or_create(
                content_type=kind, codename=name, defaults={"name": f"May {MEANING[name]}"}
            )
    return found
