"""Secrets of a tenant at rest (`tenants.services.vault`).

The tenant's number is part of the purpose, so a row copied to another tenant does not open there.
"""

from __future__ import annotations

from tenants.models import Tenant
from tenants.services.vault import Unreadable, seal, unseal

__all__ = ["Unreadable", "close", "open_"]


def close(tenant: Tenant, secret: bytes) -> bytes:
    """Encrypted and authenticated."""
    return seal(_purpose(tenant), secret)


def open_(tenant: Tenant, closed: bytes | memoryview) -> bytes:
    """What was put in. Raises `Unreadable` when ``SECRET_KEY`` has changed since."""
    return unseal(_purpose(tenant), closed)


def _purpose(tenant: Tenant) -> str:
    return f"decisiongraph.vault/1:{tenant.pk}"
