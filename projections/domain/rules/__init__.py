"""Every projection, in the order the console lists them. One file per projection."""

from __future__ import annotations

from projections.domain.rule import Rule
from projections.domain.rules import (
    context_graph,
    policy_evaluations,
    precedent_index,
    trace_summary,
)

RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        trace_summary.RULE,
        context_graph.RULE,
        policy_evaluations.RULE,
        precedent_index.RULE,
    )
}
"""Rules by projection name."""
