"""A complete event, the same with something changed, and what validating it gives."""

import copy
from typing import Any

from traces.domain.catalog import CATALOG
from traces.domain.draft import Draft, validate
from traces.domain.violations import Violation

EVENT: dict[str, Any] = {
    "event_id": "e-1",
    "trace_id": "refund-8123-a",
    "trace_seq": 0,
    "event_type": "TraceStarted",
    "schema_version": 1,
    "occurred_at": "2026-01-12T09:41:07.112+02:00",
    "source": {"producer_id": "refund-desk-2", "system": "desk", "subsystem": None},
    "actor": {"actor_type": "agent", "actor_id": "refund-desk-2"},
    "idempotency_key": "start:8123",
    "correlation_id": None,
    "causation_event_id": "e-0",
    "tags": ["eu", "flight"],
    "payload": CATALOG["TraceStarted"].example,
}
WITHOUT = object()


def changed(path: str, value: Any) -> dict[str, Any]:
    event = copy.deepcopy(EVENT)
    *steps, last = path.split(".")
    holder = event
    for step in steps:
        holder = holder[step]
    if value is WITHOUT:
        del holder[last]
    else:
        holder[last] = value
    return event


def draft(event: Any, **options: Any) -> Draft:
    made = validate(event, **options)
    assert isinstance(made, Draft), made
    return made


def refusals(event: Any, **options: Any) -> list[tuple[str, str, int]]:
    made = validate(event, **options)
    assert isinstance(made, list)
    assert all(isinstance(v, Violation) and v.detail.endswith(".") for v in made)
    return [(v.path, v.code, v.status) for v in made]
