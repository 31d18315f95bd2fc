"""Who is on a page: a sorted set per page in Redis, by the end of each lease."""

from __future__ import annotations

import hashlib
import os
from functools import cache
from typing import Any, NamedTuple

import orjson
from django.conf import settings
from redis import Redis, RedisError

from decisiongraph.core.bus import kept_broker
from decisiongraph.core.errors import not_found
from tenants.models import Tenant

KINDS = ("trace", "approval", "replay", "incident")
VIEWING, ACTING = "viewing", "acting"
LEASE_SECONDS = 12
"""With the look of the sockets (2 s, give or take) somebody is gone within 15 s of the last heartbeat."""
TIMEOUT = 0.5
SHOWN = 50

# The time is the broker's own: servers whose clocks differ share these leases.
_LEASE = """
local now = redis.call('TIME'); now = now[1] + now[2] / 1000000
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZREM', KEYS[1], ARGV[2])
local fresh = redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('EXPIRE', KEYS[1], math.ceil(ARGV[3]) + 3)
return fresh
"""
_PEOPLE = """
local now = redis.call('TIME'); now = now[1] + now[2] / 1000000
return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')
"""


class Present(NamedTuple):
    """One person on a page, however many windows they have."""

    ident: str
    label: str
    acting: bool
    """Whether they are at the page's form, not only reading."""


def people(tenant: Tenant, page: str) -> list[Present]:
    """Who is there, by name. Empty when the broker is away. 404 for what is no page with presence."""
    kind, _, ident = page.partition(":")
    if kind not in KINDS or not ident:
        raise not_found("page")
    try:
        found: Any = _redis(settings.REDIS_URL, os.getpid()).eval(_PEOPLE, 1, _key(tenant, page))
    except RedisError:
        return []
    seen: dict[str, Present] = {}
    for raw in found:
        who, label, _socket, doing = orjson.loads(raw)
        before = seen.get(who)
        seen[who] = Present(who, label, doing == ACTING or (before is not None and before.acting))
    return sorted(seen.values(), key=lambda each: (each.label.lower(), each.ident))[:SHOWN]


def presence_json(tenant: Tenant, page: str) -> dict[str, Any]:
    """As the topic sends it."""
    return {
        "people": [
            {"ident": each.ident, "label": each.label, "doing": ACTING if each.acting else VIEWING}
            for each in people(tenant, page)
        ]
    }


def lease(tenant: Tenant, page: str, ident: str, label: str, socket: str, doing: str) -> bool:
    """Write a lease (for `services.presence` only); whether the broker did not know it."""
    other = ACTING if doing == VIEWING else VIEWING
    names = [_member(ident, label, socket, each) for each in (doing, other)]
    arguments: list[Any] = [_key(tenant, page), *names, str(LEASE_SECONDS)]
    return bool(_redis(settings.REDIS_URL, os.getpid()).eval(_LEASE, 1, *arguments))


def release(tenant: Tenant, page: str, ident: str, label: str, socket: str) -> None:
    """Take a lease back (for `services.presence` only)."""
    names = [_member(ident, label, socket, each) for each in (VIEWING, ACTING)]
    _redis(settings.REDIS_URL, os.getpid()).zrem(_key(tenant, page), *names)


def _member(ident: str, label: str, socket: str, doing: str) -> bytes:
    return orjson.dumps([ident, label, socket, doing])


def _key(tenant: Tenant, page: str) -> str:
    return f"dg:presence:{tenant.pk}:{hashlib.sha256(page.encode()).hexdigest()}"


@cache
def _redis(address: str, _pid: int) -> Redis:
    return kept_broker(address, seconds=TIMEOUT)
