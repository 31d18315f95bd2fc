"""The tenant's signing key: made when it is first needed, opened here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import connection

from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.telemetry import log
from tenants.domain.principal import Actor
from tenants.models import SigningKey, Tenant
from tenants.services import vault
from tenants.services.audit import record_audit

Signer = Callable[[bytes], bytes]
LOCK_CLASS = 9
"""First half of the advisory lock under which a tenant's key is made; the second is the tenant number."""


def signing_key(tenant: Tenant, *, principal: Actor) -> SigningKey:
    """The key that signs now. A new one is made when there is none, or none that this server can open.

    ``principal`` is who the making is audited as.
    """
    return _current(tenant, principal)[0]


def signer(tenant: Tenant, *, principal: Actor) -> tuple[SigningKey, Signer]:
    """The key that signs now, and what signs with it."""
    key, private = _current(tenant, principal)
    return key, Ed25519PrivateKey.from_private_bytes(private).sign


def _current(tenant: Tenant, principal: Actor) -> tuple[SigningKey, bytes]:
    with tenant_tx(tenant):
        found = _newest(tenant)
        if found is None or found[1] is None:
            with connection.cursor() as cursor:  # two at once would make two keys
                cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK_CLASS, tenant.pk])
            found = _newest(tenant)
        if found is not None and found[1] is not None:
            return found[0], found[1]
        private = Ed25519PrivateKey.generate()
        public, secret = private.public_key().public_bytes_raw(), private.private_bytes_raw()
        made = SigningKey.objects.create(
            tenant_id=tenant.pk,
            key_id=sha256(public).hexdigest()[:16],
            public_key=public,
            private_key=vault.seal(_purpose(tenant), secret),
            created_at=clock.now(),
        )
        record_audit(
            tenant,
            principal=principal,
            action="signing_key.made",
            target=f"signing_key:{made.key_id}",
            reason="" if found is None else "SECRET_KEY has changed; the key before cannot be opened any more.",
            after={"public_key": public.hex()},
        )
        return made, secret


def _newest(tenant: Tenant) -> tuple[SigningKey, bytes | None] | None:
    """The newest key with its private half; without it when this server cannot open it."""
    found = SigningKey.objects.order_by("-pk").first()
    if found is None:
        return None
    try:
        return found, vault.unseal(_purpose(tenant), found.private_key)
    except vault.Unreadable:
        log.warning("signing_key.unreadable", tenant=tenant.slug, key=found.key_id)
        return found, None


def _purpose(tenant: Tenant) -> str:
    return f"decisiongraph.vault/1:{tenant.pk}"
