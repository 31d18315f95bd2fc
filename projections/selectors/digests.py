"""Digests of a tenant's projections at one position: live, canonical, reference."""

from __future__ import annotations

import threading
import time
from typing import NamedTuple

from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem
from projections import engine
from projections.domain import reference
from projections.domain.rules import RULES
from projections.models import Checkpoint, Generation, RecordedDigest
from projections.selectors.freshness import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    RETRY_AFTER,
    snapshot,
    wait_for,
)
from tenants.models import Tenant
from traces import selectors as log

KINDS = ("live", "canonical", "reference")
CANONICAL, REFERENCE = "canonical", "reference"
READ_AHEAD = 2_000

_heavy = threading.BoundedSemaphore(1)
"""Reading every row or the whole log: one at a time in a process."""


class Digests(NamedTuple):
    """Digests by name at one position of the log."""

    position: int
    digests: dict[str, str]


def digests(tenant: Tenant, *, kind: str = "live", min_log_seq: int | None = None, wait_ms: int = 0) -> Digests:
    """The digests of one kind when all cursors are equal, else 409.

    Waits up to ``wait_ms`` for the cursors to reach the head of the log (or ``min_log_seq``).
    """
    deadline = time.monotonic() + wait_ms / 1000
    if min_log_seq is not None:
        for name in RULES:
            left = max(0, int((deadline - time.monotonic()) * 1000))
            wait_for(tenant, name, min_log_seq, left)
    _settle(tenant, deadline)
    if kind == "live":
        return _live(tenant)
    if not _heavy.acquire(blocking=False):
        raise Problem(
            "digest.busy",
            503,
            "Another digest is being computed from all rows. Send the request again.",
            headers=RETRY_AFTER,
        )
    try:
        return _canonical(tenant) if kind == CANONICAL else _reference(tenant)
    finally:
        _heavy.release()


def _settle(tenant: Tenant, deadline: float) -> None:
    """Wait until every cursor stands at the head, or the time is over."""
    pause = FIRST_PAUSE
    while True:
        head, cursors = engine.positions(tenant)
        left = deadline - time.monotonic()
        if left <= 0 or all(cursors.get(name, 0) >= head for name in RULES):
            return
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, LONGEST_PAUSE)


def _generations() -> dict[str, Checkpoint]:
    """Live checkpoints at one position; 409 when they differ. Inside a snapshot."""
    found = {row.projection: row for row in Checkpoint.objects.filter(active=True)}
    cursors = {name: found[name].cursor if name in found else 0 for name in RULES}
    if len(set(cursors.values())) != 1:
        raise Problem(
            "digest.cursors_differ",
            409,
            "The projections stand at different positions. Send the request again, or with `wait_ms`.",
            headers=RETRY_AFTER,
            extra={"cursors": cursors},
        )
    return found


def _position(found: dict[str, Checkpoint]) -> int:
    return max((row.cursor for row in found.values()), default=0)


def _live(tenant: Tenant) -> Digests:
    with snapshot(tenant):
        found = _generations()
        values = {name: engine.buckets(name, found[name].generation if name in found else 0).digest() for name in RULES}
        return Digests(_position(found), values)


def _canonical(tenant: Tenant) -> Digests:
    values: dict[str, str] = {}
    fresh: list[RecordedDigest] = []
    with snapshot(tenant):
        found = _generations()
        position = _position(found)
        for name, rule in RULES.items():
            generation = found[name].generation if name in found else 0
            known = RecordedDigest.objects.filter(
                kind=CANONICAL, name=name, generation=generation, cursor=position
            ).first()
            if known is not None:
                values[name] = known.digest
                continue
            values[name] = engine.canonical(name, generation)
            version = (
                Generation.objects.filter(projection=name, number=generation)
                .values_list("rule_version", flat=True)
                .first()
            )
            fresh.append(
                RecordedDigest(
                    kind=CANONICAL,
                    name=name,
                    generation=generation,
                    cursor=position,
                    rule_version=version or rule.version,
                    digest=values[name],
                )
            )
    engine.record_digests(tenant, fresh)
    return Digests(position, values)


def _reference(tenant: Tenant) -> Digests:
    with tenant_tx(tenant):
        position = _position(_generations())
        known = dict(
            RecordedDigest.objects.filter(
                kind=REFERENCE, generation=0, cursor=position, name__in=reference.NAMES
            ).values_list("name", "digest")
        )
    if len(known) == len(reference.NAMES):
        return Digests(position, {name: known[name] for name in reference.NAMES})
    fold = reference.ReferenceFold()
    after = 0
    while after < position:
        events = log.read_log(tenant, after=after, limit=READ_AHEAD, until=position)
        if not events:
            break
        fold.feed_all(events)
        after = events[-1].log_seq
    values = fold.digests()
    engine.record_digests(
        tenant,
        [
            RecordedDigest(kind=REFERENCE, name=name, generation=0, cursor=position, rule_version=0, digest=digest)
            for name, digest in values.items()
        ],
    )
    return Digests(position, values)
