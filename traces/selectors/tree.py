"""The tree over the log: checkpoints, and proofs made from what is stored at this moment.

Leaves are read from the log itself, so an event that was changed behind the log's back has no proof that
leads to a signed root any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import connection

from decisiongraph.core.db import current_tenant_id, tenant_tx
from decisiongraph.core.errors import Problem, not_found
from tenants import selectors as people
from tenants.models import Tenant
from traces.domain import merkle, note
from traces.domain.merkle import Span, Subtree
from traces.models import LogCheckpoint, LogSeal
from traces.selectors.events import head

_LEAF = "SELECT leaf_hash FROM traces_event WHERE tenant_id = %s AND log_seq = %s"
_LEAVES = """
SELECT e.log_seq - 1, e.leaf_hash FROM unnest(%s::bigint[], %s::bigint[]) AS s(low, high)
JOIN traces_event e ON e.tenant_id = %s AND e.log_seq > s.low AND e.log_seq <= s.high
"""
_NODES = """
SELECT n.height, n.index, n.digest FROM unnest(%s::smallint[], %s::bigint[], %s::bigint[]) AS s(height, low, high)
JOIN traces_lognode n ON n.tenant_id = %s AND n.height = s.height AND n.index >= s.low AND n.index < s.high
"""


class SealState(NamedTuple):
    """How far the tree is behind the log."""

    head: int
    size: int
    """Events under the newest checkpoint."""
    checkpoint: LogCheckpoint | None
    pushed_size: int
    pushed_at: datetime | None
    fault: str
    """Why the tree does not grow; empty when all is well."""
    sealed: int
    """Events in the tree; more than ``size`` only when checkpoints are gone."""

    @property
    def waiting(self) -> int:
        """Events that no checkpoint covers yet."""
        return self.head - self.size


class Inclusion(NamedTuple):
    """Proof that one event is in the log at its place."""

    log_seq: int
    leaf_hash: bytes
    checkpoint: LogCheckpoint
    path: list[bytes]

    @property
    def holds(self) -> bool:
        """Whether the path leads from the stored event to the root that was signed."""
        row = self.checkpoint
        return merkle.includes(self.leaf_hash, self.log_seq - 1, row.size, self.path, bytes(row.root))


class Consistency(NamedTuple):
    """Proof that the log of one checkpoint is the beginning of the log of a later one."""

    old: LogCheckpoint
    new: LogCheckpoint
    path: list[bytes]


def seal_state(tenant: Tenant) -> SealState:
    """The newest checkpoint, and what it does not cover yet."""
    with tenant_tx(tenant):
        row = LogSeal.objects.defer("frontier").first()
        newest = LogCheckpoint.objects.order_by("-size").first()
        size = newest.size if newest is not None else 0
        if row is None:
            return SealState(head(tenant), size, newest, 0, None, "", 0)
        return SealState(head(tenant), size, newest, row.pushed_size, row.pushed_at, row.fault, row.size)


def checkpoint(tenant: Tenant, *, size: int | None = None) -> LogCheckpoint:
    """The newest checkpoint, or the one of exactly this size. 404 when there is none."""
    with tenant_tx(tenant):
        rows = LogCheckpoint.objects.all() if size is None else LogCheckpoint.objects.filter(size=size)
        found = rows.order_by("-size").first()
    if found is None:
        raise not_found("checkpoint", "of this log" if size is None else str(size))
    return found


def verifier_keys(tenant: Tenant, row: LogCheckpoint) -> list[note.Key]:
    """The tenant's public keys under the name the log signs with, the newest first."""
    name = note.unsigned(row.note).origin
    return [note.Key(name, bytes(each.public_key)) for each in people.signing_keys(tenant)]


def checkpoint_before(tenant: Tenant, size: int) -> LogCheckpoint | None:
    """The newest checkpoint of at most this size."""
    with tenant_tx(tenant):
        return LogCheckpoint.objects.filter(size__lte=size).order_by("-size").first()


def checkpoints(
    tenant: Tenant, *, after: int = 0, until: int | None = None, before: int | None = None, limit: int = 500
) -> list[LogCheckpoint]:
    """Checkpoints with ``after < size <= until``, the smallest first; with ``before`` the largest first."""
    with tenant_tx(tenant):
        rows = LogCheckpoint.objects.filter(size__gt=after)
        if until is not None:
            rows = rows.filter(size__lte=until)
        if before is not None:
            return list(rows.filter(size__lt=before).order_by("-size")[:limit])
        return list(rows.order_by("size")[:limit])


def inclusion(tenant: Tenant, *, log_seq: int, size: int | None = None) -> Inclusion:
    """Proof that the event at ``log_seq`` is under a checkpoint (the newest unless ``size`` names one).

    404 for an event or a checkpoint that does not exist, 409 ``log.not_sealed`` for an event that no
    checkpoint covers yet.
    """
    with tenant_tx(tenant):
        with connection.cursor() as cursor:
            cursor.execute(_LEAF, [current_tenant_id(), log_seq])
            row = cursor.fetchone()
        if row is None:
            raise not_found("event", str(log_seq))
        under = LogCheckpoint.objects.order_by("-size").first() if size is None else checkpoint(tenant, size=size)
        if under is None or log_seq > under.size:
            covered = under.size if under is not None else 0
            raise Problem(
                "log.not_sealed",
                409,
                f"The checkpoint covers {covered} events. An event is sealed within about a second; ask again then.",
                extra={"size": covered},
            )
        path = _proof(merkle.inclusion_spans(log_seq - 1, under.size))
    return Inclusion(log_seq, bytes(row[0]), under, path)


def sealed_under(tenant: Tenant, log_seq: int) -> Inclusion | None:
    """Proof that an event that exists is under the newest checkpoint; None while no checkpoint covers it.

    One that does not hold when the log lacks what the proof is made of.
    """
    with tenant_tx(tenant):
        newest = LogCheckpoint.objects.order_by("-size").first()
        if newest is None or log_seq > newest.size:
            return None
        with connection.cursor() as cursor:
            cursor.execute(_LEAF, [current_tenant_id(), log_seq])
            (entry,) = cursor.fetchone() or (b"",)
        path = _path(merkle.inclusion_spans(log_seq - 1, newest.size))
    return Inclusion(log_seq, bytes(entry), newest, [b""] if path is None else path)


def consistency(tenant: Tenant, *, old: int, new: int | None = None) -> Consistency:
    """Proof between two checkpoints. 404 when one does not exist, 400 when they stand the wrong way round."""
    with tenant_tx(tenant):
        later = checkpoint(tenant, size=new)
        earlier = checkpoint(tenant, size=old)
        if earlier.size > later.size:
            raise Problem("query.invalid_parameter", 400, "`first` is the older, smaller checkpoint.")
        return Consistency(earlier, later, _proof(merkle.consistency_spans(earlier.size, later.size)))


def _proof(spans: Sequence[Span]) -> list[bytes]:
    """The hashes of these parts of the tree. 409 when the log does not hold what they are made of."""
    path = _path(spans)
    if path is None:
        raise Problem(
            "log.damaged",
            409,
            "The log lacks something that was sealed: there is no proof. Export it and run verify_log.",
        )
    return path


def _path(spans: Sequence[Span]) -> list[bytes] | None:
    wanted = merkle.wanted(spans)
    known = _known(wanted)
    return None if any(place not in known for place in wanted) else merkle.proof(spans, known)


def _known(wanted: Iterable[Subtree]) -> dict[Subtree, bytes]:
    """Hashes of single leaves from the log, of larger subtrees from where they are kept."""
    runs: list[tuple[int, int, int]] = []
    for height, index in sorted(wanted):
        if runs and runs[-1][0] == height and runs[-1][2] == index:
            runs[-1] = (height, runs[-1][1], index + 1)
        else:
            runs.append((height, index, index + 1))
    leaves = [(low, high) for height, low, high in runs if height == 0]
    nodes = [run for run in runs if run[0] > 0]
    found: dict[Subtree, bytes] = {}
    with connection.cursor() as cursor:
        if leaves:
            cursor.execute(_LEAVES, [[low for low, _ in leaves], [high for _, high in leaves], current_tenant_id()])
            found |= {Subtree(0, index): merkle.leaf(bytes(entry)) for index, entry in cursor.fetchall()}
        if nodes:
            columns = [list(column) for column in zip(*nodes, strict=True)]
            cursor.execute(_NODES, [*columns, current_tenant_id()])
            found |= {Subtree(height, index): bytes(digest) for height, index, digest in cursor.fetchall()}
    return found
