"""HTTP entry point (granian)."""

import gc
import os
import sys
from collections.abc import Iterable
from typing import Any

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "decisiongraph.settings")
_people = get_wsgi_application()


def _for_programs() -> Any:
    """The same views behind fewer middlewares, for requests that carry a bearer token.

    Sessions, CSRF, messages, htmx and page headers are nothing to them, and cost an eighth of an append.
    """
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIHandler

    usual = settings.MIDDLEWARE
    settings.MIDDLEWARE = settings.PROGRAM_MIDDLEWARE
    try:
        return WSGIHandler()
    finally:
        settings.MIDDLEWARE = usual


_programs = _for_programs()


def application(request: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """One request, by who sends it."""
    token = request.get("HTTP_AUTHORIZATION", "")[:7].lower() == "bearer "
    handler = _programs if token and request.get("PATH_INFO", "").startswith("/api/") else _people
    answer: Iterable[bytes] = handler(request, start_response)
    return answer


# A batch of events makes tens of thousands of short-lived objects: what is loaded now is never
# garbage, and looking through it at every batch cost a tenth of ingest.
gc.collect()
gc.freeze()
gc.set_threshold(50_000, 20, 50)

# Who holds a tenant's turn in the log waits for the database several times; with the default of 5 ms
# every other thread may take the interpreter for that long each time, while all writers wait.
sys.setswitchinterval(0.0005)
