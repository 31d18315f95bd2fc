"""How much somebody may ask in a while: the arithmetic of the rate limiter. Pure.

A bucket holds one number, the moment at which it would be full again ("theoretical arrival time" of
the generic cell rate algorithm). That is a sliding window without a list of requests: a whole quota
may be used at once, and afterwards what runs back evenly, never twice a quota around a border.
The same arithmetic is a Lua script inside the broker (`tenants.access.rates`); a property test holds
the two equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

SECOND = 1_000_000
"""Microseconds: the unit of every moment here."""

NAMES: tuple[str, ...] = ("token", "user", "tenant", "address")
"""Whom a policy counts: one token, one person, everybody of a tenant, what comes from an address
without a credential we know."""


class Policy(NamedTuple):
    """At most ``quota`` requests in ``window`` seconds."""

    name: str
    quota: int
    window: int

    @property
    def step(self) -> int:
        """Microseconds in which one request runs back, at least one."""
        return max(1, self.window * SECOND // self.quota)

    def text(self) -> str:
        """An item of the field ``RateLimit-Policy``."""
        return f'"{self.name}";q={self.quota};w={self.window}'


class Standing(NamedTuple):
    """What a request left in one bucket, or why it was refused."""

    policy: Policy
    remaining: int
    """Requests that may still be made at once."""
    full_in: int
    """Microseconds until the whole quota is there again."""

    def text(self) -> str:
        """An item of the field ``RateLimit``."""
        return f'"{self.policy.name}";r={self.remaining};t={seconds(self.full_in)}'


class Verdict(NamedTuple):
    """The answer for all buckets of one request."""

    standings: tuple[Standing, ...]
    refused: Policy | None
    """The policy that refuses; None when the request may pass."""
    retry_in: int
    """Microseconds until the same request could pass; 0 when it did."""

    def headers(self) -> dict[str, str]:
        """The fields of draft-ietf-httpapi-ratelimit-headers: all policies, and the one that is nearest."""
        if not self.standings:
            return {}
        nearest = min(self.standings, key=lambda each: (each.remaining / each.policy.quota, each.remaining))
        told = next((each for each in self.standings if each.policy == self.refused), nearest)
        return {
            "RateLimit-Policy": ", ".join(each.policy.text() for each in self.standings),
            "RateLimit": told.text(),
        }


def parse(name: str, text: str) -> Policy | None:
    """``600/60`` is 600 requests in 60 seconds, ``0`` is no limit. Raises ValueError for anything else."""
    if text.strip() == "0":
        return None
    quota, slash, window = text.strip().partition("/")
    good = slash and all(part.isascii() and part.isdigit() and len(part) <= 9 for part in (quota, window))
    if not good or not 1 <= int(quota) <= 100_000_000 or not 1 <= int(window) <= 86_400:
        raise ValueError("requests/seconds, for example 600/60, or 0 for no limit")
    return Policy(name, int(quota), int(window))


def spend(full_at: Sequence[int | None], policies: Sequence[Policy], now: int) -> tuple[Verdict, tuple[int, ...]]:
    """One request at ``now`` against every bucket: all take it, or none does.

    Args:
        full_at: per bucket the moment it is full again; None or a moment of the past means: full.
        policies: per bucket its policy.
        now: microseconds of one clock.

    Returns:
        The verdict, and the new moment per bucket (the old ones when it is refused).
    """
    starts = [max(now, at or 0) for at in full_at]
    ends = [start + policy.step for start, policy in zip(starts, policies, strict=True)]
    over = [end - now - policy.quota * policy.step for end, policy in zip(ends, policies, strict=True)]
    worst = max(over, default=0)
    kept = ends if worst <= 0 else starts
    return verdict([at - now for at in kept], policies, worst), tuple(kept)


def verdict(ahead: Sequence[int], policies: Sequence[Policy], worst: int) -> Verdict:
    """From the microseconds each bucket is away from full, and by how much the worst one is overdrawn."""
    standings = tuple(
        Standing(policy, max(0, (policy.quota * policy.step - each) // policy.step), each)
        for policy, each in zip(policies, ahead, strict=True)
    )
    if worst <= 0:
        return Verdict(standings, None, 0)
    refused = min(standings, key=lambda each: (each.remaining, -each.full_in)).policy
    return Verdict(standings, refused, worst)


def seconds(microseconds: int) -> int:
    """Whole seconds, rounded up: who waits that long finds what was promised."""
    return -(-microseconds // SECOND)
