"""Members and roles; what the settings say to somebody who is no admin."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse, HttpResponseRedirect
from django.views.decorators.http import require_GET, require_POST

from decisiongraph.core.console import moved
from decisiongraph.core.templatetags.dg.words import counted
from tenants import selectors, services
from tenants.access import console_view
from tenants.api import link_url
from tenants.console.frame import show
from tenants.domain.roles import MEANING, PERMISSIONS, ROLE_PERMISSIONS, ROLES
from tenants.models import Membership
from tenants.services import reauth


@console_view("read")
@require_GET
def settings_home(request: Any) -> HttpResponse:
    """Admins go to the members; everybody else sees what they may do and whom to ask."""
    if request.principal.may("admin"):
        return HttpResponseRedirect(f"/t/{request.tenant.slug}/settings/members")
    rights = [(name, MEANING[name], request.principal.may(name)) for name in MEANING]
    admins = [row.user.label for row in selectors.members(request.tenant) if row.active and row.role == "admin"]
    return show(request, "tenants/settings.html", "", rights=rights, admins=admins)


@console_view("admin")
@require_GET
def members(request: Any) -> HttpResponse:
    """Members and roles."""
    return _members(request)


@console_view("admin")
@require_POST
def invite(request: Any) -> HttpResponse:
    """Invite by a one-time link, shown once."""
    member, link = services.invite_member(
        request.tenant,
        principal=request.principal,
        email=request.POST.get("email", ""),
        role=request.POST.get("role", ""),
        name=request.POST.get("name", ""),
    )
    return _members(request, link=link_url(link), link_for=member)


@console_view("admin")
@require_POST
def change_role(request: Any, member_id: int) -> HttpResponse:
    """Another role."""
    member = services.change_role(
        request.tenant,
        principal=request.principal,
        member_id=member_id,
        role=request.POST.get("role", ""),
    )
    said = f"{member.user.label} is {member.role} now."
    return moved(request, f"/t/{request.tenant.slug}/settings/members", said)


@console_view("admin")
@require_POST
def member_link(request: Any, member_id: int) -> HttpResponse:
    """A fresh one-time link."""
    member, link = services.reset_link(request.tenant, principal=request.principal, member_id=member_id)
    return _members(request, link=link_url(link), link_for=member)


@console_view("admin")
@require_POST
def deactivate(request: Any, member_id: int) -> HttpResponse:
    """End a membership."""
    member = services.deactivate_member(
        request.tenant,
        principal=request.principal,
        member_id=member_id,
        reason=request.POST.get("reason", ""),
    )
    said = f"{member.user.label} has no access any more."
    return moved(request, f"/t/{request.tenant.slug}/settings/members", said)


@console_view("admin")
@require_POST
def reset_factor(request: Any, member_id: int) -> HttpResponse:
    """Take away the second factor of somebody who lost it."""
    reauth.demand(request)
    user = services.reset_factor(
        request.tenant,
        principal=request.principal,
        member_id=member_id,
        reason=request.POST.get("reason", ""),
    )
    said = f"{user.label} signs in with the password alone until they set up a new app."
    return moved(request, f"/t/{request.tenant.slug}/settings/members", said)


@console_view("admin")
@require_POST
def end_member_sessions(request: Any, member_id: int) -> HttpResponse:
    """Sign a member out everywhere."""
    reauth.demand(request)
    member, count = services.end_member_sessions(
        request.tenant,
        principal=request.principal,
        member_id=member_id,
        reason=request.POST.get("reason", ""),
    )
    said = f"{member.user.label} is signed out: {counted(count, 'session')} ended."
    return moved(request, f"/t/{request.tenant.slug}/settings/members", said)


def _members(request: Any, **more: Any) -> HttpResponse:
    rows = selectors.members(request.tenant)
    order = {Membership.ACTIVE: 0, Membership.INVITED: 1, Membership.DEACTIVATED: 2}
    rows.sort(key=lambda row: (order[row.status], row.user.label.lower()))
    roles = [(role, _meaning(role)) for role in ROLES]
    counts = {status: sum(row.status == status for row in rows) for status in order}
    admins = sum(row.active and row.role == "admin" for row in rows)
    protected = selectors.protected_users(row.user_id for row in rows)
    values: dict[str, Any] = {
        "members": rows,
        "protected": protected,
        "roles": roles,
        "counts": counts,
        "admins": admins,
    }
    return show(request, "tenants/members.html", "members", **values, **more)


def _meaning(role: str) -> str:
    """What a role allows; what everybody may is said once."""
    held = [MEANING[name] for name in PERMISSIONS if name in ROLE_PERMISSIONS[role] and name != "read"]
    return f"also {', '.join(held)}" if held else MEANING["read"]
