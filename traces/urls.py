"""Addresses of the log."""

from django.urls import path

from traces import api, console

api_urls = [
    path("traces/<str:trace_id>/events", api.TraceEvents.as_view()),
    path("events", api.Events.as_view()),
    path("event-types", api.EventTypes.as_view()),
    path("ingest/refusals", api.Refusals.as_view()),
]
console_urls = [
    path("traces/<str:trace_id>", console.trace, name="trace"),
    path("traces/<str:trace_id>/events/<int:seq>.json", console.event_json, name="event-json"),
    path("live", console.live, name="live"),
]
