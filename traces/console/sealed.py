"""What proves the log, for people: the newest checkpoint, the key, how to check it elsewhere."""

from __future__ import annotations

from typing import Any, Literal

from django.conf import settings
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from decisiongraph.core import clock
from decisiongraph.core.api import Query, query_params
from decisiongraph.core.console import page
from decisiongraph.core.templatetags.dg.words import counted, duration, number
from tenants.access import console_view
from tenants.console import SECTIONS
from traces import selectors, services
from traces.api.log import download
from traces.domain import note
from traces.selectors import SealState

SHOWN = 10
LATE = 5.0
"""Seconds after which a log with unsealed events says that it is behind."""


class SealQuery(Query):
    """Which part of the page."""

    part: Literal["state"] | None = None


@console_view("read")
@require_GET
def seal(request: Any) -> HttpResponse:
    """The newest checkpoint and everything needed to hold the platform to it."""
    query = query_params(request, SealQuery)
    state = selectors.seal_state(request.tenant)
    row = state.checkpoint
    rows = selectors.checkpoints(request.tenant, before=2**62, limit=SHOWN + 1) if row is not None else []
    sizes = [*(each.size for each in rows), 0]
    base = f"/t/{request.tenant.slug}/settings"
    keys = [key.text for key in selectors.verifier_keys(request.tenant, row)] if row is not None else []
    command = f"manage.py verify_log LOG.ndjson --key '{keys[0] if keys else ''}' --checkpoint KEPT.txt"
    context = {
        "state": state,
        "hero": _hero(state),
        "checkpoint": row,
        "origin": note.unsigned(row.note).origin if row is not None else "",
        "root": bytes(row.root).hex() if row is not None else "",
        "keys": keys,
        "rows": [
            {"row": each, "root": bytes(each.root).hex(), "new": each.size - sizes[at + 1]}
            for at, each in enumerate(rows[:SHOWN])
        ],
        "command": command,
        "folder": settings.CHECKPOINT_DIR,
        "pushed_at": state.pushed_at if state.pushed_size else None,
        "every": duration(settings.CHECKPOINT_PUSH_SECONDS),
        "export_url": f"{base}/log/export",
        "here": f"{base}/log",
    }
    template = "traces/seal.html#state" if query.part == "state" else "traces/seal.html"
    crumbs = [{"label": "Settings", "url": base}, {"label": "Log", "url": f"{base}/log"}]
    tabs = [(key, label, f"{base}/{key}") for key, label in SECTIONS]
    response = render(request, template, page(request, "settings", crumbs=crumbs, tabs=tabs, part="log", **context))
    response["Cache-Control"] = "no-store"
    return response


@console_view("admin")
@require_GET
def seal_export(request: Any) -> StreamingHttpResponse:
    """The whole log as a file."""
    query_params(request, Query)
    return download(services.export_log(request.tenant, principal=request.principal))


def _hero(state: SealState) -> dict[str, str]:
    row = state.checkpoint
    if state.fault:
        text = f"{state.fault} Nothing more is sealed. Keep everything as it is and check an export of the log."
        return {"state": "failed", "title": "The log is not what was sealed", "text": text}
    if row is None:
        return {
            "state": "idle",
            "title": "Nothing is sealed yet",
            "text": "The first event of this tenant brings the first checkpoint within a second.",
        }
    age = (clock.now() - row.sealed_at).total_seconds()
    if state.waiting > 0 and age > LATE:
        text = f"{counted(state.waiting, 'event')} wait for a checkpoint; the newest is {duration(age)} old."
        return {
            "state": "stale",
            "title": f"{number(state.size)} of {number(state.head)} events are sealed",
            "text": text,
        }
    text = "Each is under a signed checkpoint. Whoever keeps one can prove later whether anything was changed or cut."
    return {"state": "fresh", "title": f"{counted(state.size, 'event')} sealed", "text": text}
