"""The human workflow over HTTP."""

from approvals.api.actions import (
    Claim,
    CommentOn,
    Decide,
    Delegate,
    Escalate,
    Override,
    Reassign,
    Release,
    RequestChanges,
    Resubmit,
    Withdraw,
)
from approvals.api.exports import ApprovalExport, SigningKeys, TraceExport
from approvals.api.incidents import IncidentAction, IncidentDetail, Incidents
from approvals.api.items import ApprovalDetail, Approvals, ApprovalSummary, Exceptions, ExceptionsByPolicy, Ticket
from approvals.api.notifications import Notifications, NotificationsRead, Preferences
from approvals.api.policies import ProducerWatchDetail, ProducerWatches, SlaPolicies, SlaPolicyDetail, TrySla
from approvals.api.webhooks import Redeliver, Webhook, WebhookDeliveries, WebhookRotate, Webhooks, WebhookTest

__all__ = [
    "ApprovalDetail",
    "ApprovalExport",
    "ApprovalSummary",
    "Approvals",
    "Claim",
    "CommentOn",
    "Decide",
    "Delegate",
    "Escalate",
    "Exceptions",
    "ExceptionsByPolicy",
    "IncidentAction",
    "IncidentDetail",
    "Incidents",
    "Notifications",
    "NotificationsRead",
    "Override",
    "Preferences",
    "ProducerWatchDetail",
    "ProducerWatches",
    "Reassign",
    "Redeliver",
    "Release",
    "RequestChanges",
    "Resubmit",
    "SigningKeys",
    "SlaPolicies",
    "SlaPolicyDetail",
    "Ticket",
    "TraceExport",
    "TrySla",
    "Webhook",
    "WebhookDeliveries",
    "WebhookRotate",
    "WebhookTest",
    "Webhooks",
    "Withdraw",
]
