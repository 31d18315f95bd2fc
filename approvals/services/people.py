"""From the principals of requests and events to the people the rules know."""

from __future__ import annotations

from collections.abc import Iterable

from approvals.domain.people import Person, names_of
from approvals.domain.workflow import TIMER
from tenants.access import Principal, system_principal
from tenants.models import ApiToken, Tenant, User


def person(principal: Principal) -> Person:
    """Who acts, with every name they go by. The platform itself is the timer and nobody else."""
    if principal.kind == "system":
        return Person(principal.ident, frozenset({"system"}), principal.permissions | {TIMER})
    issuer = ""
    if principal.kind == "token" and principal.user_id is not None:
        issuer = User.objects.filter(pk=principal.user_id).values_list("email", flat=True).first() or ""
    label = principal.label if principal.kind == "user" else ""
    names = names_of(ident=principal.ident, issuer_email=issuer, label=label)
    return Person(principal.ident, names, principal.permissions)


def names_of_principals(idents: Iterable[str]) -> dict[str, frozenset[str]]:
    """The names behind principals as the log records them; a token stands for its issuer too."""
    wanted = set(idents)
    tokens = {ident.partition(":")[2] for ident in wanted if ident.startswith("token:")}
    issuers = dict(
        ApiToken.objects.filter(pk__in=tokens, created_by__isnull=False).values_list("pk", "created_by__email")
    )
    emails = {ident.partition(":")[2] for ident in wanted if ident.startswith("user:")}
    labels = dict(User.objects.filter(email__in=emails).exclude(name="").values_list("email", "name"))
    return {
        ident: names_of(
            ident=ident,
            issuer_email=issuers.get(ident.partition(":")[2], "") if ident.startswith("token:") else "",
            label=labels.get(ident.partition(":")[2], "") if ident.startswith("user:") else "",
        )
        for ident in wanted
    }


def actor_of(principal: Principal) -> dict[str, str]:
    """A principal as the actor of an event."""
    if principal.kind == "user":
        return {"actor_type": "person", "actor_id": principal.ident.partition(":")[2]}
    if principal.kind == "token":
        return {"actor_type": "agent", "actor_id": principal.ident}
    return {"actor_type": "system", "actor_id": "decisiongraph"}


def platform(tenant: Tenant) -> Principal:
    """The platform itself: timers and whatever opens by itself."""
    return system_principal(tenant)
