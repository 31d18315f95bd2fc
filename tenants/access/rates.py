"""The rate limiter: one script in the broker decides for all buckets of a request, in one trip.

A throttle that reads a counter and then writes it lets through whoever reads in between; here nobody
can. The script is `tenants.domain.limits.spend` in Lua, on the broker's clock. Without the broker
each process counts for itself by the same rules: nobody is refused who would otherwise pass, and
everybody together gets at most a quota per process until it is back.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from django.conf import settings
from django.http import HttpRequest
from redis import Redis
from redis.connection import ConnectionInterface
from redis.exceptions import NoScriptError, RedisError
from redis.exceptions import TimeoutError as BrokerTimeout

from decisiongraph.core.bus import kept_broker
from decisiongraph.core.errors import Problem
from decisiongraph.core.telemetry import log, metrics
from tenants.access.principal import Principal
from tenants.domain import limits
from tenants.domain.limits import Policy, Verdict
from tenants.models import Tenant

TIMEOUT = 0.1
"""Seconds a request waits for the broker at most, and then not again for `PAUSE`."""
PAUSE = 1.0
MAX_KEPT = 100_000
"""Buckets a process keeps for itself while the broker is away; then it starts anew."""

SCRIPT = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local starts, ends, worst = {}, {}, 0
for i, key in ipairs(KEYS) do
  local quota, step = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local start = tonumber(redis.call('GET', key) or now)
  if start < now then start = now end
  starts[i], ends[i] = start, start + step
  local over = ends[i] - now - quota * step
  if over > worst then worst = over end
end
local answer = {worst}
for i, key in ipairs(KEYS) do
  if worst > 0 then
    answer[i + 1] = starts[i] - now
  else
    answer[i + 1] = ends[i] - now
    redis.call('SET', key, string.format('%.0f', ends[i]), 'PX', math.ceil((ends[i] - now) / 1000) + 1)
  end
end
return answer
"""


class Bucket(NamedTuple):
    """One thing that is counted."""

    policy: Policy
    ident: str
    """Of the token, person, tenant or address."""

    @property
    def key(self) -> str:
        """Its name in the broker."""
        return f"dg:rate:{self.policy.name}:{self.ident}"


def admit_principal(request: HttpRequest, tenant: Tenant, principal: Principal) -> None:
    """Count a request of somebody we know, and of their tenant. 429 when either has used its quota."""
    told = policies(tenant)
    own = ("token", principal.token_id) if principal.token_id else ("user", principal.user_id)
    wanted = ((told.get(own[0]), str(own[1])), (told.get("tenant"), str(tenant.pk)))
    charge(request, tuple(Bucket(policy, ident) for policy, ident in wanted if policy is not None))


def admit_stranger(request: HttpRequest, address: str) -> None:
    """Count a request whose credential is missing or not remembered, before the database is asked."""
    policy = _defaults().get("address")
    if policy is not None:
        charge(request, (Bucket(policy, address),))


def policies(tenant: Tenant) -> Mapping[str, Policy]:
    """What holds in this tenant: the settings, and what its row says instead."""
    return _merged(_settings(), tuple(sorted(tenant.limits.items()))) if tenant.limits else _defaults()


def charge(request: HttpRequest, buckets: tuple[Bucket, ...]) -> None:
    """Take one from every bucket, or 429 and none. The answer's headers say what is left."""
    if not buckets:
        return
    verdict = take(buckets)
    headers = verdict.headers()
    if verdict.refused is None:
        request.answer_headers = headers  # type: ignore[attr-defined]
        return
    metrics.limiter_refusals.labels(verdict.refused.name).inc()
    wait = limits.seconds(verdict.retry_in)
    policy = verdict.refused
    raise Problem(
        "rate.limited",
        429,
        f"The limit of {policy.quota:,} requests in {policy.window} s per {policy.name} is used up. "
        f"Nothing was done; send it again in {wait} s.",
        headers=headers | {"Retry-After": str(wait)},
        extra={"violated-policies": [policy.name]},
    )


def take(buckets: tuple[Bucket, ...]) -> Verdict:
    """Ask the broker; this process itself where there is none."""
    answer = _broker.ask(buckets)
    if answer is None:
        metrics.limiter_fallbacks.inc()
        return _own.take(buckets)
    return limits.verdict(answer[1:], [bucket.policy for bucket in buckets], answer[0])


class _Broker:
    """One connection per thread to where the buckets are."""

    def __init__(self) -> None:
        self._local = threading.local()
        self._away_until = 0.0

    def ask(self, buckets: tuple[Bucket, ...]) -> list[int] | None:
        """The script's answer; None when the broker is away, without waiting for it every time."""
        if time.monotonic() < self._away_until:
            return None
        for fresh in (False, True):
            try:
                return self._trip(buckets, fresh=fresh)
            except (RedisError, OSError) as error:
                # A kept connection may have died with the broker's last restart: one new one is tried.
                self._local.found = None
                failure = error
                if isinstance(error, BrokerTimeout):
                    break
        if self._away_until == 0.0:
            log.warning("limiter.broker_lost", error=type(failure).__name__)
        self._away_until = time.monotonic() + PAUSE
        return None

    def _trip(self, buckets: tuple[Bucket, ...], *, fresh: bool) -> list[int]:
        connection = self._connection(fresh=fresh)
        connection.send_packed_command(_packed(buckets, True))
        try:
            answer: list[int] = connection.read_response()
        except NoScriptError:
            connection.send_packed_command(_packed(buckets, False))
            answer = connection.read_response()
        if self._away_until:
            log.info("limiter.broker_back")
            self._away_until = 0.0
        return answer

    def _connection(self, *, fresh: bool) -> ConnectionInterface:
        found = getattr(self._local, "found", None)
        if fresh or found is None or found[0] != os.getpid():
            found = self._local.found = (os.getpid(), _client(settings.REDIS_URL).connection_pool.make_connection())
        connection: ConnectionInterface = found[1]
        return connection


@lru_cache(maxsize=4)
def _client(address: str) -> Redis:
    return kept_broker(address, seconds=TIMEOUT, protocol=2)


@lru_cache(maxsize=4096)
def _packed(buckets: tuple[Bucket, ...], by_name: bool) -> list[bytes]:
    """The command as it goes over the wire: the same for every request of one token."""
    numbers = [number for bucket in buckets for number in (bucket.policy.quota, bucket.policy.step)]
    keys = [bucket.key for bucket in buckets]
    start: list[Any] = ["EVALSHA", _name()] if by_name else ["EVAL", SCRIPT]
    packed: list[bytes] = (
        _client(settings.REDIS_URL).connection_pool.make_connection().pack_command(*start, len(keys), *keys, *numbers)
    )
    return packed


@lru_cache(maxsize=1)
def _name() -> str:
    return str(_client(settings.REDIS_URL).register_script(SCRIPT).sha)


class _Own:
    """The buckets of this process, for the time without a broker."""

    def __init__(self) -> None:
        self._full_at: dict[str, int] = {}
        self._guard = threading.Lock()

    def take(self, buckets: tuple[Bucket, ...]) -> Verdict:
        """The same arithmetic, under a lock."""
        keys = [bucket.key for bucket in buckets]
        now = time.monotonic_ns() // 1000
        with self._guard:
            if len(self._full_at) > MAX_KEPT:
                self._full_at.clear()
            verdict, full_at = limits.spend(
                [self._full_at.get(key) for key in keys], [bucket.policy for bucket in buckets], now
            )
            self._full_at.update(zip(keys, full_at, strict=True))
        return verdict


_broker = _Broker()
_own = _Own()


def _settings() -> tuple[tuple[str, str], ...]:
    return tuple(sorted(settings.RATE_LIMITS.items()))


def _defaults() -> Mapping[str, Policy]:
    return _merged(_settings(), ())


@lru_cache(maxsize=1024)
def _merged(told: tuple[tuple[str, str], ...], own: tuple[tuple[str, str], ...]) -> Mapping[str, Policy]:
    texts = dict(told) | {name: text for name, text in own if name in limits.NAMES}
    found = {name: limits.parse(name, text) for name, text in texts.items()}
    return {name: policy for name, policy in found.items() if policy is not None}
