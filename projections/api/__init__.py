"""The projections over HTTP."""

from projections.api.care import DeadLetterRetry, DeadLetters, DeadLetterSkip, DigestsView
from projections.api.lists import ExportCancel, ExportDetail, ExportFile, Exports, ViewDetail, Views
from projections.api.precedents import PrecedentRadar, PrecedentSearch
from projections.api.views import GraphEdges, GraphSubgraph, Precedents, TraceDetail, Traces

__all__ = [
    "DeadLetterRetry",
    "DeadLetterSkip",
    "DeadLetters",
    "DigestsView",
    "ExportCancel",
    "ExportDetail",
    "ExportFile",
    "Exports",
    "GraphEdges",
    "GraphSubgraph",
    "PrecedentRadar",
    "PrecedentSearch",
    "Precedents",
    "TraceDetail",
    "Traces",
    "ViewDetail",
    "Views",
]
