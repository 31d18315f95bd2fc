"""Secrets at rest: encrypted under keys that are derived from ``SECRET_KEY``, one per purpose.

A dump of the database alone opens nothing, and what was sealed for one purpose (a tenant's signing
key, somebody's authenticator) does not open for another.
"""

from __future__ import annotations

import base64
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


class Unreadable(Exception):
    """It was encrypted under another ``SECRET_KEY``."""


def seal(purpose: str, secret: bytes) -> bytes:
    """Encrypted and authenticated."""
    return _safe(settings.SECRET_KEY, tuple(settings.SECRET_KEY_FALLBACKS), purpose).encrypt(secret)


def unseal(purpose: str, sealed: bytes | memoryview) -> bytes:
    """What was put in. Raises `Unreadable` when ``SECRET_KEY`` has changed since."""
    try:
        return _safe(settings.SECRET_KEY, tuple(settings.SECRET_KEY_FALLBACKS), purpose).decrypt(bytes(sealed))
    except InvalidToken:
        raise Unreadable from None


@lru_cache(maxsize=1024)
def _safe(secret: str, retired: tuple[str, ...], purpose: str) -> MultiFernet:
    def one(each: str) -> Fernet:
        key = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=purpose.encode()).derive(each.encode())
        return Fernet(base64.urlsafe_b64encode(key))

    return MultiFernet([one(each) for each in (secret, *retired)])
