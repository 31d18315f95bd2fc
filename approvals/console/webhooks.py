"""Settings of the webhooks: endpoints, their secrets (shown once), the delivery log."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_GET, require_POST

from approvals import services
from approvals.domain import hooks
from approvals.models import Delivery, Endpoint
from approvals.selectors import telling
from decisiongraph.core import clock
from decisiongraph.core.api import ListQuery, Query, decode_cursor, encode_cursor, query_params
from decisiongraph.core.console import moved, page
from decisiongraph.core.errors import not_found
from tenants.access import console_view
from tenants.console import SECTIONS

STATES = {
    Delivery.DONE: ("completed", "Arrived"),
    Delivery.WAITING: ("queued", "Waiting"),
    Delivery.DEAD: ("failed", "Given up"),
}


@console_view("admin")
@require_GET
def webhooks(request: Any) -> HttpResponse:
    """Every endpoint and whether it takes what it is sent."""
    query_params(request, Query)
    return _list(request)


@console_view("admin")
@require_POST
@sensitive_variables("secret")
def create(request: Any) -> HttpResponse:
    """A new endpoint; its secret is on this page only."""
    row, secret = services.create_endpoint(
        request.tenant,
        principal=request.principal,
        url=request.POST.get("url", ""),
        messages=request.POST.getlist("messages"),
        description=request.POST.get("description", ""),
    )
    return _list(request, created=row, secret=secret)


class LogQuery(ListQuery):
    """Which part of the log."""

    limit: int = 30
    part: str = ""


@console_view("admin")
@require_GET
def webhook(request: Any, webhook_id: str) -> HttpResponse:
    """One endpoint: what was sent, every attempt, and what can be done about it."""
    return _one(request, webhook_id)


@console_view("admin")
@require_POST
@sensitive_variables("secret")
def act(request: Any, webhook_id: str, action: str) -> HttpResponse:
    """Rotate, test, switch on or off, delete."""
    tenant, principal = request.tenant, request.principal
    base = f"/t/{tenant.slug}/settings/webhooks"
    if action == "rotate":
        _row, secret = services.rotate_secret(tenant, principal=principal, endpoint_id=webhook_id)
        return _one(request, webhook_id, secret=secret)
    if action == "delete":
        services.delete_endpoint(tenant, principal=principal, endpoint_id=webhook_id)
        return moved(request, base, "The endpoint is gone, with its log.")
    if action == "test":
        services.test_endpoint(tenant, principal=principal, endpoint_id=webhook_id)
        return moved(request, f"{base}/{webhook_id}", "A test is on its way; its line in the log says what came of it.")
    if action in ("enable", "disable"):
        services.change_endpoint(tenant, principal=principal, endpoint_id=webhook_id, enabled=action == "enable")
        return moved(request, f"{base}/{webhook_id}", f"It is switched {'on' if action == 'enable' else 'off'} now.")
    raise not_found("page")


@console_view("admin")
@require_POST
def redeliver(request: Any, delivery_id: str) -> HttpResponse:
    """Send one again."""
    row = services.redeliver(request.tenant, principal=request.principal, delivery_id=delivery_id)
    said = f"{row.message} is on its way again."
    return moved(request, f"/t/{request.tenant.slug}/settings/webhooks/{row.target}", said)


def _list(request: Any, **more: Any) -> HttpResponse:
    rows = telling.endpoints(request.tenant)
    base = f"/t/{request.tenant.slug}/settings/webhooks"
    return _page(
        request,
        "approvals/webhooks.html",
        endpoints=[{"row": row, "state": _state(row), "url": f"{base}/{row.pk}"} for row in rows],
        on=sum(row.enabled for row in rows),
        tellable=hooks.MESSAGES,
        **more,
    )


def _one(request: Any, webhook_id: str, **more: Any) -> HttpResponse:
    query = query_params(request, LogQuery)
    limit = min(query.limit, 100)
    row = telling.endpoint(request.tenant, webhook_id)
    rows = telling.deliveries(request.tenant, webhook_id, before=_before(query.cursor), limit=limit)
    tries = telling.attempts(request.tenant, [each.pk for each in rows])
    base = f"/t/{request.tenant.slug}/settings/webhooks/{row.pk}"
    older = encode_cursor(rows[limit - 1].created_at.isoformat()) if len(rows) > limit else ""
    kept = {"cursor": query.cursor} if query.cursor else {}
    template = "approvals/webhook.html#log" if query.part == "log" else "approvals/webhook.html"
    return _page(
        request,
        template,
        endpoint=row,
        state=_state(row),
        overlap=row.old_until is not None and row.old_until > clock.now(),
        log=[
            {
                "row": each,
                "state": STATES[each.state],
                "attempts": tries[each.pk],
                "again": row.enabled and (each.state != Delivery.WAITING or each.attempts > 0),
            }
            for each in rows[:limit]
        ],
        here=f"{base}?{urlencode(kept | {'part': 'log'})}",
        older=f"{base}?{urlencode({'cursor': older})}" if older else "",
        base=base,
        title=row.description or row.url,
        **more,
    )


def _before(cursor: str | None) -> datetime | None:
    found = decode_cursor(cursor, datetime)
    return found[0] if found else None


def _state(row: Endpoint) -> tuple[str, str]:
    """Name of the state whose shape stands for it, and its word."""
    if not row.enabled:
        return "inactive", "Off"
    return ("degraded", "Failing") if row.failing_since is not None else ("active", "On")


def _page(request: Any, template: str, **context: Any) -> HttpResponse:
    base = f"/t/{request.tenant.slug}/settings"
    crumbs = [{"label": "Settings", "url": base}, {"label": "Webhooks", "url": f"{base}/webhooks"}]
    if "title" in context:
        crumbs.append({"label": context["title"], "url": ""})
    tabs = [(key, label, f"{base}/{key}") for key, label in SECTIONS]
    response = render(
        request, template, page(request, "settings", crumbs=crumbs, tabs=tabs, part="webhooks", **context)
    )
    response["Cache-Control"] = "no-store"
    return response
