"""Reads of the projections."""

from projections.domain.rules import RULES
from projections.selectors.completion import Suggestion, suggestions
from projections.selectors.digests import KINDS, Digests, digests
from projections.selectors.freshness import Reading, reading, wait_for
from projections.selectors.graph import (
    COUNTED,
    Graph,
    NodeDetail,
    checked_key,
    edges,
    known_nodes,
    node_detail,
    node_json,
    subgraph,
)
from projections.selectors.health import (
    ProjectionHealth,
    TenantHealth,
    Worker,
    dead_letter_json,
    dead_letters,
    findings,
    health,
    observations,
    queue_depths,
    workers,
)
from projections.selectors.lists import (
    export,
    export_file,
    export_json,
    exports,
    kept,
    saved_views,
    view_json,
)
from projections.selectors.precedents import policy_evaluations, precedent_json, precedents
from projections.selectors.search import checked
from projections.selectors.traces import (
    SORTS,
    TraceFilter,
    TraceList,
    trace_arrivals,
    trace_counts,
    trace_json,
    trace_list,
    trace_position,
    trace_rows,
    trace_summary,
)

PROJECTIONS: tuple[str, ...] = tuple(RULES)
"""Names of the projections, in the console's order."""

__all__ = [
    "COUNTED",
    "KINDS",
    "PROJECTIONS",
    "SORTS",
    "Digests",
    "Graph",
    "NodeDetail",
    "ProjectionHealth",
    "Reading",
    "Suggestion",
    "TenantHealth",
    "TraceFilter",
    "TraceList",
    "Worker",
    "checked",
    "checked_key",
    "dead_letter_json",
    "dead_letters",
    "digests",
    "edges",
    "export",
    "export_file",
    "export_json",
    "exports",
    "findings",
    "health",
    "kept",
    "known_nodes",
    "node_detail",
    "node_json",
    "observations",
    "policy_evaluations",
    "precedent_json",
    "precedents",
    "queue_depths",
    "reading",
    "saved_views",
    "subgraph",
    "suggestions",
    "trace_arrivals",
    "trace_counts",
    "trace_json",
    "trace_list",
    "trace_position",
    "trace_rows",
    "trace_summary",
    "view_json",
    "wait_for",
    "workers",
]
