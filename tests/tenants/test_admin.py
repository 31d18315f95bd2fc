"""Django's admin: only one's own tenant, only through services."""

from __future__ import annotations

import re

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from tenants import selectors
from tenants.admin import PlatformAdmin, PlatformModelAdmin, TenantModelAdmin
from tenants.models import Tenant, User
from tests.factories import PASSWORD, Cast, UserFactory, make_token

pytestmark = pytest.mark.django_db


@pytest.fixture
def root(cast: Cast) -> User:
    """A platform superuser without any membership."""
    user = UserFactory(first="root")
    User.objects.filter(pk=user.pk).update(is_superuser=True)
    user.refresh_from_db()
    return user


def lists() -> list[str]:
    return [reverse(f"admin:{m._meta.app_label}_{m._meta.model_name}_changelist") for m in admin.site._registry]


def tenant_lists() -> list[str]:
    return [
        reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        for model, page in admin.site._registry.items()
        if isinstance(page, TenantModelAdmin)
    ]


def test_the_site_is_ours_and_every_page_has_a_side(cast: Cast) -> None:
    assert isinstance(admin.site, PlatformAdmin)
    assert User in admin.site._registry
    for model, page in admin.site._registry.items():
        assert isinstance(page, TenantModelAdmin | PlatformModelAdmin), model


def test_strangers_and_members_who_are_no_admins_stay_outside(cast: Cast) -> None:
    for path in [reverse("admin:index"), *lists()]:
        for client in (Client(), cast.browser(cast.bob), cast.browser(cast.vera), cast.browser(cast.rita)):
            answer = client.get(path)
            assert answer.status_code == 302, path
            assert "signin" in answer["Location"] or "/admin/login" in answer["Location"]
    assert Client().get(reverse("admin:login"))["Location"].startswith("/signin")


def test_the_admins_own_login_form_does_not_exist(cast: Cast) -> None:
    answer = Client().post(reverse("admin:login"), {"username": cast.alice.email, "password": PASSWORD})
    assert answer.status_code == 302
    assert "dg_session" not in answer.cookies


def test_an_admin_sees_only_their_tenant(cast: Cast) -> None:
    make_token(cast.globex, name="secret-of-globex")
    make_token(cast.acme, name="token-of-acme")
    browser = cast.browser(cast.alice)
    seen = ""
    for path in [reverse("admin:index"), *tenant_lists()]:
        answer = browser.get(path)
        assert answer.status_code == 200, path
        seen += answer.content.decode()
    assert "token-of-acme" in seen
    assert cast.vera.email in seen
    for foreign in ("secret-of-globex", cast.mallory.email, cast.globex.slug):
        assert foreign not in seen


def test_an_admin_does_not_open_objects_of_another_tenant(cast: Cast) -> None:
    theirs = cast.member(cast.mallory, cast.globex).pk
    token, _text = make_token(cast.globex)
    browser = cast.browser(cast.alice)
    for path in (
        reverse("admin:tenants_membership_change", args=[theirs]),
        reverse("admin:tenants_apitoken_change", args=[token.pk]),
    ):
        # Django answers an unknown object with a redirect to the index and a message.
        answer = browser.get(path)
        assert answer.status_code in (302, 404)
        assert cast.mallory.email not in answer.content.decode()
        assert browser.post(path, {"role": "viewer"}).status_code in (302, 403, 404)
    assert cast.member(cast.mallory, cast.globex).role == "admin"
    assert browser.get(reverse("admin:switch_tenant", args=[cast.globex.slug])).status_code == 404


def test_platform_pages_are_for_superusers(cast: Cast, root: User) -> None:
    for model in ("tenant", "user"):
        path = reverse(f"admin:tenants_{model}_changelist")
        assert cast.browser(cast.alice).get(path).status_code == 403
        assert cast.browser(root).get(path).status_code == 200


def test_a_superuser_switches_between_tenants(cast: Cast, root: User) -> None:
    browser = cast.browser(root)
    for tenant, mine, other in ((cast.acme, cast.vera, cast.mallory), (cast.globex, cast.mallory, cast.vera)):
        assert browser.get(reverse("admin:switch_tenant", args=[tenant.slug])).status_code == 302
        page = browser.get(reverse("admin:tenants_membership_changelist")).content.decode()
        assert mine.email in page
        assert other.email not in page


def test_a_role_is_changed_through_the_service(cast: Cast) -> None:
    member = cast.member(cast.vera)
    answer = cast.browser(cast.alice).post(
        reverse("admin:tenants_membership_change", args=[member.pk]), {"role": "operator"}
    )
    assert answer.status_code == 302
    assert selectors.permissions(cast.acme, cast.vera) == {"read", "operate"}
    entry = selectors.audit_entries(cast.acme, action="member.role_changed")[0]
    assert entry.actor == f"user:{cast.alice.email}"


def test_the_last_admin_stays_here_too(cast: Cast) -> None:
    member = cast.member(cast.alice)
    answer = cast.browser(cast.alice).post(
        reverse("admin:tenants_membership_change", args=[member.pk]), {"role": "viewer"}
    )
    assert answer.status_code == 409
    assert cast.member(cast.alice).role == "admin"


def test_actions_go_through_the_services(cast: Cast) -> None:
    token, _text = make_token(cast.acme)
    browser = cast.browser(cast.alice)
    browser.post(reverse("admin:tenants_apitoken_changelist"), {"action": "revoke", "_selected_action": [token.pk]})
    browser.post(
        reverse("admin:tenants_membership_changelist"),
        {"action": "deactivate", "_selected_action": [cast.member(cast.vera).pk]},
    )
    assert selectors.tokens(cast.acme)[0].state == "revoked"
    assert cast.member(cast.vera).status == "deactivated"
    actions = {e.action for e in selectors.audit_entries(cast.acme, actor=f"user:{cast.alice.email}")}
    assert actions == {"token.revoked", "member.deactivated"}


def test_nothing_is_deleted_and_the_audit_log_is_read_only(cast: Cast) -> None:
    entry = selectors.audit_entries(cast.acme)[0]
    browser = cast.browser(cast.alice)
    change = reverse("admin:tenants_auditentry_change", args=[entry.pk])
    assert browser.get(change).status_code == 200
    assert browser.post(change, {"reason": "other"}).status_code == 403
    for path in (
        reverse("admin:tenants_auditentry_delete", args=[entry.pk]),
        reverse("admin:tenants_auditentry_add"),
        reverse("admin:tenants_apitoken_add"),
        reverse("admin:tenants_membership_add"),
        reverse("admin:tenants_membership_delete", args=[cast.member(cast.vera).pk]),
    ):
        assert browser.post(path, {"post": "yes"}).status_code == 403, path
    for path in tenant_lists():
        assert "delete_selected" not in browser.get(path).content.decode()


def test_superusers_make_tenants_and_people_and_lock_them(cast: Cast, root: User) -> None:
    browser = cast.browser(root)
    slug = f"new-{cast.acme.slug}"
    assert browser.post(reverse("admin:tenants_tenant_add"), {"slug": slug, "name": "New"}).status_code == 302
    made = Tenant.objects.get(slug=slug)
    assert selectors.audit_entries(made, action="tenant.created")[0].actor == f"user:{root.email}"
    bad = browser.post(reverse("admin:tenants_tenant_add"), {"slug": "No Slug", "name": "x"})
    assert bad.status_code == 200
    email = f"made-{cast.acme.slug}@example.org"
    assert browser.post(reverse("admin:tenants_user_add"), {"email": email, "name": "Made"}).status_code == 302
    assert not User.objects.get(email=email).has_usable_password()
    browser.post(
        reverse("admin:tenants_user_changelist"),
        {"action": "lock", "_selected_action": [cast.vera.pk, root.pk]},
    )
    cast.vera.refresh_from_db()
    root.refresh_from_db()
    assert (cast.vera.is_active, root.is_active) == (False, True)
    assert selectors.audit_entries(cast.acme, action="user.locked")[0].target == f"user:{cast.vera.email}"


def test_djangos_ways_around_the_services_are_gone(cast: Cast) -> None:
    names = {str(pattern.name) for pattern in admin.site.get_urls() if hasattr(pattern, "name")}
    assert not names & {"password_change", "password_change_done", "view_on_site"}
    page = cast.browser(cast.alice).get(reverse("admin:index")).content.decode()
    assert not re.search(r"password_change", page)
