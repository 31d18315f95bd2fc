"""Reads of the replays and of erasures."""

from projections import selectors as projections
from replays.selectors.erasures import erasure, erasure_json
from replays.selectors.erasures import erasures as newest_erasures
from replays.selectors.jobs import (
    RATE_AGES_AFTER,
    STALLED_AFTER,
    DifferenceView,
    ReplayView,
    differences,
    health,
    measures,
    replay,
    replays,
)

__all__ = [
    "RATE_AGES_AFTER",
    "STALLED_AFTER",
    "DifferenceView",
    "ReplayView",
    "differences",
    "erasure",
    "erasure_json",
    "health",
    "measures",
    "newest_erasures",
    "projections",
    "replay",
    "replays",
]
