"""Idempotency keys of writes by people and programs."""

from __future__ import annotations

import hashlib
from typing import Any

from django.db import IntegrityError

from approvals.models import Once
from decisiongraph.core.errors import Problem, invalid
from tenants.access import Principal
from tenants.models import Tenant
from traces.domain.canonical import jcs

MAX_KEY_BYTES = 200


def recall(tenant: Tenant, principal: Principal, key: str | None, operation: str, content: Any) -> str | None:
    """What this key made when it was first used, or None. 409 when it said something else then.

    Inside the caller's transaction. Two that meet are kept apart by the unique index of `remember`.
    """
    if key is None:
        return None
    if not key or len(key.encode()) > MAX_KEY_BYTES or "\x00" in key:
        raise invalid(
            "Idempotency-Key", "request.invalid_key", "An idempotency key has 1 to 200 bytes, none of them NUL."
        )
    found = Once.objects.filter(principal=principal.ident, key=key).first()
    if found is None:
        return None
    if found.asked != _digest(operation, content):
        raise Problem(
            "request.idempotency_conflict",
            409,
            f"The key {key!r} was used for another request. Repeat exactly what was sent first, or use a new key.",
        )
    return found.target


def remember(tenant: Tenant, principal: Principal, key: str | None, operation: str, content: Any, target: str) -> None:
    """Keep the key with what it made. When another transaction was first, everything is undone: 503."""
    if key is None:
        return
    try:
        Once.objects.create(
            tenant_id=tenant.pk,
            principal=principal.ident,
            key=key,
            asked=_digest(operation, content),
            target=target,
        )
    except IntegrityError:
        raise met() from None


def met() -> Problem:
    """Two requests with the same key ran at the same time; the other one has the answer."""
    return Problem(
        "request.same_key_running",
        503,
        "A request with this key is being answered right now. Send the same request again.",
        headers={"Retry-After": "1"},
    )


def _digest(operation: str, content: Any) -> str:
    return hashlib.sha256(jcs({"operation": operation, "content": content})).hexdigest()
