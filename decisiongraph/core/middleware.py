"""What every HTTP request passes: an id, a clock, a measured answer, a refusal in one shape."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string

from decisiongraph.core.api import as_problem, error_title, problem_response
from decisiongraph.core.errors import Problem
from decisiongraph.core.telemetry import log, metrics

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}\Z")


class RequestMiddleware:
    """Outermost: gives the request an id, turns any exception into an answer, measures."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """One request."""
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        request_id = given if _REQUEST_ID.match(given) else uuid.uuid4().hex
        request.request_id = request_id  # type: ignore[attr-defined]
        # django-structlog takes the id from the header and would otherwise make a second one.
        request.META["HTTP_X_REQUEST_ID"] = request_id
        structlog.contextvars.bind_contextvars(request_id=request_id)
        started = time.perf_counter()
        try:
            response = self.get_response(request)
        finally:
            structlog.contextvars.clear_contextvars()
        response["X-Request-ID"] = request_id
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
