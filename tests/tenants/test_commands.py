"""The commands of a newcomer's first minutes."""

from __future__ import annotations

import io
import uuid
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from tenants import selectors
from tenants.models import Tenant, User

pytestmark = pytest.mark.django_db


@pytest.fixture
def slug() -> str:
    return f"c{uuid.uuid4().hex[:10]}"


def run(*words: str, **options: Any) -> str:
    out = io.StringIO()
    call_command(*words, stdout=out, **options)
    return out.getvalue()


def test_from_nothing_to_the_first_request(slug: str) -> None:
    assert slug in run("create_tenant", slug, "--name", "First")
    email = f"bob-{slug}@example.org"
    said = run("create_user", "--tenant", slug, "--role", "operator", email)
    password = said.split("Password: ")[1].strip()
    client = Client()
    assert client.post("/signin", {"username": email, "password": password}, REMOTE_ADDR=slug).status_code == 302
    assert client.get("/")["Location"] == f"/t/{slug}/"

    text = run("create_token", "--tenant", slug, "--name", "bench", "--scopes", "ingest,read")
    assert text.count("\n") == 1
    answer = client.get("/api/v1/me", headers={"Authorization": f"Bearer {text.strip()}"})
    assert answer.json()["scopes"] == ["ingest", "read"]
    actions = {entry.action for entry in selectors.audit_entries(Tenant.objects.get(slug=slug))}
    assert actions == {"tenant.created", "member.added", "token.created", "login.succeeded"}


def test_an_existing_person_keeps_the_password(slug: str) -> None:
    run("create_tenant", slug)
    run("create_tenant", f"{slug}-2")
    email = f"bob-{slug}@example.org"
    run("create_user", "--tenant", slug, "--role", "viewer", email, password="a good long one")
    said = run("create_user", "--tenant", f"{slug}-2", "--role", "viewer", email, password="something else")
    assert "unchanged" in said
    assert User.objects.get(email=email).check_password("a good long one")


def test_a_chosen_password_is_not_printed(slug: str) -> None:
    run("create_tenant", slug)
    said = run("create_user", "--tenant", slug, "--role", "viewer", f"v-{slug}@example.org", password="quite a secret")
    assert "quite a secret" not in said


def test_a_terminal_is_asked(slug: str, monkeypatch: Any) -> None:
    run("create_tenant", slug)
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda _self: True})())
    monkeypatch.setattr("getpass.getpass", lambda _prompt: "typed at a terminal")
    said = run("create_user", "--tenant", slug, "--role", "viewer", f"t-{slug}@example.org")
    assert "typed" not in said
    assert User.objects.get(email=f"t-{slug}@example.org").check_password("typed at a terminal")


def test_a_token_may_be_bound_and_end(slug: str) -> None:
    run("create_tenant", slug)
    run("create_token", "--tenant", slug, "--name", "x", "--scopes", "ingest", "--producers", "a, b", "--days", "3")
    token = selectors.tokens(Tenant.objects.get(slug=slug))[0]
    assert token.producers == ["a", "b"]
    assert token.expires_at is not None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["create_tenant", "Not A Slug"], "lower-case"),
        (["create_tenant", "platform"], "reserved"),
        (["create_user", "--tenant", "nowhere", "--role", "viewer", "a@b.example"], "create_tenant"),
        (["create_token", "--tenant", "nowhere", "--name", "x", "--scopes", "read"], "create_tenant"),
    ],
)
def test_mistakes_are_told(words: list[str], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        run(*words)


def test_more_mistakes_are_told(slug: str) -> None:
    run("create_tenant", slug)
    email = f"v-{slug}@example.org"
    with pytest.raises(CommandError, match="already"):
        run("create_tenant", slug)
    with pytest.raises(CommandError, match="short"):
        run("create_user", "--tenant", slug, "--role", "viewer", email, password="short")
    assert not User.objects.filter(email=email).exists()
    with pytest.raises(CommandError, match="not an e-mail"):
        run("create_user", "--tenant", slug, "--role", "viewer", "nobody")
    with pytest.raises(CommandError, match="scope"):
        run("create_token", "--tenant", slug, "--name", "x", "--scopes", "root")
    with pytest.raises(CommandError, match="days"):
        run("create_token", "--tenant", slug, "--name", "x", "--scopes", "read", "--days", "0")
    run("create_user", "--tenant", slug, "--role", "viewer", email, password="long enough for this")
    with pytest.raises(CommandError, match="member already"):
        run("create_user", "--tenant", slug, "--role", "admin", email)
