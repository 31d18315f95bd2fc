"""The published schema (OpenAPI 3.1) and the page that shows it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import orjson
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator

from decisiongraph.core.api.openapi import PROBLEM, WORDS

REFERENCE = {"$ref": "#/components/schemas/Problem"}


@cache
def document() -> bytes:
    """The schema as JSON. It depends on nothing but the code, so it is made once per process."""
    made: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return orjson.dumps(made, option=orjson.OPT_NON_STR_KEYS)


@require_safe
def schema(request: HttpRequest) -> HttpResponse:
    """``/api/v1/schema``"""
    return HttpResponse(document(), content_type="application/json", headers={"Cache-Control": "public, max-age=60"})


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """``/api/v1/docs``: the schema to read and to try out, under the same strict content policy as every page."""
    return render(request, "docs.html")


def complete(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Last touch of the schema: one problem schema, and the refusals that every operation can answer."""
    result.setdefault("components", {}).setdefault("schemas", {})["Problem"] = PROBLEM
    result["servers"] = [{"url": "/", "description": "This installation"}]
    for address, operations in result["paths"].items():
        for operation in operations.values():
            for status in _refusals(address, operation):
                answer = operation["responses"].setdefault(str(status), {})
                content = answer.setdefault("content", {})
                if status >= 400:
                    content.clear()
                    content["application/problem+json"] = {"schema": REFERENCE}
            operation["responses"] = dict(sorted(operation["responses"].items()))
            for status, answer in operation["responses"].items():
                answer["description"] = answer.get("description") or WORDS.get(int(status)) or "Done."
    return result


def _refusals(address: str, operation: Mapping[str, Any]) -> set[int]:
    """Statuses that an operation may be refused with, said or not."""
    found = {int(status) for status in operation["responses"] if int(status) >= 400} | {401, 403, 503}
    if operation.get("parameters") or "requestBody" in operation:
        found.add(400)
    if "{" in address:
        found.add(404)
    if "requestBody" in operation:
        found |= {413, 415, 422}
    return found
