"""An approval binds to one action: every changed argument counts, incidental text never does."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from approvals.domain import ticket
from approvals.domain.ticket import Ticket, action_digest, judge
from tests.approvals.house import ACTION

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
DIGEST = action_digest(ACTION)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def test_the_digest_is_what_the_page_says() -> None:
    assert "sha256:" + hashlib.sha256(rfc8785.dumps(ACTION)).hexdigest() == DIGEST


@given(
    st.dictionaries(st.text(min_size=1, max_size=9).filter(lambda k: k not in ticket.BOUND_KEYS), VALUES, max_size=4)
)
def test_incidental_keys_do_not_count(extra: dict[str, Any]) -> None:
    assert action_digest({**extra, **ACTION}) == DIGEST


@given(st.sampled_from(ticket.BOUND_KEYS), VALUES)
def test_every_bound_key_counts(key: str, value: Any) -> None:
    changed = {**ACTION, key: value}
    same = ticket.bound_action(changed) == ticket.bound_action(ACTION)
    assert (action_digest(changed) == DIGEST) is same


def test_order_and_null_do_not_count() -> None:
    turned = json.loads(json.dumps(dict(reversed(ACTION.items()))))
    assert action_digest(turned) == DIGEST
    bare = {**ACTION, "policy": None, "target_entity": {**ACTION["target_entity"], "note": None}}
    without = {key: value for key, value in ACTION.items() if key != "policy"}
    assert action_digest(bare) == action_digest(without)


def weigh(
    ticket_: Ticket, status: str = "success", executed: Any = ACTION, named: bool = True, at: datetime = NOW
) -> tuple[str | None, bool]:
    return judge(ticket_, status=status, executed=executed, bound=ACTION, named=named, at=at)


GOOD = Ticket("approved", DIGEST, LATER)
OTHER = {**ACTION, "changes": []}


@pytest.mark.parametrize(
    ("case", "fault", "uses"),
    [
        (weigh(GOOD), None, True),
        (weigh(GOOD, "partial"), None, True),
        (weigh(GOOD, "failure"), None, False),
        (weigh(GOOD, named=False), None, True),
        (weigh(Ticket("overridden", DIGEST, LATER)), None, True),
        (weigh(GOOD, executed={k: v for k, v in ACTION.items() if k != "policy"}), None, True),
        (weigh(GOOD, executed={**ACTION, "policy": {"policy_id": "x", "policy_version": "1"}}),
         "action.digest_mismatch", False),
        (weigh(GOOD, executed=OTHER), "action.digest_mismatch", False),
        (weigh(GOOD, "failure", executed=OTHER), "action.digest_mismatch", False),
        (weigh(GOOD, executed=None), "action.not_stated", True),
        (weigh(GOOD, at=LATER), "action.ticket_expired", False),
        (weigh(Ticket("approved", DIGEST, LATER, "e-1")), "action.ticket_used", False),
        (weigh(Ticket("requested", DIGEST, None)), "action.not_approved", False),
        (weigh(Ticket("rejected", DIGEST, None)), "action.rejected", False),
        (weigh(Ticket("withdrawn", DIGEST, None)), "action.rejected", False),
        (weigh(Ticket("requested", DIGEST, None), "failure", named=False), None, False),
        (weigh(Ticket("requested", DIGEST, None), named=False), "action.not_approved", False),
        (weigh(Ticket("approved", None, LATER), executed=None), None, False),
        (weigh(Ticket("expired", None, None), executed=None), "action.rejected", False),
    ],
)  # fmt: skip
def test_verdicts(case: tuple[str | None, bool], fault: str | None, uses: bool) -> None:
    assert case == (fault, uses)


def test_every_fault_is_told() -> None:
    assert all(title and severity in ("high", "critical") for severity, title in ticket.FAULTS.values())
