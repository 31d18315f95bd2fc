"""Recomputes every hash of a tenant's log from what is stored."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

from decisiongraph.core.db import tenant_tx
from tenants.models import Tenant
from traces import selectors
from traces.domain import canonical, merkle, note
from traces.domain.content import stored_leaf_envelope
from traces.domain.envelope import StoredEvent

PAGE = 2_000
MOST_FAULTS = 20


class Checked(NamedTuple):
    """What a tenant's log is, and what is wrong with it."""

    head: int
    erased: int
    leaves_sha256: str
    """Over the stored leaf hashes in order, as in the manifest of a backup."""
    faults: list[str]
    """In words, with the position; at most `MOST_FAULTS`."""


def check_log(tenant: Tenant, kept: Iterable[note.Checkpoint] = ()) -> Checked:
    """Positions without holes, payloads as hashed, leaves as committed; the tree as ``kept`` outside."""
    digest, at, erased, faults = hashlib.sha256(), 0, 0, list[str]()
    tree, wanted = merkle.Frontier(), sorted(kept, key=lambda each: each.size)
    with tenant_tx(tenant, isolation="REPEATABLE READ"):
        head = selectors.head(tenant)
        while at < head:
            events = selectors.read_log(tenant, after=at, limit=PAGE, until=head)
            proofs = selectors.proofs(tenant, [event.log_seq for event in events])
            missing = set(range(at + 1, min(at + PAGE, head) + 1)) - {event.log_seq for event in events}
            faults += [f"log_seq {number}: the event is missing" for number in sorted(missing)[:MOST_FAULTS]]
            for event in events:
                proof, leaf = proofs[event.log_seq], bytes.fromhex(event.leaf_hash.removeprefix("sha256:"))
                erased += proof.canonical is None
                digest.update(leaf)
                if wanted:
                    tree.push(leaf)
                while wanted and wanted[0].size == tree.size:
                    if wanted.pop(0).root != tree.root():
                        faults.append(f"the first {tree.size} events are not those of the checkpoint kept outside")
                wrong = _fault(event, proof)
                if wrong:
                    faults.append(f"log_seq {event.log_seq}: {wrong}")
            at = min(at + PAGE, head)
            if len(faults) >= MOST_FAULTS:
                break
    if len(faults) < MOST_FAULTS:
        faults += [f"the log was cut: a checkpoint kept outside has {each.size} events" for each in wanted]
    return Checked(head, erased, digest.hexdigest(), faults[:MOST_FAULTS])


def _fault(event: StoredEvent, proof: selectors.Proof) -> str:
    """What does not fit; empty when all does. Without a body the envelope alone is checked."""
    if canonical.leaf_hash(stored_leaf_envelope(event, proof.commitment)) != bytes.fromhex(event.leaf_hash[7:]):
        return "the envelope is not the one that was hashed"
    if proof.canonical is None or proof.salt is None:
        return ""
    if canonical.payload_hash(proof.canonical) != event.payload_hash:
        return "the payload is not the one that was hashed"
    if canonical.commitment(proof.salt, proof.canonical) != proof.commitment:
        return "the payload is not the one that the leaf commits to"
    return ""
