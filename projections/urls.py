"""Addresses of the projections."""

from __future__ import annotations

from django.urls import path

from projections import api, console

api_urls = [
    path("traces", api.Traces.as_view(), name="traces-list"),
    path("traces/<str:trace_id>", api.TraceDetail.as_view(), name="trace-detail"),
    path("views", api.Views.as_view(), name="views-list"),
    path("views/<int:view_id>", api.ViewDetail.as_view(), name="view-detail"),
    path("exports", api.Exports.as_view(), name="exports-list"),
    path("exports/<uuid:export_id>", api.ExportDetail.as_view(), name="export-detail"),
    path("exports/<uuid:export_id>/cancel", api.ExportCancel.as_view(), name="export-cancel"),
    path("exports/<uuid:export_id>/file", api.ExportFile.as_view(), name="export-file"),
    path("graph/subgraph", api.GraphSubgraph.as_view(), name="graph-subgraph"),
    path("graph/edges", api.GraphEdges.as_view(), name="graph-edges"),
    path("precedents/search", api.PrecedentSearch.as_view(), name="precedents-search"),
    path("precedents/radar", api.PrecedentRadar.as_view(), name="precedents-radar"),
    path("precedents", api.Precedents.as_view(), name="precedents-list"),
    path("projections/digests", api.DigestsView.as_view(), name="projection-digests"),
    path("projections/dead-letters", api.DeadLetters.as_view(), name="dead-letters"),
    path("projections/dead-letters/<int:ident>/retry", api.DeadLetterRetry.as_view(), name="dead-letter-retry"),
    path("projections/dead-letters/<int:ident>/skip", api.DeadLetterSkip.as_view(), name="dead-letter-skip"),
]
"""Below ``/api/v1/``."""

console_urls = [
    path("", console.overview, name="console-overview"),
    path("traces", console.traces, name="console-traces"),
    path("graph", console.graph, name="graph"),
    path("graph.svg", console.picture_file, name="graph-file"),
    path("columns", console.choose_columns, name="console-columns"),
    path("views", console.save_view, name="console-view-save"),
    path("views/<int:view_id>/delete", console.delete_view, name="console-view-delete"),
    path("exports", console.start_export, name="console-export-start"),
    path("exports/panel", console.exports_panel, name="console-exports"),
    path("exports/<uuid:export_id>/cancel", console.cancel_export, name="console-export-cancel"),
    path("exports/<uuid:export_id>/file", console.export_file, name="console-export-file"),
    path("precedents", console.precedents, name="precedents"),
    path("palette", console.palette, name="console-palette"),
    path("refusals", console.refusals, name="console-refusals"),
    path("projections", console.projections, name="console-projections"),
    path("projections/catch-up", console.catch_up, name="console-catch-up"),
    path("projections/dead-letters/<int:ident>/retry", console.retry, name="console-retry"),
    path("projections/dead-letters/<int:ident>/skip", console.skip, name="console-skip"),
]
"""Below ``/t/{slug}/``."""
