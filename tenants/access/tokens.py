"""The way in for programs: verify a token, remember the answer for a moment.

Ingest asks here for every request, so a verified token is remembered in the process for at most 60
seconds. A revocation rings a bell that every process hears within a second and that makes it forget
everything; where the bell is lost the 60 seconds hold.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from channels.layers import InMemoryChannelLayer, get_channel_layer

from decisiongraph.core import bus, clock, jobs
from decisiongraph.core.errors import Problem
from decisiongraph.core.telemetry import log
from tenants import selectors
from tenants.access.principal import Principal
from tenants.domain.roles import parse_token, permissions_of_scopes
from tenants.models import ApiToken, Tenant
from tenants.services import bell
from tenants.services.tokens import TOUCH_SECONDS, secret_matches

REMEMBER_SECONDS = 60.0
MAX_REMEMBERED = 10_000
RESUBSCRIBE_SECONDS = 600.0


class _Known(NamedTuple):
    tenant: Tenant
    principal: Principal
    expires_at: datetime | None
    checked: float


_known: dict[bytes, _Known] = {}
_touched: dict[str, float] = {}
_epoch = 0
_guard = threading.Lock()
_listener_pid = 0


def verify(text: str, *, unknown: Callable[[], None] = lambda: None) -> tuple[Tenant, Principal]:
    """The tenant and principal of a token. 401 when unknown, revoked or expired.

    ``unknown`` is called before the database is asked about a token that is not remembered. Whether
    a token is revoked or expired is told only to who knows its secret.
    """
    parsed = parse_token(text)
    if parsed is None:
        unknown()
        raise unauthorized("auth.token_malformed", "The token is not of the form dg_<id>_<secret>.")
    key = hashlib.sha256(text.encode()).digest()
    known = _known.get(key)
    if known is None or time.monotonic() - known.checked >= REMEMBER_SECONDS:
        unknown()
        known = _look_up(key, parsed.ident, parsed.secret)
    if known.expires_at is not None and known.expires_at <= clock.now():
        raise unauthorized("auth.token_expired", "The token has expired. Use a new one.")
    _touch(known.tenant, parsed.ident)
    return known.tenant, known.principal


def principal_of_token(tenant: Tenant, token_id: str) -> Principal:
    """The principal of a token whose secret was proved before (socket tickets, open sockets)."""
    token = selectors.token(tenant, token_id)
    if token is None:
        raise unauthorized("auth.token_unknown", "The token is not known.")
    _check(token)
    return _principal(tenant, token)


def forget() -> None:
    """Drop everything remembered; the next request of each token asks the database."""
    global _epoch
    with _guard:
        _epoch += 1
        _known.clear()


def unauthorized(code: str, detail: str) -> Problem:
    """401 for a credential that does not hold."""
    return Problem(
        code,
        401,
        detail,
        headers={"WWW-Authenticate": 'Bearer realm="decisiongraph", error="invalid_token"'},
    )


def _look_up(key: bytes, ident: str, secret: str) -> _Known:
    _listen_everywhere()
    epoch = _epoch
    tenant = selectors.tenant_of_token(ident)
    token = selectors.token(tenant, ident) if tenant is not None else None
    if tenant is None or token is None or not secret_matches(token, secret):
        raise unauthorized("auth.token_unknown", "The token is not known. Check that it is complete.")
    _check(token)
    known = _Known(tenant, _principal(tenant, token), token.expires_at, time.monotonic())
    with _guard:
        # A revocation that rang while the row was being read must not be forgotten again.
        if epoch == _epoch:
            if len(_known) >= MAX_REMEMBERED:
                _known.clear()
            _known[key] = known
    return known


def _check(token: ApiToken) -> None:
    issuer = token.created_by
    if token.revoked_at is not None or (issuer is not None and not issuer.is_active):
        raise unauthorized("auth.token_revoked", "The token was revoked. Use another one.")
    if token.expires_at is not None and token.expires_at <= clock.now():
        raise unauthorized("auth.token_expired", "The token has expired. Use a new one.")


def _principal(tenant: Tenant, token: ApiToken) -> Principal:
    return Principal(
        "token",
        f"token:{token.pk}",
        token.name,
        permissions_of_scopes(token.scopes),
        producers=frozenset(token.producers) if token.producers is not None else None,
        user_id=token.created_by_id,
        token_id=token.pk,
        tenant_id=tenant.pk,
    )


def _touch(tenant: Tenant, ident: str) -> None:
    now = time.monotonic()
    if now - _touched.get(ident, -TOUCH_SECONDS) < TOUCH_SECONDS:
        return
    if len(_touched) >= MAX_REMEMBERED:
        _touched.clear()
    _touched[ident] = now
    jobs.enqueue("tenants.note_token_use", tenant_id=tenant.pk, token_id=ident)


def listen_here() -> None:
    """Forget at once what this very process changed."""
    bus.published.connect(_heard, dispatch_uid="tenants.access.forget")


def _heard(sender: Any, *, topic: str, tenant_id: int, **_: Any) -> None:
    if topic == bell.TOPIC and tenant_id == bell.PLATFORM.pk:
        forget()


def _listen_everywhere() -> None:
    """Start this process's ear once; after a fork again, threads do not survive one."""
    global _listener_pid
    if _listener_pid == os.getpid():
        return
    with _guard:
        if _listener_pid == os.getpid():
            return
        _listener_pid = os.getpid()
    if not isinstance(get_channel_layer(), InMemoryChannelLayer):
        threading.Thread(target=_listen, name="dg-access-bell", daemon=True).start()


def _listen() -> None:
    asyncio.run(_listen_forever())


async def _listen_forever() -> None:
    layer = get_channel_layer()
    group = bus.group_name(bell.public_topic())
    while True:
        try:
            channel = await layer.new_channel()
            await layer.group_add(group, channel)
            forget()
            while True:
                await asyncio.wait_for(layer.receive(channel), RESUBSCRIBE_SECONDS)
                forget()
        except TimeoutError:
            continue
        except Exception as error:  # the broker is away: the 60 seconds hold, try again
            log.warning("access.bell_lost", error=type(error).__name__)
            forget()
            await asyncio.sleep(1.0)
