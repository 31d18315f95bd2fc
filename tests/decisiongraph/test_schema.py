"""The published schema is valid, complete and true; its page works under the strict content policy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, get_resolver
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.traces.events import envelope, start
from traces.domain.catalog import CATALOG
from traces.domain.envelope import INGEST_TYPES

pytestmark = pytest.mark.django_db

UNLISTED = {"/api/v1/schema", "/api/v1/docs"}


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    made: dict[str, Any] = Client().get("/api/v1/schema").json()
    return made


def operations(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for address, found in schema["paths"].items():
        for method, operation in found.items():
            yield f"{method} {address}", operation


def routes() -> set[str]:
    """Addresses of the API as the schema spells them."""
    (api,) = [entry for entry in get_resolver().url_patterns if str(entry.pattern) == "api/v1/"]
    return {
        "/api/v1/" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(entry.pattern))
        for entry in api.url_patterns
        if isinstance(entry, URLPattern)
    }


def test_it_is_valid_openapi_3_1(schema: dict[str, Any]) -> None:
    assert schema["openapi"].startswith("3.1")
    assert list(OpenAPIV31SpecValidator(schema).iter_errors()) == []


def test_every_address_is_described(schema: dict[str, Any]) -> None:
    assert routes() - UNLISTED == set(schema["paths"])


def test_every_operation_says_what_it_is_and_how_it_refuses(schema: dict[str, Any]) -> None:
    ids = []
    tags = {tag["name"] for tag in schema["tags"]}
    for name, operation in operations(schema):
        ids.append(operation["operationId"])
        assert re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", operation["operationId"]), name
        assert operation["summary"], name
        assert operation["tags"], name
        assert set(operation["tags"]) <= tags, name
        assert operation["security"], name
        answers = operation["responses"]
        assert any(status.startswith("2") for status in answers), name
        assert {"401", "403", "503"} <= set(answers), name
        for status, answer in answers.items():
            assert answer["description"], name
            kinds = set(answer["content"])
            assert kinds == ({"application/problem+json"} if int(status) >= 400 else kinds), name
    assert len(ids) == len(set(ids))


def test_event_types_are_embedded_and_their_examples_valid(schema: dict[str, Any]) -> None:
    for name, kind in CATALOG.items():
        assert schema["components"]["schemas"][f"Event.{name}"]["examples"] == [kind.example]
        validator(schema, f"Event.{name}").validate(kind.example)


def validator(schema: dict[str, Any], component: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/components/schemas/{component}", "components": schema["components"]})


def test_the_schema_accepts_what_the_log_accepts(schema: dict[str, Any]) -> None:
    event = validator(schema, "BatchEvent")
    for name in INGEST_TYPES:
        assert event.is_valid(envelope("t", name)), name
        assert event.is_valid(envelope("t", name, tags=None, correlation_id=None, trace_seq=0))
    good = start("t")
    for bad in (
        {**good, "payload": {}},
        {**good, "event_type": "EventRedacted"},
        {**good, "unknown": 1},
        {**good, "trace_seq": -1},
        {k: v for k, v in good.items() if k != "source"},
    ):
        assert not event.is_valid(bad), bad
    single = validator(schema, "AppendEvent")
    assert single.is_valid({k: v for k, v in good.items() if k not in ("trace_id", "idempotency_key")})


def test_the_page_has_no_inline_script(schema: dict[str, Any]) -> None:
    answer = Client().get("/api/v1/docs")
    assert answer.status_code == 200
    policy = answer.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "script-src 'self'" in policy
    page = answer.content.decode()
    assert re.findall(r"<script(?![^>]*\bsrc=)", page) == []
    assert re.findall(r"\son\w+=|style=", page) == []
    for address in re.findall(r'(?:src|href)="(/[^"]+)"', page):
        assert Client().get(address).status_code == 200, address


def test_both_only_answer_reads() -> None:
    for path in UNLISTED:
        assert Client().post(path).status_code == 405
        assert Client().head(path).status_code == 200
