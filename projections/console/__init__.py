"""Pages of the projections."""

from projections.console.overview import overview
from projections.console.palette import palette
from projections.console.projections import catch_up, projections, retry, skip
from projections.console.refusals import refusals
from projections.console.traces import traces

__all__ = ["catch_up", "overview", "palette", "projections", "refusals", "retry", "skip", "traces"]
