"""What an item is about: what exactly will run, the evidence and the policy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from approvals import selectors
from approvals.console import words
from approvals.models import Item
from approvals.selectors.items import Details
from decisiongraph.core.templatetags.dg.words import counted
from tenants.models import Tenant
from traces.domain.envelope import StoredEvent


def _pair(change: Any, at: int) -> tuple[str, str | None, str | None]:
    """Field, value now and value afterwards of one change, however the producer spells it."""
    if not isinstance(change, dict):
        return f"change {at}", None, words.plain(change)
    name = next((str(change[key]) for key in ("path", "field", "key", "name") if key in change), f"change {at}")
    old = next((change[key] for key in ("old_value", "old", "from", "before") if key in change), None)
    new = next((change[key] for key in ("new_value", "new", "to", "after", "value") if key in change), change)
    return name, None if old is None else words.plain(old), words.plain(new)


def bound(tenant: Tenant, row: Item) -> dict[str, Any]:
    if not row.action:
        return {"action": None}
    action = json.loads(row.action)
    earlier = selectors.items.superseded(tenant, row)
    before: dict[str, str | None] | None = None
    if earlier is not None and earlier.action:
        before = {}
        for at, change in enumerate(json.loads(earlier.action).get("changes") or [], 1):
            name, _old, new = _pair(change, at)
            before[name] = new
    changes, told = [], set()
    for at, change in enumerate(action.get("changes") or [], 1):
        name, old, new = _pair(change, at)
        told.add(name)
        was = None if before is None else before.get(name)
        changes.append({"name": name, "old": old, "new": new, "was": was, "same": was == new, "added": was is None})
    target = action.get("target_entity") or {}
    bare = (row.action_digest or "").rpartition(":")[2]
    return {
        "action": {
            "type": action.get("action_type", ""),
            "system": action.get("target_system", ""),
            "target": f"{target.get('entity_type', '')} {target.get('entity_id', '')}".strip(),
            "whole": action,
        },
        "changes": changes,
        "compared": before is not None,
        "dropped": sorted(set(before or {}) - told),
        "earlier_url": words.item_url(tenant, earlier.pk) if earlier is not None else "",
        "digest": bare,
        "digest_parts": [bare[at : at + 16] for at in range(0, 64, 16)],
    }


def _evidence(each: Any, at: int) -> dict[str, str]:
    if not isinstance(each, dict):
        return {"name": f"{at}", "value": words.plain(each), "source": "", "at": ""}
    name = next((str(each[key]) for key in ("key", "name", "input_id", "ref", "type") if key in each), str(at))
    rest = {key: value for key, value in each.items() if key not in ("source", "as_of", "observed_at")}
    value = next((rest[key] for key in ("value", "text", "summary", "url", "ref") if key in rest), rest)
    source = each.get("source") or ""
    when = each.get("as_of") or each.get("observed_at") or ""
    return {"name": name, "value": words.plain(value), "source": words.plain(source), "at": words.plain(when)}


def proof(tenant: Tenant, found: Details, names: Mapping[str, str]) -> dict[str, Any]:
    row = found.item
    policy = f"{row.policy_id}@{row.policy_version}" if row.policy_id else ""
    desk = words.standing(row) if row.open else "nobody any more"
    return {
        "evidence": [_evidence(each, at) for at, each in enumerate(row.evidence or [], 1)],
        "policy": policy,
        "policy_urls": [
            ("Exceptions from it", f"{words.base(tenant)}/exceptions?{words.query(policy=policy, status='all')}"),
            ("Decisions under it", f"{words.base(tenant)}/traces?{words.query(policy=policy)}"),
        ]
        if policy
        else [],
        "rate": selectors.items.exception_rate(tenant, row.policy_id, row.policy_version) if row.policy_id else None,
        "outside": [
            {
                "by": _approver(event),
                "decision": str((event.payload or {}).get("decision") or ""),
                "at": event.occurred_at,
                "url": f"{words.trace_url(tenant, row.trace_id)}?event={event.trace_seq}",
            }
            for event in found.outside[:20]
        ],
        "facts": [
            {"label": "Subject", "value": f"{row.subject_type} {row.subject_id}", "detail": words.entity(row)},
            {"label": "Priority", "value": row.priority},
            {"label": "Asked by", "value": words.asker(row, names), "detail": _again(row, names)},
            {"label": "On the desk of", "value": names.get(desk, desk)},
            {"label": "Service level", "value": row.sla_name, "detail": _quorum(row)},
            {"label": "Trace", "value": row.trace_id, "url": words.trace_url(tenant, row.trace_id)},
        ],
    }


def _again(row: Item, names: Mapping[str, str]) -> str:
    through = f"through {words.who(row.opened_by, names)}"
    return f"{through}, {counted(row.repeats, 'repeat')}" if row.repeats else through


def _quorum(row: Item) -> str:
    if row.reviewers:
        return f"{row.quorum} of {counted(len(row.reviewers), 'named reviewer')}"
    return f"{row.quorum} of whoever may review"


def _approver(event: StoredEvent) -> str:
    """Who decided elsewhere, as the agent wrote it down."""
    said = (event.payload or {}).get("approver") or event.actor_id
    return words.plain(said.get("actor_id") or said if isinstance(said, dict) else said)
