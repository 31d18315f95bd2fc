"""Sealing a bundle with the tenant's key."""

from __future__ import annotations

from approvals.domain import seal
from tenants.access import system_principal
from tenants.models import Tenant
from tenants.services import keyring


def sealed(tenant: Tenant, body: bytes, kind: str) -> bytes:
    """A body with the tenant's seal behind it."""
    key, sign = keyring.signer(tenant, principal=system_principal(tenant))
    return seal.seal(body, kind, public_key=bytes(key.public_key), sign=sign)
