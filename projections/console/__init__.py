"""Pages of the projections."""

from projections.console.graph import graph, picture_file
from projections.console.lists import (
    cancel_export,
    choose_columns,
    delete_view,
    export_file,
    exports_panel,
    save_view,
    start_export,
)
from projections.console.overview import overview
from projections.console.palette import palette
from projections.console.precedents import precedents
from projections.console.projections import catch_up, projections, retry, skip
from projections.console.refusals import refusals
from projections.console.traces import traces

__all__ = [
    "cancel_export",
    "catch_up",
    "choose_columns",
    "delete_view",
    "export_file",
    "exports_panel",
    "graph",
    "overview",
    "palette",
    "picture_file",
    "precedents",
    "projections",
    "refusals",
    "retry",
    "save_view",
    "skip",
    "start_export",
    "traces",
]
