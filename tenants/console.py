"""Pages of the doors: sign in, first run, one-time links, settings of members, tokens and audit."""

from __future__ import annotations

import csv
import io
from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth import login, logout
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from pydantic import AwareDatetime, Field

from decisiongraph.core import clock
from decisiongraph.core.api import ListQuery, decode_cursor, encode_cursor, query_params
from decisiongraph.core.clock import rfc3339
from decisiongraph.core.console import moved, page
from decisiongraph.core.errors import Problem
from tenants import selectors, services
from tenants.access import client_address, console_view
from tenants.api import link_url
from tenants.domain.roles import MEANING, PERMISSIONS, ROLE_PERMISSIONS, ROLES, SCOPES
from tenants.models import AuditEntry, Membership, Tenant, User
from tenants.services import bell

EXPORT_LIMIT = 10_000
FAMILIES = (
    ("member.", "Members"),
    ("token.", "Tokens"),
    ("replay.", "Replays"),
    ("projection.", "Projections"),
    ("dead_letter.", "Parked traces"),
    ("permission.", "Refusals"),
    ("audit.", "Exports"),
    ("user.", "Accounts"),
    ("tenant.", "Tenant"),
)
"""Families of audited actions, as the filter offers them."""
SPANS = (("", "Any time"), ("1", "Last 24 h"), ("7", "Last 7 days"), ("30", "Last 30 days"), ("90", "Last 90 days"))
FILTERS = ("action", "actor", "target", "text", "days", "after", "before")
SECTIONS = (("members", "Members"), ("tokens", "Tokens"), ("audit", "Audit log"))


@never_cache
@require_GET
def landing(request: HttpRequest) -> HttpResponse:
    """To the person's first tenant; the first-run page where there is none."""
    if not isinstance(request.user, User):
        if not Tenant.objects.exists():
            return render(request, "registration/first_run.html", {"reason": "no_users"})
        return HttpResponseRedirect(settings.LOGIN_URL)
    first = selectors.tenants_of(request.user).first()
    if first is not None:
        return HttpResponseRedirect(f"/t/{first.slug}/")
    return render(request, "registration/first_run.html", {"reason": "no_tenant"})


@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    """The sign-in page. A refusal shows the page again with the reason, under its own status."""
    back = _safe_next(request, request.POST.get("next") or request.GET.get("next") or "")
    if request.method == "GET":
        if isinstance(request.user, User):
            return HttpResponseRedirect(back)
        return render(request, "registration/login.html", {"next": back})
    email = request.POST.get("username", "")
    found = services.try_sign_in(
        request,
        email=email,
        password=request.POST.get("password", ""),
        address=client_address(request),
    )
    if isinstance(found, Problem):
        shown = {"next": back, "error": found.detail, "form": {"username": {"value": email[:254]}}}
        response = render(request, "registration/login.html", shown, status=found.status)
        for name, value in found.headers.items():
            response[name] = value
        return response
    login(request, found, backend="django.contrib.auth.backends.ModelBackend")
    return HttpResponseRedirect(back)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """End this session and its sockets."""
    logout(request)
    bell.ring()
    return HttpResponseRedirect(settings.LOGIN_URL)


@never_cache
@sensitive_post_parameters("password", "again")
@require_http_methods(["GET", "POST"])
def join(request: HttpRequest, text: str) -> HttpResponse:
    """A one-time link: join a tenant, or choose a new password."""
    tenant, member = services.open_link(text)
    signed_in = request.user if isinstance(request.user, User) else None
    joining = member.status == Membership.INVITED
    known = joining and member.user.has_usable_password()
    shown = {"to": tenant, "member": member, "joining": joining, "known": known}
    if known and (signed_in is None or signed_in.pk != member.user_id):
        logout(request)
        return HttpResponseRedirect(f"{settings.LOGIN_URL}?next=/join/{text}")
    if request.method == "GET":
        return render(request, "tenants/join.html", shown)
    password = request.POST.get("password", "")
    if not known:
        refused = services.password_problem(member.user, password, request.POST.get("again", ""))
        if refused is not None:
            return render(request, "tenants/join.html", shown | {"problem": refused}, status=422)
    services.use_link(text, password=password, signed_in=signed_in)
    if known:
        return HttpResponseRedirect(f"/t/{tenant.slug}/")
    logout(request)
    return HttpResponseRedirect(f"{settings.LOGIN_URL}?next=/t/{tenant.slug}/")


@console_view("read")
@require_GET
def settings_home(request: Any) -> HttpResponse:
    """Admins go to the members; everybody else sees what they may do and whom to ask."""
    if request.principal.may("admin"):
        return HttpResponseRedirect(f"/t/{request.tenant.slug}/settings/members")
    rights = [(name, MEANING[name], request.principal.may(name)) for name in MEANING]
    admins = [row.user.label for row in selectors.members(request.tenant) if row.active and row.role == "admin"]
    return _show(request, "tenants/settings.html", "", rights=rights, admins=admins)


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
@require_GET
def tokens(request: Any) -> HttpResponse:
    """Service tokens."""
    return _tokens(request)


@console_view("admin")
@require_POST
def create_token(request: Any) -> HttpResponse:
    """A new token; its text is on this page only."""
    days = request.POST.get("days", "")
    if days and not (days.isascii() and days.isdigit() and 1 <= int(days[:6]) <= 3650):
        raise Problem("token.expiry_invalid", 400, "Choose 1 to 3650 days, or leave it empty.")
    producers = [part.strip() for part in request.POST.get("producers", "").split(",") if part.strip()]
    token, text = services.create_token(
        request.tenant,
        principal=request.principal,
        name=request.POST.get("name", ""),
        scopes=request.POST.getlist("scopes"),
        producers=producers or None,
        expires_at=clock.now() + timedelta(days=int(days)) if days else None,
    )
    return _tokens(request, created=token, secret=text)


@console_view("admin")
@require_POST
def revoke_token(request: Any, token_id: str) -> HttpResponse:
    """End a token."""
    token = services.revoke_token(
        request.tenant,
        principal=request.principal,
        token_id=token_id,
        reason=request.POST.get("reason", ""),
    )
    said = f"The token {token.name} opens nothing any more."
    return moved(request, f"/t/{request.tenant.slug}/settings/tokens", said)


class AuditPageQuery(ListQuery):
    """Filters of the audit page; empty fields of its form are no filters."""

    limit: int = Field(default=50, ge=1, le=500)
    action: str = Field(default="", max_length=100)
    actor: str = Field(default="", max_length=300)
    target: str = Field(default="", max_length=300)
    text: str = Field(default="", max_length=200)
    """Anywhere in who, what and why."""
    days: Literal["", "1", "7", "30", "90"] = ""
    after: AwareDatetime | None = None
    before: AwareDatetime | None = None

    def since(self) -> datetime | None:
        """The earliest moment asked for."""
        return clock.now() - timedelta(days=int(self.days)) if self.days else self.after


@console_view("admin")
@require_GET
def audit(request: Any) -> HttpResponse:
    """The audit log with search."""
    query = query_params(request, AuditPageQuery)
    rows = _audit_rows(request.tenant, query, query.limit)
    kept = {name: value for name, value in query.model_dump(mode="json").items() if value and name in FILTERS}
    older = encode_cursor(rows[query.limit - 1].pk) if len(rows) > query.limit else None
    return _show(
        request,
        "tenants/audit.html",
        "audit",
        entries=[_entry(request.tenant, row) for row in rows[: query.limit]],
        query=query,
        families=FAMILIES,
        spans=SPANS,
        filters=urlencode(kept),
        filtered=bool(kept),
        older=urlencode(kept | {"cursor": older}) if older else "",
        later_page=query.cursor is not None,
    )


def _entry(tenant: Tenant, row: AuditEntry) -> dict[str, Any]:
    """A line in words: who, what, what changed from what, why."""
    before, after = row.before or {}, row.after or {}
    changes = [
        (name.replace("_", " "), _said(before.get(name)), _said(after.get(name)))
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    ]
    kind, _, ident = row.target.partition(":")
    return {
        "row": row,
        "family": row.action.partition(".")[0].replace("_", " "),
        "verb": row.action.partition(".")[2].replace("_", " "),
        "refused": row.action == "permission.refused",
        "changes": changes,
        "url": f"/t/{tenant.slug}/replays/{ident}" if kind == "replay" else "",
    }


def _said(value: Any) -> str:
    if value is None or value == "" or value == []:
        return ""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


@console_view("admin")
@require_GET
def audit_export(request: Any) -> HttpResponse:
    """The filtered audit log as CSV, the newest 10,000 lines; the export is itself audited."""
    query = query_params(request, AuditPageQuery)
    rows = _audit_rows(request.tenant, query, EXPORT_LIMIT)[:EXPORT_LIMIT]
    services.record_audit(
        request.tenant, principal=request.principal, action="audit.exported", after={"lines": len(rows)}
    )
    out = io.StringIO()
    writer = csv.writer(out)
    names = ("actor", "on_behalf_of", "action", "target", "reason", "request_id", "address")
    writer.writerow(["at", *names])
    for row in rows:
        writer.writerow([rfc3339(row.at), *(csv_cell(getattr(row, name)) for name in names)])
    response = HttpResponse(out.getvalue(), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="audit-{request.tenant.slug}.csv"'
    return response


def csv_cell(text: str) -> str:
    """A text that a spreadsheet will not take for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _audit_rows(tenant: Tenant, query: AuditPageQuery, limit: int) -> list[AuditEntry]:
    at = decode_cursor(query.cursor, int)
    return selectors.audit_entries(
        tenant,
        before_id=max(0, at[0]) if at else None,
        limit=limit,
        action=query.action,
        actor=query.actor,
        target=query.target,
        text=query.text,
        since=query.since(),
        until=query.before,
    )


def _members(request: Any, **more: Any) -> HttpResponse:
    rows = selectors.members(request.tenant)
    order = {Membership.ACTIVE: 0, Membership.INVITED: 1, Membership.DEACTIVATED: 2}
    rows.sort(key=lambda row: (order[row.status], row.user.label.lower()))
    roles = [(role, _meaning(role)) for role in ROLES]
    counts = {status: sum(row.status == status for row in rows) for status in order}
    admins = sum(row.active and row.role == "admin" for row in rows)
    values = {"members": rows, "roles": roles, "counts": counts, "admins": admins}
    return _show(request, "tenants/members.html", "members", **values, **more)


def _meaning(role: str) -> str:
    """What a role allows; what everybody may is said once."""
    held = [MEANING[name] for name in PERMISSIONS if name in ROLE_PERMISSIONS[role] and name != "read"]
    return f"also {', '.join(held)}" if held else MEANING["read"]


def _tokens(request: Any, **more: Any) -> HttpResponse:
    found = selectors.tokens(request.tenant)
    return _show(
        request,
        "tenants/tokens.html",
        "tokens",
        tokens=sorted(found, key=lambda token: token.state != "active"),
        living=sum(token.state == "active" for token in found),
        address=settings.PUBLIC_URL,
        scopes=[(scope, MEANING[scope]) for scope in SCOPES],
        **more,
    )


def _show(request: Any, template: str, part: str, **context: Any) -> HttpResponse:
    base = f"/t/{request.tenant.slug}/settings"
    crumbs = [{"label": "Settings", "url": base}]
    crumbs += [{"label": label, "url": f"{base}/{key}"} for key, label in SECTIONS if key == part]
    tabs = [(key, label, f"{base}/{key}") for key, label in SECTIONS]
    values = page(request, "settings", crumbs=crumbs, tabs=tabs, part=part, now=_now(), **context)
    response = render(request, template, values)
    response["Cache-Control"] = "no-store"
    return response


def _now() -> datetime:
    return clock.now()


def _safe_next(request: HttpRequest, target: str) -> str:
    """Only addresses of this site: a sign-in page that forwards anywhere helps phishers."""
    safe = url_has_allowed_host_and_scheme(
        target, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return target if safe and target.startswith("/") else settings.LOGIN_REDIRECT_URL
