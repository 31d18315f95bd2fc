"""Bundles: everything about an item or a trace in one signed file that needs no server to be checked."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from django.template.loader import render_to_string
from django.utils.safestring import mark_safe

from approvals.domain import bundle
from approvals.selectors import bundles
from approvals.services import signing
from decisiongraph.core.db import tenant_tx
from tenants.access import Principal
from tenants.models import Tenant
from tenants.services import record_audit
from traces.domain.verdict import raw_json

Format = Literal["json", "html"]


class File(NamedTuple):
    """A bundle to be downloaded."""

    name: str
    kind: Format
    raw: bytes


def export_item(tenant: Tenant, *, principal: Principal, item_id: str, format: Format = "json") -> File:
    """The bundle of an item. 404 when there is none; the export itself is audited."""
    principal.require("read")
    content = bundles.item_content(tenant, item_id)
    ident = content["approvals"][0]["id"]
    return _file(tenant, principal, content, format, f"approval-{ident}", "approval.exported")


def export_trace(tenant: Tenant, *, principal: Principal, trace_id: str, format: Format = "json") -> File:
    """The bundle of a trace and all that was decided about it. 404 when there is none; audited."""
    principal.require("read")
    content = bundles.trace_content(tenant, trace_id)
    safe = "".join(char if (char.isascii() and char.isalnum()) or char in "-_" else "-" for char in trace_id)[:80]
    return _file(tenant, principal, content, format, f"trace-{safe}", "trace.exported")


def _file(
    tenant: Tenant, principal: Principal, content: dict[str, Any], format: Format, name: str, action: str
) -> File:
    body = bundle.json_body(content) if format == "json" else _page(content)
    with tenant_tx(tenant):
        raw = signing.sealed(tenant, body, format)
        events = sum(len(trace["events"]) for trace in content["traces"])
        record_audit(
            tenant,
            principal=principal,
            action=action,
            target=content["subject"],
            after={"format": format, "events": events, "bytes": len(raw)},
        )
    return File(f"{tenant.slug}-{name}.{format}", format, raw)


def _page(content: dict[str, Any]) -> bytes:
    """The page for people. The template escapes; the same content as JSON stands inside."""
    traces = [
        {
            "trace_id": trace["trace_id"],
            "events": [{**event, "text": raw_json(event["payload"])} for event in trace["events"]],
        }
        for trace in content["traces"]
    ]
    items = [{**item, "bound": raw_json(item["action"]) if item["action"] else ""} for item in content["approvals"]]
    embedded = mark_safe(bundle.embedded(content))  # it holds no bracket and no ampersand
    shown = {"bundle": content, "traces": traces, "approvals": items, "embedded": embedded}
    return render_to_string("approvals/bundle.html", shown).encode()
