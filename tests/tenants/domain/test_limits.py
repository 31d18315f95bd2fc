"""The arithmetic of the limiter, and that the script in the broker does the same."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from tenants.domain.limits import SECOND, Policy, Verdict, parse, spend

POLICIES = st.builds(Policy, st.sampled_from(["token", "tenant"]), st.integers(1, 1000), st.integers(1, 86_400))
NOW = 1_800_000_000 * SECOND


@given(POLICIES, st.lists(st.integers(0, 5 * SECOND), min_size=1, max_size=200))
def test_never_more_than_the_quota_at_once_and_never_twice_around_a_border(policy: Policy, pauses: list[int]) -> None:
    now, full_at = NOW, None
    taken: list[int] = []
    for pause in pauses:
        now += pause
        found, (full_at,) = spend([full_at], [policy], now)
        if found.refused is None:
            taken.append(now)
    for at in taken:
        inside = [each for each in taken if at <= each < at + policy.window * SECOND]
        ran_back = (inside[-1] - at) // policy.step if inside else 0
        assert len(inside) <= policy.quota + ran_back + 1


@given(POLICIES)
def test_a_quota_may_be_used_at_once_and_the_answer_says_when_it_goes_on(policy: Policy) -> None:
    full_at: int | None = None
    for used in range(min(policy.quota, 50)):
        found, (full_at,) = spend([full_at], [policy], NOW)
        assert found.refused is None
        assert found.standings[0].remaining == policy.quota - used - 1
    full_at = NOW + policy.quota * policy.step
    found, (kept,) = spend([full_at], [policy], NOW)
    assert found.refused == policy
    assert kept == full_at
    assert spend([kept], [policy], NOW + found.retry_in)[0].refused is None
    assert spend([kept], [policy], NOW + found.retry_in - 1)[0].refused == policy


def test_one_refusal_leaves_the_other_bucket_alone() -> None:
    small, large = Policy("token", 1, 60), Policy("tenant", 10, 60)
    _, first = spend([None, None], [small, large], NOW)
    found, second = spend(first, [small, large], NOW)
    assert (found.refused, second) == (small, first)
    assert found.headers() == {
        "RateLimit-Policy": '"token";q=1;w=60, "tenant";q=10;w=60',
        "RateLimit": '"token";r=0;t=60',
    }


def test_no_policy_no_header() -> None:
    assert Verdict((), None, 0).headers() == {}


@pytest.mark.parametrize(
    "text", ["", "1", "1/", "/1", "-1/2", "1/0", "0/1", "1/86401", "\u0661/60", "1e3/60", "1000000000/1"]
)
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="requests/seconds"):
        parse("token", text)


def test_zero_is_no_limit() -> None:
    assert parse("token", "0") is None
    assert parse("token", " 600/60 ") == Policy("token", 600, 60)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    policies=st.lists(POLICIES, min_size=1, max_size=3),
    ahead=st.lists(st.one_of(st.none(), st.integers(-SECOND, 90_000 * SECOND)), min_size=3, max_size=3),
)
def test_the_script_in_the_broker_does_the_same(stack: Any, policies: list[Policy], ahead: list[int | None]) -> None:
    """Its own clock is read before and after, and the answer must be one of the moments between."""
    from django.conf import settings as ours

    from tenants.access.rates import SCRIPT

    broker: Any = Redis.from_url(ours.REDIS_URL)
    keys = [f"dg:rate:same:{uuid.uuid4().hex}" for _ in policies]

    def clock() -> int:
        seconds, micros = broker.time()
        return int(seconds) * SECOND + int(micros)

    before = clock()
    starts = [None if each is None else before + each for each in ahead[: len(policies)]]
    for key, start in zip(keys, starts, strict=True):
        if start is not None:
            broker.set(key, start)
    numbers = [number for policy in policies for number in (policy.quota, policy.step)]
    worst, *left = broker.eval(SCRIPT, len(keys), *keys, *numbers)
    after = clock()

    def told(now: int) -> tuple[bool, list[int]]:
        found, ends = spend(starts, policies, now)
        return found.refused is None, [end - now for end in ends]

    (passed, early), (passed_late, late) = told(before), told(after)
    assert (worst <= 0) in (passed, passed_late)
    if passed == passed_late:
        for first, number, last in zip(early, left, late, strict=True):
            assert min(first, last) <= number <= max(first, last)
