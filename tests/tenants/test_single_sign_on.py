"""Signing in through an identity provider: a small one of our own, with real keys and real redirects."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.conf import settings
from django.test import Client
from joserfc import jwt
from joserfc.jwk import RSAKey

from tenants import selectors
from tenants.models import Identity, User
from tenants.services import identities
from tests.factories import Cast
from tests.pages import text

pytestmark = pytest.mark.django_db


FORGED = RSAKey.generate_key(2048)
"""Somebody else's key."""


class Provider:
    """Knows one person at a time and gives out id tokens for the codes it handed out."""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, auto_kid=True)
        self.claims: dict[str, Any] = {}
        self.nonces: dict[str, str] = {}
        self.asked: list[dict[str, str]] = []
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                """Quiet."""

            def _say(self, value: Any) -> None:
                body = json.dumps(value).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self) -> None:
                at = provider.address
                if self.path == "/keys":
                    self._say({"keys": [provider.key.as_dict(private=False)]})
                else:
                    self._say(
                        {
                            "issuer": at,
                            "authorization_endpoint": f"{at}/authorize",
                            "token_endpoint": f"{at}/token",
                            "jwks_uri": f"{at}/keys",
                            "response_types_supported": ["code"],
                            "id_token_signing_alg_values_supported": ["RS256"],
                        }
                    )

            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                provider.asked.append({name: values[0] for name, values in form.items()})
                self._say({"access_token": "a", "token_type": "Bearer", "id_token": provider.token(form["code"][0])})

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def token(self, code: str) -> str:
        """The id token of a code."""
        now = int(time.time())
        claims = {"iss": self.address, "aud": "us", "iat": now, "exp": now + 60, "nonce": self.nonces.pop(code, "")}
        key = FORGED if self.claims.pop("forged", False) else self.key
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims | self.claims, key)

    def sign_in(self, client: Client, start: str, **claims: Any) -> Any:
        """The person goes there, is who the claims say, and comes back; our answer to that."""
        left = client.get(start)
        assert left.status_code == 302, left.content
        asked = {name: values[0] for name, values in parse_qs(urlsplit(left["Location"]).query).items()}
        assert left["Location"].startswith(f"{self.address}/authorize?")
        assert asked["redirect_uri"] == f"{settings.PUBLIC_URL}/signin/sso/back"
        assert asked["code_challenge_method"] == "S256"
        self.claims, self.query = claims, asked
        code = secrets.token_hex(8)
        self.nonces[code] = asked["nonce"]
        return client.get("/signin/sso/back", {"code": code, "state": asked["state"]})


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    running = Provider()
    yield running
    running.server.shutdown()
    running.server.server_close()


@pytest.fixture(autouse=True)
def _set_up(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ISSUER", provider.address), ("CLIENT_ID", "us"), ("CLIENT_SECRET", "s"), ("NAME", "Acme ID")):
        monkeypatch.setattr(settings, f"OIDC_{name}", value)
    identities._registered.cache_clear()


def page(cast: Cast) -> str:
    return f"/t/{cast.acme.slug}/settings/you"


def test_a_member_comes_in_and_is_known_by_the_subject_from_then_on(cast: Cast, provider: Provider) -> None:
    client = Client(headers={"Accept": "text/html"})
    assert "Sign in with Acme ID" in text(client.get("/signin"))
    subject = secrets.token_hex(8)
    answer = provider.sign_in(
        client, f"/signin/sso?next={page(cast)}", sub=subject, email=cast.vera.email.upper(), email_verified=True
    )
    assert answer["Location"] == page(cast), answer.content
    assert client.get(page(cast)).status_code == 200
    assert provider.asked[-1]["code_verifier"]
    said = [each.action for each in selectors.audit_entries(cast.acme, target=f"user:{cast.vera.email}")]
    assert said[:2] == ["login.succeeded", "identity.tied"]
    moved = Client(headers={"Accept": "text/html"})
    provider.sign_in(moved, "/signin/sso", sub=subject, email="other@example.org", email_verified=True)
    assert moved.get(page(cast)).status_code == 200, "the address may change over there, the subject does not"


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"email_verified": False}, 403),
        ({"email": "nobody@example.org", "email_verified": True}, 403),
        ({"email_verified": True, "iss": "https://evil.example"}, 401),
        ({"email_verified": True, "aud": "somebody-else"}, 401),
        ({"email_verified": True, "exp": 1}, 401),
        ({"email_verified": True, "nonce": "replayed"}, 401),
        ({"email_verified": True, "forged": True}, 401),
    ],
)
def test_what_does_not_hold_opens_nothing(cast: Cast, provider: Provider, claims: dict[str, Any], status: int) -> None:
    client = Client()
    sent = {"sub": secrets.token_hex(8), "email": cast.vera.email} | claims
    answer = provider.sign_in(client, "/signin/sso", **sent)
    assert answer.status_code == status, answer.content
    assert answer.json()["code"] == ("oidc.unknown_person" if status == 403 else "oidc.failed")
    assert client.get(page(cast)).status_code == 302
    assert not Identity.objects.filter(user=cast.vera).exists()


def test_a_second_subject_with_the_same_address_is_somebody_else(cast: Cast, provider: Provider) -> None:
    first = {"email": cast.vera.email, "email_verified": True, "sub": secrets.token_hex(8)}
    provider.sign_in(Client(), "/signin/sso", **first)
    answer = provider.sign_in(Client(), "/signin/sso", **(first | {"sub": secrets.token_hex(8)}))
    assert answer.json()["code"] == "oidc.unknown_person"
    User.objects.filter(pk=cast.vera.pk).update(is_active=False)
    assert provider.sign_in(Client(), "/signin/sso", **first).status_code == 403


def test_a_foreign_state_and_a_provider_that_is_away(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Client().get("/signin/sso/back", {"code": "x", "state": "guessed"}).json()["code"] == "oidc.failed"
    monkeypatch.setattr(settings, "OIDC_ISSUER", "http://127.0.0.1:1")
    assert Client().get("/signin/sso").json()["code"] == "oidc.unavailable"
    monkeypatch.setattr(settings, "OIDC_ISSUER", "")
    monkeypatch.setattr(settings, "OIDC_NAME", "")
    assert Client().get("/signin/sso").status_code == 404
    assert Client().get("/signin/sso/back").status_code == 404
    assert "Sign in with" not in text(Client().get("/signin"))


def test_it_answers_again_only_when_the_provider_asked_again(cast: Cast, provider: Provider) -> None:
    client, known = Client(), {"sub": secrets.token_hex(8), "email": cast.vera.email, "email_verified": True}
    provider.sign_in(client, "/signin/sso", **known)
    again = f"/signin/sso?again=1&next={page(cast)}"
    assert provider.sign_in(client, again, **known).json()["code"] == "oidc.not_fresh"
    assert provider.query["prompt"] == "login"
    assert provider.sign_in(client, again, **known, auth_time=int(time.time()) - 600).status_code == 401
    assert provider.sign_in(client, again, **known, auth_time=int(time.time()))["Location"] == page(cast)
    stranger = provider.sign_in(cast.browser(cast.bob), again, **known, auth_time=int(time.time()))
    assert stranger.json()["code"] == "oidc.not_fresh", "somebody else's proof proves nothing"
