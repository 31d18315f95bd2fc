"""The second factor: enrolled, asked for, used once, recovered from, taken away."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from decisiongraph.core import clock
from decisiongraph.core.errors import Problem
from tenants import selectors, services
from tenants.access import system_principal
from tenants.models import LoginThrottle, RecoveryCode, SecondFactor, User
from tenants.services import factors
from tests.factories import PASSWORD, Cast, UserFactory
from tests.pages import text

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh(quick_passwords: None) -> None:
    """Attempts of other tests come from the same address."""
    LoginThrottle.objects.all().delete()


def code_of(user: User, steps: int = 0) -> str:
    """What the person's app shows, some steps from now."""
    secret = factors._unseal(SecondFactor.objects.get(user=user))
    return factors._totp(secret).generate(int(clock.now().timestamp()) + steps * factors.STEP).decode()


def enrol(user: User) -> list[str]:
    services.start_factor(user)
    return services.confirm_factor(user, code=code_of(user, -1))


def at_the_code(user: User) -> Client:
    """A browser that has shown the password."""
    client = Client(headers={"Accept": "text/html"})
    answer = client.post("/signin", {"username": user.email, "password": PASSWORD, "next": "/patterns"})
    assert answer["Location"] == "/signin/code"
    return client


def test_enrolment_on_the_page_then_a_sign_in_with_the_code(cast: Cast) -> None:
    browser, base = cast.browser(cast.vera), f"/t/{cast.acme.slug}/settings/you"
    assert "Your password alone signs you in" in text(browser.get(base))
    page = browser.post(f"{base}/factor").content.decode()
    assert 'src="data:image/svg+xml' in page
    assert "otpauth" not in page, "the address is in the picture only"
    wrong = browser.post(f"{base}/factor/confirm", {"code": "000000"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "auth.code_wrong")
    assert selectors.second_factor(cast.vera) is None
    on = browser.post(f"{base}/factor/confirm", {"code": code_of(cast.vera, -1)}).content.decode()
    assert len(re.findall(r"<li><code>\w{5}-\w{5}</code>", on)) == 10
    assert not re.search(r"<li><code>\w{5}-\w{5}</code>", browser.get(base).content.decode())
    client = at_the_code(cast.vera)
    assert client.get(base).status_code == 302, "the password alone opens nothing"
    assert "Your code" in text(client.get("/signin/code"))
    refused = client.post("/signin/code", {"code": "123456"})
    assert (refused.status_code, "not right" in text(refused)) == (401, True)
    assert client.post("/signin/code", {"code": code_of(cast.vera)})["Location"] == "/patterns"
    assert client.get(base).status_code == 200
    said = [each.action for each in selectors.audit_entries(cast.acme, target=f"user:{cast.vera.email}")]
    assert said[:3] == ["login.succeeded", "login.refused", "factor.enrolled"]
    assert selectors.audit_entries(cast.acme, action="login.succeeded")[0].after == {"by": "password+totp"}


def test_a_code_counts_once_and_only_around_its_time(cast: Cast) -> None:
    enrol(cast.vera)
    code = code_of(cast.vera)
    assert services.check_code(cast.vera, code=code) == "totp"
    for used in (code, code_of(cast.vera, -1), code_of(cast.vera, 3), code_of(cast.vera, -3), "", "12345", "abcdef"):
        with pytest.raises(Problem) as refused:
            services.check_code(cast.vera, code=used)
        assert refused.value.code == "auth.code_wrong"
        LoginThrottle.objects.all().delete()
    assert services.check_code(cast.vera, code=f"{code_of(cast.vera, 1)[:3]} {code_of(cast.vera, 1)[3:]}") == "totp"


def test_a_recovery_code_counts_once(cast: Cast) -> None:
    codes = enrol(cast.vera)
    assert services.check_code(cast.vera, code=codes[0].upper().replace("-", " ")) == "recovery"
    with pytest.raises(Problem):
        services.check_code(cast.vera, code=codes[0])
    assert selectors.recovery_codes_left(cast.vera) == 9
    renewed = services.renew_recovery_codes(cast.vera)
    with pytest.raises(Problem):
        services.check_code(cast.vera, code=codes[1])
    assert services.check_code(cast.vera, code=renewed[1]) == "recovery"
    kept = set(RecoveryCode.objects.filter(user=cast.vera).values_list("digest", flat=True))
    assert not any(code.replace("-", "") in digest for code in renewed for digest in kept)


def test_the_password_does_not_give_new_tries_of_the_code(cast: Cast) -> None:
    enrol(cast.vera)
    statuses = []
    for _ in range(4):
        client = at_the_code(cast.vera)
        statuses += [client.post("/signin/code", {"code": "000000"}).status_code for _ in range(3)]
    assert statuses == [401] * 10 + [429] * 2
    assert at_the_code(cast.vera).post("/signin/code", {"code": code_of(cast.vera)}).status_code == 429


def test_the_step_between_ends_with_time_and_with_the_password(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    enrol(cast.vera)
    late, changed = at_the_code(cast.vera), at_the_code(cast.vera)
    services.set_password(User.objects.get(pk=cast.vera.pk), PASSWORD + "!")
    assert changed.post("/signin/code", {"code": code_of(cast.vera)})["Location"] == settings.LOGIN_URL
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(minutes=6))
    assert late.get("/signin/code")["Location"] == settings.LOGIN_URL
    assert Client().get("/signin/code")["Location"] == settings.LOGIN_URL


def test_the_secret_is_sealed_and_opens_for_its_person_only(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    enrol(cast.vera)
    services.start_factor(cast.bob)
    row = SecondFactor.objects.get(user=cast.vera)
    SecondFactor.objects.filter(user=cast.bob).update(secret=row.secret, confirmed_at=clock.now())
    with pytest.raises(Problem) as refused:
        services.check_code(cast.bob, code=code_of(cast.vera))
    assert refused.value.code == "factor.unreadable"
    monkeypatch.setattr(settings, "SECRET_KEY", "x" * 60)
    with pytest.raises(Problem) as refused:
        services.check_code(cast.vera, code="123456")
    assert refused.value.code == "factor.unreadable"


def test_an_admin_resets_it_and_it_is_audited(cast: Cast) -> None:
    enrol(cast.vera)
    admin, member = cast.browser(cast.alice), cast.member(cast.vera).pk
    base = f"/t/{cast.acme.slug}/settings/members"
    assert "with a second factor" in text(admin.get(base))
    assert cast.browser(cast.bob).post(f"{base}/{member}/factor").status_code == 403
    assert cast.browser(cast.mallory).post(f"{base}/{member}/factor").status_code == 404
    assert admin.post(f"{base}/{member}/factor", {"reason": "phone lost"}).status_code == 302
    assert selectors.second_factor(cast.vera) is None
    assert selectors.recovery_codes_left(cast.vera) == 0
    entry = selectors.audit_entries(cast.acme, action="factor.reset")[0]
    assert (entry.actor, entry.reason) == (f"user:{cast.alice.email}", "phone lost")


def test_an_account_that_opens_more_is_not_reset_by_one_tenant(cast: Cast) -> None:
    enrol(cast.vera)
    services.add_member(cast.globex, principal=system_principal(cast.globex), user=cast.vera, role="viewer")
    with pytest.raises(Problem) as refused:
        services.reset_factor(cast.acme, principal=cast.principal(cast.alice), member_id=cast.member(cast.vera).pk)
    assert refused.value.code == "member.account_shared"
    assert services.drop_factor(cast.vera, principal=system_principal(), reason="came in person")
    for tenant in (cast.acme, cast.globex):
        assert selectors.audit_entries(tenant, action="factor.reset")[0].reason == "came in person"


def test_where_it_is_required_nobody_enters_without(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "REQUIRE_SECOND_FACTOR", True)
    browser, base = cast.browser(cast.vera), f"/t/{cast.acme.slug}"
    browser.defaults["HTTP_ACCEPT"] = "text/html"
    assert browser.get(f"{base}/traces")["Location"] == f"{base}/settings/you"
    assert browser.get("/api/v1/me", headers={"X-Tenant": cast.acme.slug}).json()["code"] == "factor.required"
    browser.post(f"{base}/settings/you/factor")
    assert browser.post(f"{base}/settings/you/factor/confirm", {"code": code_of(cast.vera)}).status_code == 200
    assert browser.get(f"{base}/traces").status_code == 200
    assert cast.browser(cast.vera).get(f"{base}/traces").status_code != 200, "another session shows its own"
    assert cast.program("read").get("/api/v1/me").status_code == 200


def test_refusals_of_the_steps(cast: Cast) -> None:
    lone: Any = UserFactory(first="lone")
    for call, code in (
        (lambda: services.confirm_factor(lone, code="123456"), "factor.not_started"),
        (lambda: services.renew_recovery_codes(lone), "factor.not_found"),
        (lambda: services.check_code(lone, code="123456"), "factor.not_found"),
    ):
        with pytest.raises(Problem) as refused:
            call()
        assert refused.value.code == code
    enrol(lone)
    with pytest.raises(Problem) as refused:
        services.start_factor(lone)
    assert refused.value.code == "factor.exists"
    services.remove_factor(lone)
    assert selectors.second_factor(lone) is None
