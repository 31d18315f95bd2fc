"""The projections over HTTP."""

from projections.api.care import DeadLetterRetry, DeadLetters, DeadLetterSkip, DigestsView
from projections.api.views import GraphEdges, GraphSubgraph, Precedents, TraceDetail, Traces

__all__ = [
    "DeadLetterRetry",
    "DeadLetterSkip",
    "DeadLetters",
    "DigestsView",
    "GraphEdges",
    "GraphSubgraph",
    "Precedents",
    "TraceDetail",
    "Traces",
]
