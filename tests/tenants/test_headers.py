"""What browsers are told with every answer, and what an https address turns on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from typing import Any

import pytest
from django.test import Client

from tests.factories import Cast

pytestmark = pytest.mark.django_db

HTTPS = {
    "PUBLIC_URL": "https://decisions.example.org",
    "SOCKET_URL": "wss://decisions.example.org/ws/",
    "SECRET_KEY": "x" * 60,
}
WANTED = (
    "SESSION_COOKIE_NAME",
    "SESSION_COOKIE_SECURE",
    "SESSION_COOKIE_HTTPONLY",
    "SESSION_COOKIE_SAMESITE",
    "CSRF_COOKIE_NAME",
    "CSRF_COOKIE_SECURE",
    "CSRF_COOKIE_HTTPONLY",
    "SECURE_HSTS_SECONDS",
    "SECURE_HSTS_INCLUDE_SUBDOMAINS",
    "SECURE_SSL_REDIRECT",
    "CONTENT_SECURITY_POLICY",
)


@cache
def with_https() -> dict[str, Any]:
    """Settings as a process with an https address reads them."""
    code = "import json; from decisiongraph import settings as s; "
    code += f"print(json.dumps({{name: getattr(s, name) for name in {WANTED}}}))"
    environ = {name: value for name, value in os.environ.items() if name not in ("PORT", "DJANGO_SETTINGS_MODULE")}
    done = subprocess.run([sys.executable, "-c", code], env=environ | HTTPS, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_every_answer_says_what_browsers_may(cast: Cast) -> None:
    browser, program = cast.browser(cast.vera), cast.program("read")
    pages = [browser.get(f"/t/{cast.acme.slug}/settings/you"), Client().get("/signin"), Client().get("/patterns")]
    others = [
        program.get("/api/v1/me"),
        program.get("/api/v1/nothing"),
        Client().get("/healthz"),
        Client().get("/nowhere"),
    ]
    for answer in (*pages, *others):
        policy = answer["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "base-uri 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["Referrer-Policy"] == "same-origin"
        assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "geolocation=()" in answer["Permissions-Policy"]
        assert "Access-Control-Allow-Origin" not in answer
    for page in pages:
        assert "script-src 'self'" in page["Content-Security-Policy"]
        assert "object-src 'none'" in page["Content-Security-Policy"]


def test_cookies_of_an_https_address_are_for_this_host_only() -> None:
    found = with_https()
    assert (found["SESSION_COOKIE_NAME"], found["CSRF_COOKIE_NAME"]) == ("__Host-dg_session", "__Host-dg_csrf")
    for kind in ("SESSION", "CSRF"):
        assert found[f"{kind}_COOKIE_SECURE"] is True
        assert found[f"{kind}_COOKIE_HTTPONLY"] is True
    assert found["SESSION_COOKIE_SAMESITE"] == "Lax"


def test_over_plain_http_pages_are_redirected_and_the_api_is_refused(cast: Cast, settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    program = cast.program("read", "ingest")
    page = Client().get("/signin")
    assert (page.status_code, page["Location"]) == (301, "https://testserver/signin")
    for answer in (program.get("/api/v1/me"), program.post("/api/v1/events", {}), Client().get("/api/v1/nothing")):
        assert (answer.status_code, answer.json()["code"]) == (403, "request.https_required")
        assert "Location" not in answer
        assert answer["X-Request-ID"]
    assert program.get("/api/v1/me", headers={"X-Forwarded-Proto": "https"}).status_code == 200


def test_an_https_address_turns_on_what_it_needs() -> None:
    found = with_https()
    assert found["SECURE_HSTS_SECONDS"] >= 31_536_000
    assert found["SECURE_HSTS_INCLUDE_SUBDOMAINS"] is True
    assert found["SECURE_SSL_REDIRECT"] is True
    assert found["CONTENT_SECURITY_POLICY"]["DIRECTIVES"]["connect-src"] == ["'self'", "wss://decisions.example.org"]
