"""One family of refusals, one JSON shape (RFC 9457, ``application/problem+json``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict


class Violation(TypedDict):
    """One thing that is wrong with a request, and where."""

    path: str
    """Where in the request, for example ``events[3].payload.facts[0].key``; empty for the whole."""
    code: str
    detail: str


class Problem(Exception):
    """A refusal that the caller can act on.

    ``code`` is ``noun.problem`` and stable; ``detail`` is a sentence that says how to fix it.
    Services and domain code raise it; views never catch it (`core.api.handle_exception` and
    `core.middleware` turn it into the one response shape).
    """

    def __init__(
        self,
        code: str,
        status: int,
        detail: str,
        *,
        errors: Sequence[Violation] = (),
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.status = status
        self.detail = detail
        self.errors = list(errors)
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})
        self.written_down = False
        """Whether the audit log has this refusal already."""

    def as_json(self, request_id: str = "") -> dict[str, Any]:
        """The body of the response."""
        return {
            **self.extra,
            "type": f"urn:decisiongraph:problem:{self.code}",
            "title": TITLES.get(self.status, "Refused"),
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            "errors": self.errors,
            "request_id": request_id,
        }


TITLES: dict[int, str] = {
    400: "Bad request",
    401: "Not authenticated",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    409: "Conflict",
    412: "Precondition failed",
    413: "Too large",
    415: "Unsupported media type",
    422: "Not valid",
    429: "Too many requests",
    500: "Internal error",
    503: "Temporarily unavailable",
}


def not_found(what: str, ident: str = "") -> Problem:
    """404 in the same words whether the thing never existed or belongs to another tenant."""
    name = f" {ident!r}" if ident else ""
    return Problem(f"{what}.not_found", 404, f"There is no {what.replace('_', ' ')}{name} in this tenant.")


def invalid(path: str, code: str, detail: str, *, status: int = 400) -> Problem:
    """A refusal with exactly one violation."""
    return Problem(code, status, detail, errors=[{"path": path, "code": code, "detail": detail}])


def database_away() -> Problem:
    """The log cannot be reached: nothing was stored, the client should send it again."""
    return Problem(
        "database.unavailable",
        503,
        "The database does not answer. Nothing was stored; send the same request again.",
        headers={"Retry-After": "2"},
    )


def not_authenticated(detail: str = "") -> Problem:
    """401: who are you?"""
    return Problem(
        "auth.required",
        401,
        detail or "Send an API token as `Authorization: Bearer dg_...`, or sign in and send X-Tenant.",
        headers={"WWW-Authenticate": 'Bearer realm="decisiongraph"'},
    )
