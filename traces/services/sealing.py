"""Sealing: the tree over the log grows behind it, by a cursor of its own, and each step is signed.

Never part of an append: whoever appends waits for nothing here. The edge of the tree is stored, so a
step costs what is new and nothing else. Row, kept hashes and checkpoint commit together: a killed worker
leaves the tree where it was, and whoever comes next signs the same roots, because the log is the same.
"""

from __future__ import annotations

from django.conf import settings
from django.db import connection

from decisiongraph.core import bus, clock, jobs
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.telemetry import log, metrics
from tenants.access import system_principal
from tenants.models import Tenant
from tenants.services import keyring
from traces import selectors
from traces.domain import merkle, note
from traces.models import LogCheckpoint, LogNode, LogSeal

SLICE = 20_000
"""Events under one new checkpoint at most."""
EVERY = 1_000
"""So many new events ask for a seal at once; fewer wait for the beat."""
TASK = "traces.seal"

_LEAVES = "SELECT leaf_hash FROM traces_event WHERE tenant_id = %s AND log_seq > %s AND log_seq <= %s ORDER BY log_seq"


def seal(tenant: Tenant) -> int:
    """Bring the tree up to the log; returns how many events that were. Whoever finds it held goes away."""
    sealed = 0
    while True:
        done = _step(tenant)
        sealed += done
        if done < SLICE:
            return sealed


def ask_to_seal(tenant: Tenant, *, first: int, last: int) -> None:
    """After an append of these positions: wake the sealer when they fill another thousand."""
    if (first - 1) // EVERY != last // EVERY:
        jobs.enqueue(TASK, tenant_id=tenant.pk)


def _step(tenant: Tenant) -> int:
    # What is lost by a crash of the server is made again from the log, to the byte.
    with tenant_tx(tenant, lazily=True):
        row = LogSeal.objects.select_for_update(skip_locked=True).first()
        if row is None:
            if LogSeal.objects.exists():
                return 0
            fresh = LogSeal(tenant_id=tenant.pk, origin=f"{settings.LOG_ORIGIN}/{tenant.slug}")
            LogSeal.objects.bulk_create([fresh], ignore_conflicts=True)
            row = LogSeal.objects.select_for_update(skip_locked=True).first()
            if row is None:
                return 0
        head = selectors.head(tenant)
        if head < row.size:
            return _stop(tenant, row, f"{row.size} events were sealed and the log ends after {head}.")
        if head == row.size:
            return 0
        if row.size and not _stands(tenant, row.size):
            return _stop(tenant, row, f"Event {row.size} is not the one that was sealed at its place.")
        until = min(head, row.size + SLICE)
        with connection.cursor() as cursor:
            cursor.execute(_LEAVES, [tenant.pk, row.size, until])
            entries = [bytes(each[0]) for each in cursor.fetchall()]
        if len(entries) != until - row.size:
            return _stop(tenant, row, f"Between event {row.size + 1} and {until} the log holds {len(entries)} events.")
        done = _grow(tenant, row, entries)
    metrics.sealed_events.inc(done)
    return done


def _grow(tenant: Tenant, row: LogSeal, entries: list[bytes]) -> int:
    tree = merkle.Frontier.read(row.size, bytes(row.frontier))
    kept = tree.grow(entries)
    key, sign = keyring.signer(tenant, principal=system_principal(tenant))
    said = note.Checkpoint(row.origin, tree.size, tree.root())
    now = clock.now()
    LogNode.objects.bulk_create(
        [LogNode(tenant_id=tenant.pk, height=p.height, index=p.at, digest=digest) for p, digest in kept]
    )
    LogCheckpoint.objects.create(
        tenant_id=tenant.pk,
        size=tree.size,
        root=said.root,
        note=note.sign(said, note.Key(row.origin, bytes(key.public_key)), sign),
        key_id=key.key_id,
        sealed_at=now,
    )
    row.size, row.frontier, row.sealed_at, row.fault = tree.size, tree.raw, now, ""
    row.save(update_fields=["size", "frontier", "sealed_at", "fault"])
    bus.publish(tenant, "log", "log.checkpoint_signed")
    return len(entries)


def _stands(tenant: Tenant, size: int) -> bool:
    """Whether the last sealed event still leads to the root that was signed over it: a log that was cut and
    went on, or lost its checkpoints, does not."""
    under = selectors.sealed_under(tenant, size)
    return under is not None and under.holds


def _stop(tenant: Tenant, row: LogSeal, fault: str) -> int:
    """A damaged log is not sealed: a checkpoint over it would vouch for what nobody appended."""
    if row.fault != fault:
        log.error("log.damaged", tenant=tenant.slug, detail=fault)
        row.fault = fault
        row.save(update_fields=["fault"])
    return 0
