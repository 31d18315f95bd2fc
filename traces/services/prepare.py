"""What needs no database: validate, secret guard, hashes. All of it happens before the lock."""

from __future__ import annotations

import os
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from tenants.access import Principal
from traces.domain import canonical
from traces.domain.content import content_canonical, secret_in
from traces.domain.draft import Draft, validate
from traces.domain.violations import Violation
from traces.services.results import Refused, refuse

SALT_BYTES = 16
SEED_BYTES = 10
"""What a UUIDv7 takes."""
RANDOM_BYTES = SALT_BYTES + SEED_BYTES


class Prepared(NamedTuple):
    """A valid event with everything that can be known before its place in the log."""

    draft: Draft
    payload: bytes
    content: bytes
    salt: bytes
    commitment: bytes
    payload_hash: bytes
    seed: bytes
    """Randomness of the event id, should it need one."""


def prepare(
    values: Sequence[Any],
    principal: Principal,
    origin: str,
    *,
    parsed: bool,
    trace_id: str | None = None,
    header_key: str | None = None,
) -> list[Prepared | Refused]:
    """Each envelope ready for the log, or why it is refused, in order.

    ``parsed`` promises that the values came out of the strict loader. ``trace_id`` is the trace of
    the address and ``header_key`` the header of a single append.
    """
    made: list[Prepared | Refused] = []
    randomness = os.urandom(RANDOM_BYTES * len(values))  # one call: it costs more than an event
    at = 0
    for value in values:
        draft = validate(value, path_trace_id=trace_id, header_key=header_key, origin=origin)
        if isinstance(draft, list):
            made.append(
                Refused(
                    tuple(draft),
                    producer_id=_said(value, "source", "producer_id"),
                    trace_id=trace_id if trace_id is not None else _said(value, "trace_id"),
                )
            )
            continue
        refused: Refused | None = None
        try:
            payload = canonical.jcs(draft.payload, checked=parsed)
            content = content_canonical(draft, payload)
        except canonical.NotCanonical as error:  # only a value made in Python gets this far
            refused = Refused((Violation("payload", "json.not_canonical", str(error), 400),))
        else:
            refused = _not_allowed(draft, principal) or _secret(draft, content)
        if refused is not None:
            made.append(refused._replace(producer_id=draft.producer_id, trace_id=draft.trace_id))
            continue
        salt = randomness[at : at + SALT_BYTES]
        seed = randomness[at + SALT_BYTES : at + RANDOM_BYTES]
        at += RANDOM_BYTES
        made.append(
            Prepared(draft, payload, content, salt, canonical.commitment(salt, payload), sha256(payload).digest(), seed)
        )
    return made


def _not_allowed(draft: Draft, principal: Principal) -> Refused | None:
    if principal.bound_to(draft.producer_id):
        return None
    return refuse(
        "producer.not_allowed",
        403,
        f"This token may not send events of the producer {draft.producer_id!r}. Use the token of that producer.",
        path="source.producer_id",
    )


def _secret(draft: Draft, content: bytes) -> Refused | None:
    found = secret_in(draft, content)
    return None if found is None else Refused((found.violation(),))


def _said(value: Any, *path: str) -> str:
    """A text of a refused envelope, bounded, for finding the refusal again; empty if unusable."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, str) or "\x00" in value:
        return ""
    return value[:200].encode("utf-8", "replace").decode()
