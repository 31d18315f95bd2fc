"""Reads of inbox, preferences, endpoints and deliveries."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from django.db import connection

from approvals.domain import hooks, notices
from approvals.models import Attempt, Delivery, Endpoint, Notification, Preference
from decisiongraph.core.clock import rfc3339
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem, not_found
from decisiongraph.core.telemetry import scrape
from tenants.access import Principal
from tenants.models import Tenant

SHOWN_UNREAD = 100
"""Counted no further: "99+" says enough."""


def reader(principal: Principal) -> int:
    """The number of the person whose inbox it is. Programs have none."""
    if principal.kind != "user" or principal.user_id is None:
        raise Problem("notification.people_only", 403, "Only people have an inbox; a program listens to webhooks.")
    return principal.user_id


def notifications(
    tenant: Tenant, principal: Principal, *, unread: bool = False, before: int | None = None, limit: int = 50
) -> list[Notification]:
    """A person's lines, the newest first, up to ``limit + 1``."""
    user = reader(principal)
    with tenant_tx(tenant):
        rows = Notification.objects.filter(user_id=user)
        if unread:
            rows = rows.filter(read_at__isnull=True)
        if before is not None:
            rows = rows.filter(pk__lt=before)
        return list(rows.order_by("-pk")[: limit + 1])


def unread(tenant: Tenant, principal: Principal) -> int:
    """How many lines a person has not read, at most `SHOWN_UNREAD`; 0 for a program."""
    if principal.kind != "user" or principal.user_id is None:
        return 0
    return unread_of(tenant, principal.user_id)


def unread_of(tenant: Tenant, user: int) -> int:
    """The same by the person's number."""
    with tenant_tx(tenant):
        rows = Notification.objects.filter(user_id=user, read_at__isnull=True)
        return len(rows.values_list("pk", flat=True)[:SHOWN_UNREAD])


def last(tenant: Tenant) -> int:
    """The number of the newest line of anybody; 0 without one."""
    with tenant_tx(tenant):
        return Notification.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


def ways(tenant: Tenant, principal: Principal) -> dict[notices.Kind, notices.Way]:
    """How a person wants to be told of every kind."""
    user = reader(principal)
    with tenant_tx(tenant):
        chosen = {row.kind: notices.Way(row.inbox, row.email) for row in Preference.objects.filter(user_id=user)}
    return {kind: notices.way(kind, chosen) for kind in notices.KINDS}


def endpoints(tenant: Tenant) -> list[Endpoint]:
    """All of a tenant, the newest first."""
    with tenant_tx(tenant):
        return list(Endpoint.objects.order_by("-created_at"))


def endpoint(tenant: Tenant, endpoint_id: str, *, lock: bool = False) -> Endpoint:
    """One endpoint, held if asked. 404 when there is none."""
    with tenant_tx(tenant):
        rows = Endpoint.objects.select_for_update() if lock else Endpoint.objects.all()
        found = rows.filter(pk=_uuid("webhook", endpoint_id)).first()
    if found is None:
        raise not_found("webhook", endpoint_id)
    return found


def deliveries(
    tenant: Tenant, endpoint_id: str, *, state: str = "", before: Any = None, limit: int = 50
) -> list[Delivery]:
    """What was sent to an endpoint, the newest first, up to ``limit + 1``."""
    with tenant_tx(tenant):
        rows = Delivery.objects.filter(channel=Delivery.WEBHOOK, target=str(endpoint(tenant, endpoint_id).pk))
        if state:
            rows = rows.filter(state=state)
        if before is not None:
            rows = rows.filter(created_at__lt=before)
        return list(rows.order_by("-created_at", "-pk")[: limit + 1])


def delivery(tenant: Tenant, delivery_id: str, *, lock: bool = False) -> Delivery:
    """One delivery to a webhook, held if asked. 404 when there is none; mails are nobody's business."""
    with tenant_tx(tenant):
        rows = Delivery.objects.select_for_update() if lock else Delivery.objects.all()
        found = rows.filter(pk=_uuid("delivery", delivery_id), channel=Delivery.WEBHOOK).first()
    if found is None:
        raise not_found("delivery", delivery_id)
    return found


def attempts(tenant: Tenant, delivery_ids: list[uuid.UUID]) -> dict[uuid.UUID, list[Attempt]]:
    """The attempts of deliveries, the first first."""
    found: dict[uuid.UUID, list[Attempt]] = {ident: [] for ident in delivery_ids}
    with tenant_tx(tenant):
        for row in Attempt.objects.filter(delivery_id__in=delivery_ids).order_by("id"):
            found[row.delivery_id].append(row)
    return found


def _uuid(what: str, text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise not_found(what, text) from None


# --- as JSON ------------------------------------------------------------------------------------------


def notification_json(row: Notification) -> dict[str, Any]:
    """One line of the inbox."""
    return {
        "id": row.pk,
        "kind": row.kind,
        "message": row.message,
        "subject": row.subject,
        "subject_id": row.ident,
        "title": row.title,
        "text": row.text,
        "actor": row.actor,
        "at": rfc3339(row.at),
        "read_at": rfc3339(row.read_at) if row.read_at else None,
    }


def endpoint_json(row: Endpoint) -> dict[str, Any]:
    """An endpoint; never its secret."""
    return {
        "id": str(row.pk),
        "url": row.url,
        "description": row.description,
        "messages": row.messages or [each for each in hooks.MESSAGES if hooks.wants((), each)],
        "enabled": row.enabled,
        "disabled_reason": row.disabled_reason or None,
        "failing_since": rfc3339(row.failing_since) if row.failing_since else None,
        "old_secret_until": rfc3339(row.old_until) if row.old_until else None,
        "created_at": rfc3339(row.created_at),
        "created_by": row.created_by,
    }


def delivery_json(row: Delivery, tries: list[Attempt]) -> dict[str, Any]:
    """A delivery with its attempts."""
    return {
        "id": str(row.pk),
        "webhook_id": f"msg_{row.pk.hex}",
        "message": row.message,
        "state": row.state,
        "attempts": row.attempts,
        "next_at": rfc3339(row.next_at) if row.state == Delivery.WAITING else None,
        "last_status": row.last_status,
        "last_error": row.last_error or None,
        "created_at": rfc3339(row.created_at),
        "ended_at": rfc3339(row.ended_at) if row.ended_at else None,
        "body": row.body,
        "log": [
            {
                "number": each.number,
                "at": rfc3339(each.at),
                "milliseconds": each.milliseconds,
                "status": each.status,
                "error": each.error or None,
                "address": each.address or None,
                "answer": each.answer or None,
            }
            for each in tries
        ],
    }


def measures() -> Mapping[str, scrape.Values]:
    """What monitoring reads at every scrape: what nobody has been told yet, of all tenants."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT waiting, oldest_seconds FROM dg_outbox_backlog()")
        waiting, oldest = cursor.fetchone() or (0, 0.0)
    return {scrape.OUTBOX.name: [((), waiting)], scrape.OUTBOX_AGE.name: [((), oldest)]}
