"""The HTTP API's pipes: base view, parameters, lists, the one error shape."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

import orjson
from django.core.exceptions import BadRequest, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from psycopg import errors as pg
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from rest_framework import exceptions as drf
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from decisiongraph.core.errors import (
    TITLES,
    Problem,
    Violation,
    database_away,
    not_authenticated,
)
from decisiongraph.core.telemetry import log

MAX_LIMIT = 500
MAX_CONTROL_BODY = 256 * 1024


class JsonRenderer(BaseRenderer):
    """JSON by orjson: exact integers, UTF-8, no escapes that were not there."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(self, data: Any, accepted_media_type: Any = None, renderer_context: Any = None) -> bytes:
        """Bytes of one JSON value; nothing for an empty answer."""
        return b"" if data is None else orjson.dumps(data, option=orjson.OPT_NON_STR_KEYS)


class Query(BaseModel):
    """Base of a view's query parameters: unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ListQuery(Query):
    """Parameters every list takes."""

    cursor: str | None = Field(default=None, max_length=1000)
    limit: int = Field(default=100, ge=1, le=MAX_LIMIT)


class ProjectionQuery(ListQuery):
    """Parameters every read of a projection takes."""

    min_log_seq: int | None = Field(default=None, ge=0, le=2**53 - 1)
    wait_ms: int = Field(default=0, ge=0, le=5000)


Q = TypeVar("Q", bound=BaseModel)


def query_params(request: Request | HttpRequest, model: type[Q]) -> Q:
    """Parse the query string. Repeated, unknown or malformed parameters are 400 with the reason."""
    values: dict[str, str] = {}
    params = getattr(request, "query_params", None) or request.GET
    for name in params:
        if name == "theme" and not request.path.startswith("/api/"):
            continue  # a page may be sent as a link in a fixed theme; static/js/theme.js reads it
        found = params.getlist(name)
        if len(found) > 1:
            raise Problem(
                "query.repeated_parameter",
                400,
                f"Send the parameter {name!r} once.",
                errors=[{"path": name, "code": "query.repeated_parameter", "detail": "sent twice"}],
            )
        values[name] = str(found[0])
    for name, value in values.items():
        if "\x00" in value or "\x00" in name:
            raise Problem("query.invalid_parameter", 400, "Parameters hold no NUL character.")
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _unanswerable(error, model, "A query parameter is unknown or not valid") from None


class StrictJsonParser(BaseParser):
    """JSON bodies of control operations: no duplicate keys, no NUL, no NaN, nothing rewritten.

    (Events have a parser of their own, `traces.domain.canonical`, with limits and paths.)
    """

    media_type = "application/json"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        """The value, or 400."""
        raw: bytes = stream.read(MAX_CONTROL_BODY + 1)
        if len(raw) > MAX_CONTROL_BODY:
            raise Problem("request.too_large", 413, "This body may hold at most 256 KiB.")
        if not raw.strip():
            return {}
        try:
            value = json.loads(
                raw.decode("utf-8"),
                object_pairs_hook=_no_duplicates,
                parse_float=_finite,
                parse_constant=_no_constant,
            )
            text = orjson.dumps(value)  # refuses lone surrogates and integers beyond 64 bits
        except (ValueError, RecursionError, orjson.JSONEncodeError) as error:
            raise Problem("request.malformed_json", 400, f"The body is not strict JSON: {error}.") from None
        if b"\\u0000" in text:
            raise Problem("request.malformed_json", 400, "Strings hold no NUL character.")
        return value


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object names the same key twice")
    return found


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"the number {text[:20]} is too large")
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def body(request: Request, model: type[Q]) -> Q:
    """Check a parsed control body against a model. Every violation is listed with its path: 422."""
    try:
        return model.model_validate(_object(request))
    except ValidationError as error:
        raise Problem(
            "request.not_valid",
            422,
            "The body is not valid; each problem is listed with its path.",
            errors=violations(error, "request"),
        ) from None


def question(request: Request, model: type[Q]) -> Q:
    """Check the body of a read that is too long for an address: refused as `query_params` refuses, with 400."""
    try:
        return model.model_validate(_object(request))
    except ValidationError as error:
        raise _unanswerable(error, model, "A field of the question is unknown or not valid") from None


def _unanswerable(error: ValidationError, model: type[BaseModel], what: str) -> Problem:
    """400 with the first reasons in its sentence, every reason in its list, and what is known."""
    errors = violations(error, "query")
    said = "; ".join(f"{each['path']}: {each['detail']}" if each["path"] else each["detail"] for each in errors[:3])
    known = ", ".join(sorted(field.alias or name for name, field in model.model_fields.items()))
    return Problem("query.invalid_parameter", 400, f"{what}. {said}. Known: {known}.", errors=errors)


def _object(request: Request) -> dict[str, Any]:
    data = request.data
    if not isinstance(data, dict):
        raise Problem("request.malformed", 400, "The body must be a JSON object.")
    return data


def violations(error: ValidationError, noun: str) -> list[Violation]:
    """pydantic's list in our shape."""
    found: list[Violation] = []
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        path = ""
        for part in item["loc"]:
            path += f"[{part}]" if isinstance(part, int) else (f".{part}" if path else str(part))
        code = {"missing": "missing", "extra_forbidden": "unknown"}.get(item["type"], "invalid")
        detail = "There is nothing of this name" if code == "unknown" else item["msg"].removeprefix("Value error, ")
        found.append({"path": path, "code": f"{noun}.{code}_field", "detail": detail})
    return found


def encode_cursor(*parts: str | int) -> str:
    """An opaque list position."""
    return base64.urlsafe_b64encode(orjson.dumps(parts)).decode().rstrip("=")


def decode_cursor(cursor: str | None, *types: type) -> tuple[Any, ...] | None:
    """The parts of a list position, checked; 400 when it is not one of ours.

    ``types``: `int`, `str`, and what goes over the wire as a text, `datetime` (back in UTC) and `UUID`.
    """
    if cursor is None:
        return None
    try:
        parts = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if isinstance(parts, list) and len(parts) == len(types):
            return tuple(_part(part, kind) for part, kind in zip(parts, types, strict=True))
    except (ValueError, OverflowError):
        pass
    raise Problem(
        "cursor.malformed",
        400,
        "The cursor is not one this list gave out. Start again without `cursor`.",
        errors=[{"path": "cursor", "code": "cursor.malformed", "detail": "not a list position"}],
    )


def _part(part: object, kind: type) -> Any:
    """One part of a position; `ValueError` or `OverflowError` when it is not of its kind."""
    if isinstance(part, str) and kind is UUID:
        return UUID(part)
    if isinstance(part, str) and kind is datetime:
        moment = datetime.fromisoformat(part)
        if moment.tzinfo is None:
            raise ValueError(part)
        return moment.astimezone(UTC)
    if type(part) is not kind or (isinstance(part, str) and "\x00" in part):
        raise ValueError(part)
    if isinstance(part, int) and abs(part) > 2**53:
        raise ValueError(part)
    return part


T = TypeVar("T")


class Page(Generic[T]):
    """One page of a list: ``{"items": [...], "next": cursor or null}``."""

    def __init__(self, rows: Sequence[T], limit: int, *, item: Callable[[T], Any], cursor: Callable[[T], str]) -> None:
        """``rows`` holds up to ``limit + 1`` rows; the one too many says that there is a next page."""
        self.items = [item(row) for row in rows[:limit]]
        self.next = cursor(rows[limit - 1]) if len(rows) > limit else None

    def as_json(self) -> dict[str, Any]:
        """The response body."""
        return {"items": self.items, "next": self.next}


def problem_response(problem: Problem, request_id: str) -> HttpResponse:
    """A refusal as ``application/problem+json``, for places outside the REST framework."""
    return HttpResponse(
        orjson.dumps(problem.as_json(request_id)),
        status=problem.status,
        content_type="application/problem+json",
        headers=problem.headers,
    )


def as_problem(error: BaseException) -> Problem | None:
    """The refusal that an exception of Django, the REST framework or the database stands for."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, Http404):
        return Problem("route.not_found", 404, "There is nothing at this address.")
    if isinstance(error, PermissionDenied):
        return Problem("permission.denied", 403, str(error) or "You may not do this here.")
    if isinstance(error, RequestDataTooBig):
        return Problem("request.too_large", 413, "The body is larger than 8 MiB. Send smaller batches.")
    if isinstance(error, SuspiciousOperation | BadRequest):
        return Problem("request.malformed", 400, "The request is malformed.")
    if isinstance(error, drf.APIException):
        if isinstance(error, drf.NotAuthenticated | drf.AuthenticationFailed):
            return not_authenticated()
        code = {
            405: "request.method_not_allowed",
            406: "request.not_acceptable",
            415: "request.unsupported_media_type",
            400: "request.malformed",
            403: "permission.denied",
            404: "route.not_found",
            429: "rate.limited",
        }.get(error.status_code, "request.refused")
        headers = {"Retry-After": "1"} if error.status_code == 429 else {}
        if isinstance(error, drf.MethodNotAllowed):
            return Problem(code, 405, f"{error.detail} See /api/v1/docs.", headers=headers)
        return Problem(code, error.status_code, str(error.detail), headers=headers)
    if isinstance(error, OperationalError | InterfaceError):
        cause = error.__cause__
        if isinstance(cause, pg.QueryCanceled | pg.LockNotAvailable | pg.IdleInTransactionSessionTimeout):
            return Problem(
                "database.busy",
                503,
                "The database took too long. Nothing was stored; send the same request again.",
                headers={"Retry-After": "1"},
            )
        return database_away()
    if isinstance(error, DatabaseError) and isinstance(error.__cause__, pg.SerializationFailure | pg.DeadlockDetected):
        return Problem(
            "database.busy",
            503,
            "Two requests met. Nothing was stored; send the same request again.",
            headers={"Retry-After": "1"},
        )
    return None


def handle_exception(error: Exception, context: dict[str, Any]) -> Response | None:
    """The REST framework's one exception handler."""
    problem = as_problem(error)
    request = context.get("request")
    request_id = getattr(getattr(request, "_request", request), "request_id", "")
    if problem is None:
        log.exception("request.failed", exc_info=error)
        problem = Problem("server.error", 500, f"Something broke on our side. Quote request {request_id}.")
    response = Response(
        problem.as_json(request_id),
        status=problem.status,
        headers=problem.headers,
        content_type="application/problem+json",
    )
    response["Cache-Control"] = "no-store"
    return response


def not_found_view(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """404 for addresses under ``/api/``."""
    problem = Problem("route.not_found", 404, "There is nothing at this address. The operations are at /api/v1/docs.")
    return problem_response(problem, getattr(request, "request_id", ""))


def error_title(status: int) -> str:
    """The short words for a status."""
    return TITLES.get(status, "Refused")


class JsonNegotiation(BaseContentNegotiation):
    """Every operation answers JSON, whatever ``Accept`` says; a body's parser is chosen by its type."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        """The parser whose media type matches; none makes 415."""
        wanted = (request.content_type or "").split(";")[0].strip().lower()
        return next((p for p in parsers if p.media_type == wanted), None)

    def select_renderer(self, request: Request, renderers: Any, format_suffix: Any = None) -> Any:
        """The first renderer of the view."""
        return renderers[0], renderers[0].media_type
