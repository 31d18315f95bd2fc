"""Pages of the projections."""

from projections.console.overview import overview
from projections.console.projections import catch_up, projections, retry, skip
from projections.console.refusals import refusals

__all__ = ["catch_up", "overview", "projections", "refusals", "retry", "skip"]
