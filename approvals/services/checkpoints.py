"""What people and programs are told of the log's proof: new checkpoints, and that it is damaged."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import Q

from approvals.domain import hooks
from approvals.models import Follower, Incident, Outbox
from approvals.services import incidents, people, review
from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem
from decisiongraph.core.telemetry import log as telemetry
from tenants.models import Tenant
from traces import selectors as log


def raise_faults() -> int:
    """An incident for every log that is not what was sealed; each damage opens one, however often it is seen."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT dg_damaged_logs()")
        numbers = [row[0] for row in cursor.fetchall()]
    raised = 0
    for tenant in Tenant.objects.filter(pk__in=numbers) if numbers else ():
        try:
            raised += _raise(tenant)
        except (Problem, DatabaseError) as error:  # it may be past appending; others are told all the same
            said = f"{type(error).__name__}: {error}"[:300]
            telemetry.error("log.damage_not_raised", tenant=tenant.slug, error=said)
    return raised


def _raise(tenant: Tenant) -> bool:
    with tenant_tx(tenant):
        state = log.seal_state(tenant)
        key = f"log.damaged:{state.sealed}"
        if Incident.objects.filter(source_key=key).exists():
            return False
        book = review.Book(tenant, people.platform(tenant))
        made = incidents.open_by_itself(
            tenant,
            book,
            source_key=key,
            cause="log.damaged",
            severity="critical",
            title="The log is not what was sealed",
            now=clock.now(),
            detail={"fault": state.fault, "sealed": state.sealed, "head": state.head},
        )
        book.write()
    return made is not None


def tell_checkpoints() -> int:
    """One outbox row for every tenant with somebody to tell and a checkpoint that is new to them."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT dg_checkpoint_hooks()")
        numbers = [row[0] for row in cursor.fetchall()]
    return sum(_tell(tenant) for tenant in Tenant.objects.filter(pk__in=numbers)) if numbers else 0


def _tell(tenant: Tenant) -> bool:
    now = clock.now()
    due = Q(checkpoint_at=None) | Q(checkpoint_at__lte=now - timedelta(seconds=settings.CHECKPOINT_PUSH_SECONDS))
    with tenant_tx(tenant):
        newest = log.seal_state(tenant).checkpoint
        if newest is None:
            return False
        # The condition and the new value are one statement: two beats tell it once.
        told = Follower.objects.filter(due, checkpoint_size__lt=newest.size).update(
            checkpoint_size=newest.size, checkpoint_at=now
        )
        if not told:
            return False
        Outbox.objects.create(
            tenant_id=tenant.pk,
            message=hooks.CHECKPOINT,
            kind="log",
            ident=str(newest.size),
            data={
                "size": newest.size,
                "root_hash": bytes(newest.root).hex(),
                "note": newest.note,
                "keys": [key.text for key in log.verifier_keys(tenant, newest)],
                "sealed_at": clock.rfc3339(newest.sealed_at),
            },
            actor="system",
            at=now,
        )
    return True
