"""The doors: who gets in where, which permission is missing, and that it is written down."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.test import Client

from tenants import selectors
from tenants.access import console_view
from tests.factories import Cast

pytestmark = pytest.mark.django_db

ADMIN_ONLY = [
    ("GET", "members", None),
    ("POST", "members", {"email": "x@example.org", "role": "admin"}),
    ("GET", "tokens", None),
    ("POST", "tokens", {"name": "x", "scopes": ["admin"]}),
    ("GET", "audit", None),
]
PAGES = ["members", "tokens", "audit", "audit.csv"]


def ask(client: Client, method: str, path: str, body: Any = None, **headers: str) -> Any:
    return client.generic(
        method,
        f"/api/v1/{path}",
        b"" if body is None else json.dumps(body),
        content_type="application/json",
        headers=headers,
    )


@pytest.mark.parametrize(("method", "path", "body"), ADMIN_ONLY)
def test_only_admins_administer(cast: Cast, method: str, path: str, body: Any) -> None:
    for user in (cast.bob, cast.rita, cast.vera):
        answer = ask(cast.browser(user), method, path, body, **{"X-Tenant": cast.acme.slug})
        assert answer.status_code == 403
        assert answer.json()["permission"] == "admin"
        assert "admin" in answer.json()["detail"]
    for scope in ("ingest", "read", "operate", "review"):
        assert ask(cast.program(scope), method, path, body).status_code == 403
    assert ask(Client(), method, path, body).status_code == 401


def test_a_refused_privileged_action_is_written_down(cast: Cast) -> None:
    ask(cast.browser(cast.vera), "GET", "audit", **{"X-Tenant": cast.acme.slug})
    cast.browser(cast.vera).get(f"/t/{cast.acme.slug}/settings/members")
    entries = selectors.audit_entries(cast.acme, action="permission.refused")
    assert [e.target for e in entries] == [f"GET /t/{cast.acme.slug}/settings/members", "GET /api/v1/audit"]
    assert {e.actor for e in entries} == {f"user:{cast.vera.email}"}
    assert {e.reason for e in entries} == {"needs 'admin'"}
    assert all(e.request_id for e in entries)
    assert all(e.address == "127.0.0.1" for e in entries)


def test_reading_without_the_permission_is_refused_quietly(cast: Cast) -> None:
    assert ask(cast.program("ingest"), "POST", "socket-tickets").status_code == 403
    assert selectors.audit_entries(cast.acme, action="permission.refused") == []


@pytest.mark.parametrize("slug", ["nowhere", "globex", "a\x00b", "é", "x" * 500, "ACME"])
def test_a_foreign_tenant_and_none_at_all_look_the_same(cast: Cast, slug: str) -> None:
    named = cast.globex.slug if slug == "globex" else slug
    header = named.encode("ascii", "replace").decode()
    answer = ask(cast.browser(cast.alice), "GET", "me", **{"X-Tenant": header})
    assert (answer.status_code, answer.json()["code"]) == (404, "tenant.not_found")
    if slug.isascii() and "\x00" not in slug:
        assert cast.browser(cast.alice).get(f"/t/{named}/settings").status_code == 404


def test_a_session_needs_the_header_and_the_csrf_token(cast: Cast) -> None:
    client = cast.browser(cast.alice)
    assert ask(client, "GET", "me").json()["code"] == "tenant.header_missing"
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(cast.alice, backend="django.contrib.auth.backends.ModelBackend")
    assert ask(strict, "GET", "me", **{"X-Tenant": cast.acme.slug}).status_code == 200
    refused = ask(strict, "POST", "socket-tickets", **{"X-Tenant": cast.acme.slug})
    assert (refused.status_code, refused.json()["code"]) == (403, "auth.csrf_failed")
    strict.get("/t/" + cast.acme.slug + "/settings/members")
    token = strict.cookies["dg_csrf"].value
    allowed = ask(strict, "POST", "socket-tickets", **{"X-Tenant": cast.acme.slug, "X-CSRFToken": token})
    assert allowed.status_code == 201


def test_a_token_needs_no_csrf_token(cast: Cast) -> None:
    program = cast.program("read")
    program.handler.enforce_csrf_checks = True
    assert ask(program, "POST", "socket-tickets").status_code == 201


@pytest.mark.parametrize("page", PAGES)
def test_settings_pages(cast: Cast, page: str) -> None:
    address = f"/t/{cast.acme.slug}/settings/{page}"
    assert cast.browser(cast.alice).get(address).status_code == 200
    assert cast.browser(cast.vera).get(address).status_code == 403
    assert cast.browser(cast.mallory).get(address).status_code == 404
    assert Client().get(address).status_code == 302


def test_the_settings_of_others_say_what_they_may_do(cast: Cast) -> None:
    assert b"operate" in cast.browser(cast.bob).get(f"/t/{cast.acme.slug}/settings").content
    home = cast.browser(cast.alice).get(f"/t/{cast.acme.slug}/settings")
    assert home["Location"] == f"/t/{cast.acme.slug}/settings/members"


def test_members_are_managed_on_their_page(cast: Cast) -> None:
    browser, base = cast.browser(cast.alice), f"/t/{cast.acme.slug}/settings/members"
    invited = browser.post(f"{base}/invite", {"email": f"n-{cast.acme.slug}@example.org", "role": "viewer", "name": ""})
    assert b"/join/" in invited.content
    assert invited["Cache-Control"].startswith("no-store")
    assert b"/join/" not in browser.get(base).content
    vera = cast.member(cast.vera).pk
    assert browser.post(f"{base}/{vera}/role", {"role": "operator"}).status_code == 302
    assert cast.member(cast.vera).role == "operator"
    assert browser.post(f"{base}/{vera}/role", {"role": "root"}).status_code == 400
    assert b"/join/" in browser.post(f"{base}/{vera}/link").content
    assert browser.post(f"{base}/{vera}/deactivate").status_code == 302
    assert cast.member(cast.vera).status == "deactivated"
    for path in ("invite", f"{vera}/role", f"{vera}/link", f"{vera}/deactivate"):
        assert browser.get(f"{base}/{path}").status_code == 405
        assert cast.browser(cast.bob).post(f"{base}/{path}").status_code == 403


def test_tokens_are_managed_on_their_page(cast: Cast) -> None:
    browser, base = cast.browser(cast.alice), f"/t/{cast.acme.slug}/settings/tokens"
    made = browser.post(
        f"{base}/create", {"name": "<b>bold", "scopes": ["read", "ingest"], "producers": "a, b", "days": "3"}
    )
    token = selectors.tokens(cast.acme)[0]
    text = re.search(rf"dg_{token.pk}_[\w-]{{32,}}", made.content.decode())
    assert text is not None
    assert b"<b>bold" not in made.content
    assert token.producers == ["a", "b"]
    assert token.expires_at is not None
    assert text[0] not in browser.get(base).content.decode()
    assert browser.post(f"{base}/{token.pk}/revoke").status_code == 302
    assert selectors.tokens(cast.acme)[0].state == "revoked"
    assert browser.post(f"{base}/create", {"name": "x", "scopes": ["read"], "days": "-1"}).status_code == 400
    assert browser.post(f"{base}/create", {"name": "x"}).status_code == 400


def test_the_frame_offers_only_ones_own_tenants(cast: Cast) -> None:
    page = cast.browser(cast.alice).get(f"/t/{cast.acme.slug}/settings/members").content.decode()
    assert cast.acme.slug in page
    assert cast.globex.slug not in page


def test_the_decorator_takes_only_known_permissions() -> None:
    with pytest.raises(ValueError, match="root"):
        console_view("root")
