"""Appending: the checks of SEMANTICS 4 in their order, then one insert.

What needs no database (parse, validate, secret guard, hashes) happens before the tenant's lock is
taken; under the lock only keys, traces and the head are looked up, positions given, leaf hashes
taken and rows inserted. A batch is prepared whole and inserted by one statement.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from decisiongraph.core import bus, clock
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem
from decisiongraph.core.telemetry import log, metrics
from tenants.access import Principal
from tenants.models import Tenant
from traces import selectors, store
from traces.domain import canonical
from traces.domain.content import content_canonical, differing_fields, leaf_envelope, secret_in
from traces.domain.draft import Draft, validate
from traces.domain.violations import Violation
from traces.services import refusals
from traces.services.results import Receipt, Refused, Result, batch_problem, refuse


class Prepared(NamedTuple):
    """A valid event with everything that can be known before its place in the log."""

    draft: Draft
    payload: bytes
    content: bytes
    salt: bytes
    commitment: bytes
    payload_hash: bytes


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
    try:
        value = canonical.parse_event(raw)
    except canonical.MalformedJson as error:
        raise _malformed(tenant, principal, error) from None
    prepared = _prepare(value, principal, "ingest", trace_id=trace_id, header_key=header_key)
    (result,) = _append(tenant, principal, [prepared], "ingest", atomic=True, dry_run=dry_run)
    if isinstance(result, Refused):
        refusals.record(tenant, principal, [result])
        raise result.problem()
    return result


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
    try:
        if ndjson:
            values, whole = canonical.parse_ndjson(raw), atomic is not False
        else:
            batch = canonical.parse_batch(raw)
            values, whole = batch.events, batch.atomic
    except canonical.MalformedJson as error:
        raise _malformed(tenant, principal, error) from None
    if not ndjson and atomic is not None and atomic != whole:
        raise Problem(
            "query.invalid_parameter", 400, "Say `atomic` in the body of a JSON batch, not in the address."
        )
    return append(tenant, principal=principal, events=values, atomic=whole, dry_run=dry_run)


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
    prepared = [_prepare(event, principal, origin) for event in events]
    results = _append(tenant, principal, prepared, origin, atomic=atomic, dry_run=dry_run)
    refused = [result for result in results if isinstance(result, Refused)]
    if refused:
        refusals.record(tenant, principal, refused)
        if atomic:
            raise batch_problem(results)
    return results


# --- before the lock ------------------------------------------------------------------------------


def _prepare(
    value: Any,
    principal: Principal,
    origin: str,
    *,
    trace_id: str | None = None,
    header_key: str | None = None,
) -> Prepared | Refused:
    draft = validate(value, path_trace_id=trace_id, header_key=header_key, origin=origin)
    if isinstance(draft, list):
        return Refused(tuple(draft), producer_id=_said(value, "source", "producer_id"), trace_id=_said(value, "trace_id"))
    if not principal.bound_to(draft.producer_id):
        return refuse(
            "producer.not_allowed",
            403,
            f"This token may not send events of the producer {draft.producer_id!r}. "
            "Use the token of that producer.",
            path="source.producer_id",
        )._replace(producer_id=draft.producer_id, trace_id=draft.trace_id)
    try:
        payload = canonical.jcs(draft.payload)
        content = content_canonical(draft, payload)
    except canonical.NotCanonical as error:  # only a value made in Python gets this far
        return Refused(
            (Violation("payload", "json.not_canonical", str(error), 400),),
            producer_id=draft.producer_id,
            trace_id=draft.trace_id,
        )
    found = secret_in(draft, content)
    if found is not None:
        return Refused((found.violation(),), producer_id=draft.producer_id, trace_id=draft.trace_id)
    salt = os.urandom(16)
    return Prepared(
        draft, payload, content, salt, canonical.commitment(salt, payload), hashlib.sha256(payload).digest()
    )


def _said(value: Any, *path: str) -> str:
    """A text of a refused envelope, bounded, for finding the refusal again; empty if unusable."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, str) or "\x00" in value:
        return ""
    return value[:200].encode("utf-8", "replace").decode()


def _malformed(tenant: Tenant, principal: Principal, error: canonical.MalformedJson) -> Problem:
    refused = Refused((Violation(error.path, error.code, error.detail, error.status),))
    refusals.record(tenant, principal, [refused])
    return refused.problem()


# --- under the lock -------------------------------------------------------------------------------


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
    if not items or (atomic and any(isinstance(item, Refused) for item in items)):
        # A later item's own faults are listed with the others; what depends on the log is not,
        # because an event before it is missing.
        return [item if isinstance(item, Refused) else _valid(item) for item in items]
    started = time.perf_counter()
    prepared = [item for item in items if isinstance(item, Prepared)]
    with tenant_tx(tenant):
        head = store.lock()
        now = clock.now()
        if head.recorded_at is not None and head.recorded_at > now:
            now = head.recorded_at  # a clock set back never makes the log run backwards
        call = _Call(tenant, principal, origin, head.log_seq, now, prepared)
        results = [item if isinstance(item, Refused) else call.place(item) for item in items]
        failed = any(isinstance(result, Refused) for result in results)
        store_it = bool(call.rows) and not dry_run and not (atomic and failed)
        if store_it:
            store.insert(call.rows, recorded_at=now, origin=origin, principal=principal.ident)
            for trace_id, finished in call.touched.items():
                bus.publish(tenant, "trace", "trace.event_appended", ident=trace_id)
                if finished:
                    bus.publish(tenant, "trace", "trace.finished", ident=trace_id)
            bus.publish(tenant, "traces", "trace.event_appended")
            if any(call.touched.values()):
                bus.publish(tenant, "traces", "trace.finished")
    if dry_run:
        return [r if isinstance(r, Refused) or r.status == "replayed" else _as_valid(r) for r in results]
    if atomic and failed:
        return results
    _observe(tenant, principal, call, results, time.perf_counter() - started)
    return results


def _observe(tenant: Tenant, principal: Principal, call: _Call, results: list[Result], seconds: float) -> None:
    created = len(call.rows)
    replayed = sum(1 for r in results if r.status == "replayed")
    metrics.append_seconds.observe(seconds)
    metrics.batch_size.observe(len(results))
    if created:
        metrics.append_events.labels(call.origin).inc(created)
    if replayed:
        metrics.append_replayed.inc(replayed)
    log.info(
        "event.appended" if len(results) == 1 else "batch.appended",
        tenant=tenant.slug,
        trace=results[0].trace_id,
        principal=principal.ident,
        created=created,
        replayed=replayed,
        refused=len(results) - created - replayed,
        head=call.head,
        ms=round(seconds * 1000, 2),
    )


def _valid(item: Prepared) -> Receipt:
    return Receipt("valid", item.draft.event_id, item.draft.trace_id, item.draft.trace_seq, None, None, None)


def _as_valid(receipt: Receipt) -> Receipt:
    return receipt._replace(status="valid", event_id=None, trace_seq=None, log_seq=None, leaf_hash=None)


class _Call:
    """One append call under the lock: what the log knows, and what this call adds to it."""

    def __init__(
        self,
        tenant: Tenant,
        principal: Principal,
        origin: str,
        head: int,
        now: datetime,
        prepared: Sequence[Prepared],
    ) -> None:
        self.tenant, self.origin, self.principal = tenant, origin, principal.ident
        self.head = head
        self.now = now
        self.recorded_at = clock.rfc3339(now)
        self.known = store.known({(p.draft.producer_id, p.draft.idempotency_key) for p in prepared})
        self.taken = store.taken_ids({p.draft.event_id for p in prepared if p.draft.event_id})
        self.traces = dict(store.traces({p.draft.trace_id for p in prepared}))
        self.rows: list[store.NewEvent] = []
        self.touched: dict[str, bool] = {}
        self.made: dict[tuple[str, str], tuple[Prepared, Receipt]] = {}
        self.randomness = os.urandom(10 * len(prepared))
        self.ms = int(now.timestamp() * 1000)

    def place(self, item: Prepared) -> Result:
        """The receipt of one event, or why it is refused. The order of the checks is the contract."""
        draft = item.draft
        key = (draft.producer_id, draft.idempotency_key)
        stored = self.known.get(key)
        if stored is not None:
            return self._again(item, stored)
        if key in self.made:
            return self._again_in_call(item, *self.made[key])
        refused = self._refusal(draft)
        if refused is not None:
            return refused._replace(producer_id=draft.producer_id, trace_id=draft.trace_id)
        return self._add(item, key)

    def _refusal(self, draft: Draft) -> Refused | None:
        state = self.traces.get(draft.trace_id)
        starts = draft.event_type == "TraceStarted"
        if state is None and not starts:
            return refuse(
                "trace.not_found",
                404,
                f"There is no trace {draft.trace_id!r} in this tenant. Send its TraceStarted first.",
                path="trace_id",
            )
        if state is not None and starts:
            return refuse(
                "trace.already_started",
                409,
                "This trace has started already. Use another trace_id, or the first key to resend it.",
                path="event_type",
            )
        if state is not None and state.finished:
            return refuse(
                "trace.finished", 409, "This trace is finished and takes no more events.", path="trace_id"
            )
        expected = state.last_seq + 1 if state is not None else 0
        if draft.trace_seq is not None and draft.trace_seq != expected:
            return refuse(
                "trace.sequence_conflict",
                409,
                f"The next trace_seq of this trace is {expected}. Send that, or leave it out.",
                path="trace_seq",
                expected_trace_seq=expected,
            )
        if draft.event_id is not None and draft.event_id in self.taken:
            return refuse(
                "event.id_conflict",
                409,
                "Another event has this event_id. Send another one, or leave it out.",
                path="event_id",
            )
        return None

    def _add(self, item: Prepared, key: tuple[str, str]) -> Receipt:
        draft = item.draft
        state = self.traces.get(draft.trace_id)
        index = len(self.rows)
        self.head += 1
        trace_seq = state.last_seq + 1 if state is not None else 0
        event_id = draft.event_id or canonical.uuid7(
            self.ms, self.randomness[10 * index : 10 * index + 10]
        )
        occurred_at = draft.occurred_at or self.recorded_at
        leaf = canonical.leaf_hash(
            leaf_envelope(
                draft,
                log_seq=self.head,
                event_id=event_id,
                trace_seq=trace_seq,
                occurred_at=occurred_at,
                recorded_at=self.recorded_at,
                origin=self.origin,
                principal=self.principal,
                commitment=item.commitment,
            )
        )
        self.rows.append(
            store.NewEvent(
                self.head,
                event_id,
                draft.trace_id,
                trace_seq,
                draft.event_type,
                draft.schema_version,
                occurred_at,
                draft.occurred_instant or self.now,
                draft.producer_id,
                draft.system,
                draft.subsystem,
                draft.actor_type,
                draft.actor_id,
                draft.idempotency_key,
                draft.correlation_id,
                draft.causation_event_id,
                array_literal(draft.tags),
                item.commitment,
                leaf,
                item.payload.decode(),
                item.salt,
                item.payload_hash,
                canonical.content_hmac(item.salt, item.content),
            )
        )
        finished = draft.event_type == "TraceFinished"
        self.traces[draft.trace_id] = store.TraceState(trace_seq, finished)
        self.touched[draft.trace_id] = finished
        self.taken.add(event_id)
        receipt = Receipt(
            "created",
            event_id,
            draft.trace_id,
            trace_seq,
            self.head,
            "sha256:" + item.payload_hash.hex(),
            "sha256:" + leaf.hex(),
        )
        self.made[key] = (item, receipt)
        return receipt

    def _again(self, item: Prepared, stored: store.KnownEvent) -> Result:
        """A known key: the stored event again, or a conflict that names what differs.

        After an erasure there is nothing left to compare with, so any resend is the same event.
        """
        if stored.salt is not None and stored.content_hmac is not None:
            if canonical.content_hmac(stored.salt, item.content) != stored.content_hmac:
                event = selectors.event_at(self.tenant, stored.log_seq)
                return _conflict(item.draft, differing_fields(item.draft, event))
        return Receipt(
            "replayed",
            stored.event_id,
            stored.trace_id,
            stored.trace_seq,
            stored.log_seq,
            None if stored.payload_hash is None else "sha256:" + stored.payload_hash.hex(),
            "sha256:" + stored.leaf_hash.hex(),
        )

    def _again_in_call(self, item: Prepared, first: Prepared, receipt: Receipt) -> Result:
        if first.content == item.content:
            return receipt._replace(status="replayed")
        differing = [
            name
            for name in ("trace_id", "event_type", "occurred_at", "correlation_id", "causation_event_id", "payload")
            if getattr(first.draft, name) != getattr(item.draft, name)
        ]
        return _conflict(item.draft, differing)


def _conflict(draft: Draft, differing: list[str]) -> Refused:
    fields = differing or ["schema_version", "occurred_at", "tags"]
    named = ", ".join(fields)
    return Refused(
        tuple(
            Violation(
                field,
                "event.idempotency_conflict",
                f"Another event has the key {draft.idempotency_key!r}; it differs in {named}. "
                "Resend exactly what was sent first, or use a new key.",
                409,
            )
            for field in fields
        ),
        extra={"differing_fields": fields},
        producer_id=draft.producer_id,
        trace_id=draft.trace_id,
    )


def array_literal(values: Sequence[str]) -> str:
    """Texts as a PostgreSQL array literal (an array of arrays cannot be unnested row by row)."""
    if not values:
        return "{}"
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in quoted) + "}"
