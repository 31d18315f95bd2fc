"""The whole log as a file that is checked without this server (`manage.py verify_log`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem
from tenants.access import Principal
from tenants.models import Tenant
from tenants.services import record_audit
from traces import selectors
from traces.domain import archive, note

PAGE = 1_000
"""Events read in one short transaction: a long download holds nothing."""


class Archive(NamedTuple):
    """A log to be downloaded, from one event up to the newest checkpoint."""

    name: str
    after: int
    until: int
    lines: Iterator[bytes]


def export_log(tenant: Tenant, *, principal: Principal, after: int = 0, until: int | None = None) -> Archive:
    """The events behind ``after`` up to the newest checkpoint (of at most ``until`` events), with every checkpoint.

    Audited. 409 ``log.not_sealed`` when no checkpoint covers anything behind ``after``.
    """
    principal.require("admin")
    with tenant_tx(tenant):
        newest = selectors.checkpoint_before(tenant, until if until is not None else 2**62)
        if newest is None or newest.size < after:
            covered = newest.size if newest is not None else 0
            raise Problem(
                "log.not_sealed",
                409,
                f"No checkpoint covers an event behind {after}. An event is sealed within about a second.",
                extra={"size": covered},
            )
        keys = selectors.verifier_keys(tenant, newest)
        origin = note.unsigned(newest.note).origin
        record_audit(
            tenant,
            principal=principal,
            action="log.exported",
            target="log",
            after={"after": after, "until": newest.size},
        )
    name = f"{tenant.slug}-log-{after + 1}-{newest.size}.ndjson"
    return Archive(name, after, newest.size, _lines(tenant, origin, keys, after, newest.size))


def _lines(tenant: Tenant, origin: str, keys: list[note.Key], after: int, until: int) -> Iterator[bytes]:
    yield archive.opening(origin, keys, after=after)
    at = after
    while at < until:
        end = min(at + PAGE, until)
        with tenant_tx(tenant):
            events = selectors.read_envelopes(tenant, after=at, until=end)
            proofs = selectors.proofs(tenant, [event.log_seq for event in events])
            notes = {row.size: row.note for row in selectors.checkpoints(tenant, after=at, until=end, limit=PAGE)}
        piece = []
        for event in events:
            proof = proofs[event.log_seq]
            piece.append(
                archive.event_line(event, commitment=proof.commitment, salt=proof.salt, payload=proof.canonical)
            )
            if event.log_seq in notes:
                piece.append(archive.checkpoint_line(notes[event.log_seq]))
        yield b"".join(piece)
        at = end
    yield archive.closing(until)
