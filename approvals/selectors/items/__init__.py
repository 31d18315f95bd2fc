"""Reads of workflow items: inbox, item, history, ticket, figures."""

from approvals.selectors.items.details import (
    MOST_ROWS,
    Details,
    as_rules,
    as_stands,
    details,
    ident_of,
    item,
    outside_approvals,
    ticket,
)
from approvals.selectors.items.exceptions import PolicyRow, exception_rate, exceptions_by_policy
from approvals.selectors.items.figures import Summary, summary, timers_everywhere, timers_of
from approvals.selectors.items.inbox import (
    Place,
    Wanted,
    count,
    inbox,
    items_of_trace,
    open_exceptions,
    reviewed_in,
    superseded,
)
from approvals.selectors.items.shapes import details_json, item_json, rfc, step_json, ticket_json

__all__ = [
    "MOST_ROWS",
    "Details",
    "Place",
    "PolicyRow",
    "Summary",
    "Wanted",
    "as_rules",
    "as_stands",
    "count",
    "details",
    "details_json",
    "exception_rate",
    "exceptions_by_policy",
    "ident_of",
    "inbox",
    "item",
    "item_json",
    "items_of_trace",
    "open_exceptions",
    "outside_approvals",
    "reviewed_in",
    "rfc",
    "step_json",
    "summary",
    "superseded",
    "ticket",
    "ticket_json",
    "timers_everywhere",
    "timers_of",
]
