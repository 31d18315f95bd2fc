"""Signing in: throttled before hashing, the same words for every failure."""

from __future__ import annotations

import threading
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from decisiongraph.core import clock
from tenants import selectors, services
from tenants.models import LoginThrottle
from tenants.services import sessions as module
from tests.factories import PASSWORD, Cast, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def address() -> str:
    """An address nobody used before: the counters are real rows and stay."""
    return f"2001:db8::{uuid.uuid4().hex[:4]}:{uuid.uuid4().hex[:4]}"


def attempt(email: str, password: str, address: str, client: Client | None = None, **more: Any) -> Any:
    return (client or Client()).post("/signin", {"username": email, "password": password, **more}, REMOTE_ADDR=address)


def test_the_right_password_opens_the_console(cast: Cast, address: str) -> None:
    client = Client()
    answer = attempt(f" {cast.vera.email.upper()} ", PASSWORD, address, client)
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert client.get("/")["Location"] == f"/t/{cast.acme.slug}/"
    assert client.get(f"/t/{cast.acme.slug}/settings").status_code == 200


def test_every_failure_reads_the_same(cast: Cast, address: str) -> None:
    services.set_user_active(cast.bob, principal=cast.principal(cast.alice), active=False)
    answers = [
        attempt(cast.vera.email, "wrong", address),
        attempt("nobody@example.org", PASSWORD, address),
        attempt(cast.bob.email, PASSWORD, address),
        attempt("", "", address),
        attempt("a\x00b", "c\x00d", address),
        attempt(cast.vera.email, "x" * 5000, address),
        attempt("x" * 5000, "x", address),
    ]
    assert {answer.status_code for answer in answers} == {401}
    for answer in answers:
        assert b"The e-mail or the password is not right." in answer.content
    assert all("sessionid" not in answer.cookies for answer in answers)


def test_after_ten_attempts_nothing_is_hashed(cast: Cast, address: str, monkeypatch: Any) -> None:
    asked: list[str] = []
    monkeypatch.setattr(module, "authenticate", lambda _r, username, **_: asked.append(username))
    codes = [attempt(cast.vera.email, "wrong", address).status_code for _ in range(13)]
    assert codes == [401] * 10 + [429] * 3
    assert len(asked) == 10
    refused = attempt(cast.vera.email, "wrong", address)
    assert int(refused["Retry-After"]) > 0
    # From elsewhere too, and with the right password: the account is what is protected.
    assert attempt(cast.vera.email, PASSWORD, "203.0.113.99").status_code == 429


def test_one_address_cannot_try_many_accounts(address: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "authenticate", lambda *_a, **_k: None)
    codes = [attempt(f"{uuid.uuid4().hex}@example.org", "x", address).status_code for _ in range(62)]
    assert codes == [401] * 60 + [429] * 2


def test_exactly_the_limit_passes_under_concurrency(monkeypatch: Any, address: str) -> None:
    """The control: a counter that reads and then writes lets more through."""
    email = f"{uuid.uuid4().hex}@example.org"
    passed: list[int] = []

    def many() -> None:
        for _ in range(10):
            attempts, _wait = module.take_attempt("account", email)
            if attempts <= module.ACCOUNT_LIMIT:
                passed.append(attempts)
        connection.close()

    threads = [threading.Thread(target=many) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(passed) == list(range(1, module.ACCOUNT_LIMIT + 1))


def test_the_window_ends(cast: Cast, address: str, monkeypatch: Any) -> None:
    for _ in range(11):
        module.take_attempt("account", cast.vera.email)
    assert attempt(cast.vera.email, PASSWORD, address).status_code == 429
    later = clock.now() + timedelta(minutes=16)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert attempt(cast.vera.email, PASSWORD, address).status_code == 302


def test_success_clears_the_account(cast: Cast, address: str) -> None:
    for _ in range(8):
        module.take_attempt("account", cast.vera.email)
    assert attempt(cast.vera.email, PASSWORD, address).status_code == 302
    assert module.take_attempt("account", cast.vera.email)[0] == 1


def test_counters_name_nobody_and_are_forgotten(cast: Cast, address: str, monkeypatch: Any) -> None:
    attempt(cast.vera.email, "wrong", address)
    keys = set(LoginThrottle.objects.values_list("key", flat=True))
    assert not any(cast.vera.email in key or address in key for key in keys)
    later = clock.now() + timedelta(minutes=16)
    monkeypatch.setattr(clock, "now", lambda: later)
    services.forget_attempts()
    assert not LoginThrottle.objects.filter(window_start__lt=later - module.WINDOW).exists()


def test_failures_are_in_the_audit_log_of_their_tenant_only(cast: Cast, address: str) -> None:
    attempt(cast.vera.email, "wrong", address)
    for _ in range(12):
        module.take_attempt("account", cast.bob.email)
    entry = selectors.audit_entries(cast.acme, action="login.refused")[0]
    assert (entry.target, entry.address) == (f"user:{cast.vera.email}", address)
    assert "wrong" not in str(entry.__dict__)
    assert selectors.audit_entries(cast.globex, action="login.") == []


@pytest.mark.parametrize(
    "target",
    ["https://evil.example/", "//evil.example", "javascript:alert(1)", "\\\\evil", "signin", "/\\evil.example"],
)
def test_the_page_forwards_nowhere_else(cast: Cast, address: str, target: str) -> None:
    answer = attempt(cast.vera.email, PASSWORD, address, next=target)
    assert answer["Location"] == "/"


def test_back_to_where_one_came_from(cast: Cast, address: str) -> None:
    page = f"/t/{cast.acme.slug}/settings?x=1"
    client = Client()
    asked = client.get(page)
    assert asked["Location"].startswith("/signin?next=")
    assert attempt(cast.vera.email, PASSWORD, address, client, next=page)["Location"] == page


def test_htmx_is_told_to_move_the_whole_page(cast: Cast) -> None:
    answer = Client().get(
        f"/t/{cast.acme.slug}/settings",
        headers={"HX-Request": "true", "HX-Current-URL": "http://testserver/t/x/traces?q=1"},
    )
    assert answer.status_code == 204
    assert answer["HX-Redirect"] == "/signin?next=%2Ft%2Fx%2Ftraces%3Fq%3D1"


def test_signing_out_ends_the_session(cast: Cast) -> None:
    client = cast.browser(cast.vera)
    key = client.session.session_key
    assert client.get("/signout").status_code == 405
    assert client.post("/signout").status_code == 302
    assert client.get(f"/t/{cast.acme.slug}/settings").status_code == 302
    assert not client.session.exists(key)


def test_forms_need_the_csrf_token(cast: Cast) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(cast.alice, backend="django.contrib.auth.backends.ModelBackend")
    assert client.post("/signout").status_code == 403
    assert client.post(f"/t/{cast.acme.slug}/settings/tokens/create", {"name": "x"}).status_code == 403


def test_who_belongs_nowhere_is_told_what_to_do(db: None) -> None:
    client = Client()
    client.force_login(UserFactory(), backend="django.contrib.auth.backends.ModelBackend")
    answer = client.get("/")
    assert answer.status_code == 200
    assert b"create_user" in answer.content
