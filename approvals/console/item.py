"""One item: what exactly will run, what speaks for and against it, who may decide, what happened."""

from __future__ import annotations

import json
import uuid
from datetime import datetime
from typing import Any, Literal

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_GET

from approvals import selectors, services
from approvals.console import words
from approvals.console.inbox import pane
from approvals.domain import workflow
from approvals.domain.people import Person
from approvals.models import Item, Timer
from approvals.selectors.items import Details
from approvals.services.people import person
from decisiongraph.core import clock
from decisiongraph.core.api import Query, query_params
from decisiongraph.core.console import page
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.templatetags.dg.words import counted, visible
from tenants.access import console_view
from tenants.models import Tenant

BUTTONS = frozenset(("claim", "release", "resubmit", "reassign", "delegate", "escalate", "withdraw", "override"))
"""Actions with a button of their own; deciding and commenting have a place elsewhere on the page."""
HISTORY = 60
"""Lines of the history that are drawn; the API has all."""


class ItemQuery(Query):
    """What of the page."""

    part: Literal["live", "side"] | None = None


@console_view("read")
@require_GET
def item(request: Any, approval_id: str) -> HttpResponse:
    """The page of an item, or one of its live parts."""
    query = query_params(request, ItemQuery)
    tenant: Tenant = request.tenant
    with tenant_tx(tenant):
        found = selectors.items.details(tenant, approval_id)
        me = person(request.principal)
        context = shown(request, found, me, part=query.part)
        if query.part:
            return render(request, f"approvals/item.html#{query.part}", context | {"swapped": True})
        context |= pane(request, str(found.item.pk))
    crumbs = [
        {"label": "Approvals", "url": f"{words.base(tenant)}/approvals"},
        {"label": words.title(found.item)},
    ]
    return render(request, "approvals/item.html", page(request, "approvals", crumbs=crumbs, **context))


def shown(request: Any, found: Details, me: Person, *, part: str | None) -> dict[str, Any]:
    """The context of the page, or of the part."""
    tenant, row = request.tenant, found.item
    url = words.item_url(tenant, row.pk)
    context: dict[str, Any] = {
        "item": row,
        "line": words.line(tenant, row),
        "url": url,
        "topic": words.topic(tenant, "approval", str(row.pk)),
        "over": not row.open,
        "trace_url": words.trace_url(tenant, row.trace_id),
    }
    if part != "side":
        context |= _head(tenant, found) | _bound(tenant, row) | _proof(tenant, found)
    if part != "live" or not row.open:
        context |= _side(request, found, me, url)
        since = services.visit(tenant, principal=request.principal, page=f"approval:{row.pk}")
        context["news"] = _mark_news(context["history"], since, request.principal.ident)
    return context


# --- the head -----------------------------------------------------------------------------------------


def _head(tenant: Tenant, found: Details) -> dict[str, Any]:
    row = found.item
    return {
        "hero_state": words.urgency(row) if row.open and words.urgency(row) == "overdue" else row.status,
        "sentence": _sentence(found),
        "lead": _lead(row),
        "urgency": words.urgency(row),
        "share": _share(row),
        "newer_url": words.item_url(tenant, row.superseded_by) if row.superseded_by else "",
        "incidents": [
            {"title": each.title, "state": each.severity, "url": words.incident_url(tenant, each.pk)}
            for each in found.incidents
        ],
        "changed": {
            "who": words.who(row.changed_by),
            "did": words.ACTS.get(row.changed_how, row.changed_how),
            "at": row.changed_at,
        },
    }


def _sentence(found: Details) -> str:
    row, rules = found.item, found.rules()
    by = row.decided_label or words.who(row.decided_by)
    given = f": {words.votes_words(rules.quorum, rules.approvals)}" if rules.quorum > 1 else ""
    sentences = {
        "requested": f"Waits for {words.who(row.assignee) if row.assignee else 'whoever may review'}{given}",
        "in_review": f"In review with {row.holder_label or words.who(row.holder)}{given}",
        "changes_requested": f"Changes are asked of {row.requested_by or words.who(row.opened_by)}",
        "escalated": f"Escalated to {words.who(row.assignee) if row.assignee else 'whoever may review'}{given}",
        "approved": f"Approved by {by}",
        "rejected": f"Rejected by {by}",
        "overridden": f"Let through by {by}, without the quorum",
        "withdrawn": f"Withdrawn by {by}",
        "expired": "Expired: nobody decided in time",
    }
    return sentences[row.status]


def _lead(row: Item) -> SafeString:
    by = visible(row.requested_by or words.who(row.opened_by))
    if row.action:
        action = json.loads(row.action)
        kind, system = visible(action.get("action_type", "")), visible(action.get("target_system", ""))
        return format_html("<b>{}</b> wants to run <b>{}</b> in <b>{}</b>. {}", by, kind, system, visible(row.reason))
    if row.subject_type == "exception":
        policy = visible(f"{row.policy_id}@{row.policy_version}" if row.policy_id else "a policy")
        return format_html("<b>{}</b> asks for an exception from <b>{}</b>. {}", by, policy, visible(row.reason))
    return format_html("<b>{}</b> asks for a decision. {}", by, visible(row.reason))


def _share(row: Item) -> int:
    """Percent of the time that is left until the deadline."""
    if row.due_at is None:
        return 0
    whole = (row.due_at - row.clock_at).total_seconds()
    left = (row.due_at - clock.now()).total_seconds()
    return 0 if whole <= 0 else max(0, min(100, round(100 * left / whole)))


# --- what will run --------------------------------------------------------------------------------------


def _pair(change: Any, at: int) -> tuple[str, str | None, str | None]:
    """Field, value now and value afterwards of one change, however the producer spells it."""
    if not isinstance(change, dict):
        return f"change {at}", None, words.plain(change)
    name = next((str(change[key]) for key in ("path", "field", "key", "name") if key in change), f"change {at}")
    old = next((change[key] for key in ("old_value", "old", "from", "before") if key in change), None)
    new = next((change[key] for key in ("new_value", "new", "to", "after", "value") if key in change), change)
    return name, None if old is None else words.plain(old), words.plain(new)


def _bound(tenant: Tenant, row: Item) -> dict[str, Any]:
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


# --- what speaks for it -----------------------------------------------------------------------------------


def _evidence(each: Any, at: int) -> dict[str, str]:
    if not isinstance(each, dict):
        return {"name": f"{at}", "value": words.plain(each), "source": "", "at": ""}
    name = next((str(each[key]) for key in ("key", "name", "input_id", "ref", "type") if key in each), str(at))
    rest = {key: value for key, value in each.items() if key not in ("source", "as_of", "observed_at")}
    value = next((rest[key] for key in ("value", "text", "summary", "url", "ref") if key in rest), rest)
    source = each.get("source") or ""
    when = each.get("as_of") or each.get("observed_at") or ""
    return {"name": name, "value": words.plain(value), "source": words.plain(source), "at": words.plain(when)}


def _proof(tenant: Tenant, found: Details) -> dict[str, Any]:
    row = found.item
    policy = f"{row.policy_id}@{row.policy_version}" if row.policy_id else ""
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
                "by": words.plain((event.payload or {}).get("approver") or event.actor_id),
                "decision": str((event.payload or {}).get("decision") or ""),
                "at": event.occurred_at,
                "url": f"{words.trace_url(tenant, row.trace_id)}?event={event.trace_seq}",
            }
            for event in found.outside[:20]
        ],
        "facts": [
            {"label": "Subject", "value": f"{row.subject_type} {row.subject_id}", "detail": words.entity(row)},
            {"label": "Priority", "value": row.priority},
            {"label": "Asked by", "value": row.requested_by or words.who(row.opened_by), "detail": _again(row)},
            {"label": "On the desk of", "value": words.standing(row) if row.open else "nobody any more"},
            {"label": "Service level", "value": row.sla_name, "detail": _quorum(row)},
            {"label": "Trace", "value": row.trace_id, "url": words.trace_url(tenant, row.trace_id)},
        ],
    }


def _again(row: Item) -> str:
    through = f"through {words.who(row.opened_by)}"
    return f"{through}, {counted(row.repeats, 'repeat')}" if row.repeats else through


def _quorum(row: Item) -> str:
    if row.reviewers:
        return f"{row.quorum} of {counted(len(row.reviewers), 'named reviewer')}"
    return f"{row.quorum} of whoever may review"


# --- the side: decide, four eyes, history -------------------------------------------------------------------


def _side(request: Any, found: Details, me: Person, url: str) -> dict[str, Any]:
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
        "history": _history(found)[:HISTORY],
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


def _history(found: Details) -> list[dict[str, Any]]:
    lines = [
        {
            "at": step.at,
            "by": step.by,
            "who": step.by_label or words.who(step.by),
            "did": words.ACTS.get(step.action, step.action.replace("_", " ")),
            "said": step.reason,
            "more": _more(step.action, step.detail),
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


def _mark_news(lines: list[dict[str, Any]], since: datetime | None, me: str) -> int:
    """Mark what others did since the last visit; how many lines that are."""
    fresh = [line for line in lines if since is not None and line["at"] > since and line["by"] != me]
    for line in fresh:
        line["new"] = True
    return len(fresh)


def _more(action: str, detail: dict[str, Any]) -> str:
    if action in ("reassign", "escalate", "delegate") and "to" in detail:
        return f"to {words.who(str(detail['to']))}"
    if action == "fault":
        return str(detail.get("fault") or "")
    if detail.get("on_behalf_of"):
        return f"for {words.who(str(detail['on_behalf_of']))}"
    return ""
