"""Webhook endpoints: an admin says where, gets the secret once, rotates, tests, sends again."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Sequence
from typing import Any

from django.conf import settings

from approvals.domain import addresses, hooks
from approvals.models import Attempt, Delivery, Endpoint
from approvals.selectors import telling
from approvals.services import fanout, vault
from decisiongraph.core import clock, jobs
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem, invalid
from tenants.access import Principal
from tenants.models import Tenant
from tenants.services import record_audit

MOST = 20
"""Endpoints of a tenant."""


def create_endpoint(
    tenant: Tenant, *, principal: Principal, url: str, messages: Sequence[str] = (), description: str = ""
) -> tuple[Endpoint, str]:
    """A new endpoint and its secret, which is shown this once."""
    principal.require("admin")
    url, names = _checked_url(url), _checked_messages(messages)
    secret = secrets.token_bytes(hooks.SECRET_BYTES)
    with tenant_tx(tenant):
        if Endpoint.objects.count() >= MOST:
            raise Problem("webhook.too_many", 409, f"A tenant has at most {MOST} endpoints. Remove one first.")
        row = Endpoint.objects.create(
            id=uuid.uuid4(),
            tenant_id=tenant.pk,
            url=url,
            description=description.strip()[:200],
            messages=names,
            secret=vault.close(tenant, secret),
            created_by=principal.ident,
            created_at=clock.now(),
        )
        _audit(tenant, principal, "webhook.created", row, after=_said(row))
    return row, hooks.secret_text(secret)


def change_endpoint(
    tenant: Tenant,
    *,
    principal: Principal,
    endpoint_id: str,
    url: str | None = None,
    messages: Sequence[str] | None = None,
    description: str | None = None,
    enabled: bool | None = None,
) -> Endpoint:
    """Another address, other messages, on or off. Switched on again it starts with a clean slate."""
    principal.require("admin")
    with tenant_tx(tenant):
        row = telling.endpoint(tenant, endpoint_id, lock=True)
        before = _said(row)
        row.url = row.url if url is None else _checked_url(url)
        row.messages = row.messages if messages is None else _checked_messages(messages)
        row.description = row.description if description is None else description.strip()[:200]
        if enabled is not None:
            row.enabled = enabled
            row.disabled_reason = "" if enabled else "Switched off by hand."
            row.failing_since = None
        row.save()
        _audit(tenant, principal, "webhook.changed", row, before=before, after=_said(row))
    return row


def rotate_secret(tenant: Tenant, *, principal: Principal, endpoint_id: str) -> tuple[Endpoint, str]:
    """A new secret, shown once. The one before signs as well for a day."""
    principal.require("admin")
    secret = secrets.token_bytes(hooks.SECRET_BYTES)
    with tenant_tx(tenant):
        row = telling.endpoint(tenant, endpoint_id, lock=True)
        row.old_secret, row.old_until = row.secret, clock.now() + hooks.OVERLAP
        row.secret = vault.close(tenant, secret)
        row.save(update_fields=["old_secret", "old_until", "secret"])
        _audit(tenant, principal, "webhook.secret_rotated", row, after={"old_until": clock.rfc3339(row.old_until)})
    return row, hooks.secret_text(secret)


def delete_endpoint(tenant: Tenant, *, principal: Principal, endpoint_id: str) -> None:
    """Remove it with its log; what still waits for it is given up."""
    principal.require("admin")
    with tenant_tx(tenant):
        row = telling.endpoint(tenant, endpoint_id, lock=True)
        gone = Delivery.objects.filter(channel=Delivery.WEBHOOK, target=str(row.pk))
        Attempt.objects.filter(delivery_id__in=gone.values("pk")).delete()
        gone.delete()
        _audit(tenant, principal, "webhook.deleted", row, before=_said(row))
        row.delete()


def test_endpoint(tenant: Tenant, *, principal: Principal, endpoint_id: str) -> Delivery:
    """Send it a message that says nothing, so that its owner sees whether it arrives."""
    principal.require("admin")
    with tenant_tx(tenant):
        row = telling.endpoint(tenant, endpoint_id)
        _must_be_on(row)
        ident = uuid.uuid4()
        made = Delivery.objects.create(
            id=ident,
            tenant_id=tenant.pk,
            channel=Delivery.WEBHOOK,
            outbox_id=-(ident.int >> 66),  # no outbox row: a number of its own, below all of those
            target=str(row.pk),
            message=hooks.TEST,
            body=hooks.body(hooks.TEST, clock.rfc3339(clock.now()), {"tenant": tenant.slug, "by": principal.ident}),
            next_at=clock.now(),
        )
        _audit(tenant, principal, "webhook.tested", row)
        jobs.enqueue(fanout.TASK)
    return made


def redeliver(tenant: Tenant, *, principal: Principal, delivery_id: str) -> Delivery:
    """Send the same message again now, under the same ``webhook-id``, with a whole day of attempts."""
    principal.require("admin")
    with tenant_tx(tenant):
        row = telling.delivery(tenant, delivery_id, lock=True)
        _must_be_on(telling.endpoint(tenant, row.target))
        if row.state == Delivery.WAITING and row.attempts == 0:
            return row
        row.state, row.attempts, row.next_at, row.ended_at = Delivery.WAITING, 0, clock.now(), None
        row.save(update_fields=["state", "attempts", "next_at", "ended_at"])
        record_audit(
            tenant,
            principal=principal,
            action="webhook.redelivered",
            target=f"webhook:{row.target}",
            after={"delivery": str(row.pk)},
        )
        jobs.enqueue(fanout.TASK)
    return row


def _must_be_on(row: Endpoint) -> None:
    if not row.enabled:
        raise Problem("webhook.disabled", 409, "This endpoint is switched off. Switch it on first.")


def _checked_url(url: str) -> str:
    found = addresses.parse(url.strip(), plain=settings.WEBHOOK_ALLOW_LOOPBACK)
    if isinstance(found, str):
        raise invalid("url", "webhook.url_invalid", found, status=422)
    return url.strip()


def _checked_messages(messages: Sequence[str]) -> list[str]:
    wrong = sorted(set(messages) - set(hooks.MESSAGES))
    if wrong:
        said = f"There is no message {wrong[0]!r}. Choose from: {', '.join(hooks.MESSAGES)}."
        raise invalid("messages", "webhook.message_unknown", said, status=422)
    return sorted(set(messages))


def _said(row: Endpoint) -> dict[str, object]:
    return {"url": row.url, "messages": row.messages, "enabled": row.enabled}


def _audit(tenant: Tenant, principal: Principal, action: str, row: Endpoint, **more: Any) -> None:
    record_audit(tenant, principal=principal, action=action, target=f"webhook:{row.pk}", **more)
