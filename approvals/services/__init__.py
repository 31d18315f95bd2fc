"""Writes of the human workflow. Each is one transaction; the log's append is its last statement."""

from approvals.services import presence
from approvals.services.acts import (
    claim,
    comment,
    decide,
    delegate,
    escalate,
    override,
    reassign,
    release,
    request_changes,
    resubmit,
    withdraw,
)
from approvals.services.checkpoints import raise_faults, tell_checkpoints
from approvals.services.delivering import deliver
from approvals.services.endpoints import (
    change_endpoint,
    create_endpoint,
    delete_endpoint,
    redeliver,
    rotate_secret,
    test_endpoint,
)
from approvals.services.exporting import export_item, export_trace
from approvals.services.fanout import fan_out, hand_out
from approvals.services.follow import follow, from_start, wake
from approvals.services.inbox import choose_ways, mark_read
from approvals.services.incidents import act_on_incident, open_incident
from approvals.services.many import comment_on_many, reassign_many
from approvals.services.opening import open_item
from approvals.services.policies import change_policy, create_policy, delete_policy, watch_producer
from approvals.services.timers import fire, sweep
from approvals.services.upkeep import forget
from approvals.services.visits import visit

__all__ = [
    "act_on_incident",
    "change_endpoint",
    "change_policy",
    "choose_ways",
    "claim",
    "comment",
    "comment_on_many",
    "create_endpoint",
    "create_policy",
    "decide",
    "delegate",
    "delete_endpoint",
    "delete_policy",
    "deliver",
    "escalate",
    "export_item",
    "export_trace",
    "fan_out",
    "fire",
    "follow",
    "forget",
    "from_start",
    "hand_out",
    "mark_read",
    "open_incident",
    "open_item",
    "override",
    "presence",
    "raise_faults",
    "reassign",
    "reassign_many",
    "redeliver",
    "release",
    "request_changes",
    "resubmit",
    "rotate_secret",
    "sweep",
    "tell_checkpoints",
    "test_endpoint",
    "visit",
    "wake",
    "watch_producer",
    "withdraw",
]
