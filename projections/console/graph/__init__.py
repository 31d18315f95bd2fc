"""The page of the decision graph."""

from projections.console.graph.page import graph, picture_file

__all__ = ["graph", "picture_file"]
