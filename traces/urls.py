"""Addresses of the log."""

from django.urls import path

from traces import api, console

api_urls = [
    path("traces/<str:trace_id>/events", api.TraceEvents.as_view()),
    path("traces/<str:trace_id>/diff", api.EventDiff.as_view()),
    path("precedents/compare", api.Compare.as_view()),
    path("events", api.Events.as_view()),
    path("event-types", api.EventTypes.as_view()),
    path("log/checkpoint", api.LogCheckpointView.as_view()),
    path("log/checkpoints", api.LogCheckpoints.as_view()),
    path("log/inclusion", api.LogInclusion.as_view()),
    path("log/consistency", api.LogConsistency.as_view()),
    path("log/export", api.LogExport.as_view()),
    path("ingest/refusals", api.Refusals.as_view()),
]
console_urls = [
    path("traces/<str:trace_id>", console.trace, name="trace"),
    path("traces/<str:trace_id>/events/<int:seq>.json", console.event_json, name="event-json"),
    path("compare", console.compared, name="compare"),
    path("live", console.live, name="live"),
    path("settings/log", console.seal, name="settings-log"),
    path("settings/log/export", console.seal_export, name="settings-log-export"),
]
