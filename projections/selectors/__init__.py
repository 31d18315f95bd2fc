"""Reads of the projections."""

from projections.domain.rules import RULES
from projections.selectors.digests import KINDS, Digests, digests
from projections.selectors.freshness import Reading, reading, wait_for
from projections.selectors.graph import Graph, edges, node_json, subgraph
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
from projections.selectors.precedents import policy_evaluations, precedent_json, precedents
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
    workflows,
)

PROJECTIONS: tuple[str, ...] = tuple(RULES)
"""Names of the projections, in the console's order."""

__all__ = [
    "KINDS",
    "PROJECTIONS",
    "SORTS",
    "Digests",
    "Graph",
    "ProjectionHealth",
    "Reading",
    "TenantHealth",
    "TraceFilter",
    "TraceList",
    "Worker",
    "dead_letter_json",
    "dead_letters",
    "digests",
    "edges",
    "findings",
    "health",
    "node_json",
    "observations",
    "policy_evaluations",
    "precedent_json",
    "precedents",
    "queue_depths",
    "reading",
    "subgraph",
    "trace_arrivals",
    "trace_counts",
    "trace_json",
    "trace_list",
    "trace_position",
    "trace_rows",
    "trace_summary",
    "wait_for",
    "workers",
    "workflows",
]
