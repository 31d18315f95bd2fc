"""The projections over HTTP."""

from projections.api.views import (
    DeadLetterRetry,
    DeadLetters,
    DeadLetterSkip,
    DigestsView,
    GraphEdges,
    GraphSubgraph,
    Precedents,
    TraceDetail,
    Traces,
)

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
