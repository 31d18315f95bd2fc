"""Addresses of the human workflow."""

from __future__ import annotations

from django.urls import path

from approvals import api, console
from approvals.console import exports, many, notifications, present, webhooks

_ITEM = "approvals/<str:approval_id>"

api_urls = [
    path("approvals", api.Approvals.as_view(), name="approvals"),
    path("approvals/summary", api.ApprovalSummary.as_view(), name="approval-summary"),
    path(_ITEM, api.ApprovalDetail.as_view(), name="approval-detail"),
    path(f"{_ITEM}/ticket", api.Ticket.as_view(), name="approval-ticket"),
    path(f"{_ITEM}/export", api.ApprovalExport.as_view(), name="approval-export"),
    path("traces/<str:trace_id>/export", api.TraceExport.as_view(), name="trace-export"),
    path("signing-keys", api.SigningKeys.as_view(), name="signing-keys"),
    path(f"{_ITEM}/decide", api.Decide.as_view(), name="approval-decide"),
    path(f"{_ITEM}/claim", api.Claim.as_view(), name="approval-claim"),
    path(f"{_ITEM}/release", api.Release.as_view(), name="approval-release"),
    path(f"{_ITEM}/request-changes", api.RequestChanges.as_view(), name="approval-request-changes"),
    path(f"{_ITEM}/resubmit", api.Resubmit.as_view(), name="approval-resubmit"),
    path(f"{_ITEM}/escalate", api.Escalate.as_view(), name="approval-escalate"),
    path(f"{_ITEM}/override", api.Override.as_view(), name="approval-override"),
    path(f"{_ITEM}/withdraw", api.Withdraw.as_view(), name="approval-withdraw"),
    path(f"{_ITEM}/comment", api.CommentOn.as_view(), name="approval-comment"),
    path(f"{_ITEM}/reassign", api.Reassign.as_view(), name="approval-reassign"),
    path(f"{_ITEM}/delegate", api.Delegate.as_view(), name="approval-delegate"),
    path("notifications", api.Notifications.as_view(), name="notifications"),
    path("notifications/read", api.NotificationsRead.as_view(), name="notifications-read"),
    path("notifications/preferences", api.Preferences.as_view(), name="notification-preferences"),
    path("webhooks", api.Webhooks.as_view(), name="webhooks"),
    path("webhooks/<str:webhook_id>", api.Webhook.as_view(), name="webhook"),
    path("webhooks/<str:webhook_id>/rotate", api.WebhookRotate.as_view(), name="webhook-rotate"),
    path("webhooks/<str:webhook_id>/test", api.WebhookTest.as_view(), name="webhook-test"),
    path("webhooks/<str:webhook_id>/deliveries", api.WebhookDeliveries.as_view(), name="webhook-deliveries"),
    path("webhook-deliveries/<str:delivery_id>/redeliver", api.Redeliver.as_view(), name="webhook-redeliver"),
    path("exceptions", api.Exceptions.as_view(), name="exceptions"),
    path("exceptions/by-policy", api.ExceptionsByPolicy.as_view(), name="exceptions-by-policy"),
    path("incidents", api.Incidents.as_view(), name="incidents"),
    path("incidents/<str:incident_id>", api.IncidentDetail.as_view(), name="incident-detail"),
    path("incidents/<str:incident_id>/<slug:action>", api.IncidentAction.as_view(), name="incident-action"),
    path("sla-policies", api.SlaPolicies.as_view(), name="sla-policies"),
    path("sla-policies/try", api.TrySla.as_view(), name="sla-policy-try"),
    path("sla-policies/<str:policy_id>", api.SlaPolicyDetail.as_view(), name="sla-policy-detail"),
    path("producer-watches", api.ProducerWatches.as_view(), name="producer-watches"),
    path("producer-watches/<str:producer_id>", api.ProducerWatchDetail.as_view(), name="producer-watch"),
]
"""Below ``/api/v1/``."""

console_urls = [
    path("presence", present.present, name="console-presence"),
    path("notifications", notifications.inbox, name="console-notifications"),
    path("notifications/bell", notifications.bell, name="console-bell"),
    path("notifications/read", notifications.read, name="console-notifications-read"),
    path("settings/notifications", notifications.preferences, name="settings-notifications"),
    path("settings/webhooks", webhooks.webhooks, name="settings-webhooks"),
    path("settings/webhooks/create", webhooks.create, name="settings-webhook-create"),
    path("settings/webhooks/<str:webhook_id>", webhooks.webhook, name="settings-webhook"),
    path("settings/webhooks/<str:webhook_id>/<slug:action>", webhooks.act, name="settings-webhook-act"),
    path("settings/webhook-deliveries/<str:delivery_id>/redeliver", webhooks.redeliver, name="settings-redeliver"),
    path("waiting", console.waiting, name="console-waiting"),
    path("approvals", console.inbox, name="console-approvals"),
    path("approvals/many/<slug:action>", many.many, name="console-approvals-many"),
    path(_ITEM, console.item, name="console-approval"),
    path(f"{_ITEM}/export", exports.item, name="console-approval-export"),
    path("exported-trace", exports.trace, name="console-trace-export"),
    path(f"{_ITEM}/<slug:action>", console.act, name="console-approval-act"),
    path("exceptions", console.exceptions, name="console-exceptions"),
    path("exceptions/ask", console.ask, name="console-exception-ask"),
    path("incidents", console.incidents, name="console-incidents"),
    path("incidents/report", console.report, name="console-incident-report"),
    path("incidents/<str:incident_id>", console.incident, name="console-incident"),
    path("incidents/<str:incident_id>/<slug:action>", console.work, name="console-incident-work"),
    path("settings/sla", console.levels, name="settings-sla"),
    path("settings/sla/try", console.attempt, name="settings-sla-try"),
    path("settings/sla/<str:policy_id>", console.level, name="settings-sla-level"),
    path("settings/sla/<str:policy_id>/save", console.save, name="settings-sla-save"),
    path("settings/sla/<str:policy_id>/delete", console.delete, name="settings-sla-delete"),
]
"""Below ``/t/{slug}/``."""
