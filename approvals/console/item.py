"""One item: what exactly will run, what speaks for and against it, who may decide, what happened."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_GET

from approvals import selectors, services
from approvals.console import words
from approvals.console.bound import bound, proof
from approvals.console.inbox import pane
from approvals.console.side import mark_news, side
from approvals.domain.people import Person
from approvals.models import Item
from approvals.selectors.items import Details
from approvals.services.people import person
from decisiongraph.core import clock
from decisiongraph.core.api import Query, query_params
from decisiongraph.core.console import page
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.templatetags.dg.words import visible
from tenants.access import console_view
from tenants.models import Tenant


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
        context |= _head(tenant, found, request.people) | bound(tenant, row) | proof(tenant, found, request.people)
    if part != "live" or not row.open:
        context |= side(request, found, me, url)
        since = services.visit(tenant, principal=request.principal, page=f"approval:{row.pk}")
        context["news"] = mark_news(context["history"], since, request.principal.ident)
    return context


# --- the head -----------------------------------------------------------------------------------------


def _head(tenant: Tenant, found: Details, names: Mapping[str, str]) -> dict[str, Any]:
    row = found.item
    return {
        "hero_state": words.urgency(row) if row.open and words.urgency(row) == "overdue" else row.status,
        "sentence": _sentence(found, names),
        "lead": _lead(row, names),
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


def _sentence(found: Details, names: Mapping[str, str]) -> str:
    row, rules = found.item, found.rules()
    by = row.decided_label or words.who(row.decided_by, names)
    given = f": {words.votes_words(rules.quorum, rules.approvals)}" if rules.quorum > 1 else ""
    sentences = {
        "requested": f"Waits for {words.who(row.assignee, names) if row.assignee else 'whoever may review'}{given}",
        "in_review": f"In review with {row.holder_label or words.who(row.holder, names)}{given}",
        "changes_requested": f"Changes are asked of {words.asker(row, names)}",
        "escalated": f"Escalated to {words.who(row.assignee, names) if row.assignee else 'whoever may review'}{given}",
        "approved": f"Approved by {by}",
        "rejected": f"Rejected by {by}",
        "overridden": f"Let through by {by}, without the quorum",
        "withdrawn": f"Withdrawn by {by}",
        "expired": "Expired: nobody decided in time",
    }
    return sentences[row.status]


def _lead(row: Item, names: Mapping[str, str]) -> SafeString:
    by = visible(words.asker(row, names))
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
