"""The tab of the inspector that compares the event under the glass with any other."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from decisiongraph.core.errors import not_found
from tenants.models import Tenant
from traces import selectors
from traces.console import changes
from traces.console.state import Address, TraceQuery
from traces.domain import action
from traces.domain.diff import diff
from traces.domain.envelope import StoredEvent
from traces.domain.labels import headline, text

SHOWN = 60
"""Changes drawn; the API lists up to a thousand."""


def counterpart(tenant: Tenant, event: StoredEvent, until: int) -> StoredEvent | None:
    """The report of a proposal, the proposal of a report; None when there is none (as of event ``until``)."""
    pair = _pair(tenant, event, until)
    if pair is None:
        return None
    return pair.proposed if event.event_type == "ActionCommitted" else pair.committed


def _pair(tenant: Tenant, event: StoredEvent, until: int) -> action.ActionPair | None:
    ident = text(event.payload or {}, "action_id")
    if event.event_type not in ("ActionProposed", "ActionCommitted") or not ident:
        return None
    found = action.pairs(selectors.trace_actions(tenant, event.trace_id, ident, until=until))
    return found[0] if found else None


def difference(tenant: Tenant, event: StoredEvent, query: TraceQuery, link: Address) -> dict[str, Any]:
    """The context of ``components/difference_tab.html``."""
    pair = _pair(tenant, event, query.until)
    partner = None
    if pair is not None:
        partner = pair.proposed if event.event_type == "ActionCommitted" else pair.committed
    offered = [each for each in (partner, selectors.alike_before(tenant, event)) if each is not None]
    other = _other(tenant, event, query, offered)
    shown: dict[str, Any] = {
        "base": link.base,
        "kept": {"event": event.trace_seq, "tab": "diff", **link.kept},
        "other": other,
        "other_trace": query.other_trace,
        "offers": [
            {
                "label": f"event {each.trace_seq}, {headline(each)}",
                "url": link(event.trace_seq, tab="diff", other=each.trace_seq),
                "current": other is not None and each.event_id == other.event_id,
            }
            for each in offered
        ],
    }
    if other is None:
        return shown
    base = link.base.rpartition("/")[0]
    away = other.trace_id != event.trace_id
    shown["title"] = headline(other)
    shown["url"] = f"{base}/{_quoted(other.trace_id)}?event={other.trace_seq}" if away else link(other.trace_seq)
    shown["away"] = away
    # whichever came first stands on the left
    left, right = (event, other) if not away and event.trace_seq < other.trace_seq else (other, event)
    if away:
        left, right = event, other
    shown["left"], shown["right"] = left, right
    if pair is not None and partner is not None and other.event_id == partner.event_id and pair.told:
        found = action.deviation(pair)
        shown["basis"] = "What was done, against what was proposed."
    elif left.payload is None or right.payload is None:
        found = None
    else:
        found = diff(left.payload, right.payload)
        shown["basis"] = "Payload against payload, by path; types count."
    if found is not None:
        shown["changes"] = changes.rows(found.changes[:SHOWN])
        shown["more"] = max(0, len(found.changes) - SHOWN)
        shown["same"] = not found.changes
    return shown


def _other(tenant: Tenant, event: StoredEvent, query: TraceQuery, offered: list[StoredEvent]) -> StoredEvent | None:
    if query.other is None:
        return offered[0] if offered else None
    trace_id = query.other_trace or event.trace_id
    if trace_id == event.trace_id and query.other > query.until:
        raise not_found("event", f"{trace_id} {query.other}")
    return selectors.trace_event(tenant, trace_id, query.other)


def _quoted(trace_id: str) -> str:
    return quote(trace_id, safe="")
