"""API tokens and socket tickets."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core import signing
from django.utils.encoding import force_bytes

from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem, invalid, not_found
from tenants.domain.principal import Actor
from tenants.domain.roles import SCOPES, TOKEN_ALPHABET, TOKEN_ID_LENGTH, format_token
from tenants.models import ApiToken, SocketTicket, Tenant, User
from tenants.services import bell
from tenants.services.audit import record_audit, require

TICKET_SECONDS = 60
TOUCH_SECONDS = 60
MAX_OVERLAP_HOURS = 720
_TICKET_SALT = "tenants.socket-ticket"


def secret_hmac(ident: str, secret: str, key: str | bytes | None = None) -> str:
    """What is stored of a secret: HMAC-SHA256 under a key derived from ``SECRET_KEY``.

    The secret has 256 random bits, so a slow password hash would add nothing but latency.
    """
    derived = hashlib.sha256(b"tenants.api-token:" + force_bytes(key or settings.SECRET_KEY)).digest()
    return hmac.new(derived, f"{ident}:{secret}".encode(), hashlib.sha256).hexdigest()


def secret_matches(token: ApiToken, secret: str) -> bool:
    """Compare in constant time, also under the retired keys of ``SECRET_KEY_FALLBACKS``."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return any(hmac.compare_digest(secret_hmac(token.pk, secret, key), token.secret_hmac) for key in keys)


def create_token(
    tenant: Tenant,
    *,
    principal: Actor,
    name: str,
    scopes: Sequence[str],
    producers: Sequence[str] | None = None,
    expires_at: datetime | None = None,
) -> tuple[ApiToken, str]:
    """A new token and its text, which exists only in this answer.

    Nobody can give a token more than they hold themselves.
    """
    require(principal, "admin")
    name = name.strip()
    if not name or len(name) > 100 or "\x00" in name:
        raise invalid("name", "token.name_invalid", "A token needs a name of 1 to 100 characters.")
    chosen = _checked_scopes(scopes)
    for scope in chosen:
        require(principal, scope)
    bound = _checked_producers(producers)
    if expires_at is not None and expires_at <= clock.now():
        raise invalid("expires_at", "token.expiry_past", "Choose an expiry in the future.")
    with tenant_tx(tenant):
        token, text = _new_token(tenant, principal, name, chosen, bound, expires_at)
        record_audit(
            tenant, principal=principal, action="token.created", target=f"token:{token.pk}", after=_shape(token)
        )
    return token, text


def rotate_token(
    tenant: Tenant, *, principal: Actor, token_id: str, overlap_hours: int = 24, reason: str = ""
) -> tuple[ApiToken, str, ApiToken]:
    """A successor with the same rights and its text; the old token opens the door for a while longer.

    During the overlap both work, so that programs change over without a gap; then the old one expires.
    A token that had a term gives its successor one of the same length.
    """
    require(principal, "admin")
    if not 0 <= overlap_hours <= MAX_OVERLAP_HOURS:
        raise invalid("overlap_hours", "token.overlap_invalid", f"Choose 0 to {MAX_OVERLAP_HOURS} hours.", status=422)
    with tenant_tx(tenant):
        old = ApiToken.objects.select_for_update().filter(pk=token_id).first()
        if old is None:
            raise not_found("token", token_id)
        if old.state != "active" or old.replaced_by:
            said = "replaced already" if old.replaced_by else old.state
            raise Problem("token.not_active", 409, f"This token is {said}. Make a new one instead.")
        for scope in old.scopes:
            require(principal, scope)
        now = clock.now()
        term = old.expires_at - old.created_at if old.expires_at else None
        new, text = _new_token(tenant, principal, old.name, old.scopes, old.producers, now + term if term else None)
        before = _shape(old)
        ends = now + timedelta(hours=overlap_hours)
        old.expires_at = min(old.expires_at, ends) if old.expires_at else ends
        old.replaced_by = new.pk
        old.save(update_fields=["expires_at", "replaced_by"])
        record_audit(
            tenant,
            principal=principal,
            action="token.rotated",
            target=f"token:{old.pk}",
            reason=reason,
            before=before,
            after=_shape(old) | {"replaced_by": f"token:{new.pk}"},
        )
        bell.ring()
    return new, text, old


def _new_token(
    tenant: Tenant,
    principal: Actor,
    name: str,
    scopes: list[str],
    producers: list[str] | None,
    expires_at: datetime | None,
) -> tuple[ApiToken, str]:
    ident = "".join(secrets.choice(TOKEN_ALPHABET) for _ in range(TOKEN_ID_LENGTH))
    secret = secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        id=ident,
        tenant_id=tenant.pk,
        name=name,
        secret_hmac=secret_hmac(ident, secret),
        scopes=scopes,
        producers=producers,
        created_by_id=principal.user_id,
        created_by_label=principal.ident,
        expires_at=expires_at,
    )
    return token, format_token(ident, secret)


def _shape(token: ApiToken) -> dict[str, Any]:
    return {
        "name": token.name,
        "scopes": token.scopes,
        "producers": token.producers,
        "expires_at": token.expires_at.isoformat() if token.expires_at else None,
    }


def revoke_token(tenant: Tenant, *, principal: Actor, token_id: str, reason: str = "") -> ApiToken:
    """End a token: within a second by the bell, within a minute if the bell is lost."""
    require(principal, "admin")
    with tenant_tx(tenant):
        token = ApiToken.objects.select_for_update().filter(pk=token_id).first()
        if token is None:
            raise not_found("token", token_id)
        if token.revoked_at is None:
            token.revoked_at = clock.now()
            token.save(update_fields=["revoked_at"])
            record_audit(
                tenant,
                principal=principal,
                action="token.revoked",
                target=f"token:{token.pk}",
                reason=reason,
                before={"name": token.name, "scopes": token.scopes},
            )
            bell.ring()
    return token


def note_token_use(tenant_id: int, token_id: str) -> None:
    """Write down that a token was used, to the minute; called by a background job."""
    tenant = Tenant.objects.filter(pk=tenant_id).first()
    if tenant is None:
        return
    now = clock.now()
    with tenant_tx(tenant):
        fresh = now - timedelta(seconds=TOUCH_SECONDS)
        ApiToken.objects.filter(pk=token_id).exclude(last_used_at__gt=fresh).update(last_used_at=now)


def issue_ticket(tenant: Tenant, *, principal: Actor) -> tuple[str, datetime]:
    """A text that opens one socket as this principal within a minute, and when it ends."""
    require(principal, "read")
    secret = secrets.token_urlsafe(24)
    now = clock.now()
    with tenant_tx(tenant):
        SocketTicket.objects.filter(expires_at__lt=now).delete()
        ticket = SocketTicket.objects.create(
            tenant_id=tenant.pk,
            digest=hashlib.sha256(secret.encode()).hexdigest(),
            user_id=principal.user_id if principal.kind == "user" else None,
            token_id=principal.token_id or "",
            expires_at=now + timedelta(seconds=TICKET_SECONDS),
        )
    return signing.dumps([tenant.pk, secret], salt=_TICKET_SALT), ticket.expires_at


def consume_ticket(text: str) -> tuple[Tenant, User | None, str]:
    """Use a ticket up: its tenant, and the person or the token id it was issued to. 401 otherwise."""
    dead = Problem(
        "auth.ticket_invalid",
        401,
        "The ticket is unknown, used or older than a minute. Ask for a new one.",
    )
    try:
        tenant_id, secret = signing.loads(text, salt=_TICKET_SALT, max_age=TICKET_SECONDS)
    except (signing.BadSignature, ValueError, TypeError):
        raise dead from None
    tenant = Tenant.objects.filter(pk=tenant_id).first()
    if tenant is None:
        raise dead
    with tenant_tx(tenant):
        ticket = (
            SocketTicket.objects.select_for_update(of=("self",))
            .select_related("user")
            .filter(digest=hashlib.sha256(secret.encode()).hexdigest())
            .first()
        )
        if ticket is None:
            raise dead
        user, token_id, late = ticket.user, ticket.token_id, ticket.expires_at <= clock.now()
        ticket.delete()
    if late:
        raise dead
    return tenant, user, token_id


def _checked_scopes(scopes: Sequence[str]) -> list[str]:
    chosen = list(dict.fromkeys(scopes))
    unknown = [scope for scope in chosen if scope not in SCOPES]
    if unknown or not chosen:
        what = f"Unknown scope {unknown[0]!r}. " if unknown else ""
        raise invalid("scopes", "token.scopes_invalid", f"{what}Choose one or more of {', '.join(SCOPES)}.")
    return [scope for scope in SCOPES if scope in chosen]


def _checked_producers(producers: Sequence[str] | None) -> list[str] | None:
    if producers is None:
        return None
    chosen = sorted(set(producers))
    if not chosen or len(chosen) > 100:
        raise invalid("producers", "token.producers_invalid", "Name 1 to 100 producers, or leave it out.")
    for producer in chosen:
        bad = any(ord(c) < 32 or ord(c) == 127 for c in producer) or producer != producer.strip()
        if bad or not 1 <= len(producer.encode("utf-8", "surrogatepass")) <= 200:
            raise invalid(
                "producers",
                "token.producers_invalid",
                "A producer id has 1 to 200 bytes, no control characters, no spaces at the ends.",
            )
    return chosen
