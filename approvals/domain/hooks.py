"""Webhooks by the Standard Webhooks specification: signatures, bodies, when to try again. Pure.

Source: https://www.standardwebhooks.com (version 1). Written here, because it is one HMAC: the reference
package brings an HTTP client and four more packages for it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

PREFIX = "whsec_"
SECRET_BYTES = 32
OVERLAP = timedelta(hours=24)
"""How long both secrets sign after a rotation."""
PAUSES = (5, 30, 120, 600, 1800, 3600, 7200, 14_400, 28_800, 28_800)
"""Seconds before the second, third, ... attempt: eleven attempts in a day."""
MESSAGES = (
    "approval.requested",
    "approval.decided",
    "approval.escalated",
    "approval.updated",
    "exception.requested",
    "incident.opened",
    "incident.updated",
    "log.checkpoint_signed",
)
"""What an endpoint can be told."""
CHECKPOINT = "log.checkpoint_signed"
ONLY_BY_NAME = frozenset({CHECKPOINT})
"""What an endpoint is told only when it asks for it: it comes all the time."""
TEST = "webhook.test"


def secret_text(secret: bytes) -> str:
    """The form in which a secret is shown, once."""
    return PREFIX + base64.b64encode(secret).decode()


def signature(secret: bytes, message_id: str, timestamp: int, body: str) -> str:
    """One ``v1`` signature."""
    signed = f"{message_id}.{timestamp}.{body}".encode()
    return "v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()


def headers(secrets: Iterable[bytes], message_id: str, timestamp: int, body: str) -> dict[str, str]:
    """The three headers; one signature per secret, so that a receiver may hold either."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signature(secret, message_id, timestamp, body) for secret in secrets),
    }


def body(message: str, at: str, data: Mapping[str, Any]) -> str:
    """What is sent: ``{"type", "timestamp", "data"}``, the same bytes at every attempt."""
    return json.dumps({"type": message, "timestamp": at, "data": data}, separators=(",", ":"), ensure_ascii=False)


def wants(chosen: Iterable[str], message: str) -> bool:
    """Whether an endpoint with these messages (none: all that people would want) is told this one."""
    named = tuple(chosen)
    return message in named if named or message in ONLY_BY_NAME else True


def next_attempt(failed: int, now: datetime, spread: float) -> datetime | None:
    """When to try again after so many failures; None when it is given up.

    ``spread`` (0 to 1) moves it by up to a tenth, so that what failed together does not return together.
    """
    if failed > len(PAUSES):
        return None
    return now + timedelta(seconds=PAUSES[failed - 1] * (0.95 + 0.1 * spread))


def succeeded(status: int) -> bool:
    """Only 2xx counts. A redirect is not followed: it could lead anywhere."""
    return 200 <= status < 300
