"""One shape for every refusal, and one page that lists them all."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import OperationalError
from django.http import HttpResponse
from django.test import Client
from psycopg import errors as pg

from decisiongraph.core.errors import TITLES
from tests.house.error_codes import CODE, ROOT, uses
from tests.traces.events import Desk, new_id, start, step
from traces import selectors

PAGE = (ROOT / "docs" / "errors.md").read_text()
OURS = (
    "json",
    "event",
    "body",
    "envelope",
    "payload",
    "producer",
    "trace",
    "query",
    "request",
    "route",
    "database",
    "approval",
    "incident",
    "sla",
    "sla_policy",
    "webhook",
    "delivery",
    "notification",
)
"""First halves of the codes of the log and of the API's pipes: each of these is provoked by some test."""
NOT_PROVOKED = {
    "request.not_acceptable",  # spare names for refusals of the framework that no address of ours makes
    "request.refused",
    "query.missing_field",  # no operation has a required parameter
    "approval.busy",  # an item that closes between two looks of one transaction
    "body.too_many_nodes",  # 8 MiB cannot hold so many
}


def documented() -> dict[str, str]:
    """Code -> status, from the tables of the page."""
    return dict(re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \| (\S+) \|", PAGE, re.MULTILINE))


def test_every_code_of_the_source_is_on_the_page() -> None:
    missing = {f"{use.code} ({use.path}:{use.line})" for use in uses() if use.code not in documented()}
    assert missing == set()


def test_no_code_of_the_page_is_gone() -> None:
    assert set(documented()) - {use.code for use in uses()} == {"json.invalid_utf8"} & set(documented())


def test_every_code_of_the_log_is_provoked_by_a_test() -> None:
    tests = "".join(
        path.read_text()
        for folder in ("tests/traces", "tests/house", "tests/tenants", "tests/projections", "tests/approvals")
        for path in (ROOT / folder).rglob("*.py")
    )
    used = {use.code for use in uses() if use.code.partition(".")[0] in OURS} - NOT_PROVOKED
    assert {code for code in used if f'"{code}"' not in tests and code not in tests} == set()


# --- the shape --------------------------------------------------------------------------------


def check(answer: HttpResponse, status: int, code: str) -> dict[str, Any]:
    """The one shape."""
    assert answer.status_code == status, answer.content
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()  # type: ignore[attr-defined]
    assert problem["code"] == code
    assert problem["type"] == f"urn:decisiongraph:problem:{code}"
    assert (problem["status"], problem["title"]) == (status, TITLES[status])
    assert re.fullmatch(r"[^\n]{10,}[.?!)]", problem["detail"]), "a sentence"
    assert problem["request_id"] == answer.headers["X-Request-ID"]
    for error in problem["errors"]:
        assert set(error) == {"path", "code", "detail"}
        assert CODE.fullmatch(error["code"])
    return problem


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.mark.django_db
def test_each_status_has_the_same_shape(desk: Desk) -> None:
    client, reader, nobody = desk.client(), desk.client("read"), Client()
    trace = new_id()
    desk.append(start(trace))
    kind = "application/json"
    query = check(client.get("/api/v1/events?nonsense=1&limit=x"), 400, "query.invalid_parameter")
    assert {(e["path"], e["code"]) for e in query["errors"]} == {
        ("nonsense", "query.unknown_field"),
        ("limit", "query.invalid_field"),
    }
    check(nobody.get("/api/v1/events"), 401, "auth.required")
    check(Client(headers={"Authorization": "Basic x"}).get("/api/v1/events"), 401, "auth.scheme_unknown")
    check(reader.post("/api/v1/events", {}, content_type=kind), 403, "permission.missing")
    check(client.get("/api/v1/traces/none/events"), 404, "trace.not_found")
    check(client.delete("/api/v1/events"), 405, "request.method_not_allowed")
    check(client.post(f"/api/v1/traces/{trace}/events", start(trace), content_type=kind), 409, "trace.already_started")
    check(client.post("/api/v1/events", b" " * (8 * 1024 * 1024 + 10), content_type=kind), 413, "request.too_large")
    check(client.post("/api/v1/tokens", b" " * (256 * 1024 + 10), content_type=kind), 413, "request.too_large")
    check(client.post("/api/v1/events", b"a,b", content_type="text/csv"), 415, "request.unsupported_media_type")
    bad = step(trace, payload={})
    check(client.post(f"/api/v1/traces/{trace}/events", bad, content_type=kind), 422, "payload.missing_key")
    body = check(client.post("/api/v1/tokens", {"name": 1, "what": 1}, content_type=kind), 422, "request.not_valid")
    assert {(e["path"], e["code"]) for e in body["errors"]} == {
        ("name", "request.invalid_field"),
        ("what", "request.unknown_field"),
        ("scopes", "request.missing_field"),
    }
    check(client.post("/api/v1/tokens", [1], content_type=kind), 400, "request.malformed")
    check(client.post("/api/v1/tokens", b'{"a":1,"a":2}', content_type=kind), 400, "request.malformed_json")


@pytest.mark.django_db
@pytest.mark.parametrize(
    "path", ["/api/", "/api/v1", "/api/v1/", "/api/v1/none", "/api/v2/events", "/api/v1/events/", "/api/x%00"]
)
@pytest.mark.parametrize("method", ["get", "post", "put", "options"])
def test_unknown_addresses_under_api(desk: Desk, path: str, method: str) -> None:
    for client in (desk.client(), Client()):
        check(getattr(client, method)(path), 404, "route.not_found")


@pytest.mark.django_db
def test_a_request_keeps_the_id_it_came_with(desk: Desk) -> None:
    answer = desk.client().get("/api/v1/none", headers={"X-Request-ID": "my-request-1"})
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"] == "my-request-1"
    for bad in ("short", "x" * 65, "a b c d e f g", "<script>alert"):
        answer = desk.client().get("/api/v1/none", headers={"X-Request-ID": bad})
        assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["X-Request-ID"])


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("cause", "code"),
    [
        (None, "database.unavailable"),
        (pg.QueryCanceled(), "database.busy"),
        (pg.LockNotAvailable(), "database.busy"),
        (pg.AdminShutdown(), "database.unavailable"),
    ],
)
def test_a_database_in_trouble_is_503(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, cause: Exception | None, code: str
) -> None:
    client = desk.client()

    def fails(*_args: Any, **_kwargs: Any) -> None:
        raise OperationalError("away") from cause

    monkeypatch.setattr(selectors, "read_log", fails)
    answer = client.get("/api/v1/events")
    check(answer, 503, code)
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.django_db
def test_a_bug_is_500_without_a_word_about_the_inside(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    client = desk.client()

    def breaks(*_args: Any, **_kwargs: Any) -> None:
        raise KeyError("inner detail")

    monkeypatch.setattr(selectors, "read_log", breaks)
    answer = client.get("/api/v1/events")
    check(answer, 500, "server.error")
    assert b"inner" not in answer.content
