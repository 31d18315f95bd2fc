"""Every address. The roof wires the apps' own lists together and decides nothing."""

import sys

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

import approvals.urls
import projections.urls
import replays.urls
import tenants.urls
import traces.urls
from decisiongraph.core import api, console, health
from decisiongraph.core.api import schema


def page_not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """404 as JSON under ``/api/``, as a page elsewhere."""
    from decisiongraph.core.errors import Problem
    from decisiongraph.core.middleware import refuse

    if request.path.startswith("/api/"):
        return api.not_found_view(request, exception)
    return refuse(request, Problem("page.not_found", 404, "There is no page at this address."))


def server_error(request: HttpRequest) -> HttpResponse:
    """An exception outside every view, in a middleware say; a database that is away is 503 here too."""
    from decisiongraph.core.middleware import failed

    return failed(request, sys.exception())


api_urls = [
    *tenants.urls.api_urls,
    *traces.urls.api_urls,
    *projections.urls.api_urls,
    *replays.urls.api_urls,
    *approvals.urls.api_urls,
    path("schema", schema.schema, name="schema"),
    path("docs", schema.docs, name="docs"),
]
console_urls = [
    *projections.urls.console_urls,
    *traces.urls.console_urls,
    *replays.urls.console_urls,
    *approvals.urls.console_urls,
    *tenants.urls.console_urls,
]

urlpatterns = [
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("metrics", health.metrics_view),
    path("admin/", admin.site.urls),
    path("api/v1/", include(api_urls)),
    path("t/<slug:slug>/", include(console_urls)),
    path("patterns", console.patterns, name="patterns"),
    *tenants.urls.root_urls,
]
handler404 = page_not_found
handler500 = server_error
