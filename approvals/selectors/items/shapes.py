"""Items as API, sockets and exports write them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from approvals.domain.people import Person
from approvals.models import Item, Step
from approvals.selectors.items.details import Details, ticket
from decisiongraph.core import clock


def rfc(moment: datetime | None) -> str | None:
    """A moment as the API answers it."""
    return clock.rfc3339(moment) if moment is not None else None


def ticket_json(row: Item) -> dict[str, Any]:
    """What an agent asks before it acts."""
    state = ticket(row).state(clock.now())
    return {
        "approval_id": str(row.pk),
        "state": state,
        "valid": state == "valid",
        "status": row.status,
        "version": row.version,
        "trace_id": row.trace_id,
        "subject": {"subject_type": row.subject_type, "subject_id": row.subject_id},
        "action": json.loads(row.action) if row.action else None,
        "action_digest": row.action_digest,
        "decided_at": rfc(row.decided_at),
        "decided_by": row.decided_by or None,
        "reason": row.decision_reason or None,
        "expires_at": rfc(row.ticket_expires_at),
        "used_at": rfc(row.used_at),
        "superseded_by": str(row.superseded_by) if row.superseded_by else None,
    }


def item_json(row: Item) -> dict[str, Any]:
    """An item in a list."""
    policy = None
    if row.policy_id is not None:
        policy = {"policy_id": row.policy_id, "policy_version": row.policy_version or ""}
    overdue = row.open and row.due_at is not None and row.due_at < clock.now()
    return {
        "id": str(row.pk),
        "review_trace_id": row.review_trace,
        "trace_id": row.trace_id,
        "subject": {"subject_type": row.subject_type, "subject_id": row.subject_id, "event_id": row.event_id},
        "title": row.title,
        "reason": row.reason,
        "priority": row.priority,
        "policy": policy,
        "workflow": row.workflow,
        "entity": {"entity_type": row.entity_type, "entity_id": row.entity_id, "system": row.entity_system},
        "action_digest": row.action_digest,
        "requested_by": row.requested_by,
        "opened_by": row.opened_by,
        "status": row.status,
        "version": row.version,
        "round": row.round,
        "level": row.level,
        "quorum": row.quorum,
        "reviewers": row.reviewers,
        "holder": row.holder or None,
        "holder_label": row.holder_label or None,
        "assignee": row.assignee or None,
        "repeats": row.repeats,
        "sla": row.sla_name,
        "opened_at": rfc(row.opened_at),
        "due_at": rfc(row.due_at),
        "expires_at": rfc(row.expires_at),
        "overdue": overdue,
        "changed_at": rfc(row.changed_at),
        "changed_by": row.changed_by or None,
        "changed_how": row.changed_how,
        "decided_at": rfc(row.decided_at),
        "decided_by": row.decided_by or None,
        "decision_reason": row.decision_reason or None,
        "superseded_by": str(row.superseded_by) if row.superseded_by else None,
    }


def details_json(found: Details, person: Person | None = None) -> dict[str, Any]:
    """One item with everything; with a person also what they may do now."""
    row = found.item
    return {
        **item_json(row),
        "evidence": row.evidence,
        "action": json.loads(row.action) if row.action else None,
        "policy_text": row.sla,
        "ticket": ticket_json(row),
        "votes": [
            {
                "round": vote.round,
                "voter": vote.voter,
                "voter_label": vote.voter_label,
                "on_behalf_of": vote.on_behalf_of or None,
                "decision": "approved" if vote.approve else "rejected",
                "reason": vote.reason,
                "at": rfc(vote.at),
            }
            for vote in found.votes
        ],
        "history": [step_json(step) for step in found.steps],
        "comments": [
            {"id": c.pk, "by": c.by, "by_label": c.by_label, "text": c.text, "at": rfc(c.at)} for c in found.comments
        ],
        "delegations": [
            {
                "delegator": d.delegator,
                "delegate": d.delegate,
                "starts_at": rfc(d.starts_at),
                "ends_at": rfc(d.ends_at),
                "reason": d.reason,
            }
            for d in found.delegations
        ],
        "timers": [
            {
                "kind": t.kind,
                "level": t.level,
                "due_at": rfc(t.due_at),
                "state": t.state,
                "fired_at": rfc(t.fired_at),
            }
            for t in found.timers
        ],
        "incidents": [str(incident.pk) for incident in found.incidents],
        "outside_approvals": [event.as_json() for event in found.outside],
        "allowed": list(found.allowed(person)) if person is not None else [],
    }


def step_json(step: Step) -> dict[str, Any]:
    """One line of an item's history."""
    return {
        "id": step.pk,
        "version": step.version,
        "action": step.action,
        "by": step.by,
        "by_label": step.by_label,
        "before": step.before or None,
        "after": step.after,
        "reason": step.reason,
        "detail": step.detail,
        "at": rfc(step.at),
    }
