"""Passwords made of what everybody here would try: product, host, the person's tenants, configured words."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tenants import services
from tenants.access import system_principal
from tenants.models import LoginThrottle, Tenant
from tests.factories import PASSWORD, Cast, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh(quick_passwords: None, settings: Any) -> None:
    """Attempts of other tests come from the same address."""
    LoginThrottle.objects.all().delete()
    settings.PUBLIC_URL = "https://decisions.skyfreight.example"
    settings.PASSWORD_WORDS = ["Falcon Nine", "ledger"]


@pytest.mark.parametrize(
    "password",
    ["Decision-Graph-2026", "skyfreight1234", "F4lcon-Nine-2026", "ledger!ledger!", "Globex99887", "d3c1s10ngr4ph!!"],
)
def test_they_are_refused_where_a_person_changes_theirs(cast: Cast, password: str) -> None:
    page = f"/t/{cast.globex.slug}/settings/you/password"
    form = {"current": PASSWORD, "password": password, "again": password}
    refused = cast.browser(cast.mallory).post(page, form)
    assert (refused.status_code, refused.json()["code"]) == (422, "user.password_weak")
    (why,) = refused.json()["errors"]
    assert "Everybody here would try" in why["detail"]
    cast.mallory.refresh_from_db()
    assert cast.mallory.check_password(PASSWORD)


def test_a_sentence_with_such_a_word_and_the_name_of_a_tenant_of_others_are_fine(cast: Cast) -> None:
    other = Tenant.objects.get(pk=cast.acme.pk)
    services.rename_tenant(other, principal=system_principal(other), name="Umbrella Works")
    page = f"/t/{cast.globex.slug}/settings/you/password"
    for old, new in ((PASSWORD, "falcon nine flies on thursdays"), ("falcon nine flies on thursdays", "Umbrella-123")):
        form = {"current": old, "password": new, "again": new}
        browser = cast.browser(cast.mallory)
        assert browser.post(page, form).status_code == 302, new
        cast.mallory.refresh_from_db()


def test_who_joins_is_told_about_the_tenant_they_join(cast: Cast) -> None:
    email = f"new-{cast.globex.slug}@example.org"
    _, link = services.invite_member(
        cast.globex, principal=cast.principal(cast.mallory, cast.globex), email=email, role="viewer"
    )
    refused = Client().post(f"/join/{link}", {"password": "Globex-2026!!", "again": "Globex-2026!!"})
    assert refused.status_code == 422
    assert "Everybody here would try" in refused.content.decode()
    assert Client().post(f"/join/{link}", {"password": PASSWORD, "again": PASSWORD}).status_code == 302


def test_somebody_without_a_tenant_is_held_to_the_other_words() -> None:
    user = UserFactory(first="zoe")
    assert services.password_problem(user, "decisiongraph1", "decisiongraph1")
    assert services.password_problem(user, "Globex-2026!!", "Globex-2026!!") is None
