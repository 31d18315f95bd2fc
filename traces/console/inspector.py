"""One event in full: payload, envelope, receipt, what caused it and what it led to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from decisiongraph.core.templatetags.dg.words import clock_time, duration
from tenants.models import Tenant
from traces import selectors
from traces.console.difference import counterpart, difference
from traces.console.state import Address, TraceQuery
from traces.domain.canonical import commitment, leaf_hash, payload_hash
from traces.domain.content import stored_leaf_envelope
from traces.domain.envelope import StoredEvent
from traces.domain.labels import headline
from traces.domain.moment import instant
from traces.domain.verdict import verdict

TABS = (("payload", "Payload"), ("envelope", "Envelope"), ("receipt", "Receipt"), ("diff", "Diff"))

_BADGES = {"PolicyEvaluated": "decision", "ApprovalRecorded": "decision", "ActionCommitted": "status"}
"""The member of the payload that is worth a badge, by event type."""


def inspect(
    tenant: Tenant,
    event: StoredEvent,
    query: TraceQuery,
    *,
    last: int,
    link: Address,
    elsewhere: Callable[[StoredEvent], str],
) -> dict[str, Any]:
    """The context of ``components/inspector.html``.

    Args:
        query: state of the page: which tab, compared with which event, as of which event.
        last: ``trace_seq`` of the trace's last event as of then.
        link: address of an event of this trace, ``link(trace_seq, tab=...)``.
        elsewhere: address of an event of another trace.
    """
    seq, tab = event.trace_seq, query.tab
    badge = event.payload.get(_BADGES.get(event.event_type, "")) if event.payload else None
    return {
        "event": event,
        "badge_state": badge if isinstance(badge, str) else None,
        "badge_word": badge if isinstance(badge, str) else None,
        "verdict": verdict(event),
        "tab": tab,
        "tabs": [{"key": key, "label": label, "url": link(seq, tab=key)} for key, label in TABS],
        "envelope": _envelope(event),
        "receipt": _receipt(event),
        "proofs": _proofs(tenant, event) if tab != "diff" else [],
        "links": _links(tenant, event, query, link, elsewhere) if tab != "diff" else [],
        "difference": difference(tenant, event, query, link) if tab == "diff" else None,
        "previous": link(seq - 1, tab=tab) if seq > 0 else None,
        "next": link(seq + 1, tab=tab) if seq < last else None,
        "json_url": elsewhere(event).partition("?")[0] + f"/events/{seq}.json",
    }


def _envelope(event: StoredEvent) -> dict[str, Any]:
    return {
        "event_id": event.event_id,
        "event_type": event.event_type,
        "schema_version": event.schema_version,
        "occurred_at": event.occurred_at,
        "producer_id": event.producer_id,
        "system": event.system,
        "subsystem": event.subsystem,
        "actor": f"{event.actor_type}/{event.actor_id}",
        "correlation_id": event.correlation_id,
        "caused by": event.causation_event_id,
        "idempotency_key": event.idempotency_key,
        "tags": ", ".join(event.tags) or None,
    }


def _receipt(event: StoredEvent) -> dict[str, Any]:
    return {
        "event_id": event.event_id,
        "trace_id": event.trace_id,
        "trace_seq": event.trace_seq,
        "log_seq": event.log_seq,
        "recorded_at": event.recorded_at,
        "origin": event.origin,
        "principal": event.principal,
    }


def _proofs(tenant: Tenant, event: StoredEvent) -> list[dict[str, Any]]:
    """Both hashes and the proof under the newest checkpoint, made again from what is stored at this moment."""
    stored = selectors.proof(tenant, event.log_seq)
    found: list[dict[str, Any]] = []
    if stored.canonical is None or stored.salt is None or event.payload_hash is None:
        found.append({"name": "payload_hash", "value": "", "state": "withdrawn", "word": "erased with the body"})
    else:
        right = payload_hash(stored.canonical) == event.payload_hash
        right = right and commitment(stored.salt, stored.canonical) == stored.commitment
        found.append(
            {
                "name": "payload_hash",
                "value": event.payload_hash,
                "state": "fresh" if right else "failed",
                "word": "matches the stored body" if right else "differs from the stored body",
            }
        )
    right = f"sha256:{leaf_hash(stored_leaf_envelope(event, stored.commitment)).hex()}" == event.leaf_hash
    found.append(
        {
            "name": "leaf_hash",
            "value": event.leaf_hash,
            "state": "fresh" if right else "failed",
            "word": f"in the log at {event.log_seq:,}" if right else "differs from the stored envelope",
        }
    )
    found.append(_sealed(tenant, event))
    return found


def _sealed(tenant: Tenant, event: StoredEvent) -> dict[str, Any]:
    """Whether the way from this event to the signed root of the newest checkpoint is there."""
    under = selectors.sealed_under(tenant, event.log_seq)
    if under is None:
        return {"name": "checkpoint", "value": "", "state": "catching_up", "word": "sealed within a second"}
    root = bytes(under.checkpoint.root).hex()
    if not under.holds:
        return {"name": "checkpoint", "value": root, "state": "failed", "word": "no proof leads to the signed root"}
    word = f"proven by {len(under.path)} hashes"
    return {"name": "checkpoint", "value": root, "state": "fresh", "word": word}


def _links(
    tenant: Tenant, event: StoredEvent, query: TraceQuery, link: Address, elsewhere: Callable[[StoredEvent], str]
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if query.tab == "envelope":
        for other in selectors.correlated(tenant, event):
            words = f"{other.trace_id}, event {other.trace_seq}, {headline(other)}"
            found.append({"label": "Correlated", "text": words, "url": elsewhere(other), "away": True})
        return found
    if event.causation_event_id:
        cause = selectors.event_by_id(tenant, event.causation_event_id)
        if cause is None:
            found.append({"label": "Caused by", "text": f"{event.causation_event_id}, not in this log"})
        elif cause.trace_id == event.trace_id:
            words = f"event {cause.trace_seq}, {headline(cause)}"
            found.append({"label": "Caused by", "text": words, "url": link(cause.trace_seq)})
        else:
            words = f"{cause.trace_id}, event {cause.trace_seq}, {headline(cause)}"
            found.append({"label": "Caused by", "text": words, "url": elsewhere(cause), "away": True})
    for effect in selectors.effects(tenant, event, until=query.until):
        words = f"event {effect.trace_seq}, {headline(effect)}"
        found.append({"label": "Led to", "text": words, "url": link(effect.trace_seq)})
    if partner := counterpart(tenant, event, query.until):
        label = "Proposal" if event.event_type == "ActionCommitted" else "Report"
        words = f"event {partner.trace_seq}, {headline(partner)}, compare"
        found.append({"label": label, "text": words, "url": link(event.trace_seq, tab="diff")})
    found.append({"label": "Occurred", "text": event.occurred_at})
    found.append({"label": "Recorded", "text": _recorded(event)})
    return found


def _recorded(event: StoredEvent) -> str:
    """When the log accepted it, and how long that was after it occurred."""
    occurred, recorded = instant(event.occurred_at), instant(event.recorded_at)
    if occurred is None or recorded is None:
        return event.recorded_at
    late = (recorded - occurred).total_seconds()
    if abs(late) > 86_400:
        text = recorded.strftime("%Y-%m-%d %H:%M:%S")
    else:
        text = clock_time(recorded, 3)
    order = "after" if late >= 0 else "before"
    return f"{text} UTC, {duration(abs(late))} {order} it occurred"
