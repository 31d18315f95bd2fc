"""The audit log: who did what, or was refused, and why."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from structlog.contextvars import get_contextvars

from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem
from decisiongraph.core.telemetry import log
from tenants.domain.principal import Actor
from tenants.domain.roles import PRIVILEGED
from tenants.models import AuditEntry, Tenant, User

_address: ContextVar[str] = ContextVar("dg_client_address", default="")
_asked: ContextVar[str] = ContextVar("dg_asked", default="")


def noted_address() -> str:
    """The client's address of this request."""
    return _address.get()


def note_request(address: str, asked: str) -> None:
    """For the rest of this request: the client's address, and what it asked for (``POST /api/...``)."""
    _address.set(address)
    _asked.set(asked)


def record_audit(
    tenant: Tenant,
    *,
    principal: Actor,
    action: str,
    target: str = "",
    reason: str = "",
    before: Any = None,
    after: Any = None,
    request_id: str = "",
    address: str = "",
) -> AuditEntry:
    """Write one line in the caller's transaction, so that it stands or falls with the action.

    ``action`` is ``noun.past_participle``; ``before`` and ``after`` are small JSON values without
    secrets. Request id and client address default to those of the current request.
    """
    with tenant_tx(tenant):
        entry = AuditEntry.objects.create(
            tenant_id=tenant.pk,
            actor=_bounded(principal.ident),
            on_behalf_of=_issuer(principal),
            action=action,
            target=_bounded(target),
            reason=_bounded(reason, 2000),
            before=before,
            after=after,
            request_id=_bounded(request_id or str(get_contextvars().get("request_id", "")), 100),
            address=_bounded(address or _address.get(), 64),
        )
    log.info("audit.recorded", tenant=tenant.slug, action=action, actor=principal.ident)
    return entry


def record_refusal(tenant: Tenant, *, principal: Actor, permission: str, target: str = "") -> None:
    """Write down that a privileged action was refused.

    In a transaction of its own: the refused request stores nothing else.
    """
    record_audit(
        tenant,
        principal=principal,
        action="permission.refused",
        target=target or _asked.get(),
        reason=f"needs '{permission}'",
    )


REFUSED = frozenset({401, 403, 409, 412, 423, 429})
"""Statuses of a refusal that was understood: not allowed, not now, not so often. A request that is
malformed or about nothing is no attempt at an action."""
QUIET = ("projection.", "rate.")
"""Families of codes that are about time and not about rights: read again, send again."""


def note_refusal(tenant: Tenant, *, principal: Actor, permission: str, method: str, problem: Problem) -> None:
    """Write down that an action was asked for and refused, by whatever rule: four eyes, the last admin,
    a proof too old, a version that has moved on.

    The doors call it once a view has raised. What ingest refuses is kept with the log
    (`GET /ingest/refusals`), and reads are no actions.
    """
    if problem.written_down or problem.status not in REFUSED or problem.code.startswith(QUIET):
        return
    if problem.code == "permission.missing":
        if problem.extra.get("permission") in PRIVILEGED:
            record_refusal(tenant, principal=principal, permission=problem.extra["permission"])
    elif method not in ("GET", "HEAD", "OPTIONS") and permission != "ingest":
        record_audit(
            tenant,
            principal=principal,
            action="action.refused",
            target=_asked.get(),
            reason=problem.detail,
            after={"code": problem.code},
        )
    problem.written_down = True


def require(principal: Actor, permission: str) -> None:
    """403 naming the permission, unless it is held: the services' own check behind the doors."""
    if not principal.may(permission):
        raise refusal(principal, permission)


def refusal(principal: Actor, permission: str) -> Problem:
    """The one form of "you may not"."""
    return Problem(
        "permission.missing",
        403,
        principal.missing(permission),
        extra={"permission": permission},
    )


def _issuer(principal: Actor) -> str:
    if principal.kind != "token" or principal.user_id is None:
        return ""
    email = User.objects.filter(pk=principal.user_id).values_list("email", flat=True).first()
    return f"user:{email}" if email else ""


def _bounded(text: str, size: int = 300) -> str:
    clean = text.replace("\x00", "")
    return clean if len(clean) <= size else clean[: size - 1] + "…"
