"""What every HTTP request passes: an id, a clock, a measured answer, a refusal in one shape."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable
from typing import Any

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.template.loader import render_to_string

from decisiongraph.core.api import as_problem, error_title, problem_response
from decisiongraph.core.errors import Problem
from decisiongraph.core.telemetry import log, metrics, on_behalf_of, span

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}\Z")


SAFE = (
    ("Content-Security-Policy", "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)
"""What every answer says to browsers; pages bring a policy of their own."""
_NOTHING: dict[str, str] = {}


class RequestMiddleware:
    """Outermost: gives the request an id, turns any exception into an answer, measures.

    What a door has put into ``request.answer_headers`` goes with every answer.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """One request."""
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        request_id = given if _REQUEST_ID.match(given) else uuid.uuid4().hex
        request.request_id = request_id  # type: ignore[attr-defined]
        # django-structlog takes the id from the header and would otherwise make a second one.
        request.META["HTTP_X_REQUEST_ID"] = request_id
        started = time.perf_counter()
        parent = request.META.get("HTTP_TRACEPARENT", "")
        with on_behalf_of([request_id]), span("http.request", parent, request_id=request_id) as opened:
            try:
                response = _in_the_clear(request) or self.get_response(request)
            finally:
                structlog.contextvars.clear_contextvars()
            if opened is not None:
                _describe(opened, request, response)
        response["X-Request-ID"] = request_id
        for name, value in SAFE:
            response.setdefault(name, value)
        for name, value in getattr(request, "answer_headers", _NOTHING).items():
            response[name] = value
        match = request.resolver_match
        metrics.requests.labels(
            request.method if request.method in METHODS else "OTHER",
            (match.route if match else "unmatched"),
            str(response.status_code),
        ).observe(time.perf_counter() - started)
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Refusals and broken connections of pages; the API has its own handler."""
        return failed(request, error)


def _in_the_clear(request: HttpRequest) -> HttpResponse | None:
    """The refusal of an API request over plain HTTP, where pages are redirected.

    A program would follow the redirect and send its secret in the clear for ever, and nobody would notice.
    """
    if not settings.SECURE_SSL_REDIRECT or request.is_secure() or not request.path.startswith("/api/"):
        return None
    return refuse(
        request, Problem("request.https_required", 403, "Send this over https. Your credential was readable.")
    )


def _describe(opened: Any, request: HttpRequest, response: HttpResponse) -> None:
    """What a trace viewer shows of a request: the route, never the address with its ids."""
    route = request.resolver_match.route if request.resolver_match else "unmatched"
    opened.update_name(f"{request.method} {route}")
    opened.set_attribute("http.request.method", request.method or "")
    opened.set_attribute("http.route", route)
    opened.set_attribute("http.response.status_code", response.status_code)


def failed(request: HttpRequest, error: BaseException | None) -> HttpResponse:
    """The answer to an exception that nobody handled."""
    problem = as_problem(error) if error is not None else None
    if problem is None:
        log.exception("request.failed", path=request.path, exc_info=error)
        problem = Problem("server.error", 500, "Something broke on our side.")
    return refuse(request, problem)


METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def refuse(request: HttpRequest, problem: Problem) -> HttpResponse:
    """A refusal as JSON for programs, as a page for people."""
    request_id = getattr(request, "request_id", "")
    if request.path.startswith("/api/") or "text/html" not in request.headers.get("Accept", ""):
        return problem_response(problem, request_id)
    if "go" in problem.extra:  # there is a page where the person can mend this
        return HttpResponseRedirect(problem.extra["go"])
    template = f"errors/{problem.status if problem.status in PAGES else 500}.html"
    context = {"problem": problem, "title": error_title(problem.status), "request_id": request_id}
    if problem.status >= 500:
        # Who is signed in would be asked of the database, which may be what is away.
        response = HttpResponse(render_to_string(template, context), status=problem.status)
    else:
        response = render(request, template, context, status=problem.status)
    for name, value in problem.headers.items():
        response[name] = value
    return response


PAGES = frozenset({403, 404, 409, 500})
