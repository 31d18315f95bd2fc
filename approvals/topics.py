"""Live topics: what waits for people, and what went wrong."""

from __future__ import annotations

from typing import Any

from approvals import selectors
from tenants.models import Tenant
from traces.topics import Message, StateTopic, Topic

SHOWN = 50
"""Items or incidents in the state of a list topic."""

UPDATED = "approval.updated"
DECIDED = "approval.decided"

ITEM_MESSAGES = (
    Message(UPDATED, "approvals", "anything else changed: claimed, commented, a vote without quorum, reminded, used"),
    Message("approval.requested", "approvals", "a decision is asked for"),
    Message("exception.requested", "approvals", "an exception from a policy is asked for"),
    Message(DECIDED, "approvals", "it is over: approved, rejected, overridden, withdrawn or expired"),
    Message("approval.escalated", "approvals", "the next level is asked"),
)
INCIDENT_MESSAGES = (
    Message("incident.updated", "approvals", "somebody worked on it"),
    Message("incident.opened", "approvals", "something needs people"),
)

NOTICE_MESSAGES = (
    Message("notification.read", "approvals", "somebody has read theirs, perhaps in another window"),
    Message("notification.arrived", "approvals", "there is something new in somebody's inbox"),
)


def _notifications(tenant: Tenant, ident: str) -> Any:
    return {"last": selectors.telling.last(tenant)}


def _approvals(tenant: Tenant, ident: str) -> Any:
    rows = selectors.items.inbox(tenant, limit=SHOWN)[:SHOWN]
    return {**selectors.items.summary(tenant).as_json(), "items": [selectors.items.item_json(row) for row in rows]}


def _approval(tenant: Tenant, ident: str) -> Any:
    return selectors.items.details_json(selectors.items.details(tenant, ident))


def _incidents(tenant: Tenant, ident: str) -> Any:
    rows = selectors.incidents.incidents(tenant, status="unresolved", limit=SHOWN)[:SHOWN]
    return {
        "unresolved": selectors.incidents.counts(tenant),
        "items": [selectors.incidents.incident_json(row) for row in rows],
    }


def _incident(tenant: Tenant, ident: str) -> Any:
    return selectors.incidents.details_json(selectors.incidents.details(tenant, ident))


SOON = 0.1
"""Seconds between two readings of what people act upon: what one did is on the other's screen within 250 ms,
also when that was read a moment before."""

TOPICS: tuple[Topic, ...] = (
    StateTopic(
        name="approvals",
        with_id=False,
        permission="read",
        meaning=f"the inbox in figures and its {SHOWN} most urgent items",
        messages=ITEM_MESSAGES,
        read=_approvals,
        interval=SOON,
    ),
    StateTopic(
        name="approval",
        with_id=True,
        permission="read",
        meaning="one item, as `GET /approvals/{id}` answers it",
        messages=ITEM_MESSAGES,
        read=_approval,
        interval=SOON,
    ),
    StateTopic(
        name="presence",
        with_id=True,
        permission="read",
        meaning="who is on a page (`trace:`, `approval:`, `replay:`, `incident:` and its id); to follow is to be there",
        messages=(Message("presence.changed", "consumer", "somebody came, went, or began to act"),),
        read=selectors.presence.presence_json,
        interval=0.25,
    ),
    StateTopic(
        name="notifications",
        with_id=False,
        permission="read",
        meaning="number of the newest notification of anybody; one's own are read over HTTP",
        messages=NOTICE_MESSAGES,
        read=_notifications,
        interval=0.5,
    ),
    StateTopic(
        name="incidents",
        with_id=False,
        permission="read",
        meaning=f"unresolved incidents by severity, and the {SHOWN} newest of them",
        messages=INCIDENT_MESSAGES,
        read=_incidents,
        interval=0.5,
    ),
    StateTopic(
        name="incident",
        with_id=True,
        permission="read",
        meaning="one incident, as `GET /incidents/{id}` answers it",
        messages=INCIDENT_MESSAGES,
        read=_incident,
        interval=SOON,
    ),
)
