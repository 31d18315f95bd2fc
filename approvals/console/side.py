"""The side of an item: who may do what, the four eyes, votes, timers and what happened."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from approvals import selectors
from approvals.console import words
from approvals.domain import workflow
from approvals.domain.people import Person
from approvals.models import Item, Timer
from approvals.selectors.items import Details
from decisiongraph.core import clock
from tenants.models import Tenant

BUTTONS = frozenset(("claim", "release", "resubmit", "reassign", "delegate", "escalate", "withdraw", "override"))
"""Actions with a button of their own; deciding and commenting have a place elsewhere on the page."""
HISTORY = 60
"""Lines of the history that are drawn; the API has all."""


def side(request: Any, found: Details, me: Person, url: str) -> dict[str, Any]:
    tenant, row, principal = request.tenant, found.item, request.principal
    may = set(found.allowed(me))
    decides = found.refusal("approve", me) if row.open else None
    context: dict[str, Any] = {
        "may": may,
        "does": bool(may & BUTTONS),
        "decides": row.open and decides is None,
        "why_not": _why_not(row, decides),
        "checks": _checks(found, me, decides) if row.open else [],
        "key": uuid.uuid4().hex,
        "seat": _seat(found),
        "ticket": _ticket(tenant, row),
        "history": _history(found, request.people)[:HISTORY],
        "history_more": max(0, len(found.steps) + len(found.comments) - HISTORY),
        "timers": [
            {"kind": _timer(each), "due_at": each.due_at, "state": each.state, "fired_at": each.fired_at}
            for each in found.timers
            if row.open or each.state == Timer.FIRED
        ],
        "votes": [
            {
                "who": vote.voter_label or words.who(vote.voter),
                "for": words.who(vote.on_behalf_of) if vote.on_behalf_of else "",
                "state": "approved" if vote.approve else "rejected",
                "reason": vote.reason,
                "at": vote.at,
                "now": vote.round == row.round,
            }
            for vote in found.votes
        ],
        "stands": [
            {"who": words.who(each.delegate), "for": words.who(each.delegator), "until": each.ends_at}
            for each in found.delegations
            if each.ends_at > clock.now()
        ],
        "url": url,
    }
    if may & {"reassign", "escalate"}:
        context["desks"] = words.desks(tenant, nobody=True)
    if "delegate" in may:
        context["colleagues"] = words.reviewers(tenant, but=principal.ident)
    return context


def _why_not(row: Item, refused: workflow.Refused | None) -> dict[str, str] | None:
    if refused is None:
        return None
    heads = {
        "four_eyes": "You asked for this, so somebody else decides.",
        "permission": "Your role does not decide.",
        "voted": "You have given your vote.",
        "not_reviewer": "Only its named reviewers decide this.",
        "illegal": "It waits for changes first." if row.status == "changes_requested" else "It cannot be decided now.",
    }
    text = refused.detail
    if refused.why == "permission":
        text = "Deciding needs the permission 'review'. An admin of the tenant can give you the role reviewer."
    elif refused.why == "illegal" and row.status == "changes_requested":
        text = "Whoever asked for it resubmits it; then a new round of votes begins."
    state = {"four_eyes": "lock", "permission": "lock", "not_reviewer": "lock"}.get(refused.why, "clock")
    return {"title": heads.get(refused.why, "You may not decide this."), "text": text, "icon": state}


def _checks(found: Details, me: Person, refused: workflow.Refused | None) -> list[tuple[bool, str]]:
    row, why = found.item, refused.why if refused else ""
    asked = why == "four_eyes"
    checks = [
        (not asked, "You or your token asked for it" if asked else "You did not ask for it, nor did a token of yours"),
        (
            "review" in me.permissions,
            "Your role decides" if "review" in me.permissions else "Your role lacks the permission to review",
        ),
    ]
    if row.reviewers:
        named = why != "not_reviewer"
        checks.append((named, "You are a named reviewer" if named else "You are not one of its named reviewers"))
    if row.quorum > 1 or why == "voted":
        checks.append((why != "voted", "You have voted in this round" if why == "voted" else "You have not voted yet"))
    return checks


def _seat(found: Details) -> str:
    """What one more approval would do."""
    rules = found.rules()
    if rules.quorum == 1:
        return "One approval decides it."
    after = rules.approvals + 1
    return f"Yours would be approval {after} of {rules.quorum}" + (", and decide it." if after >= rules.quorum else ".")


def _ticket(tenant: Tenant, row: Item) -> dict[str, Any] | None:
    if row.status not in workflow.GRANTED:
        return None
    return {
        "state": selectors.items.ticket(row).state(clock.now()),
        "expires_at": row.ticket_expires_at,
        "used_at": row.used_at,
        "used_by": row.used_by,
        "bound": bool(row.action_digest),
    }


def _timer(row: Timer) -> str:
    return f"escalation {row.level}" if row.kind == "escalation" else row.kind


def _history(found: Details, names: Mapping[str, str]) -> list[dict[str, Any]]:
    lines = [
        {
            "at": step.at,
            "by": step.by,
            "who": step.by_label or words.who(step.by),
            "did": words.ACTS.get(step.action, step.action.replace("_", " ")),
            "said": step.reason,
            "more": _more(step.action, step.detail, names),
            "mark": words.MARKS.get(step.action, ("human-open", "human")),
        }
        for step in found.steps
    ]
    lines += [
        {
            "at": each.at,
            "by": each.by,
            "who": each.by_label or words.who(each.by),
            "did": "commented",
            "said": each.text,
            "more": "",
            "mark": words.MARKS["comment"],
        }
        for each in found.comments
    ]
    return sorted(lines, key=lambda line: line["at"], reverse=True)


def mark_news(lines: list[dict[str, Any]], since: datetime | None, me: str) -> int:
    """Mark what others did since the last visit; how many lines that are."""
    fresh = [line for line in lines if since is not None and line["at"] > since and line["by"] != me]
    for line in fresh:
        line["new"] = True
    return len(fresh)


def _more(action: str, detail: dict[str, Any], names: Mapping[str, str]) -> str:
    if action in ("reassign", "escalate", "delegate") and "to" in detail:
        return f"to {words.who(str(detail['to']), names)}"
    if action == "fault":
        return str(detail.get("fault") or "")
    if detail.get("on_behalf_of"):
        return f"for {words.who(str(detail['on_behalf_of']), names)}"
    return ""
