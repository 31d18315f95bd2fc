"""Addresses of the projections."""

from __future__ import annotations

from django.urls import path

from projections import api, console

api_urls = [
    path("traces", api.Traces.as_view(), name="traces-list"),
    path("traces/<str:trace_id>", api.TraceDetail.as_view(), name="trace-detail"),
    path("graph/subgraph", api.GraphSubgraph.as_view(), name="graph-subgraph"),
    path("graph/edges", api.GraphEdges.as_view(), name="graph-edges"),
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
    path("palette", console.palette, name="console-palette"),
    path("refusals", console.refusals, name="console-refusals"),
    path("projections", console.projections, name="console-projections"),
    path("projections/catch-up", console.catch_up, name="console-catch-up"),
    path("projections/dead-letters/<int:ident>/retry", console.retry, name="console-retry"),
    path("projections/dead-letters/<int:ident>/skip", console.skip, name="console-skip"),
]
"""Below ``/t/{slug}/``."""
