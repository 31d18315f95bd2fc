"""What people do with an item: one service for every row of the table in docs/workflow.md."""

from approvals.services.acts.deciding import (
    claim,
    comment,
    decide,
    expire,
    override,
    release,
    request_changes,
    resubmit,
    withdraw,
)
from approvals.services.acts.effects import PAST
from approvals.services.acts.held import Since, held
from approvals.services.acts.passing import delegate, escalate, escalate_by_timer, reassign

__all__ = [
    "PAST",
    "Since",
    "claim",
    "comment",
    "decide",
    "delegate",
    "escalate",
    "escalate_by_timer",
    "expire",
    "held",
    "override",
    "reassign",
    "release",
    "request_changes",
    "resubmit",
    "withdraw",
]
