"""Exceptions: how often each policy is excepted and with what result, and asking for one."""

from __future__ import annotations

import uuid
from typing import Any, Literal

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_POST
from pydantic import Field

from approvals import selectors, services
from approvals.console import words
from approvals.console.inbox import KNOWN, STATUSES, place
from approvals.services.opening import PRIORITIES
from decisiongraph.core.api import Query, encode_cursor, query_params
from decisiongraph.core.console import moved, page
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import invalid
from decisiongraph.core.templatetags.dg.words import counted
from tenants.access import Principal, console_view
from tenants.models import Tenant
from traces import selectors as log

SHOWN, POLICIES = 30, 100
OFTEN = 0.8
"""A policy excepted at this rate or more, and at least ten times, is probably wrong."""
ENOUGH = 10


class ExceptionsQuery(Query):
    """What of the page, and what its form holds when it opens."""

    part: Literal["policies", "list"] | None = None
    status: str = Field(default="open", max_length=20)
    policy: str = Field(default="", max_length=4100)
    trace_id: str = Field(default="", max_length=400)
    cursor: str | None = Field(default=None, max_length=400)


@console_view("read")
@require_GET
def exceptions(request: Any) -> HttpResponse:
    """By policy and version, one by one, and the form to ask."""
    query = query_params(request, ExceptionsQuery)
    if query.status not in KNOWN:
        raise invalid("status", "approval.unknown_status", f"Choose one of: {', '.join(sorted(KNOWN))}.")
    tenant: Tenant = request.tenant
    with tenant_tx(tenant):
        context: dict[str, Any] = {"policy": query.policy, "status": query.status, "asks": _asks(request.principal)}
        context |= {"topic": words.topic(tenant, "approvals")}
        if query.part != "list":
            context |= _policies(tenant)
        if query.part != "policies":
            context |= _listing(tenant, query)
    if query.part:
        return render(request, f"approvals/exceptions.html#{query.part}", context)
    policy_id, _, version = query.policy.rpartition("@")
    form = {"trace_id": query.trace_id, "policy_id": policy_id, "policy_version": version, "priority": "normal"}
    return _page(request, context | {"form": form, "errors": {}})


def _page(request: Any, context: dict[str, Any], status: int = 200) -> HttpResponse:
    crumbs = [{"label": request.tenant.slug, "url": f"/t/{request.tenant.slug}/"}, {"label": "Exceptions"}]
    context |= {"crumbs": crumbs, "priorities": PRIORITIES, "key": uuid.uuid4().hex}
    return render(request, "approvals/exceptions.html", page(request, "exceptions", **context), status=status)


def _asks(principal: Principal) -> bool:
    return any(principal.may(name) for name in ("review", "operate", "ingest", "admin"))


def _policies(tenant: Tenant) -> dict[str, Any]:
    found = selectors.items.exceptions_by_policy(tenant)
    here, cases = f"{words.base(tenant)}/exceptions", f"{words.base(tenant)}/precedents"
    rows = [
        {
            "policy": f"{row.policy_id}@{row.policy_version}" if row.policy_id else "",
            "row": row,
            "rate": None if row.grant_rate is None else round(100 * row.grant_rate),
            "often": row.grant_rate is not None and row.grant_rate >= OFTEN and row.granted >= ENOUGH,
            "url": f"{here}?{words.query(policy=f'{row.policy_id}@{row.policy_version}', status='all')}#list",
            "cases_url": f"{cases}?{words.query(policy=f'{row.policy_id}@{row.policy_version}')}"
            if row.policy_id and row.policy_version
            else "",
        }
        for row in found[:POLICIES]
    ]
    return {"rows": rows, "hero": _hero(found)}


def _hero(found: list[selectors.items.PolicyRow]) -> dict[str, str]:
    if not found:
        return {
            "state": "fresh",
            "title": "No exception was ever asked for",
            "text": "An agent asks with an ExceptionRequested event; people and programs ask here and by API.",
        }
    often = [row for row in found if row.grant_rate is not None and row.grant_rate >= OFTEN and row.granted >= ENOUGH]
    waiting = sum(row.open for row in found)
    text = f"{counted(waiting, 'exception')} {'waits' if waiting == 1 else 'wait'} for a decision."
    if often:
        first = often[0]
        share = round(100 * (first.grant_rate or 0))
        title = f"{first.policy_id}@{first.policy_version} is excepted in {share} % of the cases decided"
        return {"state": "degraded", "title": title, "text": f"A policy that is always excepted is wrong. {text}"}
    asked = sum(row.total for row in found)
    title = f"{counted(asked, 'exception')} from {counted(len(found), 'version of a policy,versions of policies')}"
    return {"state": "waiting" if waiting else "fresh", "title": title, "text": text}


def _listing(tenant: Tenant, query: ExceptionsQuery) -> dict[str, Any]:
    policy_id, _, version = query.policy.rpartition("@")
    overdue = query.status == "overdue"
    found = selectors.items.inbox(
        tenant,
        selectors.items.Wanted(
            subject_type="exception",
            status="open" if overdue else query.status,
            overdue=True if overdue else None,
            policy=(policy_id, version) if query.policy else None,
        ),
        after=place(query.cursor),
        limit=SHOWN,
    )
    here = f"{words.base(tenant)}/exceptions"
    kept = {"policy": query.policy, "status": query.status}
    following = ""
    if len(found) > SHOWN:
        last = found[SHOWN - 1]
        following = words.query(**kept, cursor=encode_cursor(last.sort_at.isoformat(), str(last.pk)))
    return {
        "items": [words.line(tenant, row) for row in found[:SHOWN]],
        "statuses": STATUSES,
        "next_url": f"{here}?{following}#list" if following else "",
        "first_url": f"{here}?{words.query(**kept)}#list" if query.cursor else "",
        "list_url": f"{here}?{words.query(**kept, part='list', cursor=query.cursor or '')}",
        "all_url": f"{here}?{words.query(status=query.status)}#list",
    }


@console_view("read")
@require_POST
def ask(request: Any) -> HttpResponse:
    """Ask for an exception. What is wrong with the form is said beside its field."""
    names = ("trace_id", "policy_id", "policy_version", "reason", "priority")
    form = {name: request.POST.get(name, "").strip() for name in names}
    errors = _wrong(request.tenant, form)
    if errors:
        context = {"form": form, "errors": errors, "priorities": PRIORITIES, "asks": True, "key": uuid.uuid4().hex}
        if request.headers.get("HX-Request"):
            return render(request, "approvals/exceptions.html#ask", context, status=422)
        query = ExceptionsQuery()
        with tenant_tx(request.tenant):
            whole = _policies(request.tenant) | _listing(request.tenant, query)
        whole |= {"topic": words.topic(request.tenant, "approvals"), "policy": "", "status": "open"}
        return _page(request, whole | context, 422)
    row = services.open_item(
        request.tenant,
        principal=request.principal,
        trace_id=form["trace_id"],
        subject_type="exception",
        subject_id=f"{form['policy_id']}@{form['policy_version']}",
        reason=form["reason"],
        priority=form["priority"],
        policy={"policy_id": form["policy_id"], "policy_version": form["policy_version"]},
        key=request.POST.get("key") or None,
    )
    return moved(request, words.item_url(request.tenant, row.pk), "The exception is asked for. Somebody else decides.")


def _wrong(tenant: Tenant, form: dict[str, str]) -> dict[str, str]:
    errors: dict[str, str] = {}
    if not form["trace_id"]:
        errors["trace_id"] = "Name the trace it is about."
    elif not log.read_trace(tenant, form["trace_id"], limit=1):
        errors["trace_id"] = "There is no such trace."
    for name, what in (("policy_id", "the policy"), ("policy_version", "its version")):
        if not 1 <= len(form[name]) <= 200:
            errors[name] = f"Name {what}, in 200 characters."
    if not form["reason"]:
        errors["reason"] = "Say why; the reason becomes part of the record."
    elif len(form["reason"]) > 10_000:
        errors["reason"] = "Say it in 10,000 characters."
    if form["priority"] not in PRIORITIES:
        errors["priority"] = "Choose a priority."
    return errors
