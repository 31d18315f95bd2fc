"""The ticket: an approval binds to exactly one action. Pure (SEMANTICS 9).

The digest covers what will happen to the world and nothing else, so that a new call id or a better
description does not invalidate an approval, while one changed argument does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, NamedTuple

from traces.domain.canonical import jcs

BOUND_KEYS: tuple[str, ...] = ("action_type", "target_system", "target_entity", "changes", "policy")
"""The keys of an action that an approval binds to."""

State = Literal["pending", "valid", "used", "expired", "refused"]


def bound_action(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The bound part of a proposal or of ``executed``; null and absent are the same."""
    found: dict[str, Any] = {}
    for key in BOUND_KEYS:
        value = payload.get(key)
        if value is None:
            continue
        if key in ("target_entity", "policy") and isinstance(value, Mapping):
            value = {name: part for name, part in value.items() if part is not None}
        found[key] = value
    return found


def action_digest(payload: Mapping[str, Any]) -> str:
    """``sha256:`` + hex of SHA-256 over JCS of the bound keys. Raises `NotCanonical` for a non-JSON value."""
    return "sha256:" + hashlib.sha256(jcs(bound_action(payload))).hexdigest()


def executed_digest(executed: Mapping[str, Any], bound: Mapping[str, Any]) -> str:
    """The digest of what was done. A commit that names no policy did it under the approved one."""
    action = bound_action(executed)
    if "policy" not in action and "policy" in bound:
        action["policy"] = bound["policy"]
    return action_digest(action)


class Ticket(NamedTuple):
    """What stands behind an approval at one moment."""

    status: str
    """State of the item."""
    digest: str | None
    """None: the item is about no action (an exception, for example)."""
    expires_at: datetime | None
    used_by: str = ""
    """Event that used it, empty = unused."""

    def state(self, now: datetime) -> State:
        """Whether the action may run now; ``pending`` = not decided."""
        if self.status in ("requested", "in_review", "changes_requested", "escalated"):
            return "pending"
        if self.status not in ("approved", "overridden"):
            return "refused"
        if self.used_by:
            return "used"
        if self.expires_at is not None and now >= self.expires_at:
            return "expired"
        return "valid"


Fault = Literal[
    "action.digest_mismatch",
    "action.not_stated",
    "action.ticket_expired",
    "action.ticket_used",
    "action.not_approved",
    "action.rejected",
]

FAULTS: dict[Fault, tuple[str, str]] = {
    "action.digest_mismatch": ("critical", "An action other than the approved one was carried out"),
    "action.not_stated": ("high", "A commit under an approval does not say what was done"),
    "action.ticket_expired": ("high", "An action was committed after its approval had expired"),
    "action.ticket_used": ("critical", "An approval was used twice"),
    "action.not_approved": ("critical", "An action was committed without its approval"),
    "action.rejected": ("critical", "An action was committed against a decision"),
}
"""Cause of the incident -> severity and title."""


class Verdict(NamedTuple):
    """What a commit means for the ticket."""

    fault: Fault | None
    uses: bool
    """Whether the ticket is used up now."""


def judge(
    ticket: Ticket,
    *,
    status: str,
    executed: Mapping[str, Any] | None,
    bound: Mapping[str, Any],
    named: bool,
    at: datetime,
) -> Verdict:
    """A commit against its ticket.

    Args:
        status: ``success``, ``partial`` or ``failure`` of the commit.
        executed: what it says was done; None = it does not say.
        bound: the approved action.
        named: whether the commit named the approval (else it was found by its action).
        at: when the log recorded the commit.

    A failed commit that names no approval did nothing and claims nothing, so it is no fault. After
    ``failure`` the ticket stays good; ``success`` and ``partial`` use it.
    """
    failed = status == "failure"
    if failed and not named:
        return Verdict(None, False)
    state = ticket.state(at)
    if state == "pending":
        return Verdict("action.not_approved", False)
    if state == "refused":
        return Verdict("action.rejected", False)
    if ticket.digest is None:
        return Verdict("action.ticket_expired" if state == "expired" else None, False)
    if executed is None:
        return Verdict("action.not_stated", not failed)
    if executed_digest(executed, bound) != ticket.digest:
        return Verdict("action.digest_mismatch", False)
    if state == "used":
        return Verdict("action.ticket_used", False)
    if state == "expired":
        return Verdict("action.ticket_expired", False)
    return Verdict(None, not failed)
