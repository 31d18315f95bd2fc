"""Deliveries: tried until they arrive or a day is over, each attempt written down.

A delivery is claimed by moving its ``next_at`` beyond the longest attempt (a lease) and committed before
anything is sent: nothing of the database is held while somebody else's server thinks. Whoever dies in
between is found by the next tick; the receiver knows repeats by ``webhook-id``.
"""

from __future__ import annotations

import random
import smtplib
import time
import uuid
from datetime import datetime, timedelta

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import connection

from approvals.domain import hooks
from approvals.models import Attempt, Delivery, Endpoint
from approvals.services import vault, wire
from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.telemetry import log, metrics
from tenants.access import system_principal
from tenants.models import Tenant, User
from tenants.services import record_audit

LEASE = timedelta(seconds=60)
MOST = 100
SLICE_SECONDS = 2.0
GONE = 410


def deliver(*, budget: float = SLICE_SECONDS, most: int = MOST) -> int:
    """Try what is due, the longest overdue first; how many were tried."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tenant_id, delivery_id FROM dg_due_deliveries(%s, %s)", [clock.now(), most])
        due = cursor.fetchall()
    tenants = Tenant.objects.in_bulk({row[0] for row in due}) if due else {}
    until, tried = time.monotonic() + budget, 0
    for tenant_id, ident in due:
        if time.monotonic() > until:
            break
        tenant = tenants.get(tenant_id)
        if tenant is not None:
            tried += attempt(tenant, ident)
    return tried


def attempt(tenant: Tenant, ident: uuid.UUID) -> bool:
    """One attempt of one delivery, unless somebody else makes it or it is over."""
    with tenant_tx(tenant):
        row = (
            Delivery.objects.select_for_update(skip_locked=True)
            .filter(pk=ident, state=Delivery.WAITING, next_at__lte=clock.now())
            .first()
        )
        if row is None:
            return False
        row.attempts += 1
        row.next_at = clock.now() + LEASE
        row.save(update_fields=["attempts", "next_at"])
        endpoint = Endpoint.objects.filter(pk=row.target).first() if row.channel == Delivery.WEBHOOK else None
    at = clock.now()
    outcome = _mail(row) if row.channel == Delivery.EMAIL else _call(tenant, endpoint, row)
    _write_down(tenant, row, outcome, at)
    return True


def _call(tenant: Tenant, endpoint: Endpoint | None, row: Delivery) -> wire.Outcome:
    if endpoint is None or not endpoint.enabled:
        return wire.Outcome(GONE, "The endpoint was removed or switched off.", "", 0)
    secrets = [endpoint.secret]
    if endpoint.old_secret is not None and endpoint.old_until is not None and endpoint.old_until > clock.now():
        secrets.append(endpoint.old_secret)
    try:
        keys = [vault.open_(tenant, bytes(each)) for each in secrets]
    except vault.Unreadable:
        return wire.Outcome(None, "Its secret cannot be read: SECRET_KEY has changed. Rotate the secret.", "", 0)
    sent = hooks.headers(keys, f"msg_{row.pk.hex}", int(clock.now().timestamp()), row.body)
    more = {"Content-Type": "application/json", "User-Agent": "DecisionGraph-Webhooks/1"}
    return wire.post(endpoint.url, {**more, **sent}, row.body, loopback=settings.WEBHOOK_ALLOW_LOOPBACK)


def _mail(row: Delivery) -> wire.Outcome:
    started = time.monotonic()
    email = User.objects.filter(pk=int(row.target), is_active=True).values_list("email", flat=True).first()
    if email is None:
        return wire.Outcome(GONE, "The person is not here any more.", "", 0)
    mail = EmailMessage(
        row.subject, row.body, settings.DEFAULT_FROM_EMAIL, [email], headers={"X-Delivery": str(row.pk)}
    )
    try:
        mail.send()
    except (OSError, smtplib.SMTPException) as error:
        took = round(1000 * (time.monotonic() - started))
        return wire.Outcome(None, f"{type(error).__name__}: {error}"[:300], "", took)
    return wire.Outcome(200, "", "", round(1000 * (time.monotonic() - started)))


def _write_down(tenant: Tenant, row: Delivery, outcome: wire.Outcome, at: datetime) -> None:
    """The attempt, and what follows from it."""
    with tenant_tx(tenant):
        row = Delivery.objects.select_for_update().get(pk=row.pk)
        Attempt.objects.create(
            tenant_id=tenant.pk,
            delivery_id=row.pk,
            number=row.attempts,
            at=at,
            milliseconds=outcome.milliseconds,
            status=outcome.status,
            error=outcome.error,
            address=outcome.address,
            answer=outcome.answer,
        )
        now = clock.now()
        row.last_status, row.last_error = outcome.status, outcome.error
        good = outcome.status is not None and hooks.succeeded(outcome.status)
        again = None if good or outcome.status == GONE else hooks.next_attempt(row.attempts, now, random.random())
        if good:
            row.state, row.ended_at = Delivery.DONE, now
        elif again is None:
            row.state, row.ended_at = Delivery.DEAD, now
        else:
            row.next_at = again
        row.save()
        if row.channel == Delivery.WEBHOOK:
            _judge(tenant, row, good=good, now=now)
    metrics.deliveries.labels(row.channel, row.state).inc()
    log.info("delivery.tried", tenant=tenant.slug, delivery=str(row.pk), state=row.state, status=outcome.status)


def _judge(tenant: Tenant, row: Delivery, *, good: bool, now: datetime) -> None:
    """An endpoint that has not taken anything for a whole day, or says it is gone, is switched off."""
    endpoint = Endpoint.objects.select_for_update().filter(pk=row.target).first()
    if endpoint is None:
        return
    if good:
        if endpoint.failing_since is not None:
            endpoint.failing_since = None
            endpoint.save(update_fields=["failing_since"])
        return
    endpoint.failing_since = endpoint.failing_since or now
    gone = row.last_status == GONE
    if row.state == Delivery.DEAD and endpoint.enabled and (gone or endpoint.failing_since <= row.created_at + LEASE):
        endpoint.enabled = False
        said = "It answered 410 Gone." if gone else f"Nothing has arrived since {clock.rfc3339(endpoint.failing_since)}"
        endpoint.disabled_reason = said if gone else f"{said}; the last try ended with: {row.last_error}"[:500]
        record_audit(
            tenant,
            principal=system_principal(tenant),
            action="webhook.disabled",
            target=f"webhook:{endpoint.pk}",
            reason=endpoint.disabled_reason,
        )
    endpoint.save(update_fields=["failing_since", "enabled", "disabled_reason"])
