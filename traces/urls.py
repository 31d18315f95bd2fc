"""Addresses of the log."""

from django.urls import URLPattern, path

from traces import api

api_urls = [
    path("traces/<str:trace_id>/events", api.TraceEvents.as_view()),
    path("events", api.Events.as_view()),
    path("event-types", api.EventTypes.as_view()),
    path("ingest/refusals", api.Refusals.as_view()),
]
console_urls: list[URLPattern] = []
