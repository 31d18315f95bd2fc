"""Signing in and out: the form, the second step, one-time links, and showing again that it is you."""

from __future__ import annotations

import json

from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from decisiongraph.core.errors import Problem
from tenants import selectors, services
from tenants.access import client_address, to_sign_in
from tenants.models import Membership, Tenant, User
from tenants.services import bell
from tenants.services import reauth as proof
from tenants.services.audit import note_request


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
    back = safe_next(request, request.POST.get("next") or request.GET.get("next") or "")
    if request.method == "GET":
        if isinstance(request.user, User):
            return HttpResponseRedirect(back)
        return render(request, "registration/login.html", {"next": back, "provider": settings.OIDC_NAME})
    note_request(client_address(request), "POST /signin")
    email = request.POST.get("username", "")
    found = services.try_sign_in(
        request,
        email=email,
        password=request.POST.get("password", ""),
        address=client_address(request),
    )
    if isinstance(found, Problem):
        shown = {"error": found.detail, "form": {"username": {"value": email[:254]}}, "provider": settings.OIDC_NAME}
        return refused(request, "registration/login.html", found, {"next": back, **shown})
    return welcome(request, found, by="password", back=back)


def welcome(request: HttpRequest, user: User, *, by: str, back: str) -> HttpResponse:
    """In, or to the second step where the person has one."""
    if selectors.second_factor(user) is not None:
        services.hold_sign_in(request, user, by=by, back=back)
        return HttpResponseRedirect("/signin/code")
    services.begin_session(request, user, by=by)
    return HttpResponseRedirect(back)


@never_cache
@sensitive_post_parameters("code")
@require_http_methods(["GET", "POST"])
def sign_in_code(request: HttpRequest) -> HttpResponse:
    """The second step: the code of the app, or one of the recovery codes."""
    held = services.held_sign_in(request)
    if held is None:
        return HttpResponseRedirect(settings.LOGIN_URL)
    if request.method == "GET":
        return render(request, "registration/code.html", {"who": held.user})
    note_request(client_address(request), "POST /signin/code")
    found = services.try_code(held.user, code=request.POST.get("code", ""), address=client_address(request))
    if isinstance(found, Problem):
        return refused(request, "registration/code.html", found, {"who": held.user, "error": found.detail})
    services.begin_session(request, held.user, by=f"{held.by}+{found}")
    return HttpResponseRedirect(held.back)


@never_cache
@require_GET
def sign_in_elsewhere(request: HttpRequest) -> HttpResponseBase:
    """To the identity provider, where one is set up."""
    from tenants.services import identities  # its library is loaded only where somebody signs in that way

    back = safe_next(request, request.GET.get("next", ""))
    return identities.leave_for_provider(request, back=back, again=request.GET.get("again") == "1")


@never_cache
@require_GET
def back_from_elsewhere(request: HttpRequest) -> HttpResponse:
    """Back from the identity provider."""
    from tenants.services import identities

    note_request(client_address(request), "GET /signin/sso/back")
    found = identities.arrive_from_provider(request)
    if found.again:
        proof.note_proof(request)
        return HttpResponseRedirect(found.back)
    return welcome(request, found.user, by="oidc", back=found.back)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """End this session and its sockets."""
    logout(request)
    bell.ring()
    return HttpResponseRedirect(settings.LOGIN_URL, headers={"Clear-Site-Data": '"cache"'})


@never_cache
@sensitive_post_parameters("password", "code")
@require_http_methods(["GET", "POST"])
def reauth(request: HttpRequest) -> HttpResponse:
    """Show again that it is you: a dialog over the page that asked for it, a page of its own without a script."""
    if not isinstance(request.user, User):
        return to_sign_in(request)
    note_request(client_address(request), f"{request.method} /reauth")
    dialog = bool(request.headers.get("HX-Request"))
    template = "registration/reauth_dialog.html" if dialog else "registration/reauth.html"
    back = safe_next(request, request.POST.get("next") or request.GET.get("next") or "")
    shown = {"next": back, "methods": proof.methods(request.user), "provider": settings.OIDC_NAME}
    if request.method == "GET":
        return render(request, template, shown)
    found = proof.try_prove(request, password=request.POST.get("password", ""), code=request.POST.get("code", ""))
    if found is not None:
        return refused(request, template, found, {**shown, "error": found.detail}, status=422 if dialog else 0)
    if dialog:
        return HttpResponse(status=204, headers={"HX-Trigger": json.dumps({"proved": True})})
    return HttpResponseRedirect(back)


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
    note_request(client_address(request), "POST /join")
    password = request.POST.get("password", "")
    if not known:
        problem = services.password_problem(member.user, password, request.POST.get("again", ""), joins=tenant)
        if problem is not None:
            return render(request, "tenants/join.html", shown | {"problem": problem}, status=422)
    services.use_link(text, password=password, signed_in=signed_in)
    if known:
        return HttpResponseRedirect(f"/t/{tenant.slug}/")
    logout(request)
    return HttpResponseRedirect(f"{settings.LOGIN_URL}?next=/t/{tenant.slug}/")


def refused(
    request: HttpRequest, template: str, problem: Problem, context: dict[str, object], *, status: int = 0
) -> HttpResponse:
    """The form again, with the reason and the refusal's headers."""
    response = render(request, template, context, status=status or problem.status)
    for name, value in problem.headers.items():
        response[name] = value
    return response


def safe_next(request: HttpRequest, target: str) -> str:
    """Only addresses of this site: a sign-in page that forwards anywhere helps phishers."""
    safe = url_has_allowed_host_and_scheme(
        target, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return target if safe and target.startswith("/") else settings.LOGIN_REDIRECT_URL
