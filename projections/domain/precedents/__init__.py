"""Precedents: filters of the list, situations, how alike two are, ranking, and the radar."""

from projections.domain.precedents.filters import COLUMNS, Outcome, PrecedentFilter

__all__ = ["COLUMNS", "Outcome", "PrecedentFilter"]
