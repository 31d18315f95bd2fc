"""Appending: the checks of SEMANTICS 4 in their order, then one insert.

What needs no database (parse, validate, secret guard, hashes) happens before the tenant's lock is
taken; under the lock only keys, traces and the head are looked up, positions given, leaf hashes
taken and rows inserted. A batch is prepared whole and inserted by one statement.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from django.db import connection

from decisiongraph.core import bus, clock
from decisiongraph.core.db import swift_tenant_tx
from decisiongraph.core.errors import Problem
from decisiongraph.core.telemetry import log, metrics, span
from tenants.access import Principal, system_principal
from tenants.models import Tenant
from traces import store
from traces.domain import canonical
from traces.domain.envelope import OPEN_WORKFLOW
from traces.domain.violations import Violation
from traces.services import refusals
from traces.services.in_flight import in_flight
from traces.services.place import Placing
from traces.services.prepare import Prepared, prepare
from traces.services.results import Receipt, Refused, Result, batch_problem
from traces.services.sealing import ask_to_seal
from traces.services.turns import Turns


def append_one(
    tenant: Tenant,
    *,
    principal: Principal,
    raw: bytes,
    trace_id: str,
    header_key: str | None = None,
    dry_run: bool = False,
) -> Receipt:
    """Append the one event in ``raw`` (JSON) to a trace. Raises `Problem` when it is refused."""
    with in_flight.place(tenant):
        return _append_one(tenant, principal, raw, trace_id, header_key, dry_run)


def _append_one(
    tenant: Tenant, principal: Principal, raw: bytes, trace_id: str, header_key: str | None, dry_run: bool
) -> Receipt:
    try:
        value = canonical.parse_event(raw)
    except canonical.MalformedJson as error:
        raise _malformed(tenant, principal, error) from None
    items = prepare([value], principal, "ingest", parsed=True, trace_id=trace_id, header_key=header_key)
    (item,) = items
    started = time.perf_counter()
    if isinstance(item, Refused):
        result: Result = item
    elif dry_run or connection.in_atomic_block:  # what an outer transaction stores commits with it
        (result,) = _append(tenant, principal, items, "ingest", atomic=True, dry_run=dry_run)
    else:
        result = _turns.take((tenant.pk, principal), item, partial(_append_each, tenant, principal))
    if isinstance(result, Refused):
        refusals.record(tenant, principal, [result])
        raise result.problem()
    if not dry_run:
        _observe(tenant, principal, [result], "ingest", time.perf_counter() - started)
    return result


_turns: Turns[Prepared, Result] = Turns()


def _append_each(tenant: Tenant, principal: Principal, items: list[Prepared]) -> list[Result]:
    """Single appends that came together: one transaction, and each has its own fate."""
    return _append(tenant, principal, items, "ingest", atomic=False, dry_run=False)


def append_batch(
    tenant: Tenant,
    *,
    principal: Principal,
    raw: bytes,
    ndjson: bool = False,
    atomic: bool | None = None,
    dry_run: bool = False,
) -> list[Result]:
    """Append the events in ``raw``: a JSON batch or NDJSON. See `append` for the answer.

    ``atomic`` is for NDJSON; a JSON batch says it in its body and may not contradict it.
    """
    with in_flight.place(tenant):
        return _append_batch(tenant, principal, raw, ndjson, atomic, dry_run)


def _append_batch(
    tenant: Tenant, principal: Principal, raw: bytes, ndjson: bool, atomic: bool | None, dry_run: bool
) -> list[Result]:
    try:
        if ndjson:
            values, whole = canonical.parse_ndjson(raw), atomic is not False
        else:
            batch = canonical.parse_batch(raw)
            values, whole = batch.events, batch.atomic
    except canonical.MalformedJson as error:
        raise _malformed(tenant, principal, error) from None
    if not ndjson and atomic is not None and atomic != whole:
        raise Problem("query.invalid_parameter", 400, "Say `atomic` in the body of a JSON batch, not in the address.")
    items = prepare(values, principal, "ingest", parsed=True)
    return _answer(tenant, principal, items, "ingest", atomic=whole, dry_run=dry_run)


def append(
    tenant: Tenant,
    *,
    principal: Principal,
    events: Sequence[Any],
    origin: str = "ingest",
    atomic: bool = True,
    dry_run: bool = False,
) -> list[Result]:
    """Append strictly parsed client envelopes in order, over any traces of the tenant.

    Args:
        origin: ``ingest``, ``import`` or ``platform``.
        atomic: all or nothing (raises `Problem` naming every refused item), or a result per item.
        dry_run: check everything, store nothing; accepted items answer ``valid``.

    An acknowledged event is durable: this returns after commit when it is the outermost
    transaction, and there is no buffer.
    """
    items = prepare(events, principal, origin, parsed=False)
    return _answer(tenant, principal, items, origin, atomic=atomic, dry_run=dry_run)


def import_principal(tenant: Tenant, *, open_workflow: bool = False) -> Principal:
    """Who appends imported events. With ``open_workflow`` every event says that it may open workflow items."""
    found = system_principal(tenant, label="import")
    return replace(found, ident=OPEN_WORKFLOW) if open_workflow else found


def _answer(
    tenant: Tenant,
    principal: Principal,
    items: Sequence[Prepared | Refused],
    origin: str,
    *,
    atomic: bool,
    dry_run: bool,
) -> list[Result]:
    started = time.perf_counter()
    results = _append(tenant, principal, items, origin, atomic=atomic, dry_run=dry_run)
    refused = [result for result in results if isinstance(result, Refused)]
    if refused:
        refusals.record(tenant, principal, refused)
        if atomic:
            raise batch_problem(results)
    if results and not dry_run:
        _observe(tenant, principal, results, origin, time.perf_counter() - started)
    return results


def _malformed(tenant: Tenant, principal: Principal, error: canonical.MalformedJson) -> Problem:
    refused = Refused((Violation(error.path, error.code, error.detail, error.status),))
    refusals.record(tenant, principal, [refused])
    return refused.problem()


def _append(
    tenant: Tenant,
    principal: Principal,
    items: Sequence[Prepared | Refused],
    origin: str,
    *,
    atomic: bool,
    dry_run: bool,
) -> list[Result]:
    """Results in order. When ``atomic`` and anything is refused, nothing is stored."""
    prepared = [item for item in items if isinstance(item, Prepared)]
    if not prepared:
        return [item for item in items if isinstance(item, Refused)]
    with span("log.append", tenant=tenant.slug, events=len(prepared)), swift_tenant_tx(tenant):
        seen = store.look(
            {(item.draft.producer_id, item.draft.idempotency_key) for item in prepared},
            {item.draft.event_id for item in prepared if item.draft.event_id},
            {item.draft.trace_id for item in prepared},
        )
        now = clock.now()
        if seen.head.recorded_at is not None and seen.head.recorded_at > now:
            now = seen.head.recorded_at  # a clock set back never makes the log run backwards
        placing = Placing(tenant, seen, origin=origin, principal=principal.ident, now=now, atomic=atomic)
        place = placing.place
        results = [place(item) for item in items]
        failed = any(isinstance(result, Refused) for result in results)
        stores = not dry_run and not (atomic and failed)
        if stores and placing.rows:
            store.insert(placing.rows, recorded_at=now, origin=origin, principal=principal.ident)
    if stores:
        _publish(tenant, placing.touched)
        if placing.rows:
            ask_to_seal(tenant, first=placing.rows[0].log_seq, last=placing.rows[-1].log_seq)
    if dry_run:
        return [r._replace(**_UNPLACED) if isinstance(r, Receipt) and r.status != "replayed" else r for r in results]
    return results


_UNPLACED: dict[str, Any] = {
    "status": "valid",
    "event_id": None,
    "trace_seq": None,
    "log_seq": None,
    "leaf_hash": None,
}
"""What a dry run cannot know of an event."""


def _publish(tenant: Tenant, touched: dict[str, bool]) -> None:
    if not touched:
        return
    for trace_id, finished in touched.items():
        bus.publish(tenant, "trace", "trace.event_appended", ident=trace_id)
        if finished:
            bus.publish(tenant, "trace", "trace.finished", ident=trace_id)
    bus.publish(tenant, "traces", "trace.event_appended")
    if any(touched.values()):
        bus.publish(tenant, "traces", "trace.finished")


def _observe(tenant: Tenant, principal: Principal, results: list[Result], origin: str, seconds: float) -> None:
    receipts = [result for result in results if isinstance(result, Receipt)]
    created = sum(1 for receipt in receipts if receipt.status == "created")
    replayed = len(receipts) - created
    metrics.append_seconds.observe(seconds)
    metrics.batch_size.observe(len(results))
    if created:
        metrics.append_events.labels(origin).inc(created)
    if replayed:
        metrics.append_replayed.inc(replayed)
    log.info(
        "event.appended" if len(results) == 1 else "batch.appended",
        tenant=tenant.slug,
        trace=results[0].trace_id,
        principal=principal.ident,
        created=created,
        replayed=replayed,
        refused=len(results) - len(receipts),
        head=max((receipt.log_seq or 0 for receipt in receipts), default=0),
        ms=round(seconds * 1000, 2),
    )
