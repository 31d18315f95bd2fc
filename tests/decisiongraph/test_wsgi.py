"""The server's entry point: requests with a token take the short way, everybody else the long one."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from decisiongraph import wsgi
from tenants.models import Tenant
from tests.factories import TenantFactory, make_token

pytestmark = pytest.mark.django_db


def call(method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of one request as the server makes it."""
    answer: dict[str, Any] = {}

    def start(status: str, sent: list[tuple[str, str]]) -> None:
        answer["status"], answer["headers"] = int(status[:3]), dict(sent)

    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        **headers,
    }
    content = b"".join(wsgi.application(environ, start))
    return answer["status"], answer["headers"], content


@pytest.fixture
def bearer() -> dict[str, str]:
    tenant: Tenant = TenantFactory()
    return {"HTTP_AUTHORIZATION": f"Bearer {make_token(tenant, 'ingest', 'read')[1]}"}


def event(trace_id: str) -> bytes:
    return json.dumps(
        {
            "event_type": "TraceStarted",
            "idempotency_key": f"{trace_id}:0",
            "source": {"producer_id": "wsgi", "system": "tests"},
            "actor": {"actor_type": "agent", "actor_id": "a"},
            "payload": {
                "workflow": "w",
                "title": "t",
                "primary_entity": {"entity_type": "account", "entity_id": "1"},
            },
        }
    ).encode()


def test_a_program_appends_and_reads(bearer: dict[str, str]) -> None:
    status, headers, body = call("POST", "/api/v1/traces/w-1/events", event("w-1"), **bearer)
    assert status == 201
    assert json.loads(body)["log_seq"] == 1
    assert headers["X-Request-ID"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in headers
    status, _, body = call("GET", "/api/v1/traces/w-1/events", **bearer)
    assert (status, len(json.loads(body)["items"])) == (200, 1)


@pytest.mark.parametrize("path", ["/api/v1/me", "/api/v1/nothing"])
def test_refusals_have_the_one_shape(path: str) -> None:
    for authorization in ("Bearer dg_00000000_wrong", "bearer x", "Basic abc"):
        status, headers, body = call("GET", path, HTTP_AUTHORIZATION=authorization)
        assert status == (404 if path.endswith("nothing") else 401)
        assert headers["Content-Type"] == "application/problem+json"
        assert json.loads(body)["request_id"] == headers["X-Request-ID"]


def test_people_pass_every_middleware(bearer: dict[str, str]) -> None:
    status, headers, _ = call("GET", "/signin")
    assert status == 200
    assert "Content-Security-Policy" in headers
    status, headers, _ = call("GET", "/signin", **bearer)
    assert "Content-Security-Policy" in headers, "a page is a page, whatever it is asked with"
    status, _, body = call("POST", "/api/v1/traces/w-2/events", event("w-2"), HTTP_COOKIE="dg_session=none")
    assert (status, json.loads(body)["code"]) == (401, "auth.required")
