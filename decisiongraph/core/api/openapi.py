"""Words for the published schema (OpenAPI 3.1) that every app's operations share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

JsonSchema = dict[str, Any]


def obj(properties: Mapping[str, Any], *, optional: Sequence[str] = (), description: str = "") -> JsonSchema:
    """An object whose keys are all there unless named in ``optional``."""
    schema: JsonSchema = {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name in properties if name not in optional],
    }
    if description:
        schema["description"] = description
    return schema


def array(items: JsonSchema) -> JsonSchema:
    """A list."""
    return {"type": "array", "items": items}


def nullable(kind: str, **more: Any) -> JsonSchema:
    """A value or null."""
    return {"type": [kind, "null"], **more}


def page(item: JsonSchema) -> JsonSchema:
    """One page of a list."""
    return obj({"items": array(item), "next": nullable("string")})


STR: JsonSchema = {"type": "string"}
INT: JsonSchema = {"type": "integer"}
NUM: JsonSchema = {"type": "number"}
BOOL: JsonSchema = {"type": "boolean"}
WHEN: JsonSchema = {"type": "string", "format": "date-time"}
ANY_OBJECT: JsonSchema = {"type": "object", "additionalProperties": True}

PROBLEM = obj(
    {
        "type": STR,
        "title": STR,
        "status": INT,
        "code": {"type": "string", "description": "Stable, `noun.problem`."},
        "detail": {"type": "string", "description": "A sentence that says how to fix it."},
        "errors": array(obj({"path": STR, "code": STR, "detail": STR})),
        "request_id": STR,
    },
    description="RFC 9457 problem document.",
)

WORDS = {
    400: "Malformed request.",
    401: "Not authenticated.",
    403: "Permission missing; the problem names it.",
    404: "Not in this tenant.",
    405: "Method not allowed.",
    409: "Conflict with what is stored.",
    412: "Version is not the current one.",
    413: "Too large.",
    415: "Unsupported media type.",
    422: "Well-formed but not valid; every violation is listed.",
    429: "Too many requests.",
    503: "Temporarily unavailable; nothing was stored.",
}


def responses(
    answers: Mapping[int, tuple[JsonSchema, str]], *, refusals: Sequence[int] = (400, 401, 403)
) -> dict[Any, Any]:
    """What an operation may answer: its own answers, and refusals as problem documents."""
    found: dict[Any, Any] = {
        (status, "application/json"): OpenApiResponse(response=schema, description=words)
        for status, (schema, words) in answers.items()
    }
    for status in sorted({*refusals, 503}):
        found[(status, "application/problem+json")] = OpenApiResponse(response=PROBLEM, description=WORDS[status])
    return found


LIST_PARAMETERS = [
    OpenApiParameter("cursor", OpenApiTypes.STR, description="`next` of the page before."),
    OpenApiParameter("limit", {"type": "integer", "minimum": 1, "maximum": 500, "default": 100}),
]
PROJECTION_PARAMETERS = [
    *LIST_PARAMETERS,
    OpenApiParameter(
        "min_log_seq",
        {"type": "integer", "minimum": 0},
        description="Answer only when the projection has applied this position (else 409).",
    ),
    OpenApiParameter(
        "wait_ms",
        {"type": "integer", "minimum": 0, "maximum": 5000, "default": 0},
        description="How long to wait for `min_log_seq`.",
    ),
]
